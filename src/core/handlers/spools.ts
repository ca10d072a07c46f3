/**
 * The logs on disk of the handlers of an engine; the code behind them is loaded with the first handler that spools.
 * **In**: handlers to open. **Out**: their queues. **Fails**: to open a queue, if its folder cannot be used.
 */
import { existsSync } from 'node:fs';
import type { AnyHandler, Log } from '../../adapters/contract.ts';
import type { HandlerSpec, Policy } from '../rules/policy.ts';
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
  #isStopping = false;
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
    const logs = (this.#logs ??= new Logs({ ...this.#options, worker }));
    if (this.#isStopping) logs.stop();
    const opened = await logs.open(spec.name, spec.spool);
    return (handler, delivery) => new DiskQueue({ spec, handler, delivery, logs, opened, log });
  }

  /** Once, for the first policy: nobody sends what an earlier one left for handlers that this one does not spool. */
  async logOrphans({ handlers, spoolFolder }: Policy): Promise<void> {
    const { log, worker } = this.#options;
    if (spoolFolder === undefined || worker?.number !== 1 || !existsSync(spoolFolder)) return;
    const spooled = [...handlers.values()].flatMap(({ name, spool }) => (spool.kind === 'disk' ? [name] : []));
    const { logOrphans } = await import('./spooled/orphans.ts');
    await logOrphans(spoolFolder, new Set(spooled), log);
  }

  /** Settles when every report queued so far is written; `undefined`: all are. */
  whenSafe(): Promise<void> | undefined {
    return this.#logs?.whenSafe();
  }

  /** Handlers that close leave the rest on disk. */
  stop(): void {
    this.#isStopping = true;
    this.#logs?.stop();
  }
}

async function load() {
  const [{ DiskQueue }, { ReportLogs }] = await Promise.all([
    import('./spooled/disk-queue.ts'),
    import('./spooled/report-logs.ts'),
  ]);
  return { DiskQueue, ReportLogs };
}
