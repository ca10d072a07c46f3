/**
 * The queue of reports to one handler, in memory.
 * **In**: entries. **Out**: batches, written in order, one at a time.
 * **Fails**: a batch is retried while the backend is unavailable; rejected entries become dead letters, counted and logged. A full queue
 * applies back-pressure. A crash loses at most {@link ReportQueueOptions.maxWaiting} entries per handler.
 */
import type { BatchDefaults, Log, ReportEntry } from '../../adapters/contract.ts';
import { settlesWithin } from '../../time/settles-within.ts';
import { LONGEST_TIMER_MS } from '../../time/timer-wheel.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { revealedBy, type Rule } from '../rules/rule.ts';
import type { BatchDelivery } from './batch-delivery.ts';
import type { MemoryLetters } from './memory-letters.ts';
import { batchOf, type ReportQueue, type ReportQueueOptions, type ReportQueueState } from './report-queue.ts';
import { inputBytes, shownReport } from './report-size.ts';
import type { EncodedDefinition } from './spooled/record.ts';
import { ThrottledLine } from './throttled-line.ts';
import { messageOf } from '../../text/message-of.ts';

/** Rejected entries that a log line names, each by its id and rule. */
const MAX_NAMED = 20;

export interface MemoryQueueContext {
  readonly reports: ReportQueueOptions;
  readonly letters: MemoryLetters;
  readonly log: Log;
}

/** What an entry comes from: a rule, or the definition of a dead letter that is sent again. */
type Origin = Rule | EncodedDefinition;
const nameOf = (origin: Origin | undefined): string =>
  origin === undefined ? '' : 'encoded' in origin ? origin.rule : origin.name;
const revealsOf = (origin: Origin | undefined): readonly string[] =>
  origin === undefined ? [] : 'encoded' in origin ? origin.reveals : revealedBy(origin);

export class MemoryQueue implements ReportQueue {
  readonly #delivery: BatchDelivery;
  readonly #options: ReportQueueOptions;
  readonly #letters: MemoryLetters;
  readonly #log: Log;
  readonly #rejections: ThrottledLine;
  readonly #unkept: ThrottledLine;
  #batch: Required<BatchDefaults>;
  readonly #waiting: ReportEntry[] = [];
  /** Origin and size of each waiting entry, by index; parallel arrays save an object per report. */
  readonly #origins: Origin[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;
  /** Entries that were ever queued, and those that have left: written, rejected or dropped. */
  #queued = 0;
  #left = 0;
  readonly #passing: { readonly at: number; readonly resolve: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #room: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  /** By `performance.now()`, while it is full. */
  #fullSinceMs = 0;
  #stoppedMs = 0;
  readonly #givenUp = new AbortController();

