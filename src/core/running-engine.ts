/** A running engine beyond answering calls: policies, views for operators, metrics. */
import type { Log } from '../adapters/contract.ts';
import type { RequestBag, Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import type { Engine } from './call.ts';
import type { LeasePage } from '../adapters/contract.ts';
import type { InspectionDepth } from './dispatch/inspect-quotas.ts';
import type { QuotaInspection } from './dispatch/quota-inspection.ts';
import type { LetterAnswer, LetterRequest } from './handlers/dead-letter-requests.ts';
import type { HandlerState, OpenHandlers } from './handlers/live-handler.ts';
import type { ReportQueueOptions } from './handlers/report-queue.ts';
import type { HeldBy } from './history/held-loop.ts';
import type { VerdictFilter } from './history/verdict-filter.ts';
import type { FoundVerdict } from './history/kept-verdicts.ts';
import type { CallObserver } from './history/observers.ts';
import type { KeptVerdict } from './history/summary.ts';
import type { MetricFamily } from './metrics/families.ts';
import type { Meters } from './metrics/meters.ts';
import type { Policy } from './rules/policy.ts';
import type { PreparedPolicy } from './snapshot/in-force.ts';
import type { Snapshot } from './snapshot/snapshot.ts';

export interface EngineOptions {
  readonly openHandlers: OpenHandlers;
  /** Default: the system clock. */
  readonly clock?: { nowMs(): number };
  readonly log?: Log;
  /** `false`: every report is written, whatever its rule samples (cases). */
  readonly sampleReports?: boolean;
  /** `false`: verdicts are not kept for operators (a candidate's). */
  readonly keepsVerdicts?: boolean;
  readonly reports?: ReportQueueOptions;
  /** Time for queued reports and running calls when a handler closes; 5 s by default. */
  readonly graceMs?: number;
  /** Its place in a crew, whose workers spool in folders of their own. Absent: all reports wait in memory, whatever the policy says. */
  readonly worker?: { readonly number: number; readonly count: number } | undefined;
}

export interface RunningEngine extends Engine {
  /** Puts a policy in force. Rejects with a SnapshotError; the last good policy stays. Policies are taken one at a time. */
  use(policy: Policy): Promise<void>;
  /** Opens a policy without putting it in force, so that several engines can commit it together or not at all. Rejects as `use` does. */
  prepare(policy: Policy): Promise<PreparedPolicy>;
  /** Settles when every queued report is written or discarded. */
  flush(): Promise<void>;
  /** Closes everything, reports first. Idempotent. `withinMs`: in place of `graceMs`. */
  drain(withinMs?: number): Promise<void>;
  /** The policy in force, with its open handlers. */
  readonly snapshot: Snapshot | undefined;
  handlers(): readonly HandlerState[];
  /** Dead letters of its handlers, in memory and on disk. */
  letters(request: LetterRequest): Promise<LetterAnswer>;
  /** A request as rules see it: enriched. Asks the handlers of enrich rules; `undefined` without a policy. */
  bagOf(call: CallKind, wire: Wire): Promise<RequestBag | undefined>;
  /** Inspects each quota rule for a call (`limit`: one wire per descriptor) without charging. `undefined` without a policy. */
  quotas(
    depth: InspectionDepth,
    call: CallKind,
    wires: readonly Wire[],
    leases?: LeasePage,
  ): Promise<readonly QuotaInspection[] | undefined>;
  /** Newest first. */
  verdicts(filter?: VerdictFilter): readonly KeptVerdict[];
  /** A kept verdict, by its id or by that of the request. */
  kept(id: string): FoundVerdict | undefined;
  /** The access log entry of a refused request, by the id of the verdict; values by attribute. */
  logEntry(id: string): Readonly<Record<string, unknown>> | undefined;
  /** Shows it each decided call, until the result is called. */
  observe(observer: CallObserver): () => void;
  /** What took long enough to keep other calls waiting, since the last time; the likeliest to have held the event loop first. */
  held(): readonly HeldBy[];
  readonly families: readonly MetricFamily[];
  readonly meters: Meters;
}
