/**
 * A cluster carries out a script in one slot alone. Counters of one key stand in one; asks for several keys are charged slot by slot, and
 * given back where one refuses or fails. Until then others see less than there is, for as long as two trips take.
 */
import { createHash } from 'node:crypto';
import type { QuotaAsk } from '../../adapters/contract.ts';
import type { Told } from './script.ts';

/** What Redis reckons a key's slot by: the same for all counters of one key. */
export const slotTag = (key: string): string => `{${createHash('sha1').update(key).digest('base64url').slice(0, 12)}}`;

export async function chargeBySlot<B>(
  asks: readonly QuotaAsk<B>[],
  run: (asks: readonly QuotaAsk<B>[]) => Promise<readonly Told[]>,
): Promise<readonly Told[]> {
  const groups = [...Map.groupBy(asks.keys(), (at) => (asks[at] as QuotaAsk<B>).key).values()];
  if (groups.length <= 1) return run(asks);
  const charged = await Promise.allSettled(
    groups.map(async (places) => run(places.map((at) => asks[at] as QuotaAsk<B>))),
  );
  const told: Told[] = [];
  for (const [index, result] of charged.entries()) {
    if (result.status === 'fulfilled')
      for (const [at, place] of (groups[index] ?? []).entries()) told[place] = result.value[at] as Told;
  }
  const failed = charged.find((result) => result.status === 'rejected');
  if (failed === undefined && told.every(({ granted }) => granted)) return told;
  await Promise.allSettled(
    groups.map(async (places) => {
      const back = places
        .filter((at) => (told[at]?.charged ?? 0) > 0)
        .map((at) => ({ ...(asks[at] as QuotaAsk<B>), cost: -(told[at]?.charged ?? 0) }));
      if (back.length > 0) await run(back);
    }),
  );
  if (failed !== undefined) throw failed.reason;
  return told.map((one, at) =>
    one.charged > 0
      ? { ...one, remaining: Math.min(asks[at]?.limit ?? 0, one.remaining + one.charged), charged: 0 }
      : one,
  );
}
