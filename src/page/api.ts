/** JSON of the admin port, as docs/page.md lists it. A field that an older server lacks is optional. */

export type Outcome = 'allow' | 'deny' | 'failed' | 'error';

export interface Decision {
  readonly id: string;
  readonly time: string;
  readonly call: string;
  readonly outcome: Outcome;
  readonly rule: string | null;
  readonly status?: number | null;
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  readonly client: string | null;
  readonly principal: string | null;
  readonly requestId: string | null;
  readonly shadow: readonly string[];
  readonly tookMs?: number | null;
  readonly worker?: number | null;
}

/** An entry of /verdicts: kept with its reasons. */
export interface KeptDecision extends Decision {
  readonly at: string | null;
  readonly revision: string;
  readonly peer: string | null;
  readonly domain: string | null;
  readonly descriptor: unknown;
  readonly reasons: readonly { readonly rule: string; readonly text: string }[];
  readonly attributes: Values;
}

export type Values = Readonly<Record<string, unknown>>;

export interface WhyRule {
  readonly name: string;
  readonly at: string;
  readonly action: string;
  readonly mode: string;
  readonly match: string | true;
  readonly result: 'applies' | 'does not apply' | 'failed';
  readonly why: string | null;
  readonly values: Values;
  readonly decided: boolean;
}

export interface WhyAnswer {
  readonly rule: string;
  readonly handler: string;
  readonly says: string;
  readonly code: number | null;
  readonly reason: string | null;
  readonly tookMs: number | null;
}

export interface Why {
  readonly verdict: KeptDecision;
  /** Empty if the policy of the verdict was replaced. */
  readonly rules: readonly WhyRule[];
  /** Rules that are left out, since the index excludes them. */
  readonly omitted: number;
  readonly answers: readonly WhyAnswer[];
  readonly entry: Values | null;
  readonly limits: readonly QuotaInspection[];
}

export interface QuotaInspection {
  readonly rule: string;
  readonly applies: boolean;
  readonly why: string;
  readonly handler: string;
  readonly counter: string;
  readonly key: readonly { readonly source: string; readonly value: unknown }[];
  readonly limit?: number;
  readonly state?: {
    readonly granted: boolean;
    readonly used: number;
    readonly remaining: number;
    readonly resetMs: number;
  };
  readonly holders?: readonly { readonly who: string; readonly units: number }[];
  readonly reset?: boolean;
  readonly failure?: string;
}

export interface RuleCounts {
  readonly applied: number;
  readonly denied: number;
  readonly failed: number;
  readonly shadowDenied: number;
  readonly lastAt: string | null;
}

export type Share = { readonly percent: number; readonly by: string | null };

export interface RuleRow {
  readonly name: string;
  readonly description: string | null;
  readonly at: string;
  readonly calls: readonly string[];
  readonly match: string | true;
  readonly action: (Values & { readonly kind: string }) | null;
  readonly changes: boolean;
  readonly mode: string | Share;
  readonly onError: Values;
  readonly sample: Share | null;
  /** null during a reload. */
  readonly counts?: RuleCounts | null;
}

export interface RulesAnswer {
  readonly revision: string | null;
  readonly rules: readonly RuleRow[];
}

export interface HandlerRow {
  readonly name: string;
  readonly adapter: string;
  readonly ready: boolean;
  readonly why: string | null;
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly running: number;
  readonly waiting: number;
  readonly queued: number;
  readonly reports?: Values | null;
  readonly runs: string;
  readonly restarts: number;
  readonly lastError: { readonly why: string; readonly atMs: number } | null;
  readonly config: unknown;
  readonly deadlineMs: number | null;
  readonly latency?: { readonly count: number; readonly p50Ms: number | null; readonly p99Ms: number | null };
}

export interface Finding {
  readonly at: string;
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  /** The line of the source, and a line with a caret. */
  readonly excerpt?: string | null;
}

export interface PolicyAnswer {
  readonly revision: string | null;
  readonly loadedAt: string | null;
  readonly configs?: readonly string[];
  readonly origin?: string | null;
  readonly pending: {
    readonly refusedAt: string;
    readonly why: string;
    readonly findings: readonly Finding[];
  } | null;
  readonly history?: readonly { readonly revision: string; readonly loadedAt: string; readonly origin: string }[];
}

/** Of `/limits/holders`. */
export interface LimitHolders {
  readonly holders?: readonly { readonly who: string; readonly units: number }[];
  readonly leases?: readonly {
    readonly id?: string;
    readonly units: number;
    readonly heldMs: number;
    readonly endsInMs: number;
  }[];
  readonly leaseCount?: number;
  readonly failure?: string;
}

export interface TopLimit {
  readonly id: string;
  readonly rule: string;
  readonly handler: string;
  readonly counter: string;
  readonly key: Values;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly holders: number | null;
}

export interface CandidateAnswer {
  readonly path: string;
  readonly revision: string | null;
  readonly loadedAt: string | null;
  /** It is the policy in force, and compared with nothing. */
  readonly inForce: boolean;
  readonly refusal: { readonly why: string; readonly findings: readonly Finding[] } | null;
  /** Percent of the calls. */
  readonly share: number;
  readonly since: string | null;
  readonly compared: number;
  readonly differing: number;
  /** Decided alike, with other headers or texts. */
  readonly otherHeaders: number;
  readonly skipped: number;
  readonly byRule: readonly {
    readonly now: Outcome;
    readonly then: Outcome;
    readonly ruleNow: string | null;
    readonly ruleThen: string | null;
    readonly count: number;
  }[];
  /** Of kinds that are not listed. */
  readonly otherDifferences: number;
  readonly samples: readonly CandidateSample[];
  readonly notCompared: readonly { readonly rule: string; readonly why: string }[];
}

export interface CandidateSample {
  readonly time: string;
  readonly id: string;
  readonly request: Readonly<Record<'method' | 'host' | 'path' | 'client' | 'principal', string | null>>;
  readonly now: { readonly outcome: Outcome; readonly rule: string | null };
  readonly then: { readonly outcome: Outcome; readonly rule: string | null };
  readonly why: string;
  readonly values: Values;
}

/** As `sluice explain --json` prints it. */
export interface Explanation {
  readonly call: string;
  readonly rules: readonly {
    readonly rule: string;
    readonly match: 'applies' | 'does not apply' | 'failed';
    readonly why?: string;
    readonly action: string;
    readonly mode: string;
  }[];
  readonly answers: readonly { readonly rule: string; readonly handler: string; readonly says: string }[];
  readonly attributes: Values;
  readonly verdict?: {
    readonly outcome: Outcome;
    readonly rule?: string;
    readonly status?: number;
    readonly body?: string;
    readonly shadow: readonly string[];
    readonly reasons: readonly { readonly rule: string; readonly text: string }[];
  };
}

export interface PlaygroundStart {
  /** null: `why` says the reason. */
  readonly policy: string | null;
  readonly why: string | null;
  /** Of the call `id`; null if its message is not kept. */
  readonly request: {
    readonly call: string;
    readonly attributes: Values;
    readonly carried: Values;
    readonly hidden: readonly string[];
  } | null;
}

export interface PlaygroundAnswer {
  readonly explanation?: Explanation | null;
  readonly findings: readonly Finding[];
}

export interface Readiness {
  readonly ready: boolean;
  readonly why: string | null;
  readonly revision: string | null;
}
