/**
 * A candidate beside one policy in force, in one thread.
 * **In**: the calls that the engine in force decides. **Out**: a report of how the candidate decides them. **Fails**: to open, if the
 * candidate's handlers cannot be opened; later never: an error costs the comparison of its call.
 */
import type { Log } from '../adapters/contract.ts';
import { frameOf, ThrottledLine } from '../core/handlers/throttled-line.ts';
import type { OpenHandlers } from '../core/handlers/live-handler.ts';
import { createEngine } from '../core/engine.ts';
import type { LimitVerdict, Verdict } from '../core/call.ts';
import type { DecidedCall } from '../core/history/observers.ts';
import { callBytes } from '../core/history/verdict-size.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { RunningEngine } from '../core/running-engine.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import { messageOf } from '../text/message-of.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { Backlog } from './backlog.ts';
import { ComparableCounters, drawnRules, type NotCompared } from './comparable-counters.ts';
import { compareVerdicts } from './compare-verdicts.ts';
import { type DifferenceRow, Differences } from './differences.ts';
import type { ComparisonReport } from './report.ts';
import { safeHandlers, withoutReportRules } from './safe-handlers.ts';
import { type ComparedCall, SampleMaker, type SampleRow } from './sample.ts';

/** Calls by result, of all comparisons of a thread. */
export class CandidateMeters {
  same = 0;
  headers = 0;
  differs = 0;
  skipped = 0;
}

export interface PolicyComparisonOptions {
  /** Has a policy in force. */
  readonly engine: RunningEngine;
  readonly candidate: Policy;
  /** Opens handlers that the policy in force does not have. */
  readonly openHandlers: OpenHandlers;
  readonly log: Log;
  /** The part of the calls that is compared, from 0 to 1. */
  readonly share: number;
  readonly meters: CandidateMeters;
}

/** A handler has its own deadline, which is shorter. */
const DECIDES_WITHIN_MS = 5000;
/** For calls of its handlers that run when it closes. */
const GRACE_MS = 500;

export class PolicyComparison {
  readonly inForce: Snapshot;
  readonly #options: PolicyComparisonOptions;
  readonly #engine: RunningEngine;
  readonly #backlog: Backlog<ComparedCall>;
  readonly #differences = new Differences<ComparedCall>();
  readonly #own = new CandidateMeters();
  readonly #notCompared: readonly NotCompared[];
  readonly #drawn: ReadonlySet<string>;
  readonly #samples = new SampleMaker();
  readonly #rows = new WeakMap<ComparedCall, SampleRow | undefined>();
  /** Being decided by the candidate, by the id of the call in force. */
  readonly #running = new Map<string, ComparedCall>();
  readonly #errors: ThrottledLine;
  readonly #skips: ThrottledLine;
  readonly #sinceMs = Date.now();
  #stop: (() => void) | undefined;

