/** Something that ends at a time, if it has not ended before. */
export interface Expiring {
  /** By `performance.now()`. */
  readonly endsAtMs: number;
  expire(): void;
}

const SLOTS = 512;
const SLOT_MS = 4;
/** Node's timers fire at once where they are set for later than this. */
const MOST_TIMER_MS = 2 ** 31 - 1;

/**
 * One timer for all calls that wait, however many: each is put into the slot of its time, and a slot is looked at when its
 * time has come. Nothing expires early, and nothing later than a slot's width.
 */
export class TimerWheel {
  readonly #slots: Set<Expiring>[] = Array.from({ length: SLOTS }, () => new Set());
  #size = 0;
  #timer: NodeJS.Timeout | undefined;
  #firesAtMs = Infinity;

  add(one: Expiring): void {
    const { endsAtMs } = one;
    const slot = this.#slotOf(endsAtMs);
    if (slot.has(one)) return;
    slot.add(one);
    this.#size++;
    if (endsAtMs < this.#firesAtMs) this.#arm(endsAtMs);
  }

  remove(one: Expiring): void {
    if (!this.#slotOf(one.endsAtMs).delete(one)) return;
    this.#size--;
    if (this.#size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#firesAtMs = Infinity;
  }

  #slotOf(endsAtMs: number): Set<Expiring> {
    return this.#slots[Math.floor(endsAtMs / SLOT_MS) % SLOTS] as Set<Expiring>;
  }

  #arm(atMs: number): void {
    clearTimeout(this.#timer);
    this.#firesAtMs = atMs;
    this.#timer = setTimeout(
      () => this.#fire(),
      Math.min(MOST_TIMER_MS, Math.max(1, Math.ceil(atMs - performance.now()))),
    );
  }

  /** Looks at the slots from the one it was armed for up to now's, then for the next that is taken. */
  #fire(): void {
    const nowMs = performance.now();
    const first = Math.floor(this.#firesAtMs / SLOT_MS);
    const last = Math.min(Math.floor(nowMs / SLOT_MS), first + SLOTS - 1);
    this.#timer = undefined;
    this.#firesAtMs = Infinity;
    for (let slot = first; slot <= last; slot++) {
      for (const one of this.#slots[slot % SLOTS] as Set<Expiring>) {
        if (one.endsAtMs > nowMs) continue;
        this.remove(one);
        one.expire();
      }
    }
    if (this.#size > 0) this.#arm(Math.min(this.#firesAtMs, this.#next(last)));
  }

  /** Of the turn that begins at a slot: the earliest end; where there is none, when to look again. */
  #next(from: number): number {
    for (let slot = from; slot < from + SLOTS; slot++) {
      let earliest = Infinity;
      for (const { endsAtMs } of this.#slots[slot % SLOTS] as Set<Expiring>)
        if (endsAtMs < (slot + 1) * SLOT_MS) earliest = Math.min(earliest, endsAtMs);
      if (earliest < Infinity) return earliest;
    }
    return (from + SLOTS) * SLOT_MS;
  }
}
