/** An entry of a {@link TimerWheel}: it expires at its time, unless it is removed before. */
export interface Expiring {
  /** By `performance.now()`; Infinity if the clock does not end it. */
  readonly endsAtMs: number;
  /** By {@link TimerWheel.loopMsAt}; Infinity if loop time does not end it. May increase between reads. */
  readonly lateAtLoopMs: number;
  /** Owned by the wheel; initially {@link NOT_IN_WHEEL}. Earliest expiry by `performance.now()`. */
  wheelAtMs: number;
  /** `nowMs` by `performance.now()`, `loopMs` by {@link TimerWheel.loopMsAt}. */
  expire(nowMs: number, loopMs: number): void;
}

export const NOT_IN_WHEEL: number = Infinity;

const SLOTS = 512;
const SLOT_MS = 4;
/** Bounds of a timer while loop time is in use; within them, it is set to a quarter of the remaining time. */
const SHORTEST_PAUSE_MS = 4;
const LONGEST_PAUSE_MS = 100;
/** Node's timers fire immediately if they are set for longer than this. */
export const LONGEST_TIMER_MS: number = 2 ** 31 - 1;

/**
 * One timer for any number of waiting calls: each is in the slot of its time, and a slot is visited when its time has come. No entry
 * expires early, and by the clock none expires more than a slot's width late.
 *
 * The wheel has two times. A caller's deadline runs by the clock. A backend's deadline runs in loop time, in which the event loop was free
 * to see an answer: if a timer fires late because the loop or the machine was busy, only the timer's own length counts. So neither a burst
 * of work in this process nor a lack of CPU makes a backend look slow. Loop time never runs faster than the clock, so a slot by the clock
 * is early enough for both. Sockets are read once more before an entry expires, since timers run before them in a turn of the loop.
 */
export class TimerWheel {
  readonly #slots: Set<Expiring>[] = Array.from({ length: SLOTS }, () => new Set());
  #size = 0;
  /** Whether any entry has ever used loop time; otherwise the timer sleeps until the next expiry. */
  #watchesLoop = false;
  #timer: NodeJS.Timeout | undefined;
  #isVisiting = false;
  #firesAtMs = Infinity;
  #pauseMs = 0;
  /** Loop time since then is not yet in `#loopMs`. */
  #sinceMs = 0;
  #loopMs = 0;
  /** A lower bound of the next expiry. */
  #nextMs = Infinity;

  /** Milliseconds in which the event loop was free to see answers. Advances only while an entry waits. */
  loopMsAt(nowMs: number): number {
    return this.#timer === undefined ? this.#loopMs : this.#loopMs + Math.min(nowMs - this.#sinceMs, this.#pauseMs);
  }

  add(one: Expiring, nowMs: number): void {
    this.#put(one, nowMs, this.#dueAtMs(one, nowMs, this.loopMsAt(nowMs)));
  }

  /** Its times may have decreased since it was added. */
  changed(one: Expiring, nowMs: number): void {
    if (one.wheelAtMs === NOT_IN_WHEEL) return;
    const atMs = this.#dueAtMs(one, nowMs, this.loopMsAt(nowMs));
    if (atMs >= one.wheelAtMs) return;
    this.#take(one);
    this.#put(one, nowMs, atMs);
  }

  remove(one: Expiring): void {
    if (one.wheelAtMs === NOT_IN_WHEEL) return;
    this.#take(one);
    if (this.#size === 0) this.#timer?.unref(); // an empty wheel must not keep the process alive
  }

  /** The earliest time at which it can expire. */
  #dueAtMs({ endsAtMs, lateAtLoopMs }: Expiring, nowMs: number, loopMs: number): number {
    if (lateAtLoopMs === Infinity) return endsAtMs;
    this.#watchesLoop = true;
    return Math.min(endsAtMs, nowMs + Math.max(0, lateAtLoopMs - loopMs));
  }

