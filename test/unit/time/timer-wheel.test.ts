import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Expiring, NOT_IN_WHEEL, TimerWheel } from '../../../src/time/timer-wheel.ts';

let unstalledNow: () => number;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout', 'setImmediate'] });
  unstalledNow = performance.now.bind(performance);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

class Entry implements Expiring {
  wheelAtMs = NOT_IN_WHEEL;
  expiredAtMs: number | undefined;
  readonly endsAtMs: number;
  lateAtLoopMs: number;

  constructor(endsAtMs: number, lateAtLoopMs = Infinity) {
    this.endsAtMs = endsAtMs;
    this.lateAtLoopMs = lateAtLoopMs;
  }

  expire(nowMs: number): void {
    this.expiredAtMs = nowMs;
  }
}

/** Lets time pass in small steps, as in a loop that is never busy. */
const pass = (ms: number): void => {
  for (let passed = 0; passed < ms; passed++) vi.advanceTimersByTime(1);
};

/** The loop is busy: the clock runs, and no timer fires. */
function busy(ms: number): void {
  const aheadMs = performance.now() - unstalledNow() + ms;
  vi.spyOn(performance, 'now').mockImplementation(() => unstalledNow() + aheadMs);
}

/** It expired at its time: a timer and the look at the sockets after it take a millisecond each. */
function expectInTime({ expiredAtMs = Infinity, endsAtMs }: Entry): void {
  expect(expiredAtMs).toBeGreaterThanOrEqual(endsAtMs);
  expect(expiredAtMs - endsAtMs).toBeLessThanOrEqual(4);
}

describe('by the clock', () => {
  test('an end in ten thousand years sets no timer that fires at once, and others expire in time', () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const wheel = new TimerWheel();
    const far = new Entry(performance.now() + 99_999_999 * 3_600_000);
    wheel.add(far, performance.now());
    pass(20);
    const near = new Entry(performance.now() + 30);
    wheel.add(near, performance.now());
    pass(40);
    expectInTime(near);
    expect(far.expiredAtMs).toBeUndefined();
    expect(Math.max(...timers.mock.calls.map(([, ms]) => ms ?? 0))).toBeLessThan(2 ** 31);
  });

  test('each entry expires once, never early, and not more than a slot late', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            after: fc.nat(50),
            lasts: fc.oneof(fc.nat(100), fc.nat(6000)),
            removedAfter: fc.option(fc.nat(4000)),
          }),
          { maxLength: 30 },
        ),
        (plan) => {
          const wheel = new TimerWheel();
          const removals: { readonly atMs: number; readonly entry: Entry }[] = [];
          const entries = plan.map(({ after, lasts, removedAfter }) => {
            pass(after);
            const entry = new Entry(performance.now() + lasts);
            wheel.add(entry, performance.now());
            if (removedAfter !== null) removals.push({ atMs: performance.now() + removedAfter, entry });
            return entry;
          });
          for (let ms = 0; ms < 6010; ms++) {
            for (const { atMs, entry } of removals) if (atMs <= performance.now()) wheel.remove(entry);
            pass(1);
          }
          for (const [at, entry] of entries.entries()) {
            if (entry.expiredAtMs !== undefined) expectInTime(entry);
            else expect(plan[at]?.removedAfter).not.toBeNull();
          }
          expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('after a stall of many turns of the wheel everything that is due expires at once', () => {
    const wheel = new TimerWheel();
    const entries = [10, 1000, 3000, 9000, 20_000].map((ms) => new Entry(performance.now() + ms));
    for (const entry of entries) wheel.add(entry, performance.now());
    busy(9500);
    pass(15);
    expect(entries.map(({ expiredAtMs = Infinity }) => expiredAtMs < 9520)).toEqual([true, true, true, true, false]);
  });

  test('an entry that is added while others expire has its own time', () => {
    const wheel = new TimerWheel();
    const second = new Entry(performance.now() + 60);
    const first = new Entry(performance.now() + 20);
    first.expire = (nowMs) => wheel.add(second, nowMs);
    wheel.add(first, performance.now());
    pass(70);
    expectInTime(second);
  });
});

describe('by loop time', () => {
  test('an entry is late when the loop was free for its time', () => {
    const wheel = new TimerWheel();
    const entry = new Entry(Infinity, wheel.loopMsAt(performance.now()) + 50);
    const addedAtMs = performance.now();
    wheel.add(entry, addedAtMs);
    pass(49);
    expect(entry.expiredAtMs).toBeUndefined();
    pass(10);
    expect((entry.expiredAtMs ?? 0) - addedAtMs).toBeLessThanOrEqual(54);
  });

  test('a stall of the loop counts as one pause of the timer', () => {
    const wheel = new TimerWheel();
    const entry = new Entry(Infinity, 50);
    wheel.add(entry, performance.now());
    pass(10);
    busy(500);
    pass(20);
    expect(entry.expiredAtMs).toBeUndefined();
    pass(30);
    expect(entry.expiredAtMs).toBeDefined();
  });

  test('an entry whose time moves on is not late before that', () => {
    const wheel = new TimerWheel();
    const entry = new Entry(Infinity, 50);
    wheel.add(entry, performance.now());
    pass(40);
    entry.lateAtLoopMs = 200;
    pass(150);
    expect(entry.expiredAtMs).toBeUndefined();
    pass(20);
    expect(entry.expiredAtMs).toBeDefined();
  });

  test('an entry whose time becomes earlier is late by then once the wheel is told', () => {
    const wheel = new TimerWheel();
    const entry = new Entry(Infinity, 5000);
    wheel.add(entry, performance.now());
    pass(10);
    entry.lateAtLoopMs = 40;
    wheel.changed(entry, performance.now());
    pass(40);
    expect(entry.expiredAtMs).toBeDefined();
  });

  test('what ends by the clock ends then, however much loop time is left', () => {
    const wheel = new TimerWheel();
    const entry = new Entry(performance.now() + 30, 5000);
    wheel.add(entry, performance.now());
    pass(40);
    expectInTime(entry);
  });
});
