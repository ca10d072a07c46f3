/**
 * The reports of one open handler, in logs on disk: its own, and those of workers that are no more.
 * **In**: reports. **Out**: batches to the handler while it is in force, or while its log has no other handler. **Fails**: as the logs do.
 */
import { basename, dirname } from 'node:path';
import type { AnyHandler, Log, LogFields } from '../../../adapters/contract.ts';
import { messageOf } from '../../../text/message-of.ts';
import { settlesWithin } from '../../../time/settles-within.ts';
import type { HandlerSpec } from '../../rules/policy.ts';
import type { Rule } from '../../rules/rule.ts';
import type { BatchDelivery } from '../batch-delivery.ts';
import { batchOf, mergedStates, type ReportQueue, type ReportQueueState } from '../report-queue.ts';
import { shownReport } from '../report-size.ts';
import { ThrottledLine } from '../throttled-line.ts';
import type { ReportEntry } from '../../../adapters/contract.ts';
import { commandFor } from './folders.ts';
import { definitionOf, type EncodedDefinition } from './record.ts';
import type { LoggedReport } from './group-writer.ts';
import type { RefusedReport, ReportLog, Sender } from './report-log.ts';
import type { ReportLogs } from './report-logs.ts';

export interface DiskQueueOptions {
  readonly spec: HandlerSpec;
  readonly handler: AnyHandler;
  readonly delivery: BatchDelivery;
  readonly logs: ReportLogs;
  /** Its own log first. */
  readonly opened: readonly ReportLog[];
  readonly log: Log;
}

type Made = { readonly sink: unknown } | { readonly why: string };

export class DiskQueue implements ReportQueue {
  readonly #handler: AnyHandler;
  readonly #delivery: BatchDelivery;
  readonly #logs: ReportLogs;
  readonly #own: ReportLog;
  readonly #adopted: Set<ReportLog>;
  readonly #refusals: ThrottledLine;
  readonly #log: Log;
  /** Of all spools. */
  readonly #folder: string;
  readonly #stop = new AbortController();
  readonly #senders = new Map<ReportLog, Sender>();
  /** By the key of their definition. */
  readonly #sinks = new Map<string, Made>();
  #batch: ReturnType<typeof batchOf>;
  /** Some sinks may belong to rules of an earlier policy. */
  #hasOldSinks = false;