  static async open(options: PolicyComparisonOptions): Promise<PolicyComparison> {
    const inForce = options.engine.snapshot;
    if (inForce === undefined) throw new Error('no policy is in force that the candidate could be compared with');
    const opened = new PolicyComparison(options, inForce);
    try {
      await opened.#engine.use(withoutReportRules(options.candidate));
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;
  }

  private constructor(options: PolicyComparisonOptions, inForce: Snapshot) {
    const { candidate, openHandlers, log } = options;
    this.#options = options;
    this.inForce = inForce;
    const counters = new ComparableCounters(inForce, candidate);
    const drawn = drawnRules(inForce.policy, candidate);
    this.#drawn = new Set(drawn.map(({ rule }) => rule));
    this.#notCompared = [...counters.notCompared, ...drawn];
    this.#engine = createEngine({
      openHandlers: safeHandlers({
        inForce,
        openHandlers,
        counters,
        callOf: (id) => this.#running.get(id)?.inForce,
      }),
      log,
      graceMs: GRACE_MS,
      keepsVerdicts: false,
    });
    this.#engine.observe((then) => {
      const call = this.#running.get(then.verdict.id);
      if (call !== undefined) call.candidate = then;
    });
    this.#backlog = new Backlog((call) => this.#decide(call));
    this.#errors = new ThrottledLine(log, 'error', 'internal error while comparing a call with the candidate');
    this.#skips = new ThrottledLine(log, 'warn', 'calls not compared with the candidate: too many wait');
  }

  get revision(): string {
    return this.#options.candidate.revision;
  }

  start(): void {
    this.#stop ??= this.#options.engine.observe((decided) => this.#offer(decided));
  }

  /** Drops what waits. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#stop?.();
    this.#backlog.close();
    await this.#engine.drain().catch((error: unknown) => {
      this.#options.log.error('the candidate did not close', { error: messageOf(error) });
    });
  }

  differences(): readonly DifferenceRow[] {
    return this.#differences.rows();
  }

  get otherDifferences(): number {
    return this.#differences.others;
  }

  async report(): Promise<ComparisonReport> {
    const { same, headers, differs, skipped } = this.#own;
    const samples: SampleRow[] = [];
    const slice = new TimeSlice();
    for (const call of this.#differences.samples()) {
      const row = this.#rowOf(call);
      if (row !== undefined) samples.push(row);
      if (slice.isOver) await slice.next();
    }
    return {
      revision: this.revision,
      against: this.inForce.policy.revision,
      sinceMs: this.#sinceMs,
      compared: same + headers + differs,
      differing: differs,
      otherHeaders: headers,
      skipped,
      waiting: this.#backlog.size,
      differences: this.differences(),
      otherDifferences: this.otherDifferences,
      samples,
      notCompared: this.#notCompared,
    };
  }

  /** Called before the answer leaves, so it decides nothing. */
  #offer(now: DecidedCall): void {
    this.#backlog.arrived();
    const { share } = this.#options;
    if (now.snapshot !== this.inForce || (share < 1 && Math.random() >= share)) return;
    const weight = callBytes(now);
    if (!this.#backlog.admits(weight)) {
      this.#count('skipped');
      this.#skips.write(() => ({ waiting: this.#backlog.size }));
      return;
    }
    for (const { wire } of now.bags) wire.keep();
    this.#backlog.add({ timeMs: Date.now(), weight, inForce: now, candidate: undefined });
  }

  #decide(call: ComparedCall): Promise<void> | void {
    const { bags, call: kind, verdict } = call.inForce;
    const caller = { remainingMs: DECIDES_WITHIN_MS, signal: undefined, id: verdict.id };
    const wires = bags.map(({ wire }) => wire);
    const [wire] = wires;
    if (wire === undefined) return undefined;
    this.#running.set(verdict.id, call);
    const isCheck = kind === 'http' || kind === 'tcp' || kind === 'authzen';
    const answer = isCheck ? this.#engine.check(kind, wire, caller) : this.#engine.limit(wires, caller);
    if (answer instanceof Promise) return answer.then((then) => this.#decided(call, then));
    return this.#decided(call, answer);
  }

  #decided(call: ComparedCall, then: Verdict | LimitVerdict): void {
    const { verdict: now } = call.inForce;
    this.#running.delete(now.id);
    try {
      const result = compareVerdicts(now, then);
      const isDrawn = result === 'differs' && [now.rule, then.rule].some((rule) => this.#drawn.has(rule ?? ''));
      this.#count(isDrawn ? 'same' : result);
      if (result !== 'differs' || isDrawn) return;
      const kind = {
        ruleNow: now.rule ?? null,
        ruleThen: then.rule ?? null,
        outcomeNow: now.outcome,
        outcomeThen: then.outcome,
      };
      this.#differences.add(kind, call, performance.now());
    } catch (error) {
      this.#errors.write(() => ({ verdict: now.id, error: messageOf(error), at: frameOf(error) }));
    }
  }

  #count(result: keyof CandidateMeters): void {
    this.#own[result]++;
    this.#options.meters[result]++;
  }

  #rowOf(call: ComparedCall): SampleRow | undefined {
    if (!this.#rows.has(call)) this.#rows.set(call, this.#samples.rowOf(call));
    return this.#rows.get(call);
  }
}
