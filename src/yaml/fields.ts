import type { Findings } from './findings.ts';
import { visible } from '../text/lookalikes.ts';
import { meant, nearest } from '../text/nearest.ts';
import { durationMs, durationText, type DurationUnit } from '../time/duration.ts';
import {
  isEmpty,
  nodeText,
  type ListNode,
  type MapEntry,
  type MapNode,
  type Node,
  type Place,
  type ScalarNode,
} from './nodes.ts';

/** The least and the most, both included. */
export type Range = readonly [least: number, most: number];
/** In ms; ten years. */
const ANY_TIME: Range = [1, 3660 * 86_400_000];

/** Reads plain values from a map; an unexpected value becomes a finding and reads as `undefined`. */
export class Fields {
  readonly place: Place;
  readonly #entries: ReadonlyMap<string, MapEntry>;
  readonly #findings: Findings;
  readonly #what: string;
  /** What unknown keys may be meant to be; `undefined` is any key. */
  readonly #mayMean = new Set<string | undefined>();

  /** `what` names the map in messages: `a rule`. */
  constructor(node: MapNode, what: string, findings: Findings) {
    this.place = node.place;
    this.#entries = node.entries;
    this.#findings = findings;
    this.#what = what;
  }

  /** Reports keys that are not in `known`, with the nearest known one, or the place of those in `elsewhere`. */
  only(known: readonly string[], elsewhere: Readonly<Record<string, string>> = {}): this {
    let emptied: MapEntry | undefined;
    let previous: MapEntry | undefined;
    for (const entry of this.#entries.values()) {
      const { key, keyPlace } = entry;
      const before = previous;
      previous = entry;
      if (known.includes(key)) {
        emptied = undefined;
        continue;
      }
      this.#findings.misplace(key, entry.value);
      if (emptied !== undefined) continue;
      const stated = Object.hasOwn(elsewhere, key) ? elsewhere[key] : gluedKey(key, known);
      this.#mayMean.add(known.find((one) => one === stated) ?? nearest(key, known));
      // All keys after one without a value are its own, with too few spaces before them.
      if (before !== undefined && isEmpty(before.value)) emptied = before;
      if (emptied !== undefined) this.#findings.explain(emptied.value.place);
      const hint =
        key === '<<'
          ? ': maps are not merged; write its keys out'
          : Object.hasOwn(elsewhere, key)
            ? `; write ${elsewhere[key]}`
            : emptied !== undefined
              ? `; if it belongs to ${emptied.key}, indent it deeper`
              : (gluedHint(key, known) ?? meant(key, known));
      this.#findings.error('RULES_UNKNOWN_KEY', keyPlace, `${this.#what} has no key ${visible(key)}${hint}`);
    }
    return this;
  }

