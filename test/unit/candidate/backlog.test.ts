import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Backlog, BUSY_SHARE, MAX_RUNNING, MAX_WAITING, SLICE_MS } from '../../../src/candidate/backlog.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';

interface Item {
  readonly weight: number;
  readonly number: number;
}
const item = (number: number, weight = 1): Item => ({ number, weight });

test('decides in later turns, in order', async () => {
  const decided: number[] = [];
  const backlog = new Backlog<Item>(({ number }) => void decided.push(number));
  for (let number = 0; number < 100; number++) backlog.add(item(number));
  expect(decided).toEqual([]);
  await eventually(() => expect(decided).toHaveLength(100));
  expect(decided).toEqual(Array.from({ length: 100 }, (_, number) => number));
  expect(backlog.size).toBe(0);
});

test('admits no more calls and bytes than it may keep', () => {
  const backlog = new Backlog<Item>(() => undefined);
  backlog.add(item(0, MAX_WAITING.bytes - 10));
  expect([backlog.admits(10), backlog.admits(11)]).toEqual([true, false]);
  for (let number = 1; number < MAX_WAITING.count; number++) backlog.add(item(number, 0));
  expect(backlog.admits(0)).toBe(false);
  backlog.close();
  expect([backlog.size, backlog.admits(0)]).toEqual([0, false]);
});

test('a turn takes about a slice, however many wait', async () => {
  const turns: number[] = [];
  const backlog = new Backlog<Item>(() => {
    const endsAtMs = performance.now() + SLICE_MS / 4;
    while (performance.now() < endsAtMs);
    turns[turns.length - 1] = (turns.at(-1) ?? 0) + 1;
  });
  for (let number = 0; number < 200; number++) backlog.add(item(number));
  while (backlog.size > 0) {
    turns.push(0);
    await nextTurn();
  }
  expect(Math.max(...turns)).toBeLessThanOrEqual(5);
});

test('while calls arrive in every turn, it takes a small share of the time', async () => {
  let spentMs = 0;
  const backlog = new Backlog<Item>(() => {
    const beganAtMs = performance.now();
    while (performance.now() - beganAtMs < SLICE_MS / 2);
    spentMs += performance.now() - beganAtMs;
  });
  for (let number = 0; number < MAX_WAITING.count; number++) backlog.add(item(number));
  const beganAtMs = performance.now();
  while (performance.now() - beganAtMs < 300) {
    backlog.arrived();
    await nextTurn();
  }
  const share = spentMs / (performance.now() - beganAtMs);
  backlog.close();
  expect(share).toBeGreaterThan(0);
  expect(share).toBeLessThan(BUSY_SHARE * 2);
});

test('waits for calls that run, and goes on when one ends', async () => {
  const ends: (() => void)[] = [];
  const backlog = new Backlog<Item>(
    () =>
      new Promise<void>((resolve) => {
        ends.push(resolve);
      }),
  );
  for (let number = 0; number < MAX_RUNNING + 5; number++) backlog.add(item(number));
  await eventually(() => expect(ends).toHaveLength(MAX_RUNNING));
  await sleep(20);
  expect([ends.length, backlog.running, backlog.size]).toEqual([MAX_RUNNING, MAX_RUNNING, 5]);
  for (const end of ends) end();
  await eventually(() => expect(ends).toHaveLength(MAX_RUNNING + 5));
});
