/** Which VirtualService says how calls to a host go. */
import type { MeshObject } from '../sources/objects.ts';
import { bySpecificity, overlap } from './hosts.ts';

/** By the complete host that they route. */
export type RulesByHost = ReadonlyMap<string, MeshObject<'VirtualService'>>;

const wildcards = new WeakMap<RulesByHost, readonly string[]>();

/** An exact host, or a wildcard. */
export function ruleFor(rules: RulesByHost, host: string): MeshObject<'VirtualService'> | undefined {
  const exact = rules.get(host);
  if (exact !== undefined && !host.startsWith('*')) return exact;
  let patterns = wildcards.get(rules);
  if (patterns === undefined) {
    patterns = [...rules.keys()].filter((pattern) => pattern.startsWith('*')).toSorted(bySpecificity);
    wildcards.set(rules, patterns);
  }
  const best = host.startsWith('*')
    ? [...rules.keys()].filter((pattern) => overlap(pattern, host)).toSorted(bySpecificity)[0]
    : patterns.find((pattern) => overlap(pattern, host));
  return best === undefined ? undefined : rules.get(best);
}
