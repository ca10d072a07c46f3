import { setTimeout as sleep } from 'node:timers/promises';
import { LONGEST_TIMER_MS } from './timer-wheel.ts';

/** Whether the work settles within `ms`; late work continues, and its rejection is ignored. Rejects if the work rejects in time. */
export async function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  try {
    return await Promise.race([
      work.then(() => true),
      sleep(Math.min(Math.max(ms, 0), LONGEST_TIMER_MS), false, { signal: over.signal }),
    ]);
  } finally {
    over.abort();
  }
}
