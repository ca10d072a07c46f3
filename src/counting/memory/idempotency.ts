/**
 * Who was charged already. `log` and `concurrency` find it in their entries; the other algorithms keep a mark, a counter of its own under a name
 * that no rule's counter has.
 */
import type { QuotaAsk } from '../../adapters/contract.ts';
import { lasts } from '../algorithms.ts';
import type { Entry, Owner } from '../counter.ts';
import type { AnyAsk } from '../ask.ts';
import { boundedKey } from '../bounded-key.ts';
import type { BucketSpec } from '../store.ts';

export const isOnList = (entries: readonly Entry[], owner: Owner, nowMs: number, perMs: number): boolean =>
  entries.some((entry) => entry.owner === owner && lasts(entry, nowMs, perMs));

export const markName = ({ bucket: { counter, algorithm } }: QuotaAsk<BucketSpec>): string =>
  `\0once ${algorithm} ${counter}`;
export const markKey = ({ key, idempotencyKey }: AnyAsk): string =>
  boundedKey(`${JSON.stringify(key)} ${idempotencyKey ?? ''}`);

/** After a call that was granted: a charge is marked, what was given back no longer is. */
export const changesMark = (ask: AnyAsk): boolean =>
  ask.idempotencyKey !== undefined &&
  (ask.kind === 'spend' || ask.kind === 'owe' ? ask.cost > 0 : ask.kind === 'giveBack');
