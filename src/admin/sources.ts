/** The data of the admin port, read from the running server at each request. */
import type { ComparisonReport } from '../candidate/report.ts';
import type { LeasePage } from '../adapters/contract.ts';
import type { CallKind } from '../attributes/carrier.ts';
import type { InspectionDepth } from '../core/dispatch/inspect-quotas.ts';
import type { CounterInspection, QuotaInspection } from '../core/dispatch/quota-inspection.ts';
import type { VerdictFilter } from '../core/history/verdict-filter.ts';
import type { KeptVerdict } from '../core/history/summary.ts';
import type { RuleCounts } from '../core/metrics/rule-counts.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Finding } from '../yaml/findings.ts';
import type { Why } from '../explain/why.ts';
import type { LetterAnswer, LetterRequest } from '../core/handlers/dead-letter-requests.ts';
import type { HandlerState } from '../core/handlers/live-handler.ts';

/** A call to inspect: attributes by name; for `limit` one set per descriptor. */
export interface AskedCall {
  readonly call: CallKind;
  readonly requests: readonly Readonly<Record<string, unknown>>[];
  /** Values that a proxy carries beside the attributes, as in cases. */
  readonly carried: Readonly<Record<string, unknown>>;
}

/** The inspection of every quota rule; or the error of the call, as a sentence without a full stop. */
export type LimitsAnswer = { readonly rules: readonly QuotaInspection[] } | { readonly wrong: string };

export interface PolicyLoading {
  /** When the policy in force was loaded. */
  readonly atMs: number;
  /** Its files and folders, as they were given. */
  readonly configs: readonly string[];
  /** The policy in force, then those that a rollback by one, two ... steps puts in force. */
  readonly history: readonly {
    readonly revision: string;
    readonly atMs: number;
    readonly origin: 'files' | 'candidate' | 'rollback';
  }[];
  /** `undefined` if the policy that was read last is in force. */
  readonly refusal: { readonly atMs: number; readonly why: string; readonly findings: readonly Finding[] } | undefined;
}

/** A key of a quota, by its last charge. */
export interface TopLimit {
  /** Of its rule, counter and key; for {@link AdminSources.holders}. */
  readonly id: string;
  readonly rule: string;
  readonly handler: string;
  readonly counter: string;
  /** By expression: null if absent, `(secret)` if hidden. */
  readonly key: Readonly<Record<string, unknown>>;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  /** Units that are held, of algorithm concurrency. */
  readonly holders: number | null;
  /** When it was charged, in milliseconds since 1970. */
  readonly atMs: number;
}

export interface PlayRequest {
  /** YAML; `undefined`: the one in force. */
  readonly policy: string | undefined;
  readonly asked: AskedCall;
  /** A kept verdict, whose call has the answers of handlers and the outputs of enrich rules. */
  readonly id: string | undefined;
}

export type Played =
  | { readonly explanation: object | undefined; readonly findings: readonly Finding[] }
  /** The error of the request, as a sentence without a full stop. */
  | { readonly wrong: string };

/** What the playground begins with. */
export interface PlayStart {
  /** YAML of the policy in force, without its handlers and comments. */
  readonly policy: string | undefined;
  /** Why there is no text. */
  readonly why: string | undefined;
  /** Of a kept call, if its message is kept, too. */
  readonly request: PlayedRequest | undefined;
}

/** A call as its proxy sent it, in the form of a {@link PlayRequest}. */
export interface PlayedRequest {
  readonly call: CallKind;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly carried: Readonly<Record<string, unknown>>;
  /** Names of values that are hidden, whole or in part: secrets, and those that the policy masks. */
  readonly hidden: readonly string[];
}

export type LogEntry = Readonly<Record<string, unknown>>;

