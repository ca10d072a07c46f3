/**
 * How an ask changes a counter, for each algorithm. Pure: the time is a parameter.
 * **In**: a counter, an ask, the time. **Out**: the answer; the counter is changed in place if the ask is granted. **Fails**: never.
 *
 * `redis/lua.ts` has the same algorithms, which run in Redis; `test/unit/counting/differential.test.ts` compares both.
 */
import { changeOf, isForced, lookOf } from './ask.ts';
import type { Counter, CounterAlgorithm, CounterAnswer, Entry, Owner } from './counter.ts';
import type { CounterAsk } from './store.ts';
import { windowEnd } from './window.ts';

const ALGORITHMS: Readonly<
  Record<CounterAlgorithm, (counter: Counter, ask: CounterAsk, nowMs: number, owner: Owner) => CounterAnswer>
> = { fixed: askFixed, window: askWindow, gcra: askGcra, sliding: askSliding, log: askLog, concurrency: askLog };

/** Charges by the algorithm of the ask's bucket, or refuses; the caller restores a counter that was refused. */
export function askCounter(
  counter: Counter,
  ask: CounterAsk,
  nowMs: number,
  owner: Owner = ask.idempotencyKey,
): CounterAnswer {
  const charge = ALGORITHMS[ask.bucket.algorithm];
  if (ask.kind !== 'spend' || ask.partial !== true) return charge(counter, ask, nowMs, owner);
  const { remaining } = charge(counter, lookOf(ask), nowMs, owner);
  const charged = Math.min(ask.cost, Math.max(1, remaining));
  const answer = charge(counter, { ...ask, cost: charged }, nowMs, owner);
  return answer.granted ? { ...answer, charged } : answer;
}

/**
 * After the clock was set back, a counter may end later than any charge made now could end. Its usage stays, but the counter ends as if it
 * had been used now, so callers are not refused for the time by which the clock was ahead.
 */
export function settleAfterSetBack(counter: Counter, { bucket, perMs, endsAtMs }: CounterAsk, nowMs: number): void {
  if (endsAtMs !== undefined || counter.endsAtMs - nowMs <= perMs) return;
  switch (bucket.algorithm) {
    case 'fixed':
      counter.endsAtMs = windowEnd(nowMs, perMs);
      break;
    case 'sliding':
      if (counter.endsAtMs - nowMs > 2 * perMs) counter.endsAtMs = windowEnd(nowMs, perMs) + perMs;
      break;
    case 'gcra': // a debt is as far ahead as a clock that was set back; when it was charged tells them apart
      if (counter.endsAtMs - counter.usedBefore - nowMs > perMs) counter.endsAtMs = nowMs + counter.usedBefore;
      break;
    case 'log': // see `lasts`
    case 'concurrency':
    case 'window':
  }
}

/** A fixed window. */
function askFixed(counter: Counter, ask: CounterAsk, nowMs: number): CounterAnswer {
  const { limit, perMs, endsAtMs } = ask;
  const change = changeOf(ask);
  if (change < 0 && endsAtMs !== undefined && endsAtMs <= nowMs) return lookAtFixed(counter, limit, nowMs); // that window is over
  const end = endsAtMs ?? windowEnd(nowMs, perMs);
  if (counter.endsAtMs < end) {
    // not `!==`: a clock set back must not forget what was used
    counter.endsAtMs = end;
    counter.used = 0;
  }
  const granted = isForced(ask) || counter.used + change <= limit;
  if (granted && !(change < 0 && endsAtMs !== undefined && counter.endsAtMs > endsAtMs))
    counter.used = Math.max(0, counter.used + change);
  return answerOf(granted, limit, limit - counter.used, counter.endsAtMs - nowMs); // a caller's clock may be behind
}

const lookAtFixed = ({ endsAtMs, used }: Counter, limit: number, nowMs: number): CounterAnswer =>
  endsAtMs > nowMs && used > 0
    ? answerOf(true, limit, limit - used, endsAtMs - nowMs)
    : answerOf(true, limit, limit, 0);

