/** A buffer of recent items, bounded by count, bytes, age and rate. */

export interface BufferLimits {
  readonly count: number;
  /** Of all items together; a client that is refused must not fill the memory. */
  readonly bytes: number;
  /** A token bucket: items at once, and items a second. */
  readonly burst: number;
  readonly perS: number;
  readonly forMs: number;
}

/** Beyond the rate one item per rule and period is admitted, so that a flood refused by one rule does not hide the others. */
const RULE_EVERY_MS = 10_000;
const MAX_RULES = 1024;

interface Entry<T> {
  readonly item: T;
  readonly weight: number;
  readonly atMs: number;
}

export class VerdictBuffer<T> {
  /** Items beyond the rate, or too large. */
  skipped = 0;
  readonly #limits: BufferLimits;
  /** By sequence number; the first is the oldest. */
  readonly #entries = new Map<number, Entry<T>>();
  readonly #byRule = new Map<string, number>();
  #next = 0;
  #weight = 0;
  #tokens: number;
  #filledAtMs = -Infinity;

  constructor(limits: BufferLimits) {
    this.#limits = limits;
    this.#tokens = limits.burst;
  }

  /** Takes a token; call it before {@link add}. */
  admits(atMs: number, weight: number, rule: string | undefined): boolean {
    const { bytes, burst, perS } = this.#limits;
    if (this.#tokens < burst)
      this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, atMs - this.#filledAtMs) * perS) / 1000);
    this.#filledAtMs = atMs;
    if (weight <= bytes) {
      if (this.#tokens >= 1) {
        this.#tokens--;
        return true;
      }
      if (rule !== undefined && atMs - (this.#byRule.get(rule) ?? -Infinity) >= RULE_EVERY_MS) {
        if (this.#byRule.size >= MAX_RULES) this.#byRule.clear();
        this.#byRule.set(rule, atMs);
        return true;
      }
    }
    this.skipped++;
    return false;
  }

  /** One that does not would displace all others. */
  fits(weight: number): boolean {
    if (weight <= this.#limits.bytes) return true;
    this.skipped++;
    return false;
  }

  add(item: T, weight: number, atMs: number): void {
    this.#entries.set(this.#next++, { item, weight, atMs });
    this.#weight += weight;
    this.#trim(atMs);
  }

  /** Oldest first. */
  entries(nowMs: number): readonly T[] {
    this.#trim(nowMs);
    return [...this.#entries.values()].map(({ item }) => item);
  }

  #trim(nowMs: number): void {
    const { count, bytes, forMs } = this.#limits;
    for (const [number, { weight, atMs }] of this.#entries) {
      if (this.#entries.size <= count && this.#weight <= bytes && nowMs - atMs <= forMs) break;
      this.#entries.delete(number);
      this.#weight -= weight;
    }
  }
}
