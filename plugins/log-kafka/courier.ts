/**
 * Brings messages to Kafka once each. A slice that is under way is never given up while we run: only the producer that
 * sent it knows the sequence number by which the broker tells a repetition from a new message. Who asks again for an entry
 * that is under way waits for the same slice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Rejected, Unavailable } from 'sluice/plugin';
import type { Message } from './message.ts';

/** How a slice ended. `refused`: the same message would fail again. */
export type Outcome = 'written' | { readonly refused: string } | { readonly failed: string };

export interface Parcel { readonly id: string; readonly message: Message }

export interface CourierOptions {
  /** Sends one slice; tries again by itself as long as the broker may have it; says how it ended. */
  readonly send: (messages: readonly Message[], slice: number) => Promise<Outcome>;
  readonly unavailableAfterMs: number;
  /** Hears that a batch has waited for so long; says why, as far as is known. */
  readonly onLate: (waitedMs: number) => string;
}

/** So that the event loop is never held long. */
const MOST_IN_SLICE = 150;
/** Well below the 1 MB that a broker takes by default: only a message that is too large for itself is refused. */
const MOST_BYTES_IN_SLICE = 400_000;
/** Ends that nobody has asked for are kept for as many entries; they are of batches that were told to come again. */
const MOST_ENDED = 100_000;

export class Courier {
  readonly #options: CourierOptions;
  readonly #underWay = new Map<string, Promise<Outcome>>();
  /** Written after the host was told to come again; it will. */
  readonly #ended = new Map<string, Outcome>();
  readonly #toldToComeAgain = new Set<string>();
  /** One slice after the other: sequence numbers must reach the broker in order. */
  #last: Promise<unknown> = Promise.resolve();
  #slices = 0;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  /** Settles when all are written. Fails as Unavailable (come again with the same ids) or Rejected. */
  async deliver(parcels: readonly Parcel[]): Promise<void> {
    const fresh = parcels.filter(({ id }) => !this.#underWay.has(id) && !this.#ended.has(id));
    for (const slice of slicesOf(fresh)) this.#dispatch(slice);

    const late = new AbortController();
    const all = Promise.all(parcels.map(async ({ id }) => this.#underWay.get(id) ?? this.#ended.get(id) ?? 'written' as const));
    const outcomes = await Promise.race([all, sleep(this.#options.unavailableAfterMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    if (outcomes === undefined) {
      for (const { id } of parcels) if (this.#underWay.has(id)) this.#toldToComeAgain.add(id);
      throw new Unavailable(this.#options.onLate(this.#options.unavailableAfterMs), 500);
    }
    this.#settle(parcels, outcomes);
  }

  /** Waits for what is under way. How many are not written when the time is over. */
  async flush(withinMs: number): Promise<number> {
    const late = new AbortController();
    await Promise.race([this.#last, sleep(withinMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    return this.#underWay.size;
  }

  #dispatch(parcels: readonly Parcel[]): void {
    const slice = this.#slices++;
    const sent = this.#last.then(() => this.#options.send(parcels.map(({ message }) => message), slice));
    this.#last = sent;
    for (const { id } of parcels) this.#underWay.set(id, sent);
    sent.then((outcome) => {
      for (const { id } of parcels) {
        this.#underWay.delete(id);
        // A slice that failed is sent anew when it is asked for again.
        if (this.#toldToComeAgain.delete(id) && (outcome === 'written' || 'refused' in outcome)) this.#ended.set(id, outcome);
      }
      for (const id of this.#ended.keys()) {
        if (this.#ended.size <= MOST_ENDED) break;
        this.#ended.delete(id);
      }
    }, () => undefined);
  }

  #settle(parcels: readonly Parcel[], outcomes: readonly Outcome[]): void {
    const refused: number[] = [];
    let whyRefused = '';
    const failed = outcomes.find((outcome): outcome is { readonly failed: string } => outcome !== 'written' && 'failed' in outcome);
    // What is told to come again comes whole: the ends of the others are kept for then.
    if (failed !== undefined) {
      outcomes.forEach((outcome, at) => { if (outcome === 'written' || 'refused' in outcome) this.#ended.set(parcels[at]?.id ?? '', outcome); });
      throw new Unavailable(failed.failed, 500);
    }
    outcomes.forEach((outcome, at) => {
      this.#ended.delete(parcels[at]?.id ?? '');
      if (outcome === 'written' || !('refused' in outcome)) return;
      refused.push(at);
      whyRefused ||= outcome.refused;
    });
    if (refused.length > 0) throw new Rejected(whyRefused, refused);
  }
}

function* slicesOf(parcels: readonly Parcel[]): Generator<readonly Parcel[]> {
  let slice: Parcel[] = [];
  let bytes = 0;
  for (const parcel of parcels) {
    const size = parcel.message.value.length + (parcel.message.key?.length ?? 0);
    if (slice.length === MOST_IN_SLICE || (slice.length > 0 && bytes + size > MOST_BYTES_IN_SLICE)) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(parcel);
    bytes += size;
  }
  if (slice.length > 0) yield slice;
}
