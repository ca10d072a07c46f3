/** What the verbs of an ask have in common. */
import type { GiveBack, Look, QuotaAsk, Spend } from '../adapters/contract.ts';

/** What an ask adds to a counter; negative if it returns units. */
export function changeOf(ask: QuotaAsk): number {
  switch (ask.kind) {
    case 'spend':
    case 'owe':
      return ask.cost;
    case 'giveBack':
      return -ask.cost;
    case 'look':
    case 'release':
      return 0;
  }
}

/** Granted whatever is left. */
export const isForced = ({ kind }: QuotaAsk): boolean => kind === 'owe' || kind === 'giveBack' || kind === 'release';

/** Changes nothing. */
export const isLook = (ask: QuotaAsk): boolean => ask.kind !== 'release' && changeOf(ask) === 0;

/** The same ask as a `look`: it gets the answer and changes nothing. */
export const lookOf = <B>({ bucket, key, limit, burst, perMs, endsAtMs }: QuotaAsk<B>): Look<B> =>
  endsAtMs === undefined
    ? { kind: 'look', bucket, key, limit, burst, perMs }
    : { kind: 'look', bucket, key, limit, burst, perMs, endsAtMs };

export const spendOf = <B>(ask: QuotaAsk<B>, cost: number): Spend<B> => ({ ...lookOf(ask), kind: 'spend', cost });
export const giveBackOf = <B>(ask: QuotaAsk<B>, cost: number): GiveBack<B> => ({
  ...lookOf(ask),
  kind: 'giveBack',
  cost,
});

/** The ask of a store that is not owed: charged only if it fits. */
export const asSpend = <B>(ask: QuotaAsk<B>): QuotaAsk<B> =>
  ask.kind !== 'owe' ? ask : ask.cost > 0 ? spendOf(ask, ask.cost) : lookOf(ask);

/** The answer to an ask whose call is refused because of another ask: the same, uncharged. */
export const uncharged = <B>(ask: QuotaAsk<B>): QuotaAsk<B> => (ask.kind === 'owe' ? { ...ask, cost: 0 } : lookOf(ask));

/** A repeated ask is always granted and charges nothing; units that it returns are returned. */
export const repeated = <B>(ask: QuotaAsk<B>): QuotaAsk<B> =>
  ask.kind === 'giveBack' ? ask : { ...ask, kind: 'owe', cost: 0 };

/** Whether an ask could pass if this many units were left. */
export function fits(ask: QuotaAsk, remaining: number): boolean {
  const change = changeOf(ask);
  return isForced(ask) || remaining >= (ask.kind === 'spend' && ask.partial === true ? Math.min(1, change) : change);
}
