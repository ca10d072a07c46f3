/** What a counter holds and how an ask is reckoned, for each algorithm. Pure: the time is given. */
import type { Algorithm, QuotaAnswer, QuotaAsk } from '../adapters/contract.ts';

/**
 * One counter. `fixed`: `a` is the window's end, `b` what was used in it. `gcra`: the bucket is full again `b` ms before `a`.
 * `sliding`: `a` is the end of the next window, `b` what was used in this one, `c` in the one before. Over once `a` has come.
 */
export interface Counter {
  a: number;
  b: number;
  c: number;
  /** `log` and `concurrency`: each charge, in the order they end; `a` is when the last does. */
  entries?: readonly Entry[];
}

/** Who was charged: what the ask's `once` says, or what is kept in its place. */
export type Who = string | number | undefined;
export interface Entry {
  readonly untilMs: number;
  readonly cost: number;
  readonly who: Who;
}

/** Charges by the counter's algorithm, or leaves it as it is and refuses. */
export function askCounter(
  counter: Counter,
  algorithm: Algorithm,
  ask: QuotaAsk,
  nowMs: number,
  who: Who = ask.once,
): QuotaAnswer {
  return ask.partial === true && ask.cost > 0
    ? askPart(counter, algorithm, ask, nowMs, who)
    : askWhole(counter, algorithm, ask, nowMs, who);
}

function askPart(counter: Counter, algorithm: Algorithm, ask: QuotaAsk, nowMs: number, who: Who): QuotaAnswer {
  const { remaining } = askWhole(counter, algorithm, { ...ask, cost: 0 }, nowMs, who);
  const charged = Math.min(ask.cost, Math.max(1, remaining));
  const answer = askWhole(counter, algorithm, { ...ask, cost: charged }, nowMs, who);
  return answer.granted ? { ...answer, charged } : answer;
}

function askWhole(counter: Counter, algorithm: Algorithm, ask: QuotaAsk, nowMs: number, who: Who): QuotaAnswer {
  switch (algorithm) {
    case 'fixed':
      return askFixed(counter, ask, nowMs);
    case 'gcra':
      return askGcra(counter, ask, nowMs);
    case 'sliding':
      return askSliding(counter, ask, nowMs);
    case 'log':
    case 'concurrency':
      return askLog(counter, ask, nowMs, who);
  }
}

/**
 * Where the clock was set back, a counter can end later than any charge of now would make it. What was used stays; it ends as if it had been
 * used now, so nobody is refused for as long as the clock was ahead.
 */
export function settleAfterSetBack(
  counter: Counter,
  algorithm: Algorithm,
  { limit, burst, perMs, endsAtMs }: QuotaAsk,
  nowMs: number,
): void {
  if (endsAtMs !== undefined || counter.a - nowMs <= perMs) return;
  switch (algorithm) {
    case 'fixed':
      counter.a = windowEnd(nowMs, perMs);
      break;
    case 'sliding':
      if (counter.a - nowMs > 2 * perMs) counter.a = windowEnd(nowMs, perMs) + perMs;
      break;
    case 'gcra':
      if (limit > 0 && counter.a - nowMs > (perMs / limit) * burst + (MOST_DEBT_PERIODS + 1) * perMs) counter.a = nowMs;
      break;
    case 'log':
    case 'concurrency':
      counter.entries =
        counter.entries?.map((entry) =>
          entry.untilMs - nowMs > perMs ? { ...entry, untilMs: nowMs + perMs } : entry,
        ) ?? [];
      counter.a = Math.min(counter.a, nowMs + perMs);
  }
}

/** End of the window that holds `nowMs`. Windows begin at multiples of their length since 1970-01-01T00:00Z, so days are days of UTC. */
export function windowEnd(nowMs: number, perMs: number): number {
  return (Math.floor(nowMs / perMs) + 1) * perMs;
}

