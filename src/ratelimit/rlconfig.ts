import { unitName } from './call.ts';
import type { Domains, Node } from './config/tree.ts';

/** The limits in force, a line each, as envoyproxy/ratelimit's /rlconfig says them; in the order of the files. */
export function rlconfig(domains: Domains): string {
  const lines: string[] = [];
  const walk = ({ limit, children }: Node): void => {
    if (limit !== undefined && !limit.endsLease) lines.push(`${limit.fullKey}: unit=${limit.unlimited ? 'UNKNOWN' : unitName(limit.unit)} requests_per_unit=${limit.requestsPerUnit}, shadow_mode: ${limit.shadow}, quota_mode: ${limit.quota}\n`);
    for (const child of children.values()) walk(child);
  };
  for (const root of domains.values()) walk(root);
  return lines.join('');
}
