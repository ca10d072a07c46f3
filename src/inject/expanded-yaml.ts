/**
 * YAML of an expanded template, parsed once for all pods that take the same branches.
 * **In**: the pieces of an expansion. **Out**: the value that its text has as YAML. **Fails**: with a YamlFault of that text.
 *
 * Parsing takes twenty times as long as expanding, and two pods differ in few values. Values that cannot change the structure of the
 * text are replaced by marks; the text with marks is parsed, and kept; the values are put in the place of the marks.
 */
import { isObject } from '../text/json-object.ts';
import type { Piece } from './template/expand.ts';
import { readYaml } from './read-yaml.ts';
import { YAML_WORDS } from './write-yaml.ts';

/** Of the private use area. */
const [OPEN, CLOSE] = ['\uE000', '\uE001'];
const MARK = /\uE000(\d+)\uE001/g;

/** The text of a skeleton is not used: it has quotes in a longer text, whose content would then matter. */
const UNUSABLE = Symbol('unusable');

const MAX_KEPT = 100;

export class ExpandedYaml {
  readonly #kept = new Map<string, unknown>();

  valueOf(pieces: readonly Piece[]): unknown {
    const text = textOf(pieces);
    if (text.includes(OPEN)) return readYaml(text).value;
    const values: string[] = [];
    const skeleton = skeletonOf(pieces, values);
    let found = this.#kept.get(skeleton);
    if (found === undefined && values.length > 0) {
      readYaml(text); // reports an error in the text that was expanded
      found = usable(readYaml(skeleton).value) ?? UNUSABLE;
      if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value ?? '');
      this.#kept.set(skeleton, found);
    }
    return found === undefined || found === UNUSABLE ? readYaml(text).value : filled(found, values);
  }
}

export const textOf = (pieces: readonly Piece[]): string => pieces.map(({ text }) => text).join('');

function skeletonOf(pieces: readonly Piece[], values: string[]): string {
  let skeleton = '';
  for (const [at, { text, isValue }] of pieces.entries()) {
    const value = isValue && standsAlone(pieces[at - 1], pieces[at + 1]) ? valueIn(text) : undefined;
    if (value === undefined) {
      skeleton += text;
      continue;
    }
    const mark = `${OPEN}${values.length}${CLOSE}`;
    values.push(value);
    skeleton += text.startsWith('"') ? `"${mark}"` : mark;
  }
  return skeleton;
}

/** The whole of a scalar: after a key, a dash or the start of a line, and before the end of the line or of a flow entry. */
const standsAlone = (before: Piece | undefined, after: Piece | undefined): boolean =>
  before !== undefined &&
  after !== undefined &&
  !before.isValue &&
  !after.isValue &&
  /[:\-,[{\n]\s+$/.test(before.text.slice(-80)) &&
  /^[ \t]*(?:\n|[,}\]])/.test(after.text);

/** Of text in JSON's quotes, or of a plain word; `undefined` for all that YAML may read as another type. */
function valueIn(text: string): string | undefined {
  if (/^[A-Za-z][\w./-]*$/.test(text)) return YAML_WORDS.test(text) ? undefined : text;
  if (!/^"(?:[^"\\\n]|\\["\\/bfnrt]|\\u[\da-f]{4})*"$/.test(text)) return undefined;
  return JSON.parse(text) as string;
}

function usable(value: unknown): unknown {
  return JSON.stringify(value ?? null).includes(`\\"${OPEN}`) ? undefined : value;
}

function filled(value: unknown, values: readonly string[]): unknown {
  if (typeof value === 'string')
    return value.includes(OPEN) ? value.replaceAll(MARK, (_, index: string) => values[Number(index)] ?? '') : value;
  if (Array.isArray(value)) return value.map((item: unknown) => filled(item, values));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [filled(key, values), filled(inner, values)]));
}
