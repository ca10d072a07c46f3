/**
 * YAML in blocks, as `kubectl get -o yaml` shows it.
 * **In**: JSON. **Out**: YAML that versions 1.1 and 1.2 read alike. **Fails**: never.
 *
 * The library writes a scalar that is not plainly one; it takes ten times as long for maps and lists of many.
 */
import { stringify } from 'yaml';
import { isObject } from '../text/json-object.ts';

export const writeYaml = (value: unknown): string => {
  const lines = isEmptyOrScalar(value) ? [scalar(value, '')] : block(value, '');
  return `${lines.join('\n')}\n`;
};

/** Lines of a map or list. */
function block(value: unknown, indent: string): string[] {
  const lines: string[] = [];
  if (Array.isArray(value))
    for (const item of value) {
      if (isEmptyOrScalar(item)) lines.push(`${indent}- ${scalar(item, indent)}`);
      else {
        const inner = block(item, `${indent}  `);
        lines.push(`${indent}- ${(inner[0] ?? '').trimStart()}`);
        for (let at = 1; at < inner.length; at++) lines.push(inner[at] ?? '');
      }
    }
  else if (isObject(value))
    for (const [key, inner] of Object.entries(value)) {
      if (inner === undefined) continue;
      const name = PLAIN.test(key) && !YAML_WORDS.test(key) ? key : JSON.stringify(key);
      if (isEmptyOrScalar(inner)) lines.push(`${indent}${name}: ${scalar(inner, indent)}`);
      else {
        lines.push(`${indent}${name}:`);
        for (const line of block(inner, Array.isArray(inner) ? indent : `${indent}  `)) lines.push(line);
      }
    }
  return lines;
}

const isEmptyOrScalar = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : !isObject(value) || Object.keys(value).length === 0;

/** Words and paths that no version of YAML reads as anything else. */
const PLAIN = /^(?:--?[A-Za-z]|[A-Za-z_/])[\w./-]*$/;
/** Words that YAML 1.1 reads as a boolean or null. */
export const YAML_WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/i;

const MAX_KEPT = 1000;
const MAX_KEPT_LENGTH = 100;
/** What the library wrote for short texts, which are mostly the same. */
const kept = new Map<string, string>();

/** Further lines are indented below `indent`. */
function scalar(value: unknown, indent: string): string {
  if (typeof value !== 'string') return Array.isArray(value) ? '[]' : isObject(value) ? '{}' : ofLibrary(value);
  if (PLAIN.test(value) && !YAML_WORDS.test(value)) return value;
  let text = kept.get(value);
  if (text === undefined) {
    text = ofLibrary(value);
    if (kept.size < MAX_KEPT && value.length <= MAX_KEPT_LENGTH) kept.set(value, text);
  }
  return indent === '' || !text.includes('\n') ? text : text.replaceAll(/\n(?!\n|$)/g, `\n${indent}`);
}

const ofLibrary = (value: unknown): string =>
  stringify([value], { version: '1.1', compat: 'core', lineWidth: 0 }).slice(2, -1);