/** Charges a fixed window, or leaves it as it is and refuses. */
export function askFixed(
  counter: Counter,
  { cost, limit, perMs, endsAtMs, owed = false }: QuotaAsk,
  nowMs: number,
): QuotaAnswer {
  if (cost < 0 && endsAtMs !== undefined && endsAtMs <= nowMs) return lookAtFixed(counter, limit, nowMs); // that window is nobody's any more
  const end = endsAtMs ?? windowEnd(nowMs, perMs);
  if (counter.a < end) {
    // not `!==`: a clock set back must not forget what was used
    counter.a = end;
    counter.b = 0;
  }
  const granted = owed || cost < 0 || counter.b + cost <= limit;
  if (granted && !(cost < 0 && endsAtMs !== undefined && counter.a > endsAtMs))
    counter.b = Math.max(0, counter.b + cost);
  return {
    granted,
    limit,
    remaining: Math.max(0, limit - counter.b),
    resetMs: Math.max(granted ? 0 : 1, counter.a - nowMs),
  }; // a caller's clock may be behind
}

const lookAtFixed = ({ a, b }: Counter, limit: number, nowMs: number): QuotaAnswer =>
  a > nowMs && b > 0
    ? { granted: true, limit, remaining: Math.max(0, limit - b), resetMs: a - nowMs }
    : { granted: true, limit, remaining: limit, resetMs: 0 };

/**
 * Sliding window counter: what was used in the window before counts for the part of it that lies within a period of now, as if it had
 * been used evenly. In any period less than twice the limit passes, and at a window's boundary nothing is given twice.
 */
export function askSliding(
  counter: Counter,
  { cost, limit, perMs, endsAtMs, owed = false }: QuotaAsk,
  nowMs: number,
): QuotaAnswer {
  const end = windowEnd(nowMs, perMs);
  if (counter.a < end + perMs) {
    // not `!==`: a clock set back must not forget what was used
    counter.c = counter.a === end ? counter.b : 0;
    counter.b = 0;
    counter.a = end + perMs;
  }
  const thisEnd = counter.a - perMs;
  const before = counter.c * Math.min(1, (thisEnd - nowMs) / perMs);
  const granted = owed || cost < 0 || before + counter.b + cost <= limit + ROUNDING;
  if (granted && !(cost < 0 && endsAtMs !== undefined && endsAtMs !== thisEnd))
    counter.b = Math.max(0, counter.b + cost);
  else if (granted && endsAtMs === thisEnd - perMs) counter.c = Math.max(0, counter.c + cost);
  return {
    granted,
    limit,
    remaining: Math.max(0, Math.floor(limit - before - counter.b + ROUNDING)),
    resetMs: granted ? untilUnused(counter, thisEnd, nowMs) : untilFits(counter, cost, limit, perMs, thisEnd, nowMs),
  };
}

function untilUnused({ a, b, c }: Counter, thisEnd: number, nowMs: number): number {
  return b > 0 ? a - nowMs : c > 0 ? thisEnd - nowMs : 0;
}

/** In this window, while the one before goes out of sight, or in the next, while this one does; never, for a cost beyond the limit: then the next. */
function untilFits(
  { a, b, c }: Counter,
  cost: number,
  limit: number,
  perMs: number,
  thisEnd: number,
  nowMs: number,
): number {
  if (b + cost <= limit && c > 0) return Math.max(1, Math.ceil(thisEnd - ((limit - b - cost) * perMs) / c - nowMs));
  if (cost <= limit && b > 0) return Math.max(1, Math.ceil(a - ((limit - cost) * perMs) / b - nowMs));
  return a - nowMs;
}

