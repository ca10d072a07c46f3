/** Replicas that take chunks, beside one that counts each hit, on one store: no window admits more than its limit, and little less. */
import { afterEach, describe, expect, test } from 'vitest';
import type { ChargeStore, CounterAsk } from '../../../src/ratelimit/charge/store.ts';
import { type CountAsk, EscrowCounts, MemoryCounts, WindowCounts } from './window-counts.ts';
import { Random } from '../../parts/random.ts';

const RUNS = Number(process.env['RUNS'] ?? 60);
const WINDOW_S = 60;

/** The store of a replica, some way off: what it is asked is done at once, and told later. */
class FarStore implements ChargeStore {
  readonly #store: ChargeStore;
  readonly #random: Random;
  trips = 0;
  fails = false;

  constructor({ store }: WindowCounts, random: Random) {
    this.#store = store;
    this.#random = random;
  }

  charge = async (asks: readonly CounterAsk[]): Promise<Awaited<ReturnType<ChargeStore['charge']>>> => {
    this.trips++;
    for (let turns = this.#random.below(4); turns > 0; turns--) await Promise.resolve();
    if (this.fails) throw new Error('away');
    const answers = await this.#store.charge(asks);
    for (let turns = this.#random.below(4); turns > 0; turns--) await Promise.resolve();
    return answers;
  };

  async reset(asks: readonly CounterAsk[]): Promise<void> {
    await this.#store.reset(asks);
  }
}

const stores: EscrowCounts[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

function fleet(replicas: number, random: Random) {
  const clock = { nowMs: 0 };
  const counters = new MemoryCounts({ maxKeys: 10_000, nowMs: () => clock.nowMs });
  const far = Array.from({ length: replicas }, () => new FarStore(counters, random));
  const own = far.map((store) => new EscrowCounts(new WindowCounts(store), { nowMs: () => clock.nowMs }));
  stores.push(...own);
  const ask = (key: string, hits: number, limit: number): CountAsk => {
    const window = Math.floor(clock.nowMs / 1000 / WINDOW_S);
    return {
      key: `${key}_${window}`,
      hits,
      limit,
      keptS: WINDOW_S,
      endsAtS: (window + 1) * WINDOW_S,
      usedUntilS: (window + 1) * WINDOW_S,
    };
  };
  const trips = (): number => far.reduce((sum, store) => sum + store.trips, 0);
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  };
  /** Time goes on, and what is idle is given back. */
  const pass = async (ms: number): Promise<void> => {
    clock.nowMs += ms;
    for (const store of own) store.giveBackIdle();
    await settle();
  };
  return { clock, counters, far, own, ask, trips, settle, pass };
}

describe('a window', () => {
  test(`${RUNS} fleets: never more than the limit, and all of it in the end, beside one that counts each hit`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const replicas = 1 + random.below(5);
      const { own, counters, ask, settle, pass } = fleet(replicas, random);
      const limit = 1 + random.below(random.below(3) === 0 ? 2000 : 60);
      let admitted = 0;
      const one = async (hits: number): Promise<void> => {
        const at = random.below(replicas + 1);
        const store = own[at] ?? counters; // the last one is the reference
        const [after = Infinity] = await store.add([ask('k', hits, limit)]);
        if (after <= limit) admitted += hits;
      };
      for (let step = 0; step < 40; step++) {
        await Promise.all(
          Array.from({ length: random.below(60) }, async () => one(random.below(8) === 0 ? 1 + random.below(5) : 1)),
        );
        if (random.below(4) === 0) await pass(random.below(400));
        expect(admitted, `seed ${seed}`).toBeLessThanOrEqual(limit);
      }
      // What is held is given back, and is there for others; the reference's own refused hits stay counted.
      await pass(500);
      await pass(500);
      for (let more = 0; more < limit + 50; more++) {
        const [after = Infinity] = await (own[0] as EscrowCounts).add([ask('k', 1, limit)]);
        if (after <= limit) admitted += 1;
        else await pass(150);
        if (admitted >= limit) break;
      }
      await settle();
      expect(admitted, `seed ${seed}`).toBeLessThanOrEqual(limit);
    }
  });

  test('exactly the limit where all replicas take chunks', async () => {
    for (const [replicas, limit] of [
      [1, 1],
      [1, 1000],
      [3, 10],
      [4, 1000],
      [10, 5000],
    ] as const) {
      const random = new Random(7);
      const { own, ask, pass, trips } = fleet(replicas, random);
      let admitted = 0;
      let asked = 0;
      for (let step = 0; step < limit * 3 && admitted < limit; step++) {
        const answers = await Promise.all(own.map(async (store) => store.add([ask('k', 1, limit)])));
        asked += answers.length;
        admitted += answers.filter(([after = Infinity]) => after <= limit).length;
        await pass(1);
      }
      for (let step = 0; step < 100 && admitted < limit; step++) {
        await pass(300);
        const [after = Infinity] = await (own[0] as EscrowCounts).add([ask('k', 1, limit)]);
        asked++;
        if (after <= limit) admitted++;
      }
      expect(admitted, `${replicas} replicas, limit ${limit}`).toBe(limit);
      if (limit >= 1000 && replicas === 1) expect(trips() / asked).toBeLessThan(0.05);
    }
  });

  test('a hot key whose limit is far takes few trips; a full one is refused here', async () => {
    const {
      own: [store],
      ask,
      trips,
      clock,
      pass,
    } = fleet(1, new Random(1));
    for (let n = 0; n < 100_000; n++) {
      await store?.add([ask('hot', 1, 10_000_000)]);
      if (n % 100 === 0) clock.nowMs += 1;
    }
    expect(trips()).toBeLessThan(100);
    await store?.add([ask('full', 5, 5)]);
    await store?.add([ask('full', 1, 5)]);
    const before = trips();
    for (let n = 0; n < 1000; n++) expect((await store?.add([ask('full', 1, 5)]))?.[0]).toBeGreaterThan(5);
    expect(trips()).toBe(before);
    await pass(1);
  });

  test('a look takes nothing, and a request that asks for more than there is leaves what there is to others', async () => {
    const {
      own: [one, other],
      ask,
      pass,
      counters,
    } = fleet(2, new Random(1));
    expect(await one?.add([ask('k', 0, 10)])).toEqual([0]);
    expect(await one?.add([ask('k', 4, 10)])).toEqual([4]);
    expect((await one?.add([ask('k', 7, 10)]))?.[0]).toBeGreaterThan(10);
    expect((await one?.add([ask('k', 11, 10)]))?.[0]).toBeGreaterThan(10);
    await pass(1);
    expect(await other?.add([ask('k', 6, 10)])).toEqual([10]);
    expect(counters.look([ask('k', 0, 10).key])).toEqual([10]);
  });

  test('what was held when its window ended is said to be stranded, and the next window is whole', async () => {
    const {
      own: [store],
      ask,
      clock,
      pass,
    } = fleet(1, new Random(1));
    for (let n = 0; n < 50; n++) await store?.add([ask('k', 1, 1000)]);
    const held = store?.held ?? 0;
    expect(held).toBeGreaterThan(0);
    clock.nowMs = WINDOW_S * 1000;
    await pass(0);
    expect(store?.counts.stranded).toBe(held);
    expect(await store?.add([ask('k', 1000, 1000)])).toEqual([1000]);
  });

  test('a store that fails: what is held is still spent, then the failure is told', async () => {
    const {
      own: [store],
      far: [far],
      ask,
    } = fleet(1, new Random(1));
    for (let n = 0; n < 50; n++) await store?.add([ask('k', 1, 1000)]);
    const held = store?.held ?? 0;
    if (far !== undefined) far.fails = true;
    for (let n = 0; n < held; n++) expect((await store?.add([ask('k', 1, 1000)]))?.[0]).toBeLessThanOrEqual(1000);
    await expect(store?.add([ask('k', 1, 1000)])).rejects.toThrow('away');
    if (far !== undefined) far.fails = false;
    expect((await store?.add([ask('k', 1, 1000)]))?.[0]).toBeLessThanOrEqual(1000);
  });

  test('counters that are gone (a flush) are not given back into', async () => {
    const {
      own: [store],
      ask,
      counters,
      pass,
    } = fleet(1, new Random(1));
    for (let n = 0; n < 50; n++) await store?.add([ask('k', 1, 1000)]);
    await counters.reset([ask('k', 0, 1000).key]);
    await pass(500);
    expect(counters.look([ask('k', 0, 1000).key])).toEqual([0]);
  });
});

