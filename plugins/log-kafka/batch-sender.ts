/**
 * Sends batches to Kafka in slices, each message once. A slice in flight is never abandoned: only the producer that sent it knows the
 * sequence number by which the broker recognises a repetition. A batch that is retried waits for its messages that are still in flight.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Rejected, Unavailable } from 'sluice/plugin';
import { bytesOf, type Message } from './message.ts';

/** How a message ended. `refused`: a retry would fail again; `failed`: it may succeed. */
export type Outcome = 'written' | { readonly refused: string } | { readonly failed: string };

export interface BatchSenderOptions {
  /** Sends one slice, with retries while the broker may have it; how all messages ended, or each. Never rejects. */
  readonly send: (messages: readonly Message[], slice: number) => Promise<Outcome | readonly Outcome[]>;
  readonly unavailableAfterMs: number;
  /** Called when a batch has waited this long; returns the reason, as far as known. */
  readonly onLate: (waitedMs: number) => string;
  /** Called once for each message that the broker rejects permanently, whether or not its batch is retried. */
  readonly onRefused: (message: Message, why: string) => void;
}

/** Bounds on one slice, so that the event loop is never held for long. */
const MAX_SLICE_MESSAGES = 500;
/** Well below the 1 MB that a broker accepts by default. */
const MAX_SLICE_BYTES = 400_000;
/** Bound on messages that are remembered for a retry: of the batch under way, and of batches that a closing host never retries. */
const MAX_REMEMBERED = 100_000;
const MAX_REASONS = 3;

/** Messages that are sent as one. */
interface Slice {
  readonly batch: readonly Message[];
  /** Never rejects. */
  readonly done: Promise<void>;
  /** Of all messages, or of each; `undefined` while the slice is in flight. */
  outcome: Outcome | readonly Outcome[] | undefined;
}

interface Place {
  readonly slice: Slice;
  readonly at: number;
}

export class BatchSender {
  readonly #options: BatchSenderOptions;
  readonly #inFlight = new Set<Slice>();
  /** By id, the messages of batches that the host is to retry, where they are in flight, written or refused and so not sent again. */
  readonly #remembered = new Map<string, Place>();
  /** One slice after the other: sequence numbers must reach the broker in order. */
  #lastSlice: Promise<void> = Promise.resolve();
  #slices = 0;

  constructor(options: BatchSenderOptions) {
    this.#options = options;
  }

  /** Resolves when all are written. Rejects as Unavailable (retry with the same ids) or Rejected. */
  async send(batch: readonly Message[]): Promise<void> {
    const places = this.#remembered.size === 0 ? NONE : this.#placesOf(batch);
    const fresh = places.size === 0 ? batch : batch.filter(({ id }) => !places.has(id));
    const added = [...slicesOf(fresh)].map((slice) => this.#enqueue(slice));
    const slices = new Set([...places.values()].map(({ slice }) => slice).concat(added));

    const late = new AbortController();
    const ended = await Promise.race([
      Promise.all([...slices].map(({ done }) => done)),
      sleep(this.#options.unavailableAfterMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    if (ended === undefined) {
      this.#remember(added);
      throw new Unavailable(this.#options.onLate(this.#options.unavailableAfterMs), 500);
    }
    if (places.size > 0 || added.some(({ outcome }) => outcome !== 'written')) this.#settle(batch, places, added);
  }

  /** Waits for messages in flight; returns the ones that are not written in time. */
  async flush(withinMs: number): Promise<readonly Message[]> {
    const late = new AbortController();
    await Promise.race([this.#lastSlice, sleep(withinMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    return [...this.#inFlight].flatMap(({ batch }) => batch);
  }

  #enqueue(batch: readonly Message[]): Slice {
    const number = this.#slices++;
    const done = this.#lastSlice.then(async () => {
      slice.outcome = await this.#outcomeOf(batch, number);
      this.#inFlight.delete(slice);
      if (slice.outcome === 'written') return;
      for (const [at, message] of batch.entries()) {
        const outcome = outcomeAt({ slice, at });
        if (outcome === 'written') continue;
        if ('refused' in outcome) this.#options.onRefused(message, outcome.refused);
        else if (this.#remembered.get(message.id)?.slice === slice) this.#remembered.delete(message.id); // the retry sends it again
      }
    });
    const slice: Slice = { batch, done, outcome: undefined };
    this.#lastSlice = done;
    this.#inFlight.add(slice);
    return slice;
  }

  /** What is refused of a slice is sent again by halves, so that one message does not take others with it. */
  async #outcomeOf(batch: readonly Message[], slice: number): Promise<Outcome | readonly Outcome[]> {
    const outcome = await this.#options.send(batch, slice);
    if (outcome === 'written') return outcome;
    const outcomes = isOfEach(outcome) ? outcome : batch.map(() => outcome);
    const refused = batch.filter((_, at) => isRefused(outcomes[at]));
    if (refused.length < 2) return outcome;
    const middle = Math.ceil(refused.length / 2);
    const halves: Outcome[] = [];
    for (const half of [refused.slice(0, middle), refused.slice(middle)]) {
      const own = await this.#outcomeOf(half, slice);
      halves.push(...(isOfEach(own) ? own : half.map(() => own)));
    }
    const again = halves.values();
    return outcomes.map((of) => (isRefused(of) ? (again.next().value ?? of) : of));
  }

  #placesOf(batch: readonly Message[]): ReadonlyMap<string, Place> {
    const places = new Map<string, Place>();
    for (const { id } of batch) {
      const place = this.#remembered.get(id);
      if (place !== undefined) places.set(id, place);
    }
    return places;
  }

  #remember(slices: readonly Slice[]): void {
    for (const slice of slices)
      for (const [at, { id }] of slice.batch.entries())
        if (slice.outcome === undefined || !isFailed(outcomeAt({ slice, at }))) this.#remembered.set(id, { slice, at });
    for (const id of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED) break;
      this.#remembered.delete(id);
    }
  }

