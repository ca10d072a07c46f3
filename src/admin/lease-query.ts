/** Which leases a request asks for: `?from=N`, the number of oldest ones to leave out. */
import type { LeasePage } from '../adapters/contract.ts';

/** Leases in one answer. */
const PAGE = 100;

export const FROM_REFUSED = 'from must be a whole number, the number of oldest leases to leave out';

/** `undefined` if the text is no whole number. */
export function leasesFrom(from: unknown = '0'): LeasePage | undefined {
  return typeof from === 'string' && /^\d{1,9}$/.test(from) ? { from: Number(from), count: PAGE } : undefined;
}