/** A window that its key names. Units are given back only to a counter that has them: another may have been made after a reset. */
function askWindow(counter: Counter, ask: CounterAsk, nowMs: number): CounterAnswer {
  const { bucket, limit, perMs, endsAtMs } = ask;
  const change = changeOf(ask);
  if (counter.endsAtMs === 0) counter.endsAtMs = (endsAtMs ?? nowMs + perMs) + (bucket.readForMs ?? 0);
  const granted = isForced(ask) || counter.used + change <= limit;
  if (granted && counter.used + change >= 0) counter.used += Math.min(change, MAX_HITS);
  const { used } = counter;
  const resetMs = Math.max(granted ? 0 : 1, (endsAtMs ?? counter.endsAtMs) - nowMs);
  return { granted, limit, remaining: Math.max(0, limit - used), resetMs, used };
}

/** More than any limit (uint32 on the wire), and so few that a counter never reaches the end of what Redis or a double can count. */
export const MAX_HITS = 2 ** 32;

/**
 * Sliding window counter: the window before counts for the part of it that lies within a period of now, as if it had been used evenly. In
 * any period less than twice the limit passes, and at a window's boundary nothing is given twice.
 */
function askSliding(counter: Counter, ask: CounterAsk, nowMs: number): CounterAnswer {
  const { limit, perMs, endsAtMs } = ask;
  const change = changeOf(ask);
  const end = windowEnd(nowMs, perMs);
  if (counter.endsAtMs < end + perMs) {
    // not `!==`: a clock set back must not forget what was used
    counter.usedBefore = counter.endsAtMs === end ? counter.used : 0;
    counter.used = 0;
    counter.endsAtMs = end + perMs;
  }
  const thisEnd = counter.endsAtMs - perMs;
  const before = counter.usedBefore * Math.min(1, (thisEnd - nowMs) / perMs);
  const granted = isForced(ask) || before + counter.used + change <= limit + ROUNDING;
  if (granted && !(change < 0 && endsAtMs !== undefined && endsAtMs !== thisEnd))
    counter.used = Math.max(0, counter.used + change);
  else if (granted && endsAtMs === thisEnd - perMs) counter.usedBefore = Math.max(0, counter.usedBefore + change);
  const { used, usedBefore } = counter;
  const unusedAtMs = used > 0 ? counter.endsAtMs : usedBefore > 0 ? thisEnd : nowMs;
  const resetAtMs = granted ? unusedAtMs : fitsAtMs(counter, ask, change);
  return answerOf(granted, limit, Math.floor(limit - before - used + ROUNDING), Math.ceil(resetAtMs - nowMs));
}

/** In this window, while the one before fades, or in the next, while this one does; for a cost above the limit, never: then the next. */
function fitsAtMs({ endsAtMs, used, usedBefore }: Counter, { limit, perMs }: CounterAsk, cost: number): number {
  if (used + cost <= limit && usedBefore > 0) return endsAtMs - perMs - ((limit - used - cost) * perMs) / usedBefore;
  return cost <= limit && used > 0 ? endsAtMs - ((limit - cost) * perMs) / used : endsAtMs;
}

/** An entry that ends later than any charge could end is of a clock that was set back since; it is over. */
export const lasts = ({ untilMs }: Entry, nowMs: number, perMs: number): boolean =>
  untilMs > nowMs && untilMs <= nowMs + 2 * perMs;

