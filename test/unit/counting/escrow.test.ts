/** Escrow: what replicas with chunks of one store admit together, with clocks that differ and answers that are late or lost. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { QuotaAnswer, QuotaAsk } from '../../../src/adapters/contract.ts';
import { fakeClock } from '../../../src/adapters/testing/fake-clock.ts';
import { Counters } from '../../../src/counting/memory/counters.ts';
import { HeapTable } from '../../../src/counting/memory/heap-table.ts';
import { changeOf } from '../../../src/counting/ask.ts';
import { Escrow } from '../../../src/counting/escrow.ts';
import type { EscrowBucket } from '../../../src/counting/lease.ts';
import type { RedisAnswer } from '../../../src/counting/redis/script.ts';
import { windowEnd } from '../../../src/counting/window.ts';
import { Random } from '../../parts/random.ts';

const RUNS = Number(process.env['RUNS'] ?? 60);
const HELD_MS = 1000;

const open: Escrow[] = [];
afterEach(async () => {
  for (const escrow of open.splice(0)) await escrow.close();
});

function fleet(random: Random, algorithm: 'fixed' | 'gcra' | 'sliding', perMs: number) {
  const clock = fakeClock();
  const table = new HeapTable({ maxKeys: 1000, clock, onEvicted() {}, onFull() {} });
  const counters = new Counters(table, () => new Error('no room'));
  const storeBucket = { counter: 'c', algorithm, perMs };
  const counts = { taken: 0, returned: 0, stranded: 0 };
  let trips = 0;
  /** A remote store: an ask or its answer may be lost, and takes some turns. */
  let isLossy = false;
  const charge = async (asks: readonly QuotaAsk<EscrowBucket>[]): Promise<readonly RedisAnswer[]> => {
    trips++;
    for (let turns = random.below(4); turns > 0; turns--) await Promise.resolve();
    if (isLossy && random.below(4) === 0) throw new Error('away');
    const answers = counters.charge(asks.map((ask) => ({ ...ask, bucket: storeBucket })));
    const endsAtMs = windowEnd(clock.nowMs(), perMs);
    for (let turns = random.below(4); turns > 0; turns--) await Promise.resolve();
    if (isLossy && random.below(4) === 0) throw new Error('no answer');
    return answers.map((answer, at) => ({
      ...answer,
      charged: answer.granted ? (answer.charged ?? Math.max(0, changeOf(asks[at] as QuotaAsk))) : 0,
      endsAtMs,
      used: 0,
    }));
  };
  const replicas = Array.from({ length: 1 + random.below(5) }, () => {
    const skewMs = random.below(1_000_000); // escrow measures spans only
    const escrow = new Escrow({
      maxLeases: 100,
      nowMs: () => clock.nowMs() + skewMs,
      store: { charge, reset: (asks) => counters.reset(asks) },
      recordHeld: () => {},
      onUnits: (what, units) => {
        counts[what] += units;
      },
    });
    open.push(escrow);
    return { escrow, bucket: { counter: 'c', algorithm, perMs, leases: new Map() } satisfies EscrowBucket };
  });
  const ask = async (
    limit: number,
    burst: number,
    cost: number,
    at = random.below(replicas.length),
  ): Promise<QuotaAnswer | undefined> => {
    const { escrow, bucket } = replicas[at] as (typeof replicas)[number];
    try {
      return (await escrow.charge([{ kind: 'spend', bucket, key: 'k', cost, limit, burst, perMs }]))[0];
    } catch {
      return undefined;
    }
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (const { escrow } of replicas) escrow.giveBackIdle();
    for (let turn = 0; turn < 40; turn++) await Promise.resolve();
  };
  return {
    clock,
    counts,
    replicas,
    ask,
    pass,
    lose: (is: boolean) => {
      isLossy = is;
    },
    trips: () => trips,
  };
}

