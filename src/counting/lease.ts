/** A lease: units of one counter that are held here, and how they are spent and returned. */
import type { Look, QuotaAsk } from '../adapters/contract.ts';
import { changeOf, giveBackOf, lookOf } from './ask.ts';
import type { BucketSpec, CounterAnswer } from './store.ts';

/** Of the key of a lease, so that a lease takes at most 2 KB. */
const MAX_CHARACTERS = 512;
/** A chunk is at most this fraction of what is left: 1 / SHARE. */
const SHARE = 4;
/** A chunk that lasted less than this is followed by one twice as large, another by one half as large. */
const FAST_MS = 100;
const HELD_MS = 1000;
/** Pause before a counter that refused is asked again; others may have returned units by then. */
const FULL_MS = 100;
const LOOKED_AT = 1000;
/** Of a lease that has taken nothing yet. */
export const NEVER = -Infinity;

export interface EscrowBucket extends BucketSpec {
  /** By key. A bucket without is charged ask by ask; leases of `window`s are found by the key alone. */
  readonly leases?: Map<string, Lease>;
}

type Ask = QuotaAsk<EscrowBucket>;

/** Units held of one counter. */
export interface Lease {
  /** A copy: an ask of each call, if it were kept, would fill the old generation of the heap. */
  ask: Look<EscrowBucket>;
  /** Charged and not spent. */
  held: number;
  /** Left of the counter at the last answer of the store. */
  left: number;
  chunk: number;
  takenAtMs: number;
  spentAtMs: number;
  /** Until then, an ask for more than was left is refused. */
  fullUntilMs: number;
  /** Units that asks wait for. */
  wanted: number;
  taking: Promise<void> | undefined;
  /** Units are on their way back to the store: what is asked meanwhile could overtake them, and find the counter full. */
  returning: Promise<unknown> | undefined;
  /** Units in the record for operators. */
  recorded: number;
  /** In {@link Leases}. */
  place: number;
  /** When the counter is full again: of a `window` its end, of others as of the last answer. */
  resetAtMs: number;
  // Of algorithms other than `window`.
  /** End of the window that the units were charged to, in the time of the store. */
  chargedEndMs: number;
  /** When the oldest unit was taken. */
  heldSinceMs: number;
}

const newLease = (ask: Ask, nowMs: number, place: number, returning: Lease['returning']): Lease => ({
  ask: lookOf(ask),
  held: 0,
  left: ask.limit,
  chunk: 1,
  takenAtMs: NEVER,
  spentAtMs: nowMs,
  fullUntilMs: NEVER,
  wanted: 0,
  taking: undefined,
  returning,
  recorded: 0,
  place,
  resetAtMs: isOfWindow(ask) ? (ask.endsAtMs ?? Infinity) : 0,
  chargedEndMs: 0,
  heldSinceMs: 0,
});

/** Takes over the limit of an ask of a `window`, which a request may bring; the window is in its key. */
export function adopt(lease: Lease, ask: Ask): void {
  lease.left += ask.limit - lease.ask.limit;
  lease.ask = lookOf(ask);
  lease.resetAtMs = ask.endsAtMs ?? Infinity;
}

/** A chunk that was used up fast is followed by a larger one. */
export function nextChunk({ chunk, takenAtMs, left, held }: Lease, nowMs: number): number {
  const wanted = takenAtMs === NEVER ? chunk : nowMs - takenAtMs < FAST_MS ? chunk * 2 : Math.floor(chunk / 2);
  return Math.max(1, Math.min(wanted, Math.floor((left + held) / SHARE)));
}

/** Updates a lease from an answer of the store; returns the units that it held of a window that has ended since. */
export function record(
  lease: Lease,
  { granted, charged = 0, remaining, resetMs, endsAtMs = 0 }: CounterAnswer,
  cost: number,
  sentAtMs: number,
  nowMs: number,
): number {
  const { algorithm } = lease.ask.bucket;
  const isWindow = algorithm === 'window';
  const isOver = algorithm === 'fixed' && (lease.chargedEndMs !== endsAtMs || lease.resetAtMs <= nowMs);
  const stranded = isOver ? lease.held : 0;
  lease.held -= stranded;
  lease.left = remaining;
  lease.fullUntilMs = !granted || (isWindow && charged < cost) ? nowMs + Math.min(FULL_MS, resetMs) : NEVER;
  if (!isWindow) lease.resetAtMs = sentAtMs + resetMs;
  if (!granted) return stranded;
  if (!isWindow) {
    if (lease.held === 0) lease.heldSinceMs = sentAtMs;
    lease.chargedEndMs = endsAtMs;
  }
  lease.held += charged;
  return stranded;
}

/** The clock was set back: units are not idle, nor a counter full, for as long as it was ahead. */
function settleAfterSetBack(lease: Lease, nowMs: number): void {
  lease.spentAtMs = Math.min(lease.spentAtMs, nowMs);
  lease.takenAtMs = Math.min(lease.takenAtMs, nowMs);
  lease.fullUntilMs = Math.min(lease.fullUntilMs, nowMs + FULL_MS);
}

/** Units of a window end with it, those of `gcra` and `sliding` a second after they were taken. */
export function spendableUntilMs({ ask, held, resetAtMs, heldSinceMs }: Lease): number {
  const { algorithm } = ask.bucket;
  return algorithm === 'window' || algorithm === 'fixed' ? resetAtMs : held === 0 ? Infinity : heldSinceMs + HELD_MS;
}

/** Leases by bucket and key; those of `window`s by the key alone, which names the counter wholly. */
export class Leases {
  readonly #all: Lease[] = [];
  readonly #windows = new Map<string, Lease>();
  /** Of {@link turn}: goes down, so that the lease that fills a gap, the last one, was looked at already. */
  #place = 0;
  /** A time of day may be set back since. */
  #turnedAtMs = NEVER;

