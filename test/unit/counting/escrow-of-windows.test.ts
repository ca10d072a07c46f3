/** Escrow of windows: replicas that take chunks, and one that counts each hit, share a store. No window admits more than its limit. */
import { afterEach, describe, expect, test } from 'vitest';
import type { ChargeStore, CounterAsk } from '../../../src/ratelimit/charge/store.ts';
import { type CountAsk, EscrowCounts, MemoryCounts, WindowCounts } from './window-counts.ts';
import { Random } from '../../parts/random.ts';

const RUNS = Number(process.env['RUNS'] ?? 60);
const WINDOW_S = 60;

/** A remote store: it charges at once, and its answer arrives some turns later. */
class RemoteStore implements ChargeStore {
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
  const remote = Array.from({ length: replicas }, () => new RemoteStore(counters, random));
  const own = remote.map((store) => new EscrowCounts(new WindowCounts(store), { nowMs: () => clock.nowMs }));
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
  const trips = (): number => remote.reduce((sum, store) => sum + store.trips, 0);
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  };
  /** Advances the clock and gives back idle leases. */
  const pass = async (ms: number): Promise<void> => {
    clock.nowMs += ms;
    for (const store of own) store.giveBackIdle();
    await settle();
  };
  return { clock, counters, remote, own, ask, trips, settle, pass };
}

