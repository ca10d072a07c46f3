/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
 * **In**: limits. **Out**: two fields, or none. **Fails**: never; limits that would make a field longer than its bound are left out.
 */
import { MAX_HEADER } from '../text-bounds.ts';

export interface AdvertisedLimit {
  /** Its name for clients. */
  readonly policy: string;
  readonly limit: number;
  readonly perMs: number;
  readonly remaining: number;
  readonly resetMs: number;
  /** It limits concurrent requests. */
  readonly isConcurrency?: boolean;
}

export function ratelimitFields(
  limits: readonly AdvertisedLimit[],
): readonly (readonly [name: string, value: string])[] {
  let policies = '';
  let states = '';
  for (const { policy, limit, perMs, remaining, resetMs, isConcurrency = false } of limits) {
    const before = policies === '' ? '' : ', ';
    const name = stringOf(policy);
    const unit = isConcurrency ? ';qu="concurrent-requests"' : `;w=${secondsOf(perMs)}`;
    const ofPolicy = `${before}${name};q=${Math.floor(limit)}${unit}`;
    const ofState = `${before}${name};r=${Math.floor(remaining)};t=${secondsOf(resetMs)}`;
    // In both or in neither, since a client joins them by name.
    if (policies.length + ofPolicy.length > MAX_HEADER || states.length + ofState.length > MAX_HEADER) continue;
    policies += ofPolicy;
    states += ofState;
  }
  return policies === ''
    ? []
    : [
        ['ratelimit-policy', policies],
        ['ratelimit', states],
      ];
}

/** A string of RFC 9651. */
const stringOf = (text: string): string => `"${text.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`;
const secondsOf = (ms: number): number => Math.max(0, Math.ceil(ms / 1000));
