/** The messages between the supervisor of `sluice serve` and a worker. */
import type { LeasePage } from '../../adapters/contract.ts';
import type { AskedCall, FeedPart, FeedRequest, LimitsAnswer, LogEntry, TopLimit } from '../../admin/sources.ts';
import type { ComparisonReport } from '../../candidate/report.ts';
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { CounterInspection } from '../../core/dispatch/quota-inspection.ts';
import type { LetterRequest } from '../../core/handlers/letter-desk.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';
import type { VerdictFilter } from '../../core/history/verdict-filter.ts';
import type { KeptVerdict } from '../../core/history/summary.ts';
import type { RuleCounts } from '../../core/metrics/rule-counts.ts';
import type { Why } from '../../explain/why.ts';
import type { LogFormat, LogLevel } from '../../log/log.ts';
import type { Address } from '../../transport/index.ts';
import type { HttpChecks } from './http-checks.ts';
import type { PackedLetters } from './packed-letters.ts';
import type { PolicyTexts } from './source.ts';
import type { TransportFlags } from './thread.ts';

export interface PolicyProtocol {
  readonly data: {
    /** The part of the calls that a candidate is compared on; `undefined`: there is no candidate. */
    readonly candidateShare: number | undefined;
    readonly transport: TransportFlags;
    readonly otlpHttp: Address | undefined;
    readonly http: HttpChecks | undefined;
    readonly graceMs: number;
    readonly log: { readonly format: LogFormat; readonly level: LogLevel };
  };
  readonly texts: PolicyTexts;
  readonly requests: {
    readonly handlers: { readonly given: undefined; readonly answer: readonly HandlerState[] };
    readonly letters: { readonly given: LetterRequest; readonly answer: PackedLetters };
    readonly ruleCounts: { readonly given: undefined; readonly answer: RuleCounts | undefined };
    /** The page in pieces of UTF-8; shared, because copying 100 MB would hold up calls. */
    readonly metrics: { readonly given: undefined; readonly answer: readonly SharedArrayBuffer[] };
    readonly verdicts: { readonly given: VerdictFilter; readonly answer: readonly KeptVerdict[] };
    readonly why: { readonly given: string; readonly answer: Why | undefined };
    readonly topLimits: { readonly given: number; readonly answer: readonly TopLimit[] };
    readonly holders: {
      readonly given: { readonly id: string; readonly leases: LeasePage };
      readonly answer: CounterInspection | undefined;
    };
    readonly recorded: { readonly given: string; readonly answer: string | undefined };
    readonly logEntry: { readonly given: string; readonly answer: LogEntry | undefined };
    readonly feed: { readonly given: FeedRequest; readonly answer: FeedPart };
    /** Opens it beside the policy in force. `settleCandidate` follows. */
    readonly prepareCandidate: { readonly given: PolicyTexts; readonly answer: void };
    readonly settleCandidate: { readonly given: 'commit' | 'abandon'; readonly answer: void };
    readonly candidate: { readonly given: undefined; readonly answer: ComparisonReport | undefined };
    readonly limits: {
      readonly given: { readonly depth: InspectionDepth; readonly asked: AskedCall; readonly leases: LeasePage };
      readonly answer: LimitsAnswer | undefined;
    };
  };
  readonly event: never;
}
