/** Whatever is asked, each store answers as the memory of one process does. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Algorithm } from '../../../src/adapters/contract.ts';
import { fakeClock } from '../../../src/adapters/testing/index.ts';
import type { CounterAsk } from '../../../src/counting/store.ts';
import { windowEnd } from '../../../src/counting/window.ts';
import { drawnAsk, verbs } from './drawn-ask.ts';
import { type Client, connectStores, STORES } from './every-store.ts';

let disconnect: () => Promise<void>;
beforeAll(async () => {
  disconnect = await connectStores();
}, 60_000);
afterAll(async () => disconnect());

const ALGORITHMS: readonly Algorithm[] = ['fixed', 'gcra', 'sliding', 'log', 'concurrency'];

const drawn = fc.record({
  algorithm: fc.constantFrom(...ALGORITHMS),
  key: fc.constantFrom('a', 'b'),
  perMs: fc.constantFrom(1000, 300),
  ...verbs,
  limit: fc.nat(8),
  once: fc.option(fc.constantFrom('one', 'other', 'a:b,c \ud800'), { nil: undefined }),
  isLate: fc.boolean(),
});
const charges = fc.array(
  fc.record({
    passed: fc.oneof(fc.nat(20), fc.nat(400)),
    reset: fc.integer({ min: 1, max: 20 }),
    client: fc.nat(1),
    asks: fc.array(drawn, { minLength: 1, maxLength: 3 }),
  }),
  { maxLength: 60, size: 'max' },
);

type Charges = typeof charges extends fc.Arbitrary<infer C> ? C : never;

/** A counter that was reset, then refused, is empty, whatever its window. */
function refusedAfterReset(algorithm: Algorithm): [Charges] {
  const look = {
    algorithm,
    key: 'b' as const,
    perMs: 300 as const,
    cost: 0,
    limit: 0,
    once: undefined,
    isLate: false,
    isOwed: false,
    isPartial: false,
    isReleased: false,
  };
  const given = [
    { reset: 2, asks: [{ ...look, cost: 1, isOwed: true }] },
    { reset: 1, asks: [{ ...look, limit: 1 }] },
    { reset: 2, asks: [{ ...look, cost: 1 }] },
    {
      reset: 2,
      asks: [
        { ...look, cost: -1, isLate: true },
        { ...look, key: 'a' as const, cost: 1 },
      ],
    },
  ];
  return [given.map((charge) => ({ ...charge, passed: 0, client: 0 }))];
}

/** Windows of the key `b` are those of a calendar; what is given back may come after its window has ended. */
function endOf(
  { key, isLate, cost, perMs }: { key: string; isLate: boolean; cost: number; perMs: number },
  nowMs: number,
) {
  if (isLate && cost < 0) return { endsAtMs: nowMs - perMs };
  return key === 'b' ? { endsAtMs: windowEnd(nowMs, 700) } : {};
}

test.each([
  ['memory of two workers', 500],
  ['Redis', 200],
] as const)('%s', async (name, numRuns) => {
  await fc.assert(
    fc.asyncProperty(charges, async (given) => {
      const clock = fakeClock();
      const alone = STORES['memory']?.(clock)[0] as Client;
      const clients = STORES[name]?.(clock) as [Client, Client];
      const counter = randomUUID();
      for (const { passed, reset, client, asks } of given) {
        clock.advance(passed);
        const nowMs = clock.nowMs();
        const made = asks.map(({ algorithm, key, perMs, limit, once, isReleased, ...verb }): CounterAsk => {
          const bucket = { counter, algorithm, perMs: 1000 };
          const end = endOf({ key, perMs, ...verb }, nowMs);
          const idempotencyKey = once === undefined ? {} : { idempotencyKey: once };
          return drawnAsk(
            { bucket, key, perMs, limit, burst: 5, ...end, ...idempotencyKey },
            { ...verb, isReleased: isReleased && algorithm === 'concurrency' },
          );
        });
        const answersOf = async (store: Client) => {
          if (reset === 1) await store.reset(made);
          const answers = await store.charge(made);
          return answers.map(({ granted, limit, remaining, resetMs }) => ({ granted, limit, remaining, resetMs }));
        };
        expect(await answersOf(clients[client] as Client)).toEqual(await answersOf(alone));
      }
    }),
    { numRuns, examples: ALGORITHMS.map(refusedAfterReset) },
  );
});
