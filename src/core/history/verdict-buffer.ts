/** Room for recent things that is bounded by count, by bytes, by age, and by how fast it fills. */

export interface KeepRoom {
  readonly count: number;
  /** Of all that is kept together: a client that is refused must not fill the memory with what it sends. */
  readonly bytes: number;
  /** So many at once, then so many a second. */
  readonly burst: number;
  readonly perS: number;
  readonly forMs: number;
}

/** Beyond the rate one of each rule is let in so often: a flood that one rule refuses does not hide the others. */
const RULE_EVERY_MS = 10_000;
const MOST_RULES = 1024;

interface Entry<T> {
  readonly item: T;
  readonly weight: number;
  readonly atMs: number;
}

export class VerdictRoom<T> {
  /** Let in too fast, or too heavy. */
  skipped = 0;
  readonly #room: KeepRoom;
  /** By a running number: the first is the oldest. */
  readonly #entries = new Map<number, Entry<T>>();
  readonly #byRule = new Map<string, number>();
  #next = 0;
  #weight = 0;
  #tokens: number;
  #filledAtMs = -Infinity;

  constructor(room: KeepRoom) {
    this.#room = room;
    this.#tokens = room.burst;
  }

  /** To be asked before {@link add}; it counts as let in. */
  admits(atMs: number, weight: number, rule: string | undefined): boolean {
    const { bytes, burst, perS } = this.#room;
    if (this.#tokens < burst)
      this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, atMs - this.#filledAtMs) * perS) / 1000);
    this.#filledAtMs = atMs;
    if (weight <= bytes) {
      if (this.#tokens >= 1) {
        this.#tokens--;
        return true;
      }
      if (rule !== undefined && atMs - (this.#byRule.get(rule) ?? -Infinity) >= RULE_EVERY_MS) {
        if (this.#byRule.size >= MOST_RULES) this.#byRule.clear();
        this.#byRule.set(rule, atMs);
        return true;
      }
    }
    this.skipped++;
    return false;
  }

  add(item: T, weight: number, atMs: number): void {
    this.#entries.set(this.#next++, { item, weight, atMs });
    this.#weight += weight;
    this.#trim(atMs);
  }

  /** The oldest first. */
  entries(nowMs: number): readonly T[] {
    this.#trim(nowMs);
    return [...this.#entries.values()].map(({ item }) => item);
  }

  #trim(nowMs: number): void {
    const { count, bytes, forMs } = this.#room;
    for (const [number, { weight, atMs }] of this.#entries) {
      if (this.#entries.size <= count && this.#weight <= bytes && nowMs - atMs <= forMs) break;
      this.#entries.delete(number);
      this.#weight -= weight;
    }
  }
}
