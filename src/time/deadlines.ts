/** Something that ends at a time, if it has not ended before. */
export interface Expiring {
  /** By `performance.now()`: nobody waits for it any longer. */
  readonly endsAtMs: number;
  /** By {@link Deadlines.loopMsAt}: its answer is overdue. May move on from one read to the next. */
  readonly lateAtLoopMs: number;
  /** `nowMs` by `performance.now()`, `loopMs` by {@link Deadlines.loopMsAt}. */
  expire(nowMs: number, loopMs: number): void;
}

/** How often it looks, at least and at most: a quarter of what is left, within these. */
const SHORTEST_PAUSE_MS = 4;
const LONGEST_PAUSE_MS = 100; // far below 2^31 ms, beyond which a timer fires at once

/**
 * One timer for all calls that are waited for.
 *
 * It keeps two times. What a caller waits is told by the clock. Whether an answer is overdue is told by the time in which the event
 * loop was there to see it: a pause that took longer than it was set for, since the loop or the machine was busy, counts as long as it
 * was set for. So a burst of our own, or a process that gets no CPU, is no sign that a backend is slow. Before anything ends the sockets
 * are read once more, since timers run before them in a turn.
 */
export class Deadlines {
  readonly #pending = new Set<Expiring>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #firesAtMs = Infinity;
  #pauseMs = 0;
  /** Since when the loop's own time is not in `#loopMs` yet. */
  #sinceMs = 0;
  #loopMs = 0;
  /** The earliest of each; of one that has ended meanwhile, perhaps. */
  #nextEndMs = Infinity;
  #nextLateMs = Infinity;

  /** Milliseconds in which the event loop was free to see answers. Goes on only while something is waited for. */
  loopMsAt(nowMs: number): number {
    return this.#timer === undefined ? this.#loopMs : this.#loopMs + Math.min(nowMs - this.#sinceMs, this.#pauseMs);
  }

  add(one: Expiring, nowMs: number): void {
    this.#pending.add(one);
    this.#hold(one);
    if (this.#isLooking) return; // it is armed when that is done
    const pauseMs = this.#nextPauseMs(nowMs);
    if (this.#timer === undefined) this.#arm(nowMs, pauseMs);
    else if (nowMs + pauseMs < this.#firesAtMs) {
      this.#count(nowMs);
      clearTimeout(this.#timer);
      this.#arm(nowMs, pauseMs);
    } else if (this.#pending.size === 1) this.#timer.ref();
  }

  /** Its times are earlier than they were when it was added. */
  changed(one: Expiring): void {
    this.#hold(one);
  }

  remove(one: Expiring): void {
    this.#pending.delete(one);
    if (this.#pending.size === 0) this.#timer?.unref(); // what nobody waits for keeps no process alive
  }

  #hold({ endsAtMs, lateAtLoopMs }: Expiring): void {
    if (endsAtMs < this.#nextEndMs) this.#nextEndMs = endsAtMs;
    if (lateAtLoopMs < this.#nextLateMs) this.#nextLateMs = lateAtLoopMs;
  }

  #nextPauseMs(nowMs: number): number {
    const lookMs = Math.max(SHORTEST_PAUSE_MS, Math.min(LONGEST_PAUSE_MS, (this.#nextLateMs - this.#loopMs) / 4));
    return Math.max(1, Math.ceil(Math.min(lookMs, this.#nextEndMs - nowMs)));
  }

  #arm(nowMs: number, pauseMs: number): void {
    this.#sinceMs = nowMs;
    this.#pauseMs = pauseMs;
    this.#firesAtMs = nowMs + pauseMs;
    this.#timer = setTimeout(() => this.#fire(), pauseMs);
  }

  /** A timer of n ms may fire up to one later. */
  #count(nowMs: number): void {
    this.#loopMs += Math.min(nowMs - this.#sinceMs, this.#pauseMs + 1);
    this.#sinceMs = nowMs;
  }

  #fire(): void {
    const nowMs = performance.now();
    this.#count(nowMs);
    this.#timer = undefined;
    if (this.#pending.size === 0) this.#nextEndMs = this.#nextLateMs = Infinity;
    else if (this.#nextEndMs > nowMs && this.#nextLateMs > this.#loopMs) this.#arm(nowMs, this.#nextPauseMs(nowMs));
    else {
      this.#isLooking = true;
      setImmediate(() => this.#look());
    }
  }

  #look(): void {
    const nowMs = performance.now();
    this.#nextEndMs = this.#nextLateMs = Infinity;
    for (const one of this.#pending) {
      if (one.endsAtMs <= nowMs || one.lateAtLoopMs <= this.#loopMs) {
        this.#pending.delete(one);
        one.expire(nowMs, this.#loopMs);
      } else this.#hold(one);
    }
    this.#isLooking = false;
    if (this.#pending.size > 0) this.#arm(nowMs, this.#nextPauseMs(nowMs));
  }
}
