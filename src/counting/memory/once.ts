/**
 * Who was charged once. Of `log` and `concurrency` the charges themselves say so, and are gone together with it; of the others a mark does,
 * which is kept as a counter of its own, by a name that no rule's counter has.
 */
import type { Algorithm, QuotaAsk } from '../../adapters/contract.ts';
import { boundedKey } from '../bounded-key.ts';
import type { Entry, Who } from '../algorithms.ts';

export const isListed = (algorithm: Algorithm): boolean => algorithm === 'log' || algorithm === 'concurrency';
export const isLook = ({ cost, release = false }: Pick<QuotaAsk, 'cost' | 'release'>): boolean =>
  cost === 0 && !release;
export const isOnList = (entries: readonly Entry[], who: Who, nowMs: number): boolean =>
  entries.some((entry) => entry.who === who && entry.untilMs > nowMs);

type OfMark = Pick<QuotaAsk<{ readonly counter: string; readonly algorithm: Algorithm }>, 'bucket' | 'key' | 'once'>;
export const markName = ({ bucket: { counter, algorithm } }: OfMark): string => `\0once ${algorithm} ${counter}`;
export const markKey = ({ key, once }: OfMark): string => boundedKey(`${JSON.stringify(key)} ${once ?? ''}`);

/** Granted whatever is left, and not charged; what it gives back is. */
export const chargedBefore = <B>(ask: QuotaAsk<B>): QuotaAsk<B> => ({
  ...ask,
  cost: Math.min(0, ask.cost),
  owed: true,
});
