/**
 * The queue of reports to one handler.
 * **In**: entries. **Out**: batches, written in order, one at a time.
 * **Fails**: a batch is retried while the backend is unavailable; rejected entries are discarded, counted and logged. A full queue
 * applies back-pressure.
 *
 * It is in memory: a crash loses at most {@link ReportQueueOptions.maxWaiting} entries per handler.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { settlesWithin } from '../../time/settles-within.ts';
import { LONGEST_TIMER_MS } from '../../time/timer-wheel.ts';
import type { BatchDefaults, Call, Log, ReportEntry } from '../../adapters/contract.ts';
import { deadlinesOf } from '../actions.ts';
import { backgroundScope } from './call-scope.ts';
import { Failure } from './failure.ts';
import type { Gate } from './gate.ts';
import { ThrottledLine } from './throttled-line.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { nextId } from '../call-id.ts';
import { inputBytes, shownReport } from './report-size.ts';

export interface ReportQueueOptions {
  /** Entries that may wait for one handler. */
  readonly maxWaiting: number;
  /** Their estimated size. */
  readonly maxWaitingBytes: number;
}
export const DEFAULT_REPORT_QUEUE: ReportQueueOptions = { maxWaiting: 10_000, maxWaitingBytes: 16 * 1024 * 1024 };

type Write = (entries: readonly ReportEntry[], call: Call) => void | Promise<void>;

const DEFAULT_BATCH: Required<BatchDefaults> = { max: 100, maxAgeMs: 200, maxBytes: 1024 * 1024 };
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;

export class ReportQueue {
  readonly #gate: Gate;
  readonly #write: Write;
  readonly #options: ReportQueueOptions;
  readonly #log: Log;
  readonly #rejections: ThrottledLine;
  #batch: Required<BatchDefaults>;
  #deadlineMs: number;
  readonly #waiting: ReportEntry[] = [];
  /** Rule and size of each waiting entry, by index; parallel arrays save an object per report. */
  readonly #rules: string[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;
  /** Entries that were ever queued, and those that have left: written, rejected or dropped. */
  #queued = 0;
  #left = 0;
  readonly #passing: { readonly at: number; readonly resolve: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #room: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  /** Aborts the back-off before a retry. */
  #retry = new AbortController();
  #givesUpAtMs = Infinity;
  #isGivenUp = false;
  #lastWhy = 'it has not answered';

  constructor(gate: Gate, write: Write, spec: HandlerSpec, options: ReportQueueOptions, log: Log) {
    this.#gate = gate;
    this.#write = write;
    this.#options = options;
    this.#log = log;
    this.#rejections = new ThrottledLine(log, 'warn', 'reports were rejected and are discarded', {
      handler: gate.label,
    });
    this.#batch = { ...DEFAULT_BATCH, ...spec.batch };
    this.#deadlineMs = deadlinesOf(spec.deadlineMs).report;
  }

  /** Entries queued or being written. */
  get size(): number {
    return this.#waiting.length;
  }

  get isFull(): boolean {
    return this.#waiting.length >= this.#options.maxWaiting || this.#bytes >= this.#options.maxWaitingBytes;
  }

  configure(spec: HandlerSpec): void {
    this.#batch = { ...DEFAULT_BATCH, ...spec.batch };
    this.#deadlineMs = deadlinesOf(spec.deadlineMs).report;
  }

  /** Always accepts the entry; returns a promise for room if the queue is now full. */
  push(entry: ReportEntry, rule: string): Promise<void> | undefined {
    const bytes = inputBytes(entry.input);
    this.#queued++;
    this.#waiting.push(entry);
    this.#rules.push(rule);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    if (this.#waiting.length >= this.#batch.max || this.#bytes >= this.#batch.maxBytes) this.#start();
    else if (this.#timer === undefined && this.#writing === undefined)
      this.#timer = setTimeout(() => this.#start(), Math.min(this.#batch.maxAgeMs, LONGEST_TIMER_MS)).unref();
    if (!this.isFull) return undefined;
    if (this.#room === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#room = { promise, resolve };
    }
    return this.#room.promise;
  }

  /** Settles when what is queued now has left, at its own pace. */
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

  /** Settles when all queued entries are written or discarded. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#start();
      await this.#writing;
    }
  }

  /** Drains the queue for at most `withinMs`; then drops the rest, the batch being written included, and logs it. */
  async close(withinMs: number): Promise<void> {
    this.#givesUpAtMs = performance.now() + withinMs;
    this.#retry.abort();
    await settlesWithin(withinMs, this.flush());
    clearTimeout(this.#timer);
    this.#giveUp();
  }

  #giveUp(): void {
    this.#isGivenUp = true;
    if (this.#waiting.length === 0) return;
    this.#gate.health.meters.lost += this.#waiting.length;
    this.#log.error('reports lost: the backend did not accept them before the handler closed', {
      handler: this.#gate.label,
      entries: this.#waiting.length,
      bytes: this.#bytes,
      why: this.#lastWhy,
      first: this.#shown(0),
    });
    this.#leave(this.#waiting.length);
    this.#waiting.length = this.#rules.length = this.#sizes.length = 0;
    this.#bytes = 0;
    this.#retry.abort();
    this.#makeRoom();
  }

  #makeRoom(): void {
    this.#room?.resolve();
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
      if (this.#isGivenUp) return;
      this.#waiting.splice(0, length);
      this.#leave(length);
      this.#rules.splice(0, length);
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
    return entry === undefined ? '' : shownReport(this.#rules[at] ?? '', entry, this.#sizes[at] ?? 0);
  }

  /** Retries until the batch is written, rejected or dropped. */
  async #deliver(entries: readonly ReportEntry[]): Promise<void> {
    const { meters } = this.#gate.health;
    const id = nextId();
    for (let tries = 0; ; tries += 1) {
      const answer = await this.#gate.ask<readonly ReportEntry[], void>(
        this.#write,
        entries,
        backgroundScope(id),
        this.#deadlineMs,
        () => undefined,
      );
      if (this.#isGivenUp) return;
      if (!(answer instanceof Failure)) {
        meters.written += entries.length;
        return;
      }
      this.#lastWhy = answer.why;
      if (answer.kind === 'rejected' || answer.kind === 'fault') {
        const refused = answer.entries?.length ?? entries.length;
        meters.deadLettered += refused;
        meters.written += entries.length - refused;
        const first = answer.entries?.[0] ?? 0;
        this.#rejections.write(() => ({
          why: answer.why,
          rejected: refused,
          written: entries.length - refused,
          ...(first < entries.length ? { first: this.#shown(first) } : {}),
        }));
        return;
      }
      meters.retried += 1;
      const pauseMs = Math.max(
        answer.retryAfterMs,
        Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10)),
      );
      this.#retry = new AbortController();
      await pause(
        Math.min(pauseMs * (0.75 + Math.random() / 2), Math.max(1, this.#givesUpAtMs - performance.now())),
        this.#retry.signal,
      );
      if (this.#isGivenUp) return;
    }
  }
}

/** Settles after the pause, or when it is aborted. */
const pause = async (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(Math.min(ms, LONGEST_TIMER_MS), undefined, { signal }).catch(() => undefined);