describe('a window', () => {
  test(`${RUNS} fleets: admit the limit and no more, together with a replica that counts each hit`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const replicas = 1 + random.below(5);
      const { own, counters, ask, settle, pass } = fleet(replicas, random);
      const limit = 1 + random.below(random.below(3) === 0 ? 2000 : 60);
      let admitted = 0;
      const one = async (hits: number): Promise<void> => {
        const at = random.below(replicas + 1);
        const store = own[at] ?? counters; // the last one counts each hit, as the reference does
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
      // Leases are given back for others; refused hits of the reference stay counted.
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

  test('admits exactly the limit if all replicas take chunks', async () => {
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

  test('takes few trips for a hot key well below its limit, and none for a full one', async () => {
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

  test('takes nothing for a look, and gives back what a refused ask took', async () => {
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

  test('counts units that outlive it as stranded, and the next window has its whole limit', async () => {
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

  test('spends held units while the store fails, then passes on the failure', async () => {
    const {
      own: [store],
      remote: [remote],
      ask,
    } = fleet(1, new Random(1));
    for (let n = 0; n < 50; n++) await store?.add([ask('k', 1, 1000)]);
    const held = store?.held ?? 0;
    if (remote !== undefined) remote.fails = true;
    for (let n = 0; n < held; n++) expect((await store?.add([ask('k', 1, 1000)]))?.[0]).toBeLessThanOrEqual(1000);
    await expect(store?.add([ask('k', 1, 1000)])).rejects.toThrow('away');
    if (remote !== undefined) remote.fails = false;
    expect((await store?.add([ask('k', 1, 1000)]))?.[0]).toBeLessThanOrEqual(1000);
  });

  test('gives idle units back, and asks again for a full counter, though the clock was set back meanwhile', async () => {
    const {
      own: [store, other],
      ask,
      counters,
      pass,
      clock,
    } = fleet(2, new Random(1));
    clock.nowMs = (WINDOW_S - 1) * 1000;
    for (let n = 0; n < 50; n++) await store?.add([ask('k', 1, 1000)]);
    expect(store?.held).toBeGreaterThan(0);
    expect((await other?.add([ask('k', 1000, 1000)]))?.[0]).toBeGreaterThan(1000);
    await pass(1);
    await pass(-50_000);
    await pass(250);
    expect(store?.held).toBe(0);
    expect(counters.look([ask('k', 0, 1000).key])).toEqual([50]);
    expect(await other?.add([ask('k', 950, 1000)])).toEqual([1000]);
  });

  test('gives nothing back to counters that were flushed', async () => {
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
  test(`${RUNS} fleets with clocks up to ten seconds apart: no window of any clock admits more than its limit`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { clock, settle } = fleet(0, random);
      // Redis keeps a counter for a window's length after its last hit, independent of the clocks of replicas.
      const counters = new MemoryCounts({ maxKeys: 10_000, nowMs: () => clock.nowMs - WINDOW_S * 1000 });
      const replicas = Array.from({ length: 2 + random.below(4) }, () => {
        const skewMs = random.below(20_000) - 10_000;
        const nowMs = (): number => clock.nowMs + skewMs;
        const store = new EscrowCounts(new WindowCounts(new RemoteStore(counters, random)), { nowMs });
        stores.push(store);
        return { store, nowMs, skewMs };
      });
      clock.nowMs = 600_000 - 15_000;
      const limit = 5 + random.below(200);
      const admitted = new Map<string, number>();
      /** Times by the true clock. */
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
      // A minute of the true clock overlaps two windows, also of clocks that differ.
      for (const from of times)
        expect(
          times.filter((at) => at >= from && at < from + WINDOW_S * 1000).length,
          `seed ${seed}`,
        ).toBeLessThanOrEqual(2 * limit);
    }
  });
});

describe('several limits at once', () => {
  test('are charged all or none, each within its limit', async () => {
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

  test('are not charged if one of them refuses', async () => {
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

describe('the published size of a lease', () => {
  type Publication = readonly [key: string, units: number, forS: number];
  const publishing = () => {
    const clock = { nowMs: 0 };
    const counters = new MemoryCounts({ maxKeys: 100, nowMs: () => clock.nowMs });
    const published: Publication[] = [];
    /** The last publication before each charge. */
    const charges: (Publication | undefined)[] = [];
    const remote = new RemoteStore(counters, new Random(1));
    const charge = remote.charge;
    remote.charge = async (asks) => {
      if (asks.every(({ kind }) => kind === 'spend')) charges.push(published.at(-1));
      return charge(asks);
    };
    const store = new EscrowCounts(new WindowCounts(remote), {
      nowMs: () => clock.nowMs,
      tell: (...one) => {
        published.push(one);
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
    return { clock, counters, store, remote, published, charges, ask, pass };
  };

  test('is published once with the charge of a chunk, and not while the chunk is spent', async () => {
    const { store, published, charges, ask } = publishing();
    for (let n = 0; n < 64; n++) {
      const before = [charges.length, published.length];
      await store.add([ask(1)]);
      if (charges.length === before[0]) expect(published.length).toBe(before[1]);
      else expect(charges.at(-1)).toEqual(store.held === 0 ? undefined : ['k', store.held, WINDOW_S]);
    }
    expect(published.map(([, units]) => units)).toEqual([1, 3, 7, 15, 31, 63]);
  });

  test('is 0 when the lease is given back, forgotten, or spent and idle', async () => {
    const { store, published, ask, pass } = publishing();
    const hold = async (): Promise<void> => {
      while (store.held === 0) await store.add([ask(1)]);
    };
    const last = (): Publication | undefined => published.at(-1);
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

  test('is valid until the window ends, and not published afterwards', async () => {
    const { store, published, ask, clock, pass } = publishing();
    clock.nowMs = (WINDOW_S - 7) * 1000;
    while (store.held === 0) await store.add([ask(1)]);
    expect(published.at(-1)?.[2]).toBe(7);
    const { length } = published;
    await pass(8000);
    expect([store.held, published.length]).toEqual([0, length]);
  });

  test('is no more than was granted if a chunk is refused in part or fails', async () => {
    const { store, remote, counters, published, ask } = publishing();
    while (store.held < 3) await store.add([ask(1)]);
    remote.fails = true;
    await store.add([ask(3)]);
    await expect(store.add([ask(1)])).rejects.toThrow('away');
    expect(published.at(-1)?.[1]).toBe(0);
    remote.fails = false;
    counters.add([ask(1000)]); // another client
    expect((await store.add([ask(1)]))[0]).toBeGreaterThan(1000);
    expect([store.held, published.at(-1)?.[1]]).toEqual([0, 0]);
  });

  test(`${RUNS} runs: at most two publications per charge, and 0 in the end`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { store, published, charges, ask, pass } = publishing();
      const limit = 1 + random.below(400);
      for (let step = 0; step < 40; step++) {
        await Promise.all(
          Array.from({ length: random.below(40) }, async () => store.add([ask(1 + random.below(3), limit)])),
        );
        if (random.below(4) === 0) await pass(random.below(400));
      }
      await pass(500);
      await pass(500);
      expect([store.held, published.at(-1)?.[1] ?? 0], `seed ${seed}`).toEqual([0, 0]);
      expect(published.length, `seed ${seed}`).toBeLessThanOrEqual(charges.length * 2);
    }
  });
});
