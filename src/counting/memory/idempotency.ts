/**
 * Idempotency keys that were charged. `log` and `concurrency` find them in their entries; the other algorithms store a mark: a counter under
 * a name that no rule's counter has.
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

/** After a call that was granted: sets the mark of a charge, and removes that of a returned one. */
export const changesMark = (ask: AnyAsk): boolean =>
  ask.idempotencyKey !== undefined &&
  (ask.kind === 'spend' || ask.kind === 'owe' ? ask.cost > 0 : ask.kind === 'giveBack');