  constructor({ spec, handler, delivery, logs, opened: [own, ...adopted], log }: DiskQueueOptions) {
    if (own === undefined) throw new TypeError('a spooled handler needs a log');
    this.#handler = handler;
    this.#delivery = delivery;
    this.#logs = logs;
    this.#own = own;
    this.#adopted = new Set(adopted);
    this.#log = log;
    this.#folder = dirname(dirname(own.folder));
    this.#batch = batchOf(spec);
    this.#refusals = new ThrottledLine(log, 'warn', 'reports were rejected and are put aside', {
      handler: delivery.gate.label,
    });
  }

  get size(): number {
    return this.#all().reduce((sum, log) => sum + log.size, 0);
  }

  get isFull(): boolean {
    return this.#own.isFull;
  }

  get state(): ReportQueueState | undefined {
    return mergedStates(this.#all().map((log) => log.state));
  }

  /** The folder of the handler, for the first worker: one of them answers for the letters of all. */
  get lettersIn(): string | undefined {
    const { folder } = this.#own;
    return basename(folder) === '1' ? dirname(folder) : undefined;
  }

  /** In force: from now on this handler sends what waits, whoever queued it. */
  configure(spec: HandlerSpec): void {
    this.#batch = batchOf(spec);
    this.#delivery.configure(spec);
    this.#hasOldSinks = this.#sinks.size > 0;
    for (const log of this.#all()) {
      if (!this.#senders.has(log)) this.#senders.set(log, this.#senderFor(log));
      log.sendBy(this.#senders.get(log));
    }
  }

  prepare(rule: Rule): void {
    definitionOf(rule);
  }

  push(entry: ReportEntry, rule: Rule): Promise<void> | undefined {
    return this.#own.push(entry, rule);
  }

  whenSafe(): Promise<void> | undefined {
    return this.#own.whenSafe();
  }

  /** Its sinks are its own, made from definitions, so that rules may go at once. */
  async passed(): Promise<void> {}

  async flush(): Promise<void> {
    await Promise.all(this.#all().map((log) => log.flush()));
  }

  /** Without a successor it goes on until nothing waits, or the engine stops; then the rest stays on disk. */
  async close(withinMs: number): Promise<void> {
    const sending = this.#all().filter((log) => this.#isSending(log));
    if (sending.length > 0 && this.size > 0 && !this.#logs.isStopping)
      this.#log.warn('a removed handler still has reports on disk; it goes on until they are sent', {
        handler: this.#delivery.gate.label,
        reports: this.size,
        list: commandFor('spool list', this.#folder),
      });
    if (sending.length > 0)
      await Promise.race([this.#logs.stopping, Promise.all(sending.map((log) => this.#left(log)))]);
    this.#stop.abort();
    const endsAtMs = performance.now() + withinMs;
    await settlesWithin(withinMs / 2, Promise.all([...this.#senders].map(([log, sender]) => log.stopped(sender))));
    await Promise.all(this.#all().map((log) => this.#logs.release(log, Math.max(0, endsAtMs - performance.now()))));
    this.#logKeptLetters();
  }

  #logKeptLetters(): void {
    const { deadLettered } = this.#delivery.gate.health.meters;
    if (deadLettered === 0 || !this.#logs.isStopping) return;
    this.#log.info('dead letters stay on disk', {
      handler: this.#delivery.gate.label,
      sinceStart: deadLettered,
      folder: dirname(this.#own.folder),
      list: commandFor('deadletter list', this.#folder),
    });
  }

  #all(): readonly ReportLog[] {
    return [this.#own, ...this.#adopted];
  }

  #isSending(log: ReportLog): boolean {
    const sender = this.#senders.get(log);
    return sender !== undefined && log.isSentBy(sender);
  }

  async #left(log: ReportLog): Promise<void> {
    while (this.#isSending(log) && log.size > 0) await log.flush();
  }

  #senderFor(log: ReportLog): Sender {
    return {
      batch: () => this.#batch,
      stop: this.#stop.signal,
      send: (reports) => this.#send(reports),
      refused: (reports) => this.#refused(reports),
      emptied: () => this.#emptied(log),
    };
  }

  async #send(reports: readonly LoggedReport[]): ReturnType<Sender['send']> {
    const refused: { index: number; why: string }[] = [];
    const entries: ReportEntry[] = [];
    const indexes: number[] = [];
    const reveals: (readonly string[])[] = [];
    for (const [index, { id, timeMs, input, definition }] of reports.entries()) {
      const made = this.#sinkOf(definition);
      if ('why' in made) refused.push({ index, why: made.why });
      else {
        entries.push({ sink: made.sink, id, timeMs, input });
        indexes.push(index);
        reveals.push(definition.reveals);
      }
    }
    if (entries.length > 0) {
      const delivered = await this.#delivery.deliver(entries, this.#stop.signal, (at) => reveals[at] ?? []);
      if (delivered === undefined) return undefined;
      for (const at of delivered.refused) refused.push({ index: indexes[at] ?? 0, why: delivered.why });
    }
    this.#delivery.gate.health.meters.written += reports.length - refused.length;
    return refused;
  }

  /** Also for a rule that no policy has any more. */
  #sinkOf({ key, rule, params, shape }: EncodedDefinition): Made {
    const { gate } = this.#delivery;
    let made = this.#sinks.get(key);
    if (made === undefined) {
      try {
        made = { sink: this.#handler.sink?.({ rule, params, input: shape }) };
      } catch (error) {
        made = {
          why: `[${gate.label}] the handler does not take the rule ${rule}: ${gate.shown(messageOf(error))}`,
        };
      }
      this.#sinks.set(key, made);
    }
    return made;
  }

  async #refused(reports: readonly RefusedReport[]): Promise<void> {
    this.#delivery.gate.health.meters.deadLettered += reports.length;
    const kept = this.#logs.putAside(this.#own, reports);
    const [first] = reports;
    if (first !== undefined) this.#refusals.write(() => this.#refusalFields(first, reports.length));
    await kept;
  }

  #refusalFields({ report, bytes, why }: RefusedReport, rejected: number): LogFields {
    if (report === undefined) return { why, rejected, list: commandFor('deadletter list', this.#folder) };
    return {
      why,
      rejected,
      first: shownReport(report.definition.rule, { ...report, sink: undefined }, bytes.length),
      show: commandFor(`deadletter show ${report.id}`, this.#folder),
    };
  }

  #emptied(log: ReportLog): void {
    if (this.#hasOldSinks && this.size === 0) {
      for (const made of this.#sinks.values()) if ('sink' in made) this.#forget(made.sink);
      this.#sinks.clear();
      this.#hasOldSinks = false;
    }
    if (!this.#adopted.delete(log)) return;
    this.#senders.delete(log);
    log.sendBy(undefined);
    void this.#logs.discard(log);
  }

  #forget(sink: unknown): void {
    try {
      this.#handler.forget?.(sink);
    } catch (error) {
      this.#log.error('forgetting the sink of a rule failed', {
        handler: this.#delivery.gate.label,
        error: this.#delivery.gate.shown(messageOf(error)),
      });
    }
  }
}
