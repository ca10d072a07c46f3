/** What a counter holds and how an ask is reckoned, for each algorithm. Pure: the time is given. */
import type { QuotaAnswer, QuotaAsk } from 'sluice/plugin';

/** One counter. `fixed`: `a` is the window's end, `b` what was used in it. `gcra`: the bucket is full again `b` ms before `a`. Over once `a` has come. */
export interface Counter {
  a: number;
  b: number;
}

/** End of the window that holds `nowMs`. Windows begin at multiples of their length since 1970-01-01T00:00Z, so days are days of UTC. */
export function windowEnd(nowMs: number, perMs: number): number {
  return (Math.floor(nowMs / perMs) + 1) * perMs;
}

/** Charges a fixed window, or leaves it as it is and refuses. */
export function askFixed(counter: Counter, { cost, limit, perMs }: QuotaAsk, nowMs: number): QuotaAnswer {
  const end = windowEnd(nowMs, perMs);
  if (counter.a < end) { // not `!==`: a clock set back must not forget what was used
    counter.a = end;
    counter.b = 0;
  }
  const granted = counter.b + cost <= limit;
  if (granted) counter.b += cost;
  return { granted, limit, remaining: Math.max(0, limit - counter.b), resetMs: counter.a - nowMs };
}

/**
 * Generic cell rate algorithm (ITU-T I.371, virtual scheduling): one unit of cost lasts `perMs / limit`; the theoretical
 * arrival time (TAT) may run ahead of now by `burst` units. It is kept as a whole millisecond and the fraction before it:
 * beside a date of today, a fraction in one number would be cut after a few digits, and thirds would not add up.
 */
export function askGcra(counter: Counter, { cost, limit, burst, perMs }: QuotaAsk, nowMs: number): QuotaAnswer {
  if (limit <= 0 || burst <= 0) return { granted: cost <= 0, limit, remaining: 0, resetMs: perMs };
  const unitMs = perMs / limit;
  const sizeMs = unitMs * burst;
  const roundingMs = unitMs * ROUNDING;
  const aheadMs = Math.max(0, counter.a - nowMs - counter.b);
  const nextMs = aheadMs + unitMs * cost;
  const granted = nextMs <= sizeMs + roundingMs;
  if (granted) {
    const wholeMs = Math.ceil(nextMs);
    counter.a = nowMs + wholeMs;
    counter.b = wholeMs - nextMs;
  }
  const untilFullMs = granted ? nextMs : aheadMs;
  const remaining = Math.max(0, Math.floor((sizeMs - untilFullMs) / unitMs + ROUNDING));
  return { granted, limit, remaining, resetMs: Math.max(0, Math.ceil((granted ? nextMs : nextMs - sizeMs) - roundingMs)) };
}

const ROUNDING = 1e-6; // of a unit: more than all rounding of a day's asks, less than anybody could spend
