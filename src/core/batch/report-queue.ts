/**
 * Reports on their way to one handler.
 * **In**: entries, as calls make them. **Out**: batches, written one after the other, in order.
 * **Fails**: what the backend cannot take now is tried again; what it refuses is put aside, counted and told. A full queue
 * makes whoever brings more wait.
 *
 * Kept in memory: what waits when the process dies is lost, at most {@link ReportQueueOptions.maxWaiting} entries a handler.
 */
import type { BatchDefaults, Call, Log, ReportEntry } from '../../adapters/contract.ts';
import { deadlineOf } from '../capabilities.ts';
import { scopeOfOwn } from '../dispatch/call-scope.ts';
import { Failure } from '../dispatch/failure.ts';
import type { Gate } from '../dispatch/gate.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { nextId } from '../verdict-id.ts';

export interface ReportQueueOptions {
  /** Entries that may wait for one handler. */
  readonly maxWaiting: number;
  /** Their size, as estimated by their texts. */
  readonly maxWaitingBytes: number;
}
export const DEFAULT_REPORT_QUEUE: ReportQueueOptions = { maxWaiting: 10_000, maxWaitingBytes: 16 * 1024 * 1024 };

type Write = (entries: readonly ReportEntry[], call: Call) => void | Promise<void>;
interface Waiting { readonly entry: ReportEntry; readonly bytes: number }

const DEFAULT_BATCH: Required<BatchDefaults> = { max: 100, maxAgeMs: 200, maxBytes: 1024 * 1024 };
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;

export class ReportQueue {
  readonly #gate: Gate;
  readonly #write: Write;
  readonly #options: ReportQueueOptions;
  readonly #log: Log;
  #batch: Required<BatchDefaults>;
  #deadlineMs: number;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #room: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #wakeRetry: (() => void) | undefined;
  #givesUpAtMs = Infinity;

  constructor(gate: Gate, write: Write, spec: HandlerSpec, options: ReportQueueOptions, log: Log, adapterBatch: BatchDefaults = {}) {
    this.#gate = gate;
    this.#write = write;
    this.#options = options;
    this.#log = log;
    this.#batch = { ...DEFAULT_BATCH, ...adapterBatch, ...spec.batch };
    this.#deadlineMs = deadlineOf('report', spec.deadlineMs);
  }

  /** Entries that wait, or are being written. */
  get size(): number {
    return this.#waiting.length;
  }

  get isFull(): boolean {
    return this.#waiting.length >= this.#options.maxWaiting || this.#bytes >= this.#options.maxWaitingBytes;
  }

  configure(spec: HandlerSpec): void {
    this.#batch = { ...this.#batch, ...spec.batch };
    this.#deadlineMs = deadlineOf('report', spec.deadlineMs);
  }

  /** Always takes the entry; a promise where the queue is full now, which resolves when there is room again. */
  push(entry: ReportEntry): Promise<void> | undefined {
    const bytes = sizeOf(entry.input);
    this.#waiting.push({ entry, bytes });
    this.#bytes += bytes;
    if (this.#waiting.length >= this.#batch.max || this.#bytes >= this.#batch.maxBytes) this.#start();
    else if (this.#timer === undefined && this.#writing === undefined) this.#timer = setTimeout(() => this.#start(), this.#batch.maxAgeMs).unref();
    if (!this.isFull) return undefined;
    if (this.#room === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#room = { promise, resolve };
    }
    return this.#room.promise;
  }

  /** Until all that waits now has been written or put aside. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#start();
      await this.#writing;
    }
  }

  /** Writes what waits, for so long; then gives up what is left, and says how much that is. */
  async close(withinMs: number): Promise<void> {
    this.#givesUpAtMs = performance.now() + withinMs;
    this.#wakeRetry?.();
    await this.flush();
    clearTimeout(this.#timer);
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
      const batch = this.#next();
      await this.#deliver(batch.map(({ entry }) => entry));
      this.#waiting.splice(0, batch.length);
      for (const { bytes } of batch) this.#bytes -= bytes;
      if (!this.isFull) {
        this.#room?.resolve();
        this.#room = undefined;
      }
    }
  }

  #next(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const one of this.#waiting) {
      if (batch.length >= this.#batch.max || (batch.length > 0 && bytes + one.bytes > this.#batch.maxBytes)) break;
      batch.push(one);
      bytes += one.bytes;
    }
    return batch;
  }

  async #deliver(entries: readonly ReportEntry[]): Promise<void> {
    const { meters } = this.#gate;
    const id = nextId();
    for (let tries = 0; ; tries += 1) {
      const answer = await this.#gate.ask<readonly ReportEntry[], void>(this.#write, entries, scopeOfOwn(id), this.#deadlineMs, () => undefined);
      if (!(answer instanceof Failure)) {
        meters.written += entries.length;
        return;
      }
      if (answer.kind === 'rejected' || answer.kind === 'fault') {
        const refused = answer.entries?.length ?? entries.length;
        meters.deadLettered += refused;
        meters.written += entries.length - refused;
        this.#log.error('reports were refused and are put aside', { handler: this.#gate.label, entries: refused, why: answer.why });
        return;
      }
      if (performance.now() >= this.#givesUpAtMs) {
        meters.lost += entries.length;
        this.#log.error('reports are lost: their backend could not be reached before the end', { handler: this.#gate.label, entries: entries.length, why: answer.why });
        return;
      }
      meters.retried += 1;
      if (tries === 0) this.#log.warn('reports wait: their backend cannot take them now', { handler: this.#gate.label, entries: this.#waiting.length, why: answer.why });
      const pauseMs = Math.max(answer.retryAfterMs, Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10)));
      await this.#pause(Math.min(pauseMs * (0.75 + Math.random() / 2), Math.max(1, this.#givesUpAtMs - performance.now())));
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#wakeRetry = undefined;
        resolve();
      }, ms);
      this.#wakeRetry = () => {
        clearTimeout(timer);
        this.#wakeRetry = undefined;
        resolve();
      };
    });
  }
}

/** About what an entry weighs: its texts, and something for each field. */
function sizeOf(input: Readonly<Record<string, unknown>>): number {
  let bytes = 64;
  for (const name in input) {
    const value = input[name];
    bytes += 16 + name.length + (typeof value === 'string' ? value.length : typeof value === 'object' && value !== null ? 64 : 8);
  }
  return bytes;
}