describe('clocks that differ', () => {
  test(`${RUNS} fleets whose clocks are up to ten seconds apart: each window, by whoever's clock, admits its limit at most`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { clock, settle } = fleet(0, random);
      // As Redis keeps a counter: for a window's length after its last hit, whatever a replica's clock says.
      const counters = new MemoryCounts({ maxKeys: 10_000, nowMs: () => clock.nowMs - WINDOW_S * 1000 });
      const replicas = Array.from({ length: 2 + random.below(4) }, () => {
        const skewMs = random.below(20_000) - 10_000;
        const nowMs = (): number => clock.nowMs + skewMs;
        const store = new EscrowCounts(new WindowCounts(new FarStore(counters, random)), { nowMs });
        stores.push(store);
        return { store, nowMs, skewMs };
      });
      clock.nowMs = 600_000 - 15_000;
      const limit = 5 + random.below(200);
      const admitted = new Map<string, number>();
      /** When, by a clock that is right. */
      const times: number[] = [];
      for (let step = 0; step < 60; step++) {
        await Promise.all(
          Array.from({ length: random.below(40) }, async () => {
            const { store, nowMs } = replicas[random.below(replicas.length)] as (typeof replicas)[0];
            const window = Math.floor(nowMs() / 1000 / WINDOW_S);
            const key = `k_${window}`;
            const [after = Infinity] = await store.add([
              {
                key,
                hits: 1,
                limit,
                keptS: WINDOW_S,
                endsAtS: (window + 1) * WINDOW_S,
                usedUntilS: (window + 1) * WINDOW_S,
              },
            ]);
            if (after > limit) return;
            admitted.set(key, (admitted.get(key) ?? 0) + 1);
            times.push(clock.nowMs);
          }),
        );
        clock.nowMs += 1000;
        for (const { store } of replicas) store.giveBackIdle();
        await settle();
      }
      for (const [key, count] of admitted) expect(count, `seed ${seed}, ${key}`).toBeLessThanOrEqual(limit);
      // By the true clock a minute sees two windows, and with clocks apart no more than two.
      for (const from of times)
        expect(
          times.filter((at) => at >= from && at < from + WINDOW_S * 1000).length,
          `seed ${seed}`,
        ).toBeLessThanOrEqual(2 * limit);
    }
  });
});

