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

/** What an ask adds to a counter; negative where it gives back. */
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

/** The same ask without its change: what would be answered to someone who only looks. */
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

/** What is answered where the call is refused for another ask: the same answer, uncharged. */
export const uncharged = <B>(ask: QuotaAsk<B>): QuotaAsk<B> => (ask.kind === 'owe' ? { ...ask, cost: 0 } : lookOf(ask));

/** A repeated ask is granted whatever is left and charges nothing; what it gives back is given back. */
export const repeated = <B>(ask: QuotaAsk<B>): QuotaAsk<B> =>
  ask.kind === 'giveBack' ? ask : { ...ask, kind: 'owe', cost: 0 };

/** Whether an ask could pass where this much is left. */
export function fits(ask: AnyAsk, remaining: number): boolean {
  const change = changeOf(ask);
  return isForced(ask) || remaining >= (ask.kind === 'spend' && ask.partial === true ? Math.min(1, change) : change);
}
