/**
 * The reports to one handler in a log on disk, which outlives the handler: a reload gives the log to the new handler of its name.
 * **In**: reports, and who sends them. **Out**: batches in order, one at a time; the cursor moves when a batch is delivered or refused.
 * **Fails**: never; what cannot be sent stays on disk. While the disk is full or fails, there is no room.
 */
import type { Log, ReportEntry } from '../../../adapters/contract.ts';
import type { Spool } from '../../../spool/index.ts';
import { messageOf } from '../../../text/message-of.ts';
import { settlesWithin } from '../../../time/settles-within.ts';
import { LONGEST_TIMER_MS } from '../../../time/timer-wheel.ts';
import type { Rule } from '../../rules/rule.ts';
import type { ReportQueueState } from '../report-queue.ts';
import { GroupWriter, type LoggedReport } from './group-writer.ts';
import { decodeReport, definitionOf, type EncodedDefinition, encodeReport, endGroup, isEndOfGroup } from './record.ts';

export interface RefusedReport {
  readonly report: LoggedReport | undefined;
  readonly bytes: Uint8Array;
  readonly why: string;
}

/** A handler that sends the reports of a log. */
export interface Sender {
  batch(): { readonly max: number; readonly maxBytes: number; readonly maxAgeMs: number };
  /** Aborted when another sender takes over, or the handler closes. */
  readonly stop: AbortSignal;
  /** The refused ones; `undefined`: it was stopped before the backend had answered. */
  send(
    reports: readonly LoggedReport[],
  ): Promise<readonly { readonly index: number; readonly why: string }[] | undefined>;
  /** Settles when they are kept, or cannot be; the cursor moves then. */
  refused(reports: readonly RefusedReport[]): Promise<void>;
  /** Nothing waits; sinks may be forgotten. */
  emptied(): void;
}

interface Batch {
  readonly through: number;
  readonly records: readonly Uint8Array[];
  readonly reports: readonly (LoggedReport | string)[];
}

export class ReportLog {
  readonly name: string;
  readonly folder: string;
  readonly #spool: Spool<LoggedReport>;
  readonly #log: Log;
  /** For a batch whose sender stopped and whose answer is not known. */
  readonly #graceMs: number;
  readonly #groups: GroupWriter;
  readonly #definitions = new Map<string, EncodedDefinition>();
  #sender: Sender | undefined;
  #pending: Batch | undefined;
  #inFlight: { readonly sender: Sender; readonly sent: Promise<void> } | undefined;
  /** Reports that have arrived since the last batch was due. */
  #fresh = 0;
  #timer: NodeJS.Timeout | undefined;
  /** At first for what an earlier process left. */
  #isDue = true;
  #wake: PromiseWithResolvers<void> | undefined;
  #isClosed = false;
  readonly #sending: Promise<void>;
  readonly #emptied: (() => void)[] = [];

  constructor(name: string, folder: string, spool: Spool<LoggedReport>, log: Log, graceMs: number) {
    this.name = name;
    this.folder = folder;
    this.#spool = spool;
    this.#log = log;
    this.#graceMs = graceMs;
    this.#groups = new GroupWriter(name, spool, log, (reports) => this.arrived(reports));
    this.#sending = this.#sendAll();
  }

  // ---------------------------------------------------------- in

  /** Throws if the report has no form on disk. */
  push(entry: ReportEntry, rule: Rule): Promise<void> | undefined {
    const definition = definitionOf(rule);
    this.#definitions.set(definition.key, definition);
    return this.#groups.push(entry, definition);
  }

  whenSafe(): Promise<void> | undefined {
    return this.#groups.whenSafe();
  }

  get isFull(): boolean {
    return this.#spool.room() !== undefined;
  }

  get size(): number {
    return this.#spool.state.waiting + this.#groups.size;
  }

  get state(): ReportQueueState {
    const { bytesOnDisk, oldestAtMs, stoppedMs, ...disk } = this.#spool.state;
    return { waiting: this.size, bytes: bytesOnDisk, oldestMs: oldestAtMs, stoppedMs, disk };
  }

  // ---------------------------------------------------------- out

  /** From now on this one sends; `undefined`: nobody does. */
  sendBy(sender: Sender | undefined): void {
    this.#sender = sender;
    this.#due();
  }

  isSentBy(sender: Sender): boolean {
    return this.#sender === sender;
  }