  constructor(delivery: BatchDelivery, spec: HandlerSpec, { reports, letters, log }: MemoryQueueContext) {
    this.#delivery = delivery;
    this.#options = reports;
    this.#letters = letters;
    this.#log = log;
    this.#rejections = new ThrottledLine(log, 'warn', 'reports were rejected and are kept in memory', {
      handler: delivery.gate.label,
    });
    this.#unkept = new ThrottledLine(log, 'warn', 'a rejected report cannot be kept', { handler: delivery.gate.label });
    this.#batch = batchOf(spec);
  }

  /** Entries queued or being written. */
  get size(): number {
    return this.#waiting.length;
  }

  get isFull(): boolean {
    return this.#waiting.length >= this.#options.maxWaiting || this.#bytes >= this.#options.maxWaitingBytes;
  }

  configure(spec: HandlerSpec): void {
    this.#batch = batchOf(spec);
    this.#delivery.configure(spec);
  }

  get state(): ReportQueueState {
    const stoppedMs = this.#room === undefined ? 0 : performance.now() - this.#fullSinceMs;
    return {
      waiting: this.#waiting.length,
      bytes: this.#bytes,
      oldestMs: this.#waiting[0]?.timeMs,
      stoppedMs: this.#stoppedMs + stoppedMs,
      disk: undefined,
    };
  }

  prepare(): void {}

  /** In memory at once. */
  whenSafe(): undefined {
    return undefined;
  }

  push(entry: ReportEntry, rule: Rule): Promise<void> | undefined {
    return this.#add(entry, rule);
  }

  /** A dead letter; it waits behind the others, and is there whether or not there is room. */
  again(entry: ReportEntry, definition: EncodedDefinition): void {
    void this.#add(entry, definition);
  }

  #add(entry: ReportEntry, origin: Origin): Promise<void> | undefined {
    const bytes = inputBytes(entry.input);
    this.#queued++;
    this.#waiting.push(entry);
    this.#origins.push(origin);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    if (this.#waiting.length >= this.#batch.max || this.#bytes >= this.#batch.maxBytes) this.#start();
    else if (this.#timer === undefined && this.#writing === undefined)
      this.#timer = setTimeout(() => this.#start(), Math.min(this.#batch.maxAgeMs, LONGEST_TIMER_MS)).unref();
    if (!this.isFull) return undefined;
    if (this.#room === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#room = { promise, resolve };
      this.#fullSinceMs = performance.now();
    }
    return this.#room.promise;
  }

  passed(): Promise<void> {
    const at = this.#queued;
    if (this.#left >= at) return Promise.resolve();
    return new Promise((resolve) => {
      this.#passing.push({ at, resolve });
    });
  }

  #leave(entries: number): void {
    this.#left += entries;
    while ((this.#passing[0]?.at ?? Infinity) <= this.#left) this.#passing.shift()?.resolve();
  }

  async flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#start();
      await this.#writing;
    }
  }

  /** Drains the queue for at most `withinMs`; then drops the rest, the batch being written included, and logs it. */
  async close(withinMs: number): Promise<void> {
    this.#delivery.hurry();
    await settlesWithin(withinMs, this.flush());
    clearTimeout(this.#timer);
    this.#giveUp();
  }

  #giveUp(): void {
    this.#givenUp.abort();
    if (this.#waiting.length === 0) return;
    this.#delivery.gate.health.meters.lost += this.#waiting.length;
    this.#log.error('reports lost: the backend did not accept them before the handler closed', {
      handler: this.#delivery.gate.label,
      entries: this.#waiting.length,
      bytes: this.#bytes,
      why: this.#delivery.lastWhy,
      first: this.#shown(0),
    });
    this.#leave(this.#waiting.length);
    this.#waiting.length = this.#origins.length = this.#sizes.length = 0;
    this.#bytes = 0;
    this.#makeRoom();
  }

  #makeRoom(): void {
    if (this.#room === undefined) return;
    this.#stoppedMs += performance.now() - this.#fullSinceMs;
    this.#room.resolve();
    this.#room = undefined;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length > 0) this.#start();
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const length = this.#batchLength();
      await this.#deliver(this.#waiting.slice(0, length));
      if (this.#givenUp.signal.aborted) return;
      this.#waiting.splice(0, length);
      this.#leave(length);
      this.#origins.splice(0, length);
      for (const bytes of this.#sizes.splice(0, length)) this.#bytes -= bytes;
      if (!this.isFull) this.#makeRoom();
    }
  }

  #batchLength(): number {
    let bytes = 0;
    let length = 0;
    for (const size of this.#sizes) {
      if (length >= this.#batch.max || (length > 0 && bytes + size > this.#batch.maxBytes)) break;
      length++;
      bytes += size;
    }
    return length;
  }

  /** Summary of a queued entry, for a log line. */
  #shown(at: number): string {
    const entry = this.#waiting[at];
    return entry === undefined ? '' : shownReport(nameOf(this.#origins[at]), entry, this.#sizes[at] ?? 0);
  }

  async #deliver(entries: readonly ReportEntry[]): Promise<void> {
    const origins = this.#origins.slice(0, entries.length); // an error may come after they were given up
    const delivered = await this.#delivery.deliver(entries, this.#givenUp.signal, (at) => revealsOf(origins[at]));
    if (delivered === undefined || this.#givenUp.signal.aborted) return;
    const { meters } = this.#delivery.gate.health;
    const rejected = delivered.refused.length;
    const written = entries.length - rejected;
    meters.written += written;
    if (rejected === 0) return;
    meters.deadLettered += rejected;
    const { refused, why } = delivered;
    const [first = 0] = refused;
    this.#rejections.write(() => ({
      why,
      rejected,
      written,
      first: this.#shown(first),
      entries: refused.slice(0, MAX_NAMED).map((at) => `${entries[at]?.id} of ${nameOf(this.#origins[at])}`),
      show: `sluice deadletter show ${entries[first]?.id}`,
    }));
    await this.#putAside(entries, refused, why);
  }

  /** Before they leave the queue, so that they are in one of the two at each moment. */
  async #putAside(entries: readonly ReportEntry[], refused: readonly number[], why: string): Promise<void> {
    const { definitionOf, encodeReport, endGroup } = await import('./spooled/record.ts');
    const atMs = Date.now();
    for (const at of refused) {
      const [entry, origin] = [entries[at], this.#origins[at]];
      if (entry === undefined || origin === undefined) continue; // given up meanwhile
      try {
        const definition = 'encoded' in origin ? origin : definitionOf(origin);
        const bytes = encodeReport(entry, definition, true);
        endGroup(bytes);
        this.#letters.put({ id: entry.id, rule: definition.rule, why, atMs }, bytes);
      } catch (error) {
        this.#letters.lost();
        this.#unkept.write(() => ({ id: entry.id, error: messageOf(error) }));
      }
    }
  }
}
