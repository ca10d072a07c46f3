/**
 * A cluster runs a script in one slot. The counters of one key stand in one; asks for several keys are charged slot by slot, and given back
 * where one refuses or fails. Meanwhile, for two round trips, others see less than there is.
 */
import { createHash } from 'node:crypto';
import type { QuotaAsk } from '../../adapters/contract.ts';
import type { RedisAnswer } from './script.ts';

/** The hash tag of a key, the same for all its counters. */
export const slotTag = (key: string): string => `{${createHash('sha1').update(key).digest('base64url').slice(0, 12)}}`;

export async function chargeBySlot<B>(
  asks: readonly QuotaAsk<B>[],
  run: (asks: readonly QuotaAsk<B>[]) => Promise<readonly RedisAnswer[]>,
): Promise<readonly RedisAnswer[]> {
  const groups = [...Map.groupBy(asks.keys(), (at) => (asks[at] as QuotaAsk<B>).key).values()];
  if (groups.length <= 1) return run(asks);
  const charged = await Promise.allSettled(
    groups.map(async (places) => run(places.map((at) => asks[at] as QuotaAsk<B>))),
  );
  const answers: RedisAnswer[] = [];
  for (const [index, result] of charged.entries()) {
    if (result.status === 'fulfilled')
      for (const [at, place] of (groups[index] ?? []).entries()) answers[place] = result.value[at] as RedisAnswer;
  }
  const failed = charged.find((result) => result.status === 'rejected');
  if (failed === undefined && answers.every(({ granted }) => granted)) return answers;
  await Promise.allSettled(
    groups.map(async (places) => {
      const back = places.flatMap((at): QuotaAsk<B>[] => {
        const cost = answers[at]?.charged ?? 0;
        return cost > 0 ? [{ ...(asks[at] as QuotaAsk<B>), kind: 'giveBack', cost }] : [];
      });
      if (back.length > 0) await run(back);
    }),
  );
  if (failed !== undefined) throw failed.reason;
  return answers.map((one, at) =>
    one.charged > 0
      ? {
          ...one,
          remaining: Math.min(asks[at]?.limit ?? 0, one.remaining + one.charged),
          used: one.used - one.charged,
          charged: 0,
        }
      : one,
  );
}
