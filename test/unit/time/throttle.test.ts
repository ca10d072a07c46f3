import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Throttle } from '../../../src/time/throttle.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('admits one event a minute, and tells at its end how many were not', () => {
  const rests: number[] = [];
  const throttle = new Throttle({ onRest: (events) => rests.push(events) });
  expect([throttle.admit(), throttle.admit(), throttle.admit()]).toEqual([1, 0, 0]);
  vi.advanceTimersByTime(59_000);
  expect(rests).toEqual([]);
  vi.advanceTimersByTime(1000);
  expect(rests).toEqual([2]);
  expect(throttle.admit()).toBe(0); // the rest was the event of this minute
  vi.advanceTimersByTime(60_000);
  expect(rests).toEqual([2, 1]);
  vi.advanceTimersByTime(60_000);
  expect(throttle.admit()).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('tells the rest at the end, once, and nothing without a rest', () => {
  const rests: number[] = [];
  const throttle = new Throttle({ onRest: (events) => rests.push(events) });
  throttle.end();
  throttle.admit();
  throttle.end();
  expect(rests).toEqual([]);
  throttle.admit();
  throttle.end();
  throttle.end();
  expect(rests).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});

test('counts the events that were not admitted in the next one where nobody is told of the rest', () => {
  const throttle = new Throttle();
  throttle.admit();
  throttle.admit();
  vi.advanceTimersByTime(60_000);
  expect(throttle.admit()).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});
