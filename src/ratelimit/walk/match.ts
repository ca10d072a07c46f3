/**
 * **In**: the tree of a domain and the entries of a descriptor. **Out**: the limit that they match, if any. **Fails**: never.
 *
 * As in envoyproxy/ratelimit (src/config/config_impl.go, GetLimit): at each level the exact `key_value`, else the first pattern in file
 * order that matches, else `key`. Without backtracking: a match without children hides the others. A limit applies only at the last
 * entry.
 */
import type { Entries } from '../call.ts';
import type { Limit, Node } from '../config/tree.ts';

export interface Match {
  readonly limit: Limit;
  /** Name of the limit in metrics: `domain.key_value.key`. */
  readonly metricKey: string;
  /** By entry: the pattern whose values share a counter, instead of the value. */
  readonly sharedValues: readonly (string | undefined)[] | undefined;
  /** Name of a further limit in RateLimit-Policy; `undefined` for the first. */
  readonly policy?: string;
}

/** One level of the walk, for `sluice limits explain`. */
export interface Step {
  readonly entry: string;
  /** Texts tried, in order, up to the one found. */
  readonly tried: readonly string[];
  readonly found: string | undefined;
  readonly hasLimit: boolean;
  readonly hasMore: boolean;
}

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

/** The value part of a pattern; the whole pattern if the star is in its key. */
const valueOf = ({ text }: Node, key: string): string =>
  text.startsWith(key) && text[key.length] === '_' ? text.slice(key.length + 1) : text;

/** Name of a level in metrics. */
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
