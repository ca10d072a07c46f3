/** The messages between the supervisor of `sluice serve` and a worker. */
import type { AskedCall, LimitsAnswer } from '../../admin/sources.ts';
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';
import type { KeptVerdict, VerdictFilter } from '../../core/history/kept-verdicts.ts';
import type { LogFormat, LogLevel } from '../../log/log.ts';
import type { PolicyTexts } from './source.ts';
import type { TransportFlags } from './thread.ts';

/** The state of a worker, for the admin port. */
export interface WorkerView {
  readonly handlers: readonly HandlerState[];
  readonly metrics: string;
}

export interface PolicyProtocol {
  readonly data: {
    readonly transport: TransportFlags;
    readonly graceMs: number;
    readonly log: { readonly format: LogFormat; readonly level: LogLevel };
  };
  readonly texts: PolicyTexts;
  readonly requests: {
    readonly view: { readonly given: undefined; readonly answer: WorkerView };
    readonly verdicts: { readonly given: VerdictFilter; readonly answer: readonly KeptVerdict[] };
    readonly limits: {
      readonly given: { readonly depth: InspectionDepth; readonly asked: AskedCall };
      readonly answer: LimitsAnswer | undefined;
    };
  };
  readonly event: never;
}