/** Each charge counts for a period, or until it is released. */
function askLog(counter: Counter, ask: CounterAsk, nowMs: number, owner: Owner): CounterAnswer {
  const { limit, perMs } = ask;
  const change = changeOf(ask);
  const releases = ask.kind === 'release';
  let entries = counter.entries.filter((entry) => lasts(entry, nowMs, perMs) && !(releases && entry.owner === owner));
  let used = entries.reduce((sum, entry) => sum + entry.cost, 0);
  const granted = isForced(ask) || used + change <= limit;
  if (change < 0) {
    entries = withLess(entries, -change, owner);
    used = entries.reduce((sum, entry) => sum + entry.cost, 0);
  } else if (granted && change > 0) {
    entries = [...entries, { untilMs: nowMs + perMs, cost: change, owner }];
    used += change;
    // A debt may exceed the limit. While what is left exceeds it too, the oldest entry decides nothing, and is dropped.
    while (used - (entries[0]?.cost ?? Infinity) > limit) {
      used -= entries[0]?.cost ?? 0;
      entries = entries.slice(1);
    }
  }
  counter.entries = entries;
  counter.endsAtMs = entries.reduce((last, { untilMs }) => Math.max(last, untilMs), 0);
  const resetAtMs = granted ? counter.endsAtMs : freeAtMs(entries, used + change - limit);
  return answerOf(granted, limit, limit - used, (resetAtMs ?? Math.max(nowMs + perMs, counter.endsAtMs)) - nowMs);
}

/** Takes units off the entries of one owner, the latest first. */
function withLess(entries: readonly Entry[], amount: number, owner: Owner): Entry[] {
  let left = amount;
  return entries
    .toReversed()
    .flatMap((entry): Entry[] => {
      const taken = entry.owner === owner ? Math.min(left, entry.cost) : 0;
      left -= taken;
      return taken === entry.cost ? [] : [{ ...entry, cost: entry.cost - taken }];
    })
    .toReversed();
}

/** When this many units have ended; `undefined` if there are fewer. */
function freeAtMs(entries: readonly Entry[], wanted: number): number | undefined {
  let freed = 0;
  for (const { untilMs, cost } of entries) {
    freed += cost;
    if (freed >= wanted) return untilMs;
  }
  return undefined;
}

/**
 * Generic cell rate algorithm (ITU-T I.371, virtual scheduling): one unit of cost lasts `perMs / limit`; the theoretical arrival time may
 * run ahead of now by `burst` units.
 */
function askGcra(counter: Counter, ask: CounterAsk, nowMs: number): CounterAnswer {
  const { limit, burst, perMs } = ask;
  const change = changeOf(ask);
  const forced = isForced(ask);
  if (limit <= 0 || burst <= 0) return answerOf(forced || change <= 0, limit, 0, perMs);
  const unitMs = perMs / limit;
  const sizeMs = unitMs * burst;
  const roundingMs = unitMs * ROUNDING;
  const maxMs = sizeMs + MAX_DEBT_PERIODS * perMs;
  const aheadMs = Math.min(maxMs, Math.max(0, counter.endsAtMs - nowMs - counter.roundedUpMs));
  const nextMs = Math.min(maxMs, Math.max(0, aheadMs + unitMs * change));
  const granted = forced || nextMs <= sizeMs + roundingMs;
  if (granted) {
    const wholeMs = Math.ceil(nextMs);
    counter.endsAtMs = nowMs + wholeMs;
    counter.usedBefore = wholeMs;
    counter.roundedUpMs = wholeMs - nextMs;
  }
  const left = Math.floor((sizeMs - (granted ? nextMs : aheadMs)) / unitMs + ROUNDING);
  return answerOf(granted, limit, left, Math.ceil((granted ? nextMs : nextMs - sizeMs) - roundingMs));
}

const answerOf = (granted: boolean, limit: number, left: number, resetMs: number): CounterAnswer => ({
  granted,
  limit,
  remaining: Math.max(0, left),
  resetMs: Math.max(granted ? 0 : 1, resetMs),
});

/** A larger debt is not remembered. The Redis script has the same number. */
export const MAX_DEBT_PERIODS = 10;
/** Of a unit: more than the rounding errors of a day's asks add up to, less than anybody could spend. */
const ROUNDING = 1e-6;
