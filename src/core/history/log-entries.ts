/**
 * The last access log entries of refused requests, by the id of the verdict, so that an operator sees what came of a call.
 * **In**: each final log entry. **Out**: an entry as JSON, without secrets. **Fails**: never.
 *
 * Reading the id out of an entry's metadata costs many times what reporting the entry does, so that entries are indexed only while
 * operators look at verdicts: for {@link WATCH_MS} after each look, at a limited rate, and of entries below 300 only the status is read.
 * The verdict may be another worker's, so that all entries that name one are indexed.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import { RequestBag, type Wire } from '../../attributes/bag.ts';
import type { RecordKind } from '../../attributes/carrier.ts';
import { RedactedRequest } from '../../attributes/redacted-request.ts';
import { numberOf } from '../../attributes/vocabulary.ts';
import { type BufferLimits, VerdictBuffer } from './verdict-buffer.ts';

const WATCH_MS = 900_000;
/** An entry retains the message that it came with, which may have others. */
const LIMITS: BufferLimits = { count: 1024, bytes: 8 * 1024 * 1024, burst: 512, perS: 50, forMs: 900_000 };
/** No refusal has a lower status. */
const LEAST_STATUS = 300;
const STATUS = 'response.code';
const STATUS_NUMBER = numberOf(STATUS);

interface LogEntry {
  readonly id: string;
  readonly call: RecordKind;
  readonly wire: Wire;
}

export class LogEntries {
  readonly #entries = new VerdictBuffer<LogEntry>(LIMITS);
  #watchedUntilMs = -Infinity;

  /** An operator looks at verdicts. */
  watch(): void {
    this.#watchedUntilMs = performance.now() + WATCH_MS;
  }

  /** `atMs` by `performance.now()`. */
  offer({ attributes, wire }: RequestBag, call: RecordKind, atMs: number): void {
    if (atMs > this.#watchedUntilMs || (call !== 'log' && call !== 'tcp-log')) return;
    if (call === 'log') {
      const status = wire.read(STATUS, STATUS_NUMBER);
      if (typeof status !== 'number' || status < LEAST_STATUS) return;
    }
    if (!this.#entries.admits(atMs, wire.weight, undefined)) return;
    const ownBag = new RequestBag(attributes, wire); // a read of the bag of the call would enlarge the bags of all later ones
    const id = attributes.resolve(attributes.slotOf('verdict.id') ?? 0, ownBag);
    if (typeof id !== 'string') return;
    wire.keep();
    this.#entries.add({ id, call, wire }, wire.weight, atMs);
  }

  /** By attribute, without those that are absent or empty. */
  find(id: string, attributes: Attributes): Readonly<Record<string, unknown>> | undefined {
    const found = this.#entries.entries(performance.now()).findLast((entry) => entry.id === id);
    if (found === undefined) return undefined;
    const shown = new RedactedRequest(new RequestBag(attributes, found.wire));
    const values: Record<string, unknown> = {};
    for (const name of attributes.names()) {
      const slot = attributes.slotOf(name) ?? 0;
      const { source, carriedBy } = attributes.at(slot);
      if (source.kind !== 'built-in' || carriedBy[found.call] === undefined || LEFT_OUT.has(name)) continue;
      const value = shown.attribute(slot);
      if (!isNothing(value)) values[name] = value;
    }
    return values;
  }
}

/** Metadata of all filters may have secrets of any name. */
const LEFT_OUT: ReadonlySet<string> = new Set(['metadata', 'request.body', 'request.raw_body']);

const isNothing = (value: unknown): boolean =>
  value === null || (typeof value === 'object' && Object.keys(value).length === 0);
