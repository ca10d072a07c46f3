/** The counters of one store, as behaviours use them. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Algorithm, LeasePage, QuotaAnswer, QuotaAsk, QuotaPlace, QuotaRule, Spend } from '../contract.ts';
import type { FakeClock } from './fake-clock.ts';

export const MINUTE_MS = 60_000;
/** The store and the test each round to whole milliseconds. */
export const RESET_ROUNDING_MS = 2;

/** A store of counters: an adapter's handler, or a store of `sluice/counting`. */
export interface StoreUnderTest {
  readonly clock: FakeClock;
  bucket(rule: Omit<QuotaRule, 'params'>): unknown;
  charge(asks: readonly QuotaAsk[]): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  reset?(asks: readonly QuotaAsk[]): void | Promise<void>;
  look?(asks: readonly QuotaAsk[], leases: LeasePage): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
}

export interface CounterOptions {
  readonly limit: number;
  /** Default: the limit. */
  readonly burst?: number;
  /** Default: a minute. */
  readonly perMs?: number;
  readonly counter?: string;
  readonly rule?: string;
}

/** An ask's own values in place of its counter's; `cost` is 1 by default. */
export type AskOptions = Partial<Omit<Spend, 'kind' | 'bucket'>>;
type Verb = (of?: AskOptions) => Promise<QuotaAnswer>;

export interface CounterUnderTest {
  /** An ask, to be charged with others. */
  readonly ask: (kind: QuotaAsk['kind'], of?: AskOptions) => QuotaAsk;
  readonly spend: Verb;
  readonly look: Verb;
  readonly giveBack: Verb;
  readonly owe: Verb;
  readonly release: Verb;
}

export interface CountersUnderTest {
  readonly clock: FakeClock;
  /** Each test has its own counters, even if tests share the backend. */
  readonly counter: (options: CounterOptions) => CounterUnderTest;
  readonly charge: (...asks: readonly QuotaAsk[]) => Promise<readonly QuotaAnswer[]>;
  /** Optional in the contract. */
  readonly reset: ((...asks: readonly QuotaAsk[]) => Promise<void>) | undefined;
  /** The place of one counter. Optional in the contract. */
  readonly place: ((ask: QuotaAsk, leases: LeasePage) => Promise<QuotaPlace | undefined>) | undefined;
}

/** Named behaviours: each throws where it does not hold. */
export type CounterBehaviours = Readonly<Record<string, (counters: CountersUnderTest) => Promise<void>>>;

/** The clock is moved to the start of a minute. */
export function countersOf(store: StoreUnderTest, algorithm: Algorithm): CountersUnderTest {
  const run = randomUUID();
  const { clock } = store;
  clock.toNextWindow(MINUTE_MS);

  async function charge(...asks: readonly QuotaAsk[]): Promise<readonly QuotaAnswer[]> {
    const answers = await store.charge(asks);
    assert.equal(answers.length, asks.length, 'the number of answers differs from that of the asks');
    for (const { remaining, resetMs } of answers) {
      assert.ok(remaining >= 0, `remaining is ${remaining}`);
      assert.ok(resetMs >= 0, `resetMs is ${resetMs}`);
    }
    return answers;
  }

  function counter({
    limit,
    burst = limit,
    perMs = MINUTE_MS,
    counter = 'example',
    rule = counter,
  }: CounterOptions): CounterUnderTest {
    const bucket = store.bucket({ rule, counter: `${counter}-${run}`, algorithm, perMs });
    const ask = (kind: QuotaAsk['kind'], of: AskOptions = {}): QuotaAsk => {
      const costs = kind === 'look' || kind === 'release' ? {} : { cost: 1 };
      return { ...costs, bucket, key: 'ann', limit, burst: of.limit ?? burst, perMs, ...of, kind } as QuotaAsk;
    };
    const verb =
      (kind: QuotaAsk['kind']): Verb =>
      async (of) =>
        (await charge(ask(kind, of)))[0] as QuotaAnswer;
    return {
      ask,
      spend: verb('spend'),
      look: verb('look'),
      giveBack: verb('giveBack'),
      owe: verb('owe'),
      release: verb('release'),
    };
  }

  return {
    clock,
    counter,
    charge,
    reset: store.reset === undefined ? undefined : async (...asks) => store.reset?.(asks),
    place: store.look === undefined ? undefined : async (ask, leases) => (await store.look?.([ask], leases))?.[0],
  };
}

/** `granted` and `remaining` of an answer. */
export const outcome = ({ granted, remaining }: QuotaAnswer): Pick<QuotaAnswer, 'granted' | 'remaining'> => ({
  granted,
  remaining,
});

export const grants = (answers: readonly QuotaAnswer[]): boolean[] => answers.map(({ granted }) => granted);

export function assertReset({ resetMs }: Pick<QuotaAnswer, 'resetMs'>, expectedMs: number): void {
  assert.ok(Math.abs(resetMs - expectedMs) <= RESET_ROUNDING_MS, `resetMs is ${resetMs}; expected ${expectedMs}`);
}
