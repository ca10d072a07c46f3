/** A table in memory that threads share is one table. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SharedPlaces } from '../../../src/adapters/shared-places.ts';

const NOW = 1_767_225_600_000;

function table(places = 1000, memory = new SharedArrayBuffer(SharedPlaces.bytesFor(places, 2))) {
  let evicted = 0;
  const of = (worker: number): SharedPlaces =>
    new SharedPlaces({
      memory,
      worker,
      perPlace: 2,
      onEvicted: () => {
        evicted++;
      },
    });
  return { memory, one: of(1), other: of(2), evicted: () => evicted };
}

test('every worker reads what any worker has written under a name', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.string({ maxLength: 3 }), fc.nat(9))), (given) => {
      const { one, other } = table();
      const model = new Map<string, number>();
      for (const [mine, name, add] of given) {
        const places = mine ? one : other;
        places.within(() => {
          const at = places.placeOf(name, NOW);
          expect(places.values[at + 1]).toBe(model.get(name) ?? 0);
          places.values[at] = NOW + 1000;
          places.values[at + 1] = (model.get(name) ?? 0) + add;
        });
        model.set(name, (model.get(name) ?? 0) + add);
      }
    }),
  );
});

test('one thread at a time holds the lock', async () => {
  const { memory, one } = table();
  const file = new URL('../../../src/adapters/shared-places.ts', import.meta.url).href;
  const counting = `
    const { workerData: { memory, worker } } = require('node:worker_threads');
    import(${JSON.stringify(file)}).then(({ SharedPlaces }) => {
      const places = new SharedPlaces({ memory, worker, perPlace: 2, onEvicted: () => {} });
      for (let times = 0; times < 20000; times++) places.within(() => {
        const at = places.placeOf('name ' + times % 10, ${NOW});
        places.values[at] = ${NOW + 1000};
        places.values[at + 1] += 1;
      });
    });`;
  const ended = await Promise.all(
    [2, 3, 4].map((worker) => once(new Worker(counting, { eval: true, workerData: { memory, worker } }), 'exit')),
  );
  expect(ended).toEqual([[0], [0], [0]]);
  for (let name = 0; name < 10; name++)
    expect(one.within(() => one.values[one.placeOf(`name ${name}`, NOW) + 1])).toBe(6000);
});

test('a new name takes an expired place; without one it evicts the place that expires first, and reports it', () => {
  const { one, evicted } = table(1); // one set
  const write = (name: string, untilMs: number, nowMs = NOW): number => {
    const at = one.placeOf(name, nowMs);
    one.values[at] = untilMs;
    return at;
  };
  for (let name = 0; name < 16; name++) write(`name ${name}`, NOW + 1000 - name);
  const first = one.placeOf('name 15', NOW);
  expect(evicted()).toBe(0);
  expect(write('new', NOW + 2000)).toBe(first);
  expect(evicted()).toBe(1);
  expect(write('late', NOW + 2000, NOW + 990)).toBe(write('late', NOW + 2000, NOW + 990));
  expect(evicted()).toBe(1);
});

test("looking up a name evicts nobody's place", () => {
  const { one, other, evicted } = table(1); // one set
  const places = Array.from({ length: 16 }, (_, name) => {
    const at = one.placeOf(`name ${name}`, NOW);
    one.values[at] = NOW + 1000;
    return at;
  });
  expect(other.find('new')).toBeUndefined();
  expect(places.map((_, name) => other.find(`name ${name}`))).toEqual(places);
  expect(evicted()).toBe(0);
});

test('memory of another size is refused', () => {
  expect(
    () => new SharedPlaces({ memory: new SharedArrayBuffer(1000), worker: 1, perPlace: 3, onEvicted: () => {} }),
  ).toThrow('SharedPlaces.bytesFor(places, 3)');
});
