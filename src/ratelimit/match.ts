/**
 * **In**: a domain and the entries of a descriptor. **Out**: the limit that is meant, if any. **Fails**: never.
 *
 * As envoyproxy/ratelimit walks (src/config/config_impl.go, GetLimit): at each level the exact `key_value`, else the first pattern of the
 * file that fits, else `key`. There is no way back: what matched but leads nowhere hides what would have. A limit counts only at the
 * last entry.
 */
import type { Limit, Node } from './config/tree.ts';

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

export function matchOf(root: Node, domain: string, entries: readonly (readonly [key: string, value: string])[], steps?: Step[]): Match | undefined {
  let node = root;
  let metricKey = domain;
  let detailedKey = domain;
  let sharedValues: (string | undefined)[] | undefined;
  const last = entries.length - 1;
  for (let at = 0; at <= last; at++) {
    const [key, value] = entries[at] as readonly [string, string];
    const text = `${key}_${value}`;
    const next = node.children.get(text) ?? node.patterns.find(({ pattern }) => pattern?.test(text) === true) ?? node.children.get(key);
    steps?.push(stepOf(node, next, key, text));
    if (next === undefined) return undefined;
    const isShared = next.isShared && next.pattern !== undefined;
    if (isShared) (sharedValues ??= [])[at] = next.text.slice(key.length + 1);
    metricKey += `.${next.hasValueInMetric && !isShared ? text : next.text}`;
    detailedKey += `.${isShared ? next.text : text}`;
    if (at === last) return next.limit === undefined ? undefined : { limit: next.limit, metricKey: next.isDetailed ? detailedKey : metricKey, sharedValues };
    if (next.children.size === 0) return undefined;
    node = next;
  }
  return undefined;
}

function stepOf({ patterns }: Node, next: Node | undefined, key: string, text: string): Step {
  const all = [text, ...patterns.map((pattern) => pattern.text), key];
  const at = next === undefined ? -1 : all.indexOf(next.text);
  return { entry: text, tried: at < 0 ? all : all.slice(0, at + 1), found: next?.text, hasLimit: next?.limit !== undefined, hasMore: (next?.children.size ?? 0) > 0 };
}
