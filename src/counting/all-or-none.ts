/**
 * All or none over counters that the backend cannot charge in one atomic step.
 * **In**: asks, how they fall into groups, and what charges a group (all of it, or none). **Out**: an answer for each ask. **Fails**: as
 * the first group that failed; the charges of other groups are returned.
 *
 * Until they are returned, for two round trips, other callers see fewer units than are left.
 */
import type { QuotaAsk } from '../adapters/contract.ts';
import type { CounterAnswer } from './counter.ts';

/** It tells the part of the cost that was charged by this ask. */
export type ChargedAnswer = CounterAnswer & Required<Pick<CounterAnswer, 'charged'>>;

export async function allOrNone<B, A extends ChargedAnswer>(
  asks: readonly QuotaAsk<B>[],
  groupOf: (ask: QuotaAsk<B>) => unknown,
  charge: (asks: readonly QuotaAsk<B>[]) => Promise<readonly A[]>,
): Promise<readonly A[]> {
  const groups = [...Map.groupBy(asks.keys(), (at) => groupOf(asks[at] as QuotaAsk<B>)).values()];
  if (groups.length <= 1) return charge(asks);
  const answers: A[] = [];
  const charged = await Promise.allSettled(
    groups.map(async (places) => {
      const some = await charge(places.map((at) => asks[at] as QuotaAsk<B>));
      for (const [at, place] of places.entries()) answers[place] = some[at] as A;
    }),
  );
  const failed = charged.find((result) => result.status === 'rejected');
  if (failed === undefined && answers.every(({ granted }) => granted)) return answers;
  await Promise.allSettled(
    groups.map(async (places) => {
      const back = places.flatMap((at): QuotaAsk<B>[] => {
        const cost = answers[at]?.charged ?? 0;
        return cost > 0 ? [{ ...(asks[at] as QuotaAsk<B>), kind: 'giveBack', cost }] : [];
      });
      if (back.length > 0) await charge(back);
    }),
  );
  if (failed !== undefined) throw failed.reason;
  return answers.map((one, at) =>
    one.charged > 0
      ? {
          ...one,
          remaining: Math.min(asks[at]?.limit ?? 0, one.remaining + one.charged),
          ...(one.used === undefined ? {} : { used: one.used - one.charged }),
          charged: 0,
        }
      : one,
  );
}
