/**
 * The logs of an engine, each opened once however many handlers of its name follow each other.
 * **In**: handlers that spool on disk. **Out**: their logs. **Fails**: to open, if a folder cannot be made or another process uses it.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../../adapters/contract.ts';
import { DeadLetters, newerFormat, openSpool } from '../../../spool/index.ts';
import { messageOf } from '../../../text/message-of.ts';
import type { HandlerSpool } from '../../rules/sections/spool-key.ts';
import { deadLetterFolder, workerOf } from './folders.ts';
import type { LoggedReport } from './group-writer.ts';
import { type RefusedReport, ReportLog } from './report-log.ts';

type DiskSpool = Extract<HandlerSpool, { kind: 'disk' }>;

export interface ReportLogsOptions {
  readonly log: Log;
  readonly graceMs: number;
  readonly nowMs: () => number;
  /** Its place among the workers; each has a folder of its own in that of the handler. */
  readonly worker: { readonly number: number; readonly count: number };
}

interface Opened {
  readonly log: Promise<ReportLog>;
  readonly letters: DeadLetterFolder;
  users: number;
}

/** Records of a sink that keeps up are taken from memory. */
const WINDOW_BYTES = 16 * 1024 * 1024;
const DEAD_LETTER_BYTES = 64 * 1024 * 1024;

export class ReportLogs {
  readonly #options: ReportLogsOptions;
  readonly #opened = new Map<string, Opened>();
  /** Open, in any order. */
  readonly #ready = new Set<ReportLog>();
  readonly #closing = new Map<string, Promise<void>>();
  readonly #stopping = Promise.withResolvers<void>();
  isStopping = false;

  constructor(options: ReportLogsOptions) {
    this.#options = options;
  }

  /** Settles when the engine stops. */
  get stopping(): Promise<void> {
    return this.#stopping.promise;
  }

  stop(): void {
    this.isStopping = true;
    this.#stopping.resolve();
  }

  /** Of this worker, then those that nobody else sends. */
  async open(handler: string, spool: DiskSpool): Promise<readonly ReportLog[]> {
    const { number } = this.#options.worker;
    const own = await this.#open(handler, spool, String(number));
    const adopted = await Promise.all(
      (await this.#left(spool.folder)).map((name) =>
        this.#open(handler, spool, name).catch((error: unknown) => {
          this.#options.log.warn('the log of a former worker is not adopted', { handler, error: messageOf(error) });
          return undefined;
        }),
      ),
    );
    return [own, ...adopted.filter((log) => log !== undefined)];
  }

  /** The logs of workers that are no more, for worker 1, and those that were put aside by an older version that could not read them. */
  async #left(folder: string): Promise<readonly string[]> {
    const { number, count } = this.#options.worker;
    const left: string[] = [];
    for (const name of await readdir(folder).catch(() => [])) {
      const worker = workerOf(name);
      if (worker === undefined || name === String(number)) continue;
      const isOurs = worker === number || (number === 1 && worker > count);
      if (isOurs && (await newerFormat(join(folder, name))) === undefined) left.push(name);
    }
    return left;
  }

  async #open(handler: string, spool: DiskSpool, name: string): Promise<ReportLog> {
    const folder = join(spool.folder, name);
    await this.#closing.get(folder);
    let opened = this.#opened.get(folder);
    if (opened === undefined) {
      opened = {
        log: this.#openLog(handler, folder, spool),
        letters: new DeadLetterFolder(deadLetterFolder(spool.folder, workerOf(name) ?? 1), this.#options.log),
        users: 0,
      };
      this.#opened.set(folder, opened);
    }
    opened.users++;
    try {
      return await opened.log;
    } catch (error) {
      this.#opened.delete(folder);
      throw error;
    }
  }

  async #openLog(handler: string, folder: string, spool: DiskSpool): Promise<ReportLog> {
    const { log, nowMs, graceMs } = this.#options;
    const { maxBytes, maxAgeMs, segmentBytes, syncEveryMs, whenFull } = spool;
    const options = { folder, maxBytes, maxAgeMs, segmentBytes, syncEveryMs, whenFull, windowBytes: WINDOW_BYTES };
    let opened: ReportLog | undefined;
    const onReplayed = (reports: number): void => opened?.arrived(reports);
    const disk = await openSpool<LoggedReport>({ ...options, log, nowMs, onReplayed });
    opened = new ReportLog(handler, folder, disk, log, graceMs);
    this.#ready.add(opened);
    if (opened.size > 0)
      log.info('reports that an earlier process left on disk are sent', { handler, folder, reports: opened.size });
    return opened;
  }

  /** One user less; the last one closes it. */
  async release(log: ReportLog, withinMs: number): Promise<void> {
    const opened = this.#opened.get(log.folder);
    if (opened === undefined || --opened.users > 0) return;
    this.#opened.delete(log.folder);
    this.#ready.delete(log);
    // In this order: a dead letter that the log waits for is either kept, or its report is sent again.
    const closing = log
      .close(withinMs)
      .then(() => opened.letters.close())
      .finally(() => this.#closing.delete(log.folder));
    this.#closing.set(log.folder, closing);
    await closing;
  }

  /** The log of a former worker is empty. */
  async discard(log: ReportLog): Promise<void> {
    await this.release(log, this.#options.graceMs);
    if (!this.#opened.has(log.folder)) await rm(log.folder, { recursive: true, force: true });
  }

  whenSafe(): Promise<void> | undefined {
    let waiting: Promise<void>[] | undefined;
    for (const log of this.#ready) {
      const safe = log.whenSafe();
      if (safe !== undefined) (waiting ??= []).push(safe);
    }
    return waiting === undefined
      ? undefined
      : waiting.length === 1
        ? waiting[0]
        : Promise.all(waiting).then(() => undefined);
  }

  /** Settles when they are dead letters, or cannot be. */
  async putAside(log: ReportLog, refused: readonly RefusedReport[]): Promise<void> {
    const letters = await this.#opened.get(log.folder)?.letters.open();
    const atMs = Date.now();
    if (letters === undefined) return;
    await Promise.all(
      refused.map(({ report, bytes, why }, at) =>
        letters.put(
          { id: report?.id ?? `unreadable-${atMs}-${at}`, rule: report?.definition.rule ?? '', why, atMs },
          bytes,
        ),
      ),
    );
  }
}

/** Opened with the first dead letter; most handlers never have one. */
class DeadLetterFolder {
  readonly #folder: string;
  readonly #log: Log;
  #open: Promise<DeadLetters | undefined> | undefined;

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /** `undefined`: they cannot be kept; logged. */
  open(): Promise<DeadLetters | undefined> {
    return (this.#open ??= DeadLetters.open(this.#folder, DEAD_LETTER_BYTES, this.#log).catch((error: unknown) => {
      this.#log.error('dead letters cannot be kept', { folder: this.#folder, error: messageOf(error) });
      this.#open = undefined;
      return undefined;
    }));
  }

  async close(): Promise<void> {
    await (await this.#open)?.close();
  }
}