describe('chunks', () => {
  test(`${RUNS} fleets, fixed: no window admits more than its limit, even if asks and answers are lost`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { clock, ask, pass, lose } = fleet(random, 'fixed', 10_000);
      const limit = 1 + random.below(random.below(3) === 0 ? 3000 : 60);
      const admitted = new Map<number, number>();
      for (let step = 0; step < 120; step++) {
        lose(random.below(3) === 0);
        await Promise.all(
          Array.from({ length: random.below(50) }, async () => {
            const cost = random.below(6) === 0 ? 1 + random.below(4) : 1;
            const answer = await ask(limit, limit, cost);
            if (answer?.granted !== true) return;
            const window = windowEnd(clock.nowMs(), 10_000);
            admitted.set(window, (admitted.get(window) ?? 0) + cost);
          }),
        );
        await pass(random.below(400));
      }
      for (const [window, units] of admitted)
        expect(units, `seed ${seed}, window ${window}`).toBeLessThanOrEqual(limit);
      expect(admitted.size).toBeGreaterThan(1);
    }
  });

  test(`${RUNS} fleets, gcra: any span t admits at most what gcra admits in t and a second`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed + 1000);
      const perMs = 10_000;
      const { clock, ask, pass, replicas } = fleet(random, 'gcra', perMs);
      const limit = 10 + random.below(3000);
      const burst = 1 + random.below(limit);
      const rate = limit / perMs;
      // Between any two times: units admitted, less the units that the time is worth. `worst` is the largest such excess.
      let [sum, lowest, worst] = [0, Infinity, -Infinity];
      const spend = async (at?: number): Promise<void> => {
        if ((await ask(limit, burst, 1, at))?.granted !== true) return;
        lowest = Math.min(lowest, sum - clock.nowMs() * rate);
        worst = Math.max(worst, ++sum - clock.nowMs() * rate - lowest);
      };
      for (let times = 0; times < 4; times++) {
        // A rush makes chunks large and ends before the bucket is empty. In the quiet after it each replica is asked now and then, so that
        // no lease is idle. A flood then finds a full bucket, and chunks worth at most a second.
        for (let step = 0; step < 12; step++) {
          await Promise.all(Array.from({ length: Math.ceil(burst / (15 + random.below(10))) }, async () => spend()));
          await pass(random.below(10));
        }
        for (let step = random.below(60); step > 0; step--) {
          await Promise.all(replicas.map(async (_, at) => spend(at)));
          await pass(50 + random.below(140));
        }
        for (let step = 0; step < 3; step++) {
          await Promise.all(Array.from({ length: burst }, async () => spend()));
          await pass(random.below(200));
        }
        await pass(random.below(4000));
      }
      expect(sum).toBeGreaterThan(0);
      expect(worst, `seed ${seed}`).toBeLessThanOrEqual(burst + HELD_MS * rate + 1);
    }
  });

  test.each(['gcra', 'sliding'] as const)('%s: held units were charged within the last second', async (algorithm) => {
    for (let seed = 0; seed < 20; seed++) {
      const random = new Random(seed + 2000);
      const { clock, ask, pass, replicas, counts } = fleet(random, algorithm, 10_000);
      const limit = 500 + random.below(3000);
      const taken: (readonly [atMs: number, sum: number])[] = [[-Infinity, 0]];
      let most = 0;
      for (let step = 0; step < 80; step++) {
        const asks = random.below(3) === 0 ? random.below(200) : replicas.length;
        await Promise.all(Array.from({ length: asks }, async () => ask(limit, limit, 1)));
        taken.push([clock.monotonicMs(), counts.taken]);
        await pass(random.below(180));
        const held = replicas.reduce(
          (sum, { escrow, bucket }) =>
            sum + escrow.heldOf({ kind: 'look', bucket, key: 'k', limit, burst: limit, perMs: 10_000 }),
          0,
        );
        const [, before = 0] = taken.findLast(([atMs]) => atMs < clock.monotonicMs() - HELD_MS) ?? [];
        expect(held, `seed ${seed}, step ${step}`).toBeLessThanOrEqual(counts.taken - before);
        most = Math.max(most, held);
      }
      expect(most, `seed ${seed}: it holds nothing`).toBeGreaterThan(replicas.length);
    }
  });

  test('unspent units are given back, and the whole limit is granted in the end', async () => {
    for (const algorithm of ['fixed', 'sliding'] as const) {
      const { ask, pass, counts, trips } = fleet(new Random(5), algorithm, 3_600_000);
      const limit = 5000;
      let [granted, asked] = [0, 0];
      for (let step = 0; step < 400 && granted < limit; step++) {
        const answers = await Promise.all(Array.from({ length: 40 }, async () => ask(limit, limit, 1)));
        asked += answers.length;
        granted += answers.filter((answer) => answer?.granted).length;
        await pass(granted > limit - 200 ? 300 : 5);
      }
      expect(granted).toBe(limit);
      expect(counts.taken - counts.returned - counts.stranded).toBe(limit);
      expect(counts.stranded).toBe(0);
      expect(trips() / asked).toBeLessThan(0.2);
    }
  });

  test.each(['fixed', 'sliding'] as const)(
    '%s: units on their way to a lease whose limit changes meanwhile are given back',
    async (algorithm) => {
      const random = new Random(3);
      const { ask, pass, counts } = fleet(random, algorithm, 3_600_000);
      let granted = 0;
      for (let step = 0; step < 100; step++) {
        await Promise.all(
          Array.from({ length: 40 }, async () => {
            for (let turns = random.below(12); turns > 0; turns--) await Promise.resolve();
            const limit = random.below(20) === 0 ? 100_001 : 100_000;
            if ((await ask(limit, limit, 1))?.granted === true) granted++;
          }),
        );
        await turn();
        await pass(1);
      }
      for (let step = 0; step < 20; step++) await pass(300);
      expect(granted).toBe(4000);
      expect(counts.taken - counts.returned - counts.stranded).toBe(granted);
      expect(counts.stranded).toBe(0);
    },
  );

  test('units held when their window ends are stranded, and not credited to the next window', async () => {
    const { ask, pass, counts, clock } = fleet(new Random(2), 'fixed', 10_000);
    for (let step = 0; step < 30; step++) {
      await Promise.all(Array.from({ length: 60 }, async () => ask(10_000, 10_000, 1)));
      await pass(10);
    }
    const held = counts.taken - 1800 - counts.returned;
    expect(held).toBeGreaterThan(0);
    clock.toNextWindow(10_000);
    await pass(0);
    expect(counts.stranded).toBe(held);
    expect((await ask(10_000, 10_000, 1))?.remaining).toBe(9999);
  });
});

