/** Work with a time limit. */
import { getActiveResourcesInfo } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { settlesWithin } from '../../../src/time/settles-within.ts';

const timers = (): number => getActiveResourcesInfo().filter((one) => one === 'Timeout').length;

test('work that ends in time settles, and leaves no timer', async () => {
  const before = timers();
  expect(await settlesWithin(60_000, Promise.resolve())).toBe(true);
  expect(timers()).toBe(before);
});

test('late work does not settle in time, goes on, and its later rejection is ignored', async () => {
  const work = Promise.withResolvers<void>();
  expect(await settlesWithin(1, work.promise)).toBe(false);
  work.reject(new Error('late'));
  await sleep(1); // an unhandled rejection would fail this file
});

test('a rejection in time is passed on', async () => {
  await expect(settlesWithin(60_000, Promise.reject(new Error('at once')))).rejects.toThrow('at once');
});

test('a limit beyond the longest timer does not end at once', async () => {
  expect(await settlesWithin(Number.MAX_SAFE_INTEGER, sleep(5))).toBe(true);
});

test('a time that has passed is no time, and Node warns of nothing', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  expect(await settlesWithin(-5, new Promise(() => undefined))).toBe(false);
  await sleep(1);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