/** `id` is the reader's; its feed has the same id in each worker. `isLast`: it has left. */
export type FeedRequest = { readonly id: string; readonly isLast?: boolean } & FeedOptions;
export type FeedOptions =
  /** Rows of `/verdicts/stream`. */
  | { readonly kind: 'live'; readonly filter: VerdictFilter }
  /** Recorded calls (src/traffic). `share`: percent of all calls. */
  | { readonly kind: 'record'; readonly share: number; readonly bodies: boolean };

/** Decided calls since the last request of the same reader. */
export interface FeedPart {
  /** JSON. */
  readonly lines: readonly string[];
  /** Calls that were left out, since they did not fit. */
  readonly dropped: number;
  /** The feed was opened with this request in some worker, so that earlier calls are missing, too. */
  readonly isNew: boolean;
}

/** The policy beside the one in force; `revision` is `undefined` until one has loaded. */
export interface CandidateState {
  readonly paths: readonly string[];
  /** The part of the calls that is compared, from 0 to 1. */
  readonly share: number;
  readonly revision: string | undefined;
  readonly loadedAtMs: number;
  readonly isInForce: boolean;
  readonly refusal: PolicyLoading['refusal'];
  /** `undefined` while nothing is compared. */
  readonly report: ComparisonReport | undefined;
}

/** The revision that is now in force; or a status of HTTP and why it was refused. */
export type ChangeResult =
  | { readonly revision: string }
  | { readonly status: 404 | 409 | 503; readonly error: string; readonly findings: readonly Finding[] };

/** Changes of the policy in force by operators; `who` asks, for the log. */
export interface PolicyControl {
  /** `undefined` without --candidate. */
  candidate(): Promise<CandidateState | undefined>;
  promote(revision: string | undefined, who: string): Promise<ChangeResult>;
  rollback(steps: number, who: string): Promise<ChangeResult>;
}

export interface AdminSources {
  readonly control: PolicyControl;
  /** `undefined` until a policy has loaded. */
  policy(): Policy | undefined;
  /** The last loads; times in milliseconds since 1970. */
  loading(): PolicyLoading;
  /** Why it is not ready while workers start. */
  startingWhy?(): string | undefined;
  /** It no longer takes new calls. */
  isDraining(): boolean;
  /** How often each rule applied; `undefined` without a policy, or if no worker answers. */
  ruleCounts(): RuleCounts | undefined | Promise<RuleCounts | undefined>;
  handlers(): readonly HandlerState[] | Promise<readonly HandlerState[]>;
  /** Dead letters of its handlers, in memory and on disk. */
  letters(request: LetterRequest): Promise<LetterAnswer>;
  /** Newest first. */
  verdicts(filter: VerdictFilter): readonly KeptVerdict[] | Promise<readonly KeptVerdict[]>;
  /** Of a kept verdict, by its id or by that of the request. */
  why(id: string): Promise<Why | undefined>;
  /** The keys nearest to their limit. Charges are kept from the first request on. */
  topLimits(limit: number): readonly TopLimit[] | Promise<readonly TopLimit[]>;
  /** Who holds units of such a key now; `undefined` if it was not charged since the first request for keys, or its policy has gone. */
  holders(id: string, leases: LeasePage): Promise<CounterInspection | undefined>;
  /** What a policy says to a call, without side effects. */
  play(request: PlayRequest): Promise<Played>;
  /** `id`: of the verdict or the request. */
  playStart(id: string | undefined): Promise<PlayStart>;
  /** The access log entry of a refused request, by the id of the verdict; values by attribute. */
  logEntry(id: string): LogEntry | undefined | Promise<LogEntry | undefined>;
  /** The first request of a reader opens its feed, which closes some seconds after the last one. */
  feed(request: FeedRequest): FeedPart | Promise<FeedPart>;
  /** `undefined` without a policy. */
  limits(depth: InspectionDepth, asked: AskedCall, leases: LeasePage): Promise<LimitsAnswer | undefined>;
  /** Prometheus text format, in pieces; samples may have exemplars. */
  metrics(): AsyncIterable<string>;
}
