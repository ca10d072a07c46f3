/** One slice of a turn of the event loop for all tasks together. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { SharedSlice } from '../../../src/time/shared-slice.ts';

const SLICE_MS = 2;
const STEP_MS = 0.05;
const LOOK_AFTER = 4;

const sliceOf = (leastMs: number, mostMs: number): SharedSlice =>
  new SharedSlice({ leastMs, mostMs, stepsBetweenLooks: LOOK_AFTER });

function hold(ms: number): void {
  for (const endsAtMs = performance.now() + ms; performance.now() < endsAtMs;);
}

/** Steps that all tasks took in each turn of the loop, until all have taken theirs. */
async function stepsOfTurns(tasks: number, steps: number, perMessage: number): Promise<readonly number[]> {
  const slice = sliceOf(SLICE_MS, SLICE_MS);
  let taken = 0;
  const task = async (): Promise<void> => {
    for (let step = 0; step < steps;) {
      if (slice.isBusy) await slice.next();
      for (const end = step + perMessage; step < end; step++) {
        hold(STEP_MS);
        taken++;
        if (slice.isOver) await slice.next();
      }
      slice.done();
      await Promise.resolve();
    }
  };
  let isDone = false;
  const all = Promise.all(Array.from({ length: tasks }, task)).then(() => {
    isDone = true;
  });
  const turns: number[] = [];
  for (let before = 0; !isDone; before = taken) {
    await nextTurn();
    turns.push(taken - before);
  }
  await all;
  expect(taken).toBe(tasks * steps);
  return turns;
}

test.each([1, 40])('%i tasks that have work for many turns take one slice of each', async (tasks) => {
  const turns = await stepsOfTurns(tasks, 4000 / tasks, 50);
  for (const steps of turns) expect(steps).toBeLessThanOrEqual(SLICE_MS / STEP_MS + 2 * LOOK_AFTER);
});

test('tasks with little work each share a turn', async () => {
  const turns = await stepsOfTurns(200, 2, 2);
  expect(turns.length).toBeLessThan(100);
});

test('tasks go on in the order in which they began to wait', async () => {
  const slice = sliceOf(SLICE_MS, SLICE_MS);
  const order: number[] = [];
  await Promise.all(
    [1, 2, 3].map(async (task) => {
      await slice.next();
      order.push(task);
    }),
  );
  expect(order).toEqual([1, 2, 3]);
});

test('a task that goes on and never says that it is done holds up no other', async () => {
  const slice = sliceOf(SLICE_MS, SLICE_MS);
  await Promise.all([slice.next(), slice.next(), slice.next()]);
  expect(slice.isBusy).toBe(false);
});

test('work that arrives with other input waits until all sockets of the turn were read', async () => {
  const slice = sliceOf(SLICE_MS, SLICE_MS);
  expect(slice.isClosed).toBe(true);
  await slice.next();
  expect(slice.isClosed).toBe(false);
  hold(SLICE_MS);
  expect(slice.isClosed).toBe(true);
});

test.each([
  // A machine under load lengthens the other work, or cuts a slice short.
  { otherMs: 0, least: 1, most: 40 },
  { otherMs: 4, least: 4, most: 88 },
  { otherMs: 40, least: 30, most: 88 },
])('beside $otherMs ms of other work in each turn a slice is about a tenth of it, at most 4 ms', async (turn) => {
  const slice = sliceOf(0.1, 4);
  let taken = 0;
  let isOver = false;
  const task = (async () => {
    while (!isOver) {
      taken++;
      hold(STEP_MS);
      if (slice.isOver) await slice.next();
    }
  })();
  const turns: number[] = [];
  for (let before = 0; turns.length < 30; before = taken) {
    await nextTurn();
    turns.push(taken - before);
    hold(turn.otherMs);
  }
  isOver = true;
  await task;
  const median = turns.toSorted((a, b) => a - b)[15] as number;
  expect([median >= turn.least, median <= turn.most], `${median} steps of ${STEP_MS} ms`).toEqual([true, true]);
});
