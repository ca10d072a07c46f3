/** What the supervisor of `sluice serve` and a worker say to each other. */
import type { AskedCall, LimitsAnswer } from '../../admin/sources.ts';
import type { LookDepth } from '../../core/dispatch/look-at-quotas.ts';
import type { KeptVerdict, VerdictFilter } from '../../core/history/kept-verdicts.ts';
import type { Address } from '../../transport/index.ts';
import type { LogFormat, LogLevel } from '../../log/log.ts';
import type { PolicyTexts } from '../policy-source.ts';
import type { TransportFlags } from '../server.ts';
import type { MemoryWish } from '../crew/shared-memory-request.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';

/** Given to a worker when it starts. */
export interface WorkerData {
  readonly number: number;
  readonly count: number;
  /** In force when it was started. */
  readonly texts: PolicyTexts;
  readonly grpc: Address;
  readonly transport: TransportFlags;
  readonly graceMs: number;
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
}

/** What a worker knows, for the admin port. */
export interface WorkerView {
  readonly handlers: readonly HandlerState[];
  readonly metrics: string;
}

export interface ServeTalk {
  readonly asks: {
    /** Opens what they need; refused with why they cannot be in force. `commit` or `abandon` follows. */
    readonly prepare: { readonly given: PolicyTexts; readonly answer: true };
    readonly commit: { readonly given: undefined; readonly answer: true };
    readonly abandon: { readonly given: undefined; readonly answer: true };
    /** Both at once. */
    readonly use: { readonly given: PolicyTexts; readonly answer: true };
    readonly view: { readonly given: undefined; readonly answer: WorkerView };
    readonly verdicts: { readonly given: VerdictFilter; readonly answer: readonly KeptVerdict[] };
    readonly limits: {
      readonly given: { readonly depth: LookDepth; readonly asked: AskedCall };
      readonly answer: LimitsAnswer | undefined;
    };
  };
  readonly ready: { readonly port: number };
  readonly told: MemoryWish;
}