describe('several limits at once', () => {
  test('all or none, each within its limit', async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { own, ask, pass } = fleet(3, random);
      const limits = { a: 1 + random.below(40), b: 1 + random.below(40) };
      const spent = { a: 0, b: 0 };
      for (let step = 0; step < 30; step++) {
        await Promise.all(
          Array.from({ length: random.below(8) }, async () => {
            const asked = ([['a'], ['b'], ['a', 'b']] as const)[random.below(3)] ?? ['a'];
            const after = await (own[random.below(3)] as EscrowCounts).addIfAllFit(
              asked.map((key) => ask(key, 1, limits[key])),
            );
            if (asked.every((key, at) => (after[at] ?? Infinity) <= limits[key])) for (const key of asked) spent[key]++;
          }),
        );
        if (random.below(3) === 0) await pass(300);
      }
      expect(spent.a, `seed ${seed}`).toBeLessThanOrEqual(limits.a);
      expect(spent.b, `seed ${seed}`).toBeLessThanOrEqual(limits.b);
    }
  });

  test('what one limit refuses is charged to no other', async () => {
    const {
      own: [store],
      ask,
    } = fleet(1, new Random(1));
    await store?.add([ask('full', 3, 3)]);
    for (let n = 0; n < 20; n++)
      expect(
        (await store?.addIfAllFit([ask('full', 1, 3), ask('free', 1, 5)]))?.map((after, at) => after <= [3, 5][at]!),
      ).toEqual([false, true]);
    for (let n = 0; n < 5; n++) expect(await store?.add([ask('free', 1, 5)])).toEqual([n + 1]);
  });
});

