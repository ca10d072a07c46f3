/**
 * The logs on disk of the handlers of an engine; the code behind them is loaded with the first handler that spools.
 * **In**: handlers to open. **Out**: their queues. **Fails**: to open a queue, if its folder cannot be used.
 */
import type { AnyHandler, Log } from '../../adapters/contract.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import type { BatchDelivery } from './batch-delivery.ts';
import type { ReportQueue } from './report-queue.ts';
import type { ReportLogs } from './spooled/report-logs.ts';

export type MakeQueue = (handler: AnyHandler, delivery: BatchDelivery) => ReportQueue;

export interface SpoolsOptions {
  readonly log: Log;
  readonly graceMs: number;
  readonly nowMs: () => number;
  /** Absent: all reports wait in memory (cases, explanations). */
  readonly worker: { readonly number: number; readonly count: number } | undefined;
}

export class Spools {
  readonly #options: SpoolsOptions;
  readonly #stopping = Promise.withResolvers<void>();
  #loading: ReturnType<typeof load> | undefined;
  #logs: ReportLogs | undefined;

  constructor(options: SpoolsOptions) {
    this.#options = options;
  }

  /** `undefined` for a handler whose reports wait in memory. */
  async queueOf(spec: HandlerSpec): Promise<MakeQueue | undefined> {
    const { log, worker } = this.#options;
    if (spec.spool.kind === 'memory' || worker === undefined) return undefined;
    const { DiskQueue, ReportLogs: Logs } = await (this.#loading ??= load());
    const logs = (this.#logs ??= new Logs({ ...this.#options, worker, stopping: this.#stopping.promise }));
    const opened = await logs.open(spec.name, spec.spool);
    return (handler, delivery) => new DiskQueue({ spec, handler, delivery, logs, opened, log });
  }

  /** Settles when every report queued so far is written; `undefined`: all are. */
  whenSafe(): Promise<void> | undefined {
    return this.#logs?.whenSafe();
  }

  /** Handlers that close leave the rest on disk. */
  stop(): void {
    this.#stopping.resolve();
  }
}

async function load() {
  const [{ DiskQueue }, { ReportLogs }] = await Promise.all([
    import('./spooled/disk-queue.ts'),
    import('./spooled/report-logs.ts'),
  ]);
  return { DiskQueue, ReportLogs };
}