  get size(): number {
    return this.#all.length;
  }

  /** Units. */
  get held(): number {
    return this.#all.reduce((sum, { held }) => sum + held, 0);
  }

  [Symbol.iterator](): ArrayIterator<Lease> {
    return this.#all.values();
  }

  find({ bucket, key }: Ask): Lease | undefined {
    return this.#of(bucket)?.get(key);
  }

  /** `undefined` if the bucket takes no leases. `returning`: by the lease before. */
  add(ask: Ask, nowMs: number, returning?: Promise<unknown>): Lease | undefined {
    const leases = this.#of(ask.bucket);
    if (leases === undefined) return undefined;
    const lease = newLease(ask, nowMs, this.#all.length, returning);
    leases.set(ask.key, lease);
    this.#all.push(lease);
    return lease;
  }

  remove(lease: Lease): void {
    const { bucket, key } = lease.ask;
    const leases = this.#of(bucket);
    if (leases?.get(key) !== lease) return;
    leases.delete(key);
    const last = this.#all.pop() as Lease;
    if (last !== lease) this.#all[(last.place = lease.place)] = last;
  }

  /** Goes round all leases: continues where it stopped, with a sixteenth of them, or {@link LOOKED_AT}. */
  *turn(nowMs: number): Generator<Lease> {
    if (nowMs < this.#turnedAtMs) for (const lease of this.#all) settleAfterSetBack(lease, nowMs);
    this.#turnedAtMs = nowMs;
    const { length } = this.#all;
    for (let looked = Math.min(length, Math.max(LOOKED_AT, length >> 4)); looked > 0; looked--) {
      if (this.#place <= 0 || this.#place > this.#all.length) this.#place = this.#all.length;
      const lease = this.#all[--this.#place];
      if (lease === undefined) return;
      yield lease;
    }
  }

  #of(bucket: EscrowBucket): Map<string, Lease> | undefined {
    return bucket.algorithm === 'window' ? this.#windows : bucket.leases;
  }
}

export const isOfWindow = ({ bucket }: Pick<Ask, 'bucket'>): boolean => bucket.algorithm === 'window';
export const isHeld = ({ held, left }: Lease, cost: number): boolean => held >= cost && left + held >= cost;
/** Asks with an idempotency key, a long key, or a period given by the request go to the store. */
export function isForEscrow(ask: Ask): boolean {
  const { bucket, key, perMs, idempotencyKey } = ask;
  const { algorithm } = bucket;
  return (
    key.length <= MAX_CHARACTERS &&
    idempotencyKey === undefined &&
    perMs === bucket.perMs &&
    algorithm !== 'log' &&
    algorithm !== 'concurrency'
  );
}

export function isRefused(lease: Lease, cost: number, nowMs: number): boolean {
  if (isHeld(lease, cost)) return false;
  const isFull = lease.fullUntilMs > nowMs && cost > lease.held + lease.left;
  return isFull || (isOfWindow(lease.ask) && (cost > lease.ask.limit || lease.held >= cost));
}

/**
 * A bucket of `gcra` fills while its units are held. Units that came in since the lease may have overflowed the full bucket, so as many
 * cannot be returned.
 */
export function returnable(lease: Lease, nowMs: number): number {
  const { ask, held, heldSinceMs, resetAtMs } = lease;
  switch (ask.bucket.algorithm) {
    case 'window':
      return resetAtMs <= nowMs ? 0 : held;
    case 'gcra':
      return Math.max(0, Math.floor(held - ((nowMs - heldSinceMs) * ask.limit) / ask.perMs));
    default:
      return held;
  }
}

export function returnOf(lease: Lease, units: number): Ask {
  const { algorithm } = lease.ask.bucket;
  const ask = giveBackOf(lease.ask, units);
  return algorithm === 'fixed' || algorithm === 'sliding' ? { ...ask, endsAtMs: lease.chargedEndMs } : ask;
}

/** `take`: units have to be taken first. */
export function decide(leases: readonly Lease[], asks: readonly Ask[], nowMs: number): 'spend' | 'refuse' | 'take' {
  let decision: 'spend' | 'take' = 'spend';
  for (let at = 0; at < leases.length; at++) {
    const lease = leases[at] as Lease;
    const cost = changeOf(asks[at] as Ask);
    if (isRefused(lease, cost, nowMs)) return 'refuse';
    if (!isHeld(lease, cost)) decision = 'take';
  }
  return decision;
}

/** What is left counts units that are held. */
export function answerOf(lease: Lease, granted: boolean, minResetMs: number, nowMs: number): CounterAnswer {
  const { limit } = lease.ask;
  const remaining = Math.max(0, Math.floor(lease.left + lease.held));
  return {
    granted,
    limit,
    remaining,
    resetMs: Math.max(minResetMs, lease.resetAtMs - nowMs),
    used: limit - remaining,
  };
}

/** A spend that is charged whole, or not. */
export const isPlainSpend = (ask: Ask): boolean => ask.kind === 'spend' && ask.partial !== true;

/** Whether each is a different lease. An ask that only looks needs one that has taken units before. */
export function areTaken(leases: readonly (Lease | undefined)[], asks: readonly Ask[]): leases is readonly Lease[] {
  for (let at = 0; at < leases.length; at++) {
    const lease = leases[at];
    if (lease === undefined || leases.indexOf(lease) !== at) return false;
    if (lease.takenAtMs === NEVER && changeOf(asks[at] as Ask) === 0) return false;
  }
  return true;
}
