/**
 * The verdict of a call on its way out: counted, kept for operators, shown to observers, reported.
 * **In**: each verdict, with the outcomes of its rules. **Out**: the same verdict; an answer waits for none of this. **Fails**: never.
 */
import type { Log } from '../../adapters/contract.ts';
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import type { LimitVerdict, Verdict } from '../call.ts';
import type { ReportWriter } from '../dispatch/write-reports.ts';
import type { MetricFamily } from '../metrics/families.ts';
import type { Meters } from '../metrics/meters.ts';
import type { QuotaEntry, RuleOutcome } from '../outcome.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { countRefusals } from '../verdict/count-refusals.ts';
import { HeldLoop } from './held-loop.ts';
import { Decisions } from './decisions.ts';
import { type FoundVerdict, KeptVerdicts } from './kept-verdicts.ts';
import { LogEntries } from './log-entries.ts';
import type { KeptVerdict } from './summary.ts';
import type { VerdictFilter } from './verdict-filter.ts';
import { Observers } from './observers.ts';

export interface ConcludedCallsOptions {
  readonly meters: Meters;
  readonly reports: ReportWriter;
  readonly log: Log;
  readonly sampleReports: boolean;
  /** For operators. */
  readonly keepsVerdicts: boolean;
  /** Wall clock. */
  readonly nowMs: () => number;
}

/** `globalThis.performance` is a getter; keep a local reference on the hot path. */
const monotonic = performance;

export class ConcludedCalls {
  readonly kept = new KeptVerdicts();
  readonly decisions: Decisions;
  readonly observers: Observers;
  readonly entries = new LogEntries();
  readonly held = new HeldLoop();
  readonly #meters: Meters;
  readonly #reports: ReportWriter;
  readonly #keepsVerdicts: boolean;
  readonly #nowMs: () => number;
  readonly #log: Log;

  constructor({ meters, reports, log, sampleReports, keepsVerdicts, nowMs }: ConcludedCallsOptions) {
    this.#meters = meters;
    this.#reports = reports;
    this.#keepsVerdicts = keepsVerdicts;
    this.#nowMs = nowMs;
    this.#log = log;
    this.decisions = new Decisions(reports, log, sampleReports);
    this.observers = new Observers(log);
  }

  list(filter?: VerdictFilter): readonly KeptVerdict[] {
    this.entries.watch();
    return this.kept.list(filter);
  }

  find(id: string): FoundVerdict | undefined {
    this.entries.watch();
    return this.kept.find(id);
  }

  /** Kept verdicts reference no policy but this one. */
  settle(inForce: Snapshot): void {
    this.kept
      .settle(inForce)
      .catch((error: unknown) =>
        this.#log.error('kept verdicts could not be detached from the last policy', { error }),
      );
  }

  get families(): readonly MetricFamily[] {
    return [this.kept.family, this.decisions.family];
  }

  add<V extends Verdict | LimitVerdict>(
    snapshot: Snapshot,
    bags: readonly RequestBag[],
    call: CallKind,
    verdict: V,
    outcomes: readonly RuleOutcome[],
    quotas: readonly QuotaEntry[],
    beganAtMs: number,
  ): V {
    const meters = this.#meters.ofCall(call);
    meters.outcomes[verdict.outcome]++;
    const endedAtMs = monotonic.now();
    meters.latency.add(endedAtMs - beganAtMs);
    this.held.ended(snapshot, call, outcomes, quotas, beganAtMs, endedAtMs);
    countRefusals(outcomes, verdict.rule, bags.length, endedAtMs);
    if (snapshot.decisionPercent !== undefined)
      this.decisions.offer(snapshot.decisionPercent, snapshot, decidedBag(bags, verdict), call, verdict, this.#nowMs);
    if (this.#keepsVerdicts)
      this.kept.offer(snapshot, bags[0], call, verdict, outcomes, quotas, endedAtMs, this.#nowMs);
    if (!this.observers.isEmpty)
      this.observers.notify({ snapshot, bags, call, verdict, outcomes, quotas, tookMs: endedAtMs - beganAtMs });
    for (const bag of bags) void this.#reports.write(snapshot, call, bag, endedAtMs); // an answer never waits for its reports
    return verdict;
  }
}

/** Of several descriptors the first that is over its limit. */
const decidedBag = (bags: readonly RequestBag[], verdict: Verdict | LimitVerdict): RequestBag | undefined =>
  bags.length === 1 || !('statuses' in verdict)
    ? bags[0]
    : (bags[verdict.statuses.findIndex(({ over }) => over)] ?? bags[0]);
