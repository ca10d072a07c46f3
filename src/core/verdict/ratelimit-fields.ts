/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
 * **In**: limits. **Out**: two fields, or none. **Fails**: never.
 */

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
  if (limits.length === 0) return [];
  return [
    [
      'ratelimit-policy',
      limits
        .map(
          ({ policy, limit, perMs, isConcurrency = false }) =>
            `${stringOf(policy)};q=${Math.floor(limit)}${isConcurrency ? ';qu="concurrent-requests"' : `;w=${secondsOf(perMs)}`}`,
        )
        .join(', '),
    ],
    [
      'ratelimit',
      limits
        .map(
          ({ policy, remaining, resetMs }) => `${stringOf(policy)};r=${Math.floor(remaining)};t=${secondsOf(resetMs)}`,
        )
        .join(', '),
    ],
  ];
}

/** A string of RFC 9651. */
const stringOf = (text: string): string => `"${text.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`;
const secondsOf = (ms: number): number => Math.max(0, Math.ceil(ms / 1000));
