/** What a counter holds and how an ask is reckoned, for each algorithm. Pure: the time is given. */
import type { QuotaAnswer, QuotaAsk } from 'sluice/plugin';

/** One counter. `fixed`: `a` is the window's end, `b` what was used in it. `gcra`: `a` is the theoretical arrival time (TAT), `b` unused. */
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
 * Generic cell rate algorithm (ITU-T I.371, virtual scheduling): one unit of cost lasts `perMs / limit`; the TAT may run
 * ahead of now by `burst` units. Times are milliseconds with a fraction, so a limit that does not divide the period is kept.
 */
export function askGcra(counter: Counter, { cost, limit, burst, perMs }: QuotaAsk, nowMs: number): QuotaAnswer {
  if (limit <= 0 || burst <= 0) return { granted: cost <= 0, limit, remaining: 0, resetMs: perMs };
  const unitMs = perMs / limit;
  const sizeMs = unitMs * burst;
  const tat = Math.max(counter.a, nowMs);
  const next = tat + unitMs * cost;
  const aheadMs = next - nowMs - sizeMs;
  const granted = aheadMs <= ROUNDING_MS;
  if (granted) counter.a = next;
  const fullInMs = (granted ? next : tat) - nowMs;
  const remaining = Math.min(burst, Math.max(0, Math.floor((sizeMs - fullInMs) / unitMs + 1e-6)));
  return { granted, limit, remaining, resetMs: Math.ceil((granted ? fullInMs : aheadMs) - ROUNDING_MS) };
}

/** Sums of thirds of milliseconds are off by less than this; a unit is never that short. */
const ROUNDING_MS = 1e-3;