test('closes though units that are on their way back are lost', async () => {
  let isAway = false;
  const answer = (asked: QuotaAsk): RedisAnswer => ({
    granted: true,
    limit: 1000,
    remaining: 900,
    resetMs: 60_000,
    charged: Math.max(0, changeOf(asked)),
    endsAtMs: 60_000,
    used: 5,
  });
  let nowMs = 0;
  const escrow = new Escrow({
    maxLeases: 100,
    nowMs: () => nowMs,
    store: {
      async charge(asks) {
        await Promise.resolve();
        if (isAway) throw new Error('away');
        return asks.map(answer);
      },
      reset: async () => {},
    },
    recordHeld: () => {},
    onUnits: () => {},
  });
  const bucket = { counter: 'c', algorithm: 'fixed', perMs: 60_000, leases: new Map() } satisfies EscrowBucket;
  const ask: QuotaAsk<EscrowBucket> = {
    kind: 'spend',
    bucket,
    key: 'k',
    cost: 1,
    limit: 1000,
    burst: 1000,
    perMs: 60_000,
  };
  while (escrow.heldOf(ask) === 0) await escrow.charge([ask]);
  isAway = true;
  nowMs = 30_000; // idle
  escrow.giveBackIdle();
  await expect(escrow.close()).resolves.toBeUndefined();
});
