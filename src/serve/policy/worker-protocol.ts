/** The messages between the supervisor of `sluice serve` and a worker. */
import type { LeasePage } from '../../adapters/contract.ts';
import type { AskedCall, LimitsAnswer } from '../../admin/sources.ts';
import type { ComparisonReport } from '../../candidate/report.ts';
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { CounterInspection } from '../../core/dispatch/quota-inspection.ts';
import type { LetterRequest } from '../../core/handlers/dead-letter-requests.ts';
import type { LogFormat, LogLevel } from '../../log/log.ts';
import type { Address } from '../../transport/index.ts';
import type { RequestsOf } from '../crew/protocol.ts';
import type { HttpChecks } from './http-checks.ts';
import type { PackedLetters } from './packed-letters.ts';
import type { PolicyTexts } from './source.ts';
import type { EngineSources, TransportFlags } from './thread.ts';

/** Questions that a worker answers from its engine. */
type OfEngine = 'handlers' | 'ruleCounts' | 'verdicts' | 'why' | 'topLimits' | 'recorded' | 'logEntry' | 'feed';

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
  readonly requests: RequestsOf<Pick<EngineSources, OfEngine>> & {
    readonly letters: { readonly given: LetterRequest; readonly answer: PackedLetters };
    /** The page in pieces of UTF-8; shared, because copying 100 MB would hold up calls. */
    readonly metrics: { readonly given: undefined; readonly answer: readonly SharedArrayBuffer[] };
    readonly holders: {
      readonly given: { readonly id: string; readonly leases: LeasePage };
      readonly answer: CounterInspection | undefined;
    };
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