  /** All slices have ended. */
  #settle(batch: readonly Message[], before: ReadonlyMap<string, Place>, added: readonly Slice[]): void {
    const places = new Map(before);
    for (const slice of added) for (const [at, { id }] of slice.batch.entries()) places.set(id, { slice, at });
    const outcomes = batch.map(({ id }): Outcome => {
      const place = places.get(id);
      return place === undefined ? 'written' : outcomeAt(place);
    });
    const failed = outcomes.find(isFailed);
    if (failed !== undefined) {
      this.#remember(added); // the host retries the whole batch
      throw new Unavailable(failed.failed, 500);
    }
    const refused: number[] = [];
    const reasons: string[] = [];
    for (const [at, message] of batch.entries()) {
      const outcome = outcomes[at] ?? 'written';
      this.#remembered.delete(message.id);
      if (outcome === 'written' || !('refused' in outcome)) continue;
      refused.push(at);
      if (reasons.length < MAX_REASONS) reasons.push(`${labelOf(message)}: ${outcome.refused}`);
    }
    if (refused.length === 0) return;
    const more = refused.length > reasons.length ? `; and ${refused.length - reasons.length} more` : '';
    throw new Rejected(reasons.join('; ') + more, refused);
  }
}

const NONE: ReadonlyMap<string, Place> = new Map();
const isOfEach = (outcome: Slice['outcome']): outcome is readonly Outcome[] => Array.isArray(outcome);
const isRefused = (outcome: Outcome | undefined): boolean =>
  outcome !== undefined && outcome !== 'written' && 'refused' in outcome;
const isFailed = (outcome: Outcome): outcome is { readonly failed: string } =>
  outcome !== 'written' && 'failed' in outcome;
const outcomeAt = ({ slice: { outcome }, at }: Place): Outcome =>
  (isOfEach(outcome) ? outcome[at] : outcome) ?? 'written';

/** Names a message without its values. */
const labelOf = (message: Message): string =>
  `the report ${message.id} of the rule ${message.rule} (${bytesOf(message)} bytes)`;

function* slicesOf(batch: readonly Message[]): Generator<readonly Message[]> {
  let slice: Message[] = [];
  let bytes = 0;
  for (const message of batch) {
    const size = bytesOf(message);
    if (slice.length === MAX_SLICE_MESSAGES || (slice.length > 0 && bytes + size > MAX_SLICE_BYTES)) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(message);
    bytes += size;
  }
  if (slice.length > 0) yield slice;
}