describe('what is told of what is held', () => {
  type Said = readonly [key: string, units: number, forS: number];
  const telling = () => {
    const clock = { nowMs: 0 };
    const counters = new MemoryCounts({ maxKeys: 100, nowMs: () => clock.nowMs });
    const said: Said[] = [];
    /** What was said when each charge went out. */
    const charges: (Said | undefined)[] = [];
    const far = new FarStore(counters, new Random(1));
    const charge = far.charge;
    far.charge = async (asks) => {
      if (asks.every(({ kind }) => kind === 'spend')) charges.push(said.at(-1));
      return charge(asks);
    };
    const store = new EscrowCounts(new WindowCounts(far), {
      nowMs: () => clock.nowMs,
      tell: (...one) => {
        said.push(one);
      },
    });
    stores.push(store);
    const ask = (hits: number, limit = 1000): CountAsk => ({
      key: 'k',
      hits,
      limit,
      keptS: WINDOW_S,
      endsAtS: WINDOW_S,
      usedUntilS: WINDOW_S,
    });
    const pass = async (ms: number): Promise<void> => {
      clock.nowMs += ms;
      store.giveBackIdle();
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    };
    return { clock, counters, store, far, said, charges, ask, pass };
  };

  test('what will be left of a chunk goes out with its charge, once; what is spent of it is not told', async () => {
    const { store, said, charges, ask } = telling();
    for (let n = 0; n < 64; n++) {
      const before = [charges.length, said.length];
      await store.add([ask(1)]);
      if (charges.length === before[0]) expect(said.length).toBe(before[1]);
      else expect(charges.at(-1)).toEqual(store.held === 0 ? undefined : ['k', store.held, WINDOW_S]);
    }
    expect(said.map(([, units]) => units)).toEqual([1, 3, 7, 15, 31, 63]);
  });

  test('what is given back, forgotten, or spent and left alone is taken back', async () => {
    const { store, said, ask, pass } = telling();
    const hold = async (): Promise<void> => {
      while (store.held === 0) await store.add([ask(1)]);
    };
    const last = (): Said | undefined => said.at(-1);
    await hold();
    expect(last()?.[1]).toBeGreaterThan(0);
    await pass(300);
    expect([store.held, last()?.[1]]).toEqual([0, 0]);
    await hold();
    store.forget('k');
    expect(last()?.[1]).toBe(0);
    await hold();
    await store.add([ask(store.held)]);
    expect([store.held, last()?.[1] === 0]).toEqual([0, false]);
    await pass(300);
    expect(last()?.[1]).toBe(0);
    await hold();
    await store.close();
    expect(last()?.[1]).toBe(0);
  });

  test('for as long as the window lasts, and nothing when it is over', async () => {
    const { store, said, ask, clock, pass } = telling();
    clock.nowMs = (WINDOW_S - 7) * 1000;
    while (store.held === 0) await store.add([ask(1)]);
    expect(said.at(-1)?.[2]).toBe(7);
    const { length } = said;
    await pass(8000);
    expect([store.held, said.length]).toEqual([0, length]);
  });

  test('of a chunk that does not come, or not whole, no more than there is', async () => {
    const { store, far, counters, said, ask } = telling();
    while (store.held < 3) await store.add([ask(1)]);
    far.fails = true;
    await store.add([ask(3)]);
    await expect(store.add([ask(1)])).rejects.toThrow('away');
    expect(said.at(-1)?.[1]).toBe(0);
    far.fails = false;
    counters.add([ask(1000)]); // somebody else
    expect((await store.add([ask(1)]))[0]).toBeGreaterThan(1000);
    expect([store.held, said.at(-1)?.[1]]).toEqual([0, 0]);
  });

  test(`${RUNS} runs: no more than twice for each charge, and in the end nobody is said to hold anything`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { store, said, charges, ask, pass } = telling();
      const limit = 1 + random.below(400);
      for (let step = 0; step < 40; step++) {
        await Promise.all(
          Array.from({ length: random.below(40) }, async () => store.add([ask(1 + random.below(3), limit)])),
        );
        if (random.below(4) === 0) await pass(random.below(400));
      }
      await pass(500);
      await pass(500);
      expect([store.held, said.at(-1)?.[1] ?? 0], `seed ${seed}`).toEqual([0, 0]);
      expect(said.length, `seed ${seed}`).toBeLessThanOrEqual(charges.length * 2);
    }
  });
});