/** Each charge counts for a period after it, or until it is released. */
export function askLog(
  counter: Counter,
  { cost, limit, perMs, owed = false, release = false }: QuotaAsk,
  nowMs: number,
  who: Who,
): QuotaAnswer {
  let entries = (counter.entries ?? []).filter((entry) => entry.untilMs > nowMs && !(release && entry.who === who));
  let used = entries.reduce((sum, entry) => sum + entry.cost, 0);
  const granted = owed || release || cost < 0 || used + cost <= limit;
  if (cost < 0) {
    entries = withLess(entries, -cost, who);
    used = entries.reduce((sum, entry) => sum + entry.cost, 0);
  } else if (granted && cost > 0) {
    entries = [...entries, { untilMs: nowMs + perMs, cost, who }];
    used += cost;
    // What is owed may be more than the limit; as long as the rest is, the oldest changes nothing, and is not kept.
    while (used - (entries[0]?.cost ?? Infinity) > limit) {
      used -= entries[0]?.cost ?? 0;
      entries = entries.slice(1);
    }
  }
  counter.entries = entries;
  counter.a = entries.reduce((last, { untilMs }) => Math.max(last, untilMs), 0);
  return {
    granted,
    limit,
    remaining: Math.max(0, limit - used),
    resetMs: granted
      ? Math.max(0, counter.a - nowMs)
      : (untilFree(entries, used + cost - limit, nowMs) ?? Math.max(perMs, counter.a - nowMs)),
  };
}

/** So much of what one has charged is gone, the latest first. */
function withLess(entries: readonly Entry[], amount: number, who: Who): Entry[] {
  let left = amount;
  return entries
    .toReversed()
    .flatMap((entry): Entry[] => {
      const taken = entry.who === who ? Math.min(left, entry.cost) : 0;
      left -= taken;
      return taken === entry.cost ? [] : [{ ...entry, cost: entry.cost - taken }];
    })
    .toReversed();
}

/** Until so much is over; `undefined` for more than there is. */
function untilFree(entries: readonly Entry[], wanted: number, nowMs: number): number | undefined {
  let freed = 0;
  for (const { untilMs, cost } of entries) {
    freed += cost;
    if (freed >= wanted) return Math.max(1, untilMs - nowMs);
  }
  return undefined;
}

/**
 * Generic cell rate algorithm (ITU-T I.371, virtual scheduling): one unit of cost lasts `perMs / limit`; the theoretical
 * arrival time (TAT) may run ahead of now by `burst` units. It is kept as a whole millisecond and the fraction before it:
 * beside a date of today, a fraction in one number would be cut after a few digits, and thirds would not add up.
 */
export function askGcra(
  counter: Counter,
  { cost, limit, burst, perMs, owed = false }: QuotaAsk,
  nowMs: number,
): QuotaAnswer {
  if (limit <= 0 || burst <= 0) return { granted: owed || cost <= 0, limit, remaining: 0, resetMs: perMs };
  const unitMs = perMs / limit;
  const sizeMs = unitMs * burst;
  const roundingMs = unitMs * ROUNDING;
  const mostMs = sizeMs + MOST_DEBT_PERIODS * perMs;
  const aheadMs = Math.min(mostMs, Math.max(0, counter.a - nowMs - counter.b));
  const nextMs = Math.min(mostMs, Math.max(0, aheadMs + unitMs * cost));
  const granted = owed || cost < 0 || nextMs <= sizeMs + roundingMs;
  if (granted) {
    const wholeMs = Math.ceil(nextMs);
    counter.a = nowMs + wholeMs;
    counter.b = wholeMs - nextMs;
  }
  const untilFullMs = granted ? nextMs : aheadMs;
  const remaining = Math.max(0, Math.floor((sizeMs - untilFullMs) / unitMs + ROUNDING));
  return {
    granted,
    limit,
    remaining,
    resetMs: Math.max(0, Math.ceil((granted ? nextMs : nextMs - sizeMs) - roundingMs)),
  };
}

/** What is owed beyond is not remembered; quota-redis does the same. */
const MOST_DEBT_PERIODS = 10;
const ROUNDING = 1e-6; // of a unit: more than all rounding of a day's asks, less than anybody could spend