  /** It sends no more. Settles when its last batch is answered, or given up. */
  async stopped(sender: Sender): Promise<void> {
    if (this.#sender === sender) this.#sender = undefined;
    if (this.#inFlight?.sender === sender) await this.#inFlight.sent.catch(() => undefined);
  }

  /** Settles when nothing waits, or nobody sends. */
  async flush(): Promise<void> {
    await this.whenSafe()?.catch(() => undefined);
    if (this.size === 0 || this.#sender === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied.push(resolve);
    this.#due();
    await promise;
  }

  /** Reports can be taken: those of a group, or dead letters that an operator replays. */
  arrived(reports: number): void {
    const { max = 1, maxAgeMs = 0 } = this.#sender?.batch() ?? {};
    this.#fresh += reports;
    if (this.#fresh >= max) this.#due();
    else this.#timer ??= setTimeout(() => this.#due(), Math.min(maxAgeMs, LONGEST_TIMER_MS)).unref();
  }

  #due(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fresh = 0;
    this.#isDue = true;
    this.#wake?.resolve();
    this.#wake = undefined;
  }

  async #sendAll(): Promise<void> {
    while (!this.#isClosed) {
      const sender = this.#sender;
      try {
        if (sender === undefined || !this.#isDue) await (this.#wake ??= Promise.withResolvers<void>()).promise;
        else if ((this.#pending ??= await this.#next(sender)) === undefined) this.#ranOut(sender);
        else {
          this.#inFlight = { sender, sent: this.#send(this.#pending, sender) };
          await this.#inFlight.sent;
        }
      } catch (error) {
        this.#log.error('internal error while sending reports; they stay on disk', {
          handler: this.name,
          error: messageOf(error),
        });
        this.#isDue = false;
        this.#timer ??= setTimeout(() => this.#due(), AFTER_FAULT_MS).unref();
      }
    }
    this.#notifyEmptied();
  }

  #ranOut(sender: Sender): void {
    this.#isDue = false;
    if (this.size > 0) return; // written in a moment, which makes a batch due
    this.#definitions.clear();
    sender.emptied();
    this.#notifyEmptied();
  }

  #notifyEmptied(): void {
    for (const resolve of this.#emptied.splice(0)) resolve();
  }

  async #next(sender: Sender): Promise<Batch | undefined> {
    const { max, maxBytes } = sender.batch();
    const taken = await this.#spool.take(max, maxBytes);
    if (taken === undefined) return undefined;
    return {
      through: taken.through,
      records: taken.records.map(({ bytes }) => bytes),
      reports: taken.records.map(({ bytes, value }) => value ?? this.#decoded(bytes)),
    };
  }

  /** The report, or why it cannot be read. */
  #decoded(bytes: Uint8Array): LoggedReport | string {
    try {
      const { key, definition, ...report } = decodeReport(bytes);
      if (definition !== undefined) this.#definitions.set(key, definition);
      const known = this.#definitions.get(key);
      return known === undefined
        ? 'the definition of its sink is lost; the log was damaged there'
        : { ...report, definition: known };
    } catch (error) {
      return `it cannot be read: ${messageOf(error)}`;
    }
  }

  async #send(batch: Batch, sender: Sender): Promise<void> {
    const readable = [...batch.reports.entries()].filter(
      (entry): entry is [number, LoggedReport] => typeof entry[1] !== 'string',
    );
    const refused = batch.reports.flatMap((report, index) =>
      typeof report === 'string' ? [{ index, why: report }] : [],
    );
    if (readable.length > 0) {
      const sent = await this.#answered(sender.send(readable.map(([, report]) => report)), sender.stop);
      if (sent === undefined) {
        if (this.#sender === sender) this.#sender = undefined; // the batch is for the next one
        if (this.#sender === undefined) this.#notifyEmptied();
        return;
      }
      for (const { index, why } of sent) refused.push({ index: readable[index]?.[0] ?? 0, why });
    }
    if (refused.length > 0) await sender.refused(refused.map(({ index, why }) => this.#refusal(batch, index, why)));
    if (this.#isClosed) return; // those that could not be kept are sent again
    this.#pending = undefined;
    // Only to the end of a group; its definitions stand at its beginning.
    const end = batch.records.findLastIndex(isEndOfGroup);
    if (end >= 0) this.#spool.acknowledge(batch.through - (batch.records.length - 1 - end));
  }

  #refusal({ records, reports }: Batch, index: number, why: string): RefusedReport {
    const report = reports[index];
    const bytes = records[index] ?? new Uint8Array();
    if (report === undefined || typeof report === 'string') return { report: undefined, bytes, why };
    const alone = encodeReport(report, report.definition, true);
    endGroup(alone);
    return { report, bytes: alone, why };
  }

  /** A sender that was stopped has a moment for its answer, so that the batch need not be sent twice. */
  async #answered<T>(answer: Promise<T | undefined>, stop: AbortSignal): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const onStop = (): void => {
      void settlesWithin(this.#graceMs, answer).then(
        () => resolve(undefined),
        () => resolve(undefined),
      );
    };
    if (stop.aborted) onStop();
    else stop.addEventListener('abort', onStop, { once: true });
    try {
      return await Promise.race([answer, promise]);
    } finally {
      stop.removeEventListener('abort', onStop);
    }
  }

  /** Syncs; what waits stays on disk. */
  async close(withinMs: number): Promise<void> {
    this.#groups.append();
    this.#isClosed = true;
    this.#due();
    clearTimeout(this.#timer);
    await settlesWithin(withinMs, this.#sending);
    await this.#spool.close(withinMs);
  }
}

const AFTER_FAULT_MS = 1000;
