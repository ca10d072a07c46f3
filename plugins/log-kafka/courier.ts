/**
 * Brings messages to Kafka once each. A slice that is under way is never given up while we run: only the producer that
 * sent it knows the sequence number by which the broker tells a repetition from a new message. Who asks again for an entry
 * that is under way waits for the same slice.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Rejected, Unavailable } from 'sluice/plugin';
import type { Message } from './message.ts';

/** How a slice ended. `refused`: the same messages would fail again. */
export type Outcome = 'written' | { readonly refused: string } | { readonly failed: string };

export interface Parcel {
  readonly id: string;
  readonly rule: string;
  readonly message: Message;
}

export interface CourierOptions {
  /** Sends one slice; tries again by itself as long as the broker may have it; says how it ended. */
  readonly send: (messages: readonly Message[], slice: number) => Promise<Outcome>;
  readonly unavailableAfterMs: number;
  /** Hears that a batch has waited for so long; says why, as far as is known. */
  readonly onLate: (waitedMs: number) => string;
  /** Hears of a message that the broker will never take, once, whether or not somebody asks for it again. */
  readonly onRefused: (parcel: Parcel, why: string) => void;
}

/** So that the event loop is never held long. */
const MOST_IN_SLICE = 150;
/** Well below the 1 MB that a broker takes by default. */
const MOST_BYTES_IN_SLICE = 400_000;
/** Ends that nobody has asked for are kept for as many entries; they are of batches that were told to come again. */
const MOST_ENDED = 100_000;
const MOST_NAMED = 3;

export class Courier {
  readonly #options: CourierOptions;
  readonly #underWay = new Map<string, { readonly parcel: Parcel; readonly outcome: Promise<Outcome> }>();
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
    const all = Promise.all(
      parcels.map(async ({ id }) => this.#underWay.get(id)?.outcome ?? this.#ended.get(id) ?? ('written' as const)),
    );
    const outcomes = await Promise.race([
      all,
      sleep(this.#options.unavailableAfterMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    if (outcomes === undefined) {
      for (const { id } of parcels) if (this.#underWay.has(id)) this.#toldToComeAgain.add(id);
      throw new Unavailable(this.#options.onLate(this.#options.unavailableAfterMs), 500);
    }
    this.#settle(parcels, outcomes);
  }

  /** Waits for what is under way. What is not written when the time is over. */
  async flush(withinMs: number): Promise<readonly Parcel[]> {
    const late = new AbortController();
    await Promise.race([this.#last, sleep(withinMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    await nextTurn(); // what has just ended is settled
    return [...this.#underWay.values()].map(({ parcel }) => parcel);
  }

  #dispatch(parcels: readonly Parcel[]): void {
    const slice = this.#slices++;
    const sent = this.#last.then(() => this.#sent(parcels, slice));
    this.#last = sent;
    for (const [at, parcel] of parcels.entries())
      this.#underWay.set(parcel.id, { parcel, outcome: sent.then((outcomes) => outcomes[at] ?? 'written') });
    sent.then(
      (outcomes) => {
        for (const [at, parcel] of parcels.entries()) {
          const outcome = outcomes[at] ?? 'written';
          this.#underWay.delete(parcel.id);
          if (outcome !== 'written' && 'refused' in outcome) this.#options.onRefused(parcel, outcome.refused);
          // A slice that failed is sent anew when it is asked for again.
          if (this.#toldToComeAgain.delete(parcel.id) && (outcome === 'written' || 'refused' in outcome))
            this.#ended.set(parcel.id, outcome);
        }
        for (const id of this.#ended.keys()) {
          if (this.#ended.size <= MOST_ENDED) break;
          this.#ended.delete(id);
        }
      },
      () => undefined,
    );
  }

  /** Each one's outcome. A refused slice is sent by halves, so that one message does not take the others with it. */
  async #sent(parcels: readonly Parcel[], slice: number): Promise<readonly Outcome[]> {
    const outcome = await this.#options.send(
      parcels.map(({ message }) => message),
      slice,
    );
    if (outcome === 'written' || 'failed' in outcome || parcels.length === 1) return parcels.map(() => outcome);
    const middle = Math.ceil(parcels.length / 2);
    return [
      ...(await this.#sent(parcels.slice(0, middle), slice)),
      ...(await this.#sent(parcels.slice(middle), slice)),
    ];
  }

  #settle(parcels: readonly Parcel[], outcomes: readonly Outcome[]): void {
    const failed = outcomes.find(
      (outcome): outcome is { readonly failed: string } => outcome !== 'written' && 'failed' in outcome,
    );
    // What is told to come again comes whole: the ends of the others are kept for then.
    if (failed !== undefined) {
      outcomes.forEach((outcome, at) => {
        if (outcome === 'written' || 'refused' in outcome) this.#ended.set(parcels[at]?.id ?? '', outcome);
      });
      throw new Unavailable(failed.failed, 500);
    }
    const refused: number[] = [];
    const reasons: string[] = [];
    for (const [at, parcel] of parcels.entries()) {
      const outcome = outcomes[at] ?? 'written';
      this.#ended.delete(parcel.id);
      if (outcome === 'written' || !('refused' in outcome)) continue;
      refused.push(at);
      if (reasons.length < MOST_NAMED) reasons.push(`${parcelText(parcel)}: ${outcome.refused}`);
    }
    if (refused.length === 0) return;
    const more = refused.length > reasons.length ? `; and ${refused.length - reasons.length} more` : '';
    throw new Rejected(reasons.join('; ') + more, refused);
  }
}

/** Which message it is, without its values. */
export const parcelText = ({ id, rule, message }: Parcel): string =>
  `the report ${id} of the rule ${rule} (${bytesOf(message)} bytes)`;

export const bytesOf = ({ value, key }: Message): number => value.length + (key?.length ?? 0);

function* slicesOf(parcels: readonly Parcel[]): Generator<readonly Parcel[]> {
  let slice: Parcel[] = [];
  let bytes = 0;
  for (const parcel of parcels) {
    const size = bytesOf(parcel.message);
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
