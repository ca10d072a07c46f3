import { LONGEST_TIMER_MS } from './timer-wheel.ts';

/** Whether the work settles within `ms`; late work continues, and its rejection is ignored. Rejects if the work rejects in time. */
export async function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), Math.min(Math.max(ms, 0), LONGEST_TIMER_MS));
  try {
    return await Promise.race([work.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
