/**
 * **In**: a domain and the entries of a descriptor. **Out**: the limit that is meant, if any. **Fails**: never.
 *
 * As envoyproxy/ratelimit walks (src/config/config_impl.go, GetLimit): at each level the exact `key_value`, else the first pattern of the
 * file that fits, else `key`. There is no way back: what matched but leads nowhere hides what would have. A limit counts only at the
 * last entry.
 */
import type { Limit, Node } from '../config/tree.ts';

export interface Match {
  readonly limit: Limit;
  /** What its metrics are called by: `domain.key_value.key`. */
  readonly metricKey: string;
  /** For each entry the value that its counter is known by, where that is not its own: the pattern that shares one. */
  readonly sharedValues: readonly (string | undefined)[] | undefined;
  /** Of a further limit of the descriptor: what clients know it by. */
  readonly policy?: string;
}

/** One level of the walk, for people. */
export interface Step {
  readonly entry: string;
  /** What was looked for, in order, up to what was found. */
  readonly tried: readonly string[];
  readonly found: string | undefined;
  readonly hasLimit: boolean;
  readonly hasMore: boolean;
}

type Entries = readonly (readonly [key: string, value: string])[];

export function matchOf(
  root: Node,
  domain: string,
  entries: Entries,
  withoutDots = false,
  steps?: Step[],
): Match | undefined {
  let node = root;
  let metricKey = domain;
  let sharedValues: (string | undefined)[] | undefined;
  const last = entries.length - 1;
  for (let at = 0; at <= last; at++) {
    const [key, value] = entries[at] as readonly [string, string];
    const text = `${key}_${value}`;
    const exact = node.children.get(text);
    const fitting =
      exact === undefined && node.patterns.length > 0
        ? node.patterns.find(({ pattern }) => pattern?.test(text) === true)
        : undefined;
    const next = exact ?? fitting ?? node.children.get(key);
    steps?.push(stepOf(node, next, key, text));
    if (next === undefined) return undefined;
    const shared = fitting?.isShared === true ? valueOf(fitting, key) : '';
    if (shared !== '') (sharedValues ??= [])[at] = shared;
    metricKey += `.${fragment(nameOf(key, value, next, exact, fitting, shared), withoutDots)}`;
    if (at === last)
      return next.limit === undefined
        ? undefined
        : {
            limit: next.limit,
            metricKey: next.isDetailed ? detailedKey(domain, entries, sharedValues, withoutDots) : metricKey,
            sharedValues,
          };
    if (next.children.size === 0) return undefined;
    node = next;
  }
  return undefined;
}

/** What a pattern is of the value; where its key has the star, the whole pattern. */
const valueOf = ({ text }: Node, key: string): string =>
  text.startsWith(key) && text[key.length] === '_' ? text.slice(key.length + 1) : text;

/** What a level is called in metrics. */
function nameOf(
  key: string,
  value: string,
  next: Node,
  exact: Node | undefined,
  fitting: Node | undefined,
  shared: string,
): string {
  if (shared !== '') return `${key}_${shared}`;
  if (exact !== undefined || next.hasValueInMetric) return joined(key, value);
  return fitting === undefined ? key : joined(key, valueOf(fitting, key));
}

export const fragment = (name: string, withoutDots: boolean): string =>
  withoutDots && name.includes('.') ? name.replaceAll('.', '_') : name;

export const joined = (key: string, value: string): string => (value === '' ? key : `${key}_${value}`);

function detailedKey(
  domain: string,
  entries: Entries,
  sharedValues: Match['sharedValues'],
  withoutDots: boolean,
): string {
  const parts =
    sharedValues === undefined
      ? entries.map(([key, value]) => `${key}_${value}`)
      : entries.map(([key, value], at) => joined(key, sharedValues[at] ?? value));
  return [domain, ...parts.map((part) => fragment(part, withoutDots))].join('.');
}

function stepOf({ patterns }: Node, next: Node | undefined, key: string, text: string): Step {
  const all = [text, ...patterns.map((pattern) => pattern.text), key];
  const at = next === undefined ? -1 : all.indexOf(next.text);
  return {
    entry: text,
    tried: at < 0 ? all : all.slice(0, at + 1),
    found: next?.text,
    hasLimit: next?.limit !== undefined,
    hasMore: (next?.children.size ?? 0) > 0,
  };
}