  #put(one: Expiring, nowMs: number, atMs: number): void {
    if (atMs === Infinity) return;
    one.wheelAtMs = atMs;
    this.#slotAt(atMs).add(one);
    this.#size++;
    if (atMs < this.#nextMs) this.#nextMs = atMs;
    if (this.#isVisiting) return; // the timer is set afterwards
    const pauseMs = this.#pauseAt(nowMs);
    if (this.#timer === undefined) this.#arm(nowMs, pauseMs);
    else if (nowMs + pauseMs < this.#firesAtMs) {
      this.#count(nowMs);
      clearTimeout(this.#timer);
      this.#arm(nowMs, pauseMs);
    } else if (this.#size === 1) this.#timer.ref();
  }

  #take(one: Expiring): void {
    this.#slotAt(one.wheelAtMs).delete(one);
    one.wheelAtMs = NOT_IN_WHEEL;
    this.#size--;
  }

  #slotAt(atMs: number): Set<Expiring> {
    return this.#slots[Math.floor(atMs / SLOT_MS) % SLOTS] as Set<Expiring>;
  }

  #pauseAt(nowMs: number): number {
    const leftMs = this.#nextMs - nowMs;
    const mostMs = this.#watchesLoop
      ? Math.max(SHORTEST_PAUSE_MS, Math.min(LONGEST_PAUSE_MS, leftMs / 4))
      : LONGEST_TIMER_MS;
    return Math.max(1, Math.ceil(Math.min(mostMs, leftMs)));
  }

  #arm(nowMs: number, pauseMs: number): void {
    this.#sinceMs = nowMs;
    this.#pauseMs = pauseMs;
    this.#firesAtMs = nowMs + pauseMs;
    this.#timer = setTimeout(() => this.#fire(), pauseMs);
  }

  /** A timer of n ms may fire up to 1 ms later. */
  #count(nowMs: number): void {
    this.#loopMs += Math.min(nowMs - this.#sinceMs, this.#pauseMs + 1);
    this.#sinceMs = nowMs;
  }

  #fire(): void {
    const nowMs = performance.now();
    this.#count(nowMs);
    this.#timer = undefined;
    if (this.#size === 0) this.#nextMs = Infinity;
    else if (this.#nextMs > nowMs) this.#arm(nowMs, this.#pauseAt(nowMs));
    else {
      this.#isVisiting = true;
      setImmediate(() => this.#visit());
    }
  }

  /** Visits the slots up to now; an entry whose time has moved changes its slot. */
  #visit(): void {
    const nowMs = performance.now();
    const loopMs = this.#loopMs;
    const nowSlot = Math.floor(nowMs / SLOT_MS);
    const first = Math.floor(this.#nextMs / SLOT_MS);
    const last = Math.min(nowSlot, first + SLOTS - 1);
    this.#nextMs = Infinity;
    for (let slot = first; slot <= last; slot++) {
      for (const one of this.#slots[slot % SLOTS] as Set<Expiring>) {
        if (one.wheelAtMs > nowMs) continue;
        this.#take(one);
        const dueAtMs = this.#dueAtMs(one, nowMs, loopMs);
        if (dueAtMs <= nowMs) one.expire(nowMs, loopMs);
        else this.#put(one, nowMs, dueAtMs);
      }
    }
    this.#isVisiting = false;
    if (this.#size === 0) return;
    this.#nextMs = Math.min(this.#nextMs, this.#earliestFrom(nowSlot));
    this.#arm(nowMs, this.#pauseAt(nowMs));
  }

  /** The earliest time within one turn of the wheel from a slot; the end of that turn if there is none. */
  #earliestFrom(first: number): number {
    for (let slot = first; slot < first + SLOTS; slot++) {
      let earliestMs = Infinity;
      for (const { wheelAtMs } of this.#slots[slot % SLOTS] as Set<Expiring>)
        if (wheelAtMs < (slot + 1) * SLOT_MS) earliestMs = Math.min(earliestMs, wheelAtMs);
      if (earliestMs < Infinity) return earliestMs;
    }
    return (first + SLOTS) * SLOT_MS;
  }
}
