/**
 * Sends batches to Kafka in slices, each message once. A slice in flight is never abandoned: only the producer that sent it knows the
 * sequence number by which the broker recognises a repetition. A batch that is retried waits for its messages that are still in flight.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Rejected, Unavailable } from 'sluice/plugin';
import { bytesOf, type Message } from './message.ts';

/** How a message ended. `refused`: a retry would fail again; `failed`: it may succeed. */
export type Outcome = 'written' | { readonly refused: string } | { readonly failed: string };

/** A report on its way to Kafka. */
export interface Outgoing {
  readonly id: string;
  readonly rule: string;
  readonly message: Message;
}

export interface BatchSenderOptions {
  /** Sends one slice, with retries while the broker may have it. Never rejects. */
  readonly send: (messages: readonly Message[], slice: number) => Promise<Outcome>;
  readonly unavailableAfterMs: number;
  /** Called when a batch has waited this long; returns the reason, as far as known. */
  readonly onLate: (waitedMs: number) => string;
  /** Called once for each message that the broker rejects permanently, whether or not its batch is retried. */
  readonly onRefused: (outgoing: Outgoing, why: string) => void;
}

/** Bounds on one slice, so that the event loop is never held for long. */
const MAX_SLICE_MESSAGES = 150;
/** Well below the 1 MB that a broker accepts by default. */
const MAX_SLICE_BYTES = 400_000;
/** Bound on remembered outcomes; more than the messages of a batch, and of one that the host does not retry since it closes. */
const MAX_OUTCOMES = 100_000;
const MAX_REASONS = 3;

export class BatchSender {
  readonly #options: BatchSenderOptions;
  readonly #inFlight = new Map<string, { readonly outgoing: Outgoing; readonly outcome: Promise<Outcome> }>();
  /** Of messages that need not be sent again, until their batch has ended; a retry of it reads them. */
  readonly #outcomes = new Map<string, Outcome>();
  /** One slice after the other: sequence numbers must reach the broker in order. */
  #lastSlice: Promise<unknown> = Promise.resolve();
  #slices = 0;

  constructor(options: BatchSenderOptions) {
    this.#options = options;
  }

  /** Resolves when all are written. Rejects as Unavailable (retry with the same ids) or Rejected. */
  async send(batch: readonly Outgoing[]): Promise<void> {
    const fresh = batch.filter(({ id }) => !this.#inFlight.has(id) && !this.#outcomes.has(id));
    for (const slice of slicesOf(fresh)) this.#enqueue(slice);

    const late = new AbortController();
    const all = Promise.all(
      batch.map(async ({ id }) => this.#inFlight.get(id)?.outcome ?? this.#outcomes.get(id) ?? ('written' as const)),
    );
    const outcomes = await Promise.race([
      all,
      sleep(this.#options.unavailableAfterMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    if (outcomes === undefined) throw new Unavailable(this.#options.onLate(this.#options.unavailableAfterMs), 500);
    this.#settle(batch, outcomes);
  }

  /** Waits for messages in flight; returns the ones that are not written in time. */
  async flush(withinMs: number): Promise<readonly Outgoing[]> {
    const late = new AbortController();
    await Promise.race([this.#lastSlice, sleep(withinMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    await nextTurn(); // a slice that has just ended is removed from `#inFlight`
    return [...this.#inFlight.values()].map(({ outgoing }) => outgoing);
  }

  #enqueue(batch: readonly Outgoing[]): void {
    const slice = this.#slices++;
    const sent = this.#lastSlice.then(() => this.#sendSlice(batch, slice));
    this.#lastSlice = sent;
    for (const [at, outgoing] of batch.entries())
      this.#inFlight.set(outgoing.id, { outgoing, outcome: sent.then((outcomes) => outcomes[at] ?? 'written') });
    sent.then(
      (outcomes) => {
        for (const [at, outgoing] of batch.entries()) {
          const outcome = outcomes[at] ?? 'written';
          this.#inFlight.delete(outgoing.id);
          if (outcome !== 'written' && 'refused' in outcome) this.#options.onRefused(outgoing, outcome.refused);
          // A failed message is sent again by the retry, so its outcome is not kept.
          if (outcome === 'written' || 'refused' in outcome) this.#outcomes.set(outgoing.id, outcome);
        }
        for (const id of this.#outcomes.keys()) {
          if (this.#outcomes.size <= MAX_OUTCOMES) break;
          this.#outcomes.delete(id);
        }
      },
      () => undefined,
    );
  }

  /** The outcome of each message. A refused slice is sent again by halves, so that one message does not take others with it. */
  async #sendSlice(batch: readonly Outgoing[], slice: number): Promise<readonly Outcome[]> {
    const outcome = await this.#options.send(
      batch.map(({ message }) => message),
      slice,
    );
    if (outcome === 'written' || 'failed' in outcome || batch.length === 1) return batch.map(() => outcome);
    const middle = Math.ceil(batch.length / 2);
    return [
      ...(await this.#sendSlice(batch.slice(0, middle), slice)),
      ...(await this.#sendSlice(batch.slice(middle), slice)),
    ];
  }

  #settle(batch: readonly Outgoing[], outcomes: readonly Outcome[]): void {
    const failed = outcomes.find(
      (outcome): outcome is { readonly failed: string } => outcome !== 'written' && 'failed' in outcome,
    );
    // The host retries the whole batch: outcomes of the other messages stay until then.
    if (failed !== undefined) throw new Unavailable(failed.failed, 500);
    const refused: number[] = [];
    const reasons: string[] = [];
    for (const [at, outgoing] of batch.entries()) {
      const outcome = outcomes[at] ?? 'written';
      this.#outcomes.delete(outgoing.id);
      if (outcome === 'written' || !('refused' in outcome)) continue;
      refused.push(at);
      if (reasons.length < MAX_REASONS) reasons.push(`${labelOf(outgoing)}: ${outcome.refused}`);
    }
    if (refused.length === 0) return;
    const more = refused.length > reasons.length ? `; and ${refused.length - reasons.length} more` : '';
    throw new Rejected(reasons.join('; ') + more, refused);
  }
}

/** Names a message without its values. */
const labelOf = ({ id, rule, message }: Outgoing): string =>
  `the report ${id} of the rule ${rule} (${bytesOf(message)} bytes)`;

function* slicesOf(batch: readonly Outgoing[]): Generator<readonly Outgoing[]> {
  let slice: Outgoing[] = [];
  let bytes = 0;
  for (const outgoing of batch) {
    const size = bytesOf(outgoing.message);
    if (slice.length === MAX_SLICE_MESSAGES || (slice.length > 0 && bytes + size > MAX_SLICE_BYTES)) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(outgoing);
    bytes += size;
  }
  if (slice.length > 0) yield slice;
}
