/** What the verbs of an ask have in common. */
import type { QuotaAsk } from '../adapters/contract.ts';

/** An ask, whatever its bucket. */
export type AnyAsk = QuotaAsk<unknown>;
export type LookAsk<B = unknown> = Extract<QuotaAsk<B>, { readonly kind: 'look' }>;
/** A counter and its limit. */
export type Counted<B> = Omit<LookAsk<B>, 'kind' | 'endsAtMs' | 'idempotencyKey'> & {
  readonly endsAtMs?: number | undefined;
};
type SpendAsk<B> = Extract<QuotaAsk<B>, { readonly kind: 'spend' }>;

/** What an ask adds to a counter; negative if it returns units. */
export function changeOf(ask: AnyAsk): number {
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
export const isForced = ({ kind }: AnyAsk): boolean => kind === 'owe' || kind === 'giveBack' || kind === 'release';

/** Changes nothing. */
export const isLook = (ask: AnyAsk): boolean => ask.kind !== 'release' && changeOf(ask) === 0;

/** The same ask as a `look`: it gets the answer and changes nothing. */
export const lookOf = <B>({ bucket, key, limit, burst, perMs, endsAtMs }: Counted<B>): LookAsk<B> =>
  endsAtMs === undefined
    ? { kind: 'look', bucket, key, limit, burst, perMs }
    : { kind: 'look', bucket, key, limit, burst, perMs, endsAtMs };

export const spendOf = <B>(ask: Counted<B>, cost: number): SpendAsk<B> => ({ ...lookOf(ask), kind: 'spend', cost });
export const giveBackOf = <B>(ask: Counted<B>, cost: number): QuotaAsk<B> => ({
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
export function fits(ask: AnyAsk, remaining: number): boolean {
  const change = changeOf(ask);
  return isForced(ask) || remaining >= (ask.kind === 'spend' && ask.partial === true ? Math.min(1, change) : change);
}
