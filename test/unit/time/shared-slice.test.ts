/** One slice of a turn of the event loop for all tasks together. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { SharedSlice } from '../../../src/time/shared-slice.ts';

const SLICE_MS = 2;
const STEP_MS = 0.05;
const LOOK_AFTER = 4;

function hold(ms: number): void {
  for (const endsAtMs = performance.now() + ms; performance.now() < endsAtMs;);
}

/** Steps that all tasks took in each turn of the loop, until all have taken theirs. */
async function stepsOfTurns(tasks: number, steps: number, perMessage: number): Promise<readonly number[]> {
  const slice = new SharedSlice(SLICE_MS, LOOK_AFTER);
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
  const slice = new SharedSlice(SLICE_MS, LOOK_AFTER);
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
  const slice = new SharedSlice(SLICE_MS, LOOK_AFTER);
  await Promise.all([slice.next(), slice.next(), slice.next()]);
  expect(slice.isBusy).toBe(false);
});

test('work that arrives with other input waits until all sockets of the turn were read', async () => {
  const slice = new SharedSlice(SLICE_MS, LOOK_AFTER);
  expect(slice.isClosed).toBe(true);
  await slice.next();
  expect(slice.isClosed).toBe(false);
  hold(SLICE_MS);
  expect(slice.isClosed).toBe(true);
});
