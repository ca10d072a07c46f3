/** The fixture of the behaviours of quota handlers: builds buckets and asks, and charges them. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Adapter, Algorithm, QuotaAnswer, QuotaAsk, Spend } from '../contract.ts';
import { type Behaviour, paramsOf } from './behaviours.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { QuotaSubject } from './subject.ts';

export const MINUTE_MS = 60_000;
export const RESET_ROUNDING_MS = 2; // whole milliseconds, rounded once on either side

/** The parts of an ask that a test sets; the rest has defaults. */
export type Options = Pick<Partial<Spend>, 'key' | 'cost' | 'burst' | 'perMs' | 'endsAtMs' | 'idempotencyKey'> & {
  readonly limit: number;
};

export interface QuotaFixture {
  readonly opened: OpenedForTest;
  /** A bucket; each test has its own counters, even if tests share the backend. */
  readonly bucket: (options?: {
    readonly counter?: string;
    readonly rule?: string;
    readonly algorithm?: Algorithm;
    readonly perMs?: number;
  }) => unknown;
  readonly spend: (bucket: unknown, of: Options & { readonly partial?: boolean }) => QuotaAsk;
  readonly look: (bucket: unknown, of: Options) => QuotaAsk;
  readonly giveBack: (bucket: unknown, of: Options & { readonly cost: number }) => QuotaAsk;
  readonly owe: (bucket: unknown, of: Options) => QuotaAsk;
  readonly release: (bucket: unknown, of: Options) => QuotaAsk;
  readonly charge: (...asks: readonly QuotaAsk[]) => Promise<readonly QuotaAnswer[]>;
  /** One ask, one answer. */
  readonly charge1: (ask: QuotaAsk) => Promise<QuotaAnswer>;
}

export function quotaFixture(
  adapter: Adapter,
  example: QuotaSubject,
  opened: OpenedForTest,
  algorithm: Algorithm,
): QuotaFixture {
  const run = randomUUID();
  const { handler } = opened;
  const periods = new Map<unknown, number>();
  const charge = async (...asks: readonly QuotaAsk[]): Promise<readonly QuotaAnswer[]> => {
    const answers = await handler.charge?.(asks, testCall());
    assert.ok(answers !== undefined);
    assert.equal(answers.length, asks.length, 'the number of answers differs from that of the asks');
    for (const { remaining, resetMs } of answers) {
      assert.ok(remaining >= 0, `remaining is ${remaining}`);
      assert.ok(resetMs >= 0, `resetMs is ${resetMs}`);
    }
    return answers;
  };
  const counterOf = <O extends Options>(bucket: unknown, of: O) => ({
    bucket,
    key: 'ann',
    burst: of.limit,
    perMs: periods.get(bucket) ?? MINUTE_MS,
    ...of,
  });
  return {
    opened,
    charge,
    bucket(options = {}) {
      const counter = options.counter ?? 'example';
      const perMs = options.perMs ?? MINUTE_MS;
      const bucket = handler.bucket?.({
        rule: options.rule ?? counter,
        counter: `${counter}-${run}`,
        algorithm: options.algorithm ?? algorithm,
        perMs,
        params: paramsOf(adapter, 'quota', example.params),
      });
      periods.set(bucket, perMs);
      return bucket;
    },
    spend: (bucket, of) => ({ cost: 1, ...counterOf(bucket, of), kind: 'spend' }),
    look: (bucket, of) => ({ ...counterOf(bucket, of), kind: 'look' }),
    giveBack: (bucket, of) => ({ ...counterOf(bucket, of), cost: of.cost, kind: 'giveBack' }),
    owe: (bucket, of) => ({ cost: 1, ...counterOf(bucket, of), kind: 'owe' }),
    release: (bucket, of) => ({ ...counterOf(bucket, of), kind: 'release' }),
    async charge1(ask) {
      const [answer] = await charge(ask);
      assert.ok(answer !== undefined);
      return answer;
    },
  };
}

export type Of = (says: string, show: (fixture: QuotaFixture) => Promise<void>) => Behaviour;

/** The part of an answer that most behaviours assert. */
export const shown = ({ granted, remaining }: QuotaAnswer): Pick<QuotaAnswer, 'granted' | 'remaining'> => ({
  granted,
  remaining,
});
