import { unitName } from '../call.ts';
import type { Domains, Node } from './tree.ts';

/** The limits in force, one per line and in file order, as envoyproxy/ratelimit's /rlconfig prints them. */
export function configDump(domains: Domains): string {
  const lines: string[] = [];
  const walk = ({ limit, children }: Node): void => {
    for (const one of limit === undefined || limit.endsLease ? [] : [limit, ...limit.also])
      lines.push(
        `${one.fullKey}: unit=${one.unlimited ? 'UNKNOWN' : unitName(one.unit)} requests_per_unit=${one.requestsPerUnit}, shadow_mode: ${one.shadow}, quota_mode: ${one.quota}\n`,
      );
    for (const child of children.values()) walk(child);
  };
  for (const root of domains.values()) walk(root);
  return lines.join('');
}
