/** Lists in shared memory: they read as written, and no slot is lost when a worker dies. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SharedEntries } from '../../../src/counting/memory/shared-entries.ts';
import type { Entry } from '../../../src/counting/counter.ts';

const [LISTS, SLOTS] = [5, 40];

function pool() {
  let evicted = 0;
  const memory = new SharedArrayBuffer(SharedEntries.bytesFor(LISTS, SLOTS));
  const open = (): SharedEntries =>
    new SharedEntries({
      memory,
      lists: LISTS,
      maxEntries: SLOTS,
      onEvicted: () => {
        evicted++;
      },
    });
  const entries = open();
  const all = (of = entries): (readonly Entry[])[] =>
    Array.from({ length: LISTS }, (_, list) =>
      of.read(list).map(({ untilMs, cost, owner }) => ({ untilMs, cost, owner })),
    );
  /** Drops entries in front and appends others, as an ask does. */
  const change = (list: number, gone: number, ...come: readonly Entry[]): void => {
    const before = entries.read(list);
    entries.write(list, before, [...before.slice(gone), ...come]);
  };
  return { memory, entries, open, all, change, evicted: () => evicted };
}
const entry = (untilMs: number, cost = 1): Entry => ({ untilMs, cost, owner: untilMs });
const count = (lists: readonly (readonly Entry[])[]): number => lists.reduce((sum, list) => sum + list.length, 0);

/** Every slot outside the lists can be used. */
function expectNoneLost({ entries, all, change, evicted }: ReturnType<typeof pool>): void {
  expect(entries.used).toBe(count(all()));
  for (let more = SLOTS - entries.used; more > 0; more--) change(more % LISTS, 0, entry(1000 + more));
  expect([count(all()), evicted()]).toEqual([SLOTS, 0]);
}

const changes = fc.array(
  fc.record({ list: fc.nat(LISTS - 1), gone: fc.nat(3), come: fc.boolean(), clear: fc.nat(9) }),
  { maxLength: 60 },
);

test('a list reads as written, also in another worker', () => {
  fc.assert(
    fc.property(changes, (given) => {
      const mine = pool();
      const model: Entry[][] = Array.from({ length: LISTS }, () => []);
      for (const [at, { list, gone, come, clear }] of given.entries()) {
        if (clear === 0) mine.entries.clear(list);
        if (clear === 0) model[list] = [];
        const more = come && count(model) < SLOTS ? [entry(at + 1)] : [];
        mine.change(list, gone, ...more);
        model[list] = [...(model[list] ?? []).slice(gone), ...more];
        expect(mine.all(mine.open())).toEqual(model);
      }
      expectNoneLost(mine);
    }),
  );
});

test('a worker that dies while writing leaves whole lists, and loses no slot', () => {
  fc.assert(
    fc.property(changes, fc.nat(LISTS - 1), fc.nat(4), fc.nat(3), (given, list, gone, written) => {
      const mine = pool();
      for (const [at, { list: one, gone: some, come }] of given.entries())
        if (mine.entries.used < SLOTS - 4) mine.change(one, some, ...(come ? [entry(at + 1)] : []));
      const before = mine.all();
      const dying: Entry = {
        untilMs: 1,
        owner: undefined,
        get cost(): number {
          throw new Error('dead');
        },
      };
      expect(() =>
        mine.change(list, gone, ...Array.from({ length: written }, (_, at) => entry(900 + at)), dying),
      ).toThrow('dead');
      mine.open().repair();
      const after = before.with(list, [
        ...(before[list] ?? []).slice(gone),
        ...Array.from({ length: written }, (_, at) => entry(900 + at)),
      ]);
      expect(mine.all()).toEqual(after);
      expectNoneLost(mine);
    }),
  );
});

test('repair makes lists whole, whatever is in their links', () => {
  const [changing, links] = [1, 32 + SLOTS * 24];
  fc.assert(
    fc.property(
      changes,
      fc.array(fc.tuple(fc.nat(SLOTS * 2 + LISTS - 1), fc.oneof(fc.nat(SLOTS), fc.integer())), { maxLength: 20 }),
      (given, scribbled) => {
        const mine = pool();
        for (const [at, { list, gone, come }] of given.entries())
          if (mine.entries.used < SLOTS) mine.change(list, gone, ...(come ? [entry(at + 1)] : []));
        for (const [at, word] of scribbled) new Int32Array(mine.memory, links)[at] = word;
        new Int32Array(mine.memory)[changing] = 1;
        mine.entries.repair();
        expectNoneLost(mine);
      },
    ),
  );
});

test('the clock hand frees expired entries at the front of lists', () => {
  const { entries, change, all, evicted } = pool();
  for (let at = 0; at < SLOTS; at++) change(at % LISTS, 0, entry(at < SLOTS / 2 ? 100 : 200));
  for (let turn = 0; turn < SLOTS / 2; turn++) entries.makeRoom(1, 150);
  expect([entries.used, count(all()), evicted()]).toEqual([SLOTS / 2, SLOTS / 2, 0]);
});

test('a new entry evicts one that ends soon when all are in use', () => {
  const { entries, change, all, evicted } = pool();
  for (let at = 0; at < SLOTS; at++) change(at % LISTS, 0, entry(100 + at));
  entries.makeRoom(3, 50);
  expect([entries.used, evicted()]).toEqual([SLOTS - 3, 3]);
  expect(
    Math.max(
      ...all()
        .flat()
        .map(({ untilMs }) => untilMs),
    ),
  ).toBe(100 + SLOTS - 1);
  for (let more = 0; more < 5; more++) change(0, 0, entry(300));
  expect([entries.used, evicted()], 'more entries than room was made for').toEqual([SLOTS, 5]);
});

test('owners are hashed with a secret of the memory', () => {
  const [one, other] = [pool(), pool()];
  expect(one.entries.ownerOf('ann')).toBe(one.open().ownerOf('ann'));
  expect(one.entries.ownerOf('ann')).not.toBe(one.entries.ownerOf('bob'));
  expect(one.entries.ownerOf('ann')).not.toBe(other.entries.ownerOf('ann'));
});