  /** Whether an unknown key may be one of these, misspelt: that it is missing is then no mistake of its own. */
  mayMisspell(...keys: readonly string[]): boolean {
    return this.#mayMean.has(undefined) || keys.some((key) => this.#mayMean.has(key));
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  entry(key: string): MapEntry | undefined {
    return this.#entries.get(key);
  }

  node(key: string): Node | undefined {
    return this.#entries.get(key)?.value;
  }

  /** As `node`; reports a missing key. */
  required(key: string, like: string): Node | undefined {
    const node = this.node(key);
    if (node === undefined && !this.mayMisspell(key) && !this.#findings.misplaced.has(key))
      this.#findings.error('RULES_MISSING_KEY', this.place, `${this.#what} needs ${key}: ${like}`);
    return node;
  }

  text(key: string): string | undefined {
    return this.#scalar(key, 'text', (value) => (typeof value === 'string' && value !== '' ? value : undefined));
  }

  flag(key: string): boolean | undefined {
    return this.#scalar(key, 'true or false', (value) => (typeof value === 'boolean' ? value : undefined));
  }

  wholeNumber(key: string, [least, most]: Range): number | undefined {
    return this.#scalar(key, `a whole number from ${least} to ${most}`, (value) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most ? value : undefined,
    );
  }

  /** A number of bytes, or text such as `64MiB`. */
  bytes(key: string, [least, most]: Range): number | undefined {
    const wanted = `a number of bytes from ${byteText(least)} to ${byteText(most)}, such as 64MiB or ${64 * 1024 ** 2}`;
    return this.#scalar(key, wanted, (value) => {
      const [, amount, unit = ''] = /^(\d+)(KiB|MiB|GiB|TiB)?$/.exec(String(value)) ?? [];
      const bytes = Number(amount) * (UNIT_BYTES[unit] ?? NaN);
      return bytes >= least && bytes <= most ? bytes : undefined;
    });
  }

  number(key: string, [least, most]: Range): number | undefined {
    return this.#scalar(key, `a number from ${least} to ${most}`, (value) =>
      typeof value === 'number' && value >= least && value <= most ? value : undefined,
    );
  }

  word<W extends string>(key: string, words: readonly W[]): W | undefined {
    return this.#scalar(key, `one of ${words.join(', ')}`, (value) => words.find((word) => word === value));
  }

  /** A duration in ms, of one number and one of these units. `others`: words that the caller accepts in its place, for the message. */
  durationMs(
    key: string,
    units: readonly DurationUnit[],
    [least, most]: Range = ANY_TIME,
    others: readonly string[] = [],
  ): number | undefined {
    const node = this.node(key);
    const hasForm = node?.kind === 'scalar' && typeof node.value === 'string' && hasFormOfDuration(node.value, units);
    const examples = units.map((unit) => `${EXAMPLES[unit]}${unit}`).join(', ');
    const form = hasForm
      ? `a duration from ${durationText(least)} to ${durationText(most)}`
      : `a duration such as ${examples}`;
    const wanted = `${form}${others.length === 0 ? '' : `, or ${others.join(', ')}`}`;
    return this.#scalar(key, wanted, (value) => {
      const found = typeof value === 'string' ? durationMs(value, units) : undefined;
      return found !== undefined && found >= least && found <= most ? found : undefined;
    });
  }

  map(key: string, what: string): Fields | undefined {
    const node = this.node(key);
    return node === undefined ? undefined : fieldsOf(node, what, this.#findings);
  }

  #scalar<T>(key: string, wanted: string, read: (value: ScalarNode['value']) => T | undefined): T | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    const value = node.kind === 'scalar' ? read(node.value) : undefined;
    if (value === undefined)
      this.#findings.error('RULES_VALUE', node.place, `${key} is ${nodeText(node)}; expected ${wanted}`);
    return value;
  }
}

/** `status:403`, which YAML reads as one text. */
function gluedHint(key: string, known: readonly string[]): string | undefined {
  const name = gluedKey(key, known);
  return name === undefined ? undefined : `; write a space after ${name}:`;
}

function gluedKey(key: string, known: readonly string[]): string | undefined {
  const name = /^([\w-]+):./.exec(key)?.[1];
  return name !== undefined && known.includes(name) ? name : undefined;
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** Whether it has the form of a duration, be it 0 or longer than can be counted. */
const hasFormOfDuration = (text: string, units: readonly DurationUnit[]): boolean =>
  units.includes((/^\d+(?:\.\d+)?([a-z]+)$/.exec(text)?.[1] ?? '') as DurationUnit);

/** In the largest unit that divides it. */
function byteText(bytes: number): string {
  const [unit = '', size = 1] =
    Object.entries(UNIT_BYTES).findLast(([, one]) => bytes >= one && bytes % one === 0) ?? [];
  return `${bytes / size}${unit}`;
}

const EXAMPLES: Readonly<Record<DurationUnit, number>> = { ms: 50, s: 30, m: 1, h: 1, d: 1 };

/** The node as a map, or a finding. */
export function fieldsOf(node: Node, what: string, findings: Findings): Fields | undefined {
  if (node.kind === 'map') return new Fields(node, what, findings);
  findings.error('RULES_VALUE', node.place, `${what} must be a map of keys and values; found ${nodeText(node)}`);
  return undefined;
}

/** The node as a list, or a finding. */
export function listOfNodes(node: Node, what: string, findings: Findings): ListNode | undefined {
  if (node.kind === 'list') return node;
  const listed =
    node.kind === 'scalar' && node.style === 'plain' && node.value !== null ? `; write [${node.written}]` : '';
  findings.error('RULES_VALUE', node.place, `${what} must be a list; found ${nodeText(node)}${listed}`);
  return undefined;
}

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** The name in lower-case words with hyphens. */
export const kebab = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');

/** Reports a name that is not lower-case words with hyphens. */
export function checkName(name: string, place: Place, what: string, findings: Findings): boolean {
  if (KEBAB.test(name)) return true;
  const better = kebab(name);
  findings.error(
    'RULES_NAME',
    place,
    `the name of ${what} must be lower case letters, digits and single hyphens, not ${visible(JSON.stringify(name))}` +
      (better === '' ? '' : `; write ${better}`),
  );
  return false;
}
