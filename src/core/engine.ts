/**
 * A request's life on one page.
 * **In**: a wire, and who asks. **Out**: a verdict, at once where every handler answers at once; or a report, taken.
 * **Fails**: never by throwing: without a policy, or where a rule says so, the outcome is `error`.
 */
import { RequestBag, type Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import type { Log } from '../adapters/contract.ts';
import { DEFAULT_REPORT_QUEUE, type ReportQueueOptions } from './handlers/report-queue.ts';
import { type Caller, type Engine, type LimitVerdict, NO_CHANGES, type Reason, type Verdict } from './call.ts';
import { CallScope } from './handlers/call-scope.ts';
import { askChecks } from './dispatch/checks.ts';
import { TimerWheel } from '../time/timer-wheel.ts';
import { enrichBag } from './dispatch/enrich.ts';
import type { Gate } from './handlers/gate.ts';
import { type LookDepth, lookAtQuotas } from './dispatch/look-at-quotas.ts';
import { OutageLog } from './handlers/outage-log.ts';
import type { QuotaLook } from './dispatch/quota-look.ts';
import { askQuotas, NO_QUOTAS, type QuotaRun } from './dispatch/charge-quotas.ts';
import { CORE_ERRORS, SnapshotError } from './snapshot/errors.ts';
import { type KeptVerdict, KeptVerdicts, type VerdictFilter } from './history/kept-verdicts.ts';
import { isEnforced, isSampled, matchOf } from './match/applies.ts';
import { type MetricFamily, metricFamilies } from './metrics/families.ts';
import { Meters } from './metrics/meters.ts';
import type { Policy } from './rules/policy.ts';
import { openSnapshot } from './snapshot/open-snapshot.ts';
import type { Snapshot } from './snapshot/snapshot.ts';
import { checkVerdict } from './verdict/check-verdict.ts';
import { decidingOf, refusalOf, settleGroups } from './verdict/first-deny.ts';
import { limitVerdict } from './verdict/limit-verdict.ts';
import type { RuleOutcome, PreparedReport, PreparedRule } from './outcome.ts';
import { nextId } from './call-id.ts';
import { messageOf } from '../text/message-of.ts';
import type { OpenHandler } from '../adapters/open-handler.ts';
import type { OpenHandlers } from './handlers/live-handler.ts';

/** The global one is looked up anew, by a getter, each time that it is named. */
const monotonic = performance;

type CheckKind = 'http' | 'tcp';

export interface EngineOptions {
  readonly openHandlers: OpenHandlers;
  /** The process's own where absent. */
  readonly clock?: { nowMs(): number };
  readonly log?: Log;
  /** False: every report is written, whatever its rule samples (cases). */
  readonly sampleReports?: boolean;
  readonly reports?: ReportQueueOptions;
  /** For reports that wait and calls that run, when a handler closes; 5 s where absent. */
  readonly graceMs?: number;
}

export interface HandlerState {
  readonly name: string;
  readonly adapter: string;
  readonly ready: boolean;
  readonly why: string | undefined;
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly running: number;
  readonly waiting: number;
  readonly queued: number;
}

/** Either of the two is called, once. */
export interface PreparedPolicy {
  /** In force from the next call on. */
  commit(): void;
  /** Closes what was opened for it; what is in force stays. */
  abandon(): Promise<void>;
}

export interface RunningEngine extends Engine {
  /** Puts a policy in force. Rejects with a {@link SnapshotError}, and the last good one stays. One at a time. */
  use(policy: Policy): Promise<void>;
  /** Opens what a policy needs and waits to be told, so that several engines take a policy all or none. Rejects as {@link use} does. One at a time. */
  prepare(policy: Policy): Promise<PreparedPolicy>;
  /** Until every report that waits now is written or put aside. */
  flush(): Promise<void>;
  /** Closes everything, reports first. Harmless when repeated. */
  drain(): Promise<void>;
  handlers(): readonly HandlerState[];
  /** A request as the rules see it: enriched. Asks the handlers of enrich rules; `undefined` without a policy. */
  bagOf(call: CallKind, wire: Wire): Promise<RequestBag | undefined>;
  /** Of every quota rule, what it means for a call (`limit`: a wire for each descriptor); charges and counts nothing. `undefined` without a policy. */
  quotas(depth: LookDepth, call: CallKind, wires: readonly Wire[]): Promise<readonly QuotaLook[] | undefined>;
  /** The newest first. */
  verdicts(filter?: VerdictFilter): readonly KeptVerdict[];
  readonly families: readonly MetricFamily[];
  readonly meters: Meters;
}

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

export function createEngine(options: EngineOptions): RunningEngine {
  const { clock = { nowMs: () => Date.now() }, log = SILENT, sampleReports = true } = options;
  const meters = new Meters();
  const kept = new KeptVerdicts();
  // Each at most one line a minute.
  const faults = new OutageLog(log, {});
  const drops = new OutageLog(log, {});
  const context = {
    nowMs: () => clock.nowMs(),
    openHandlers: options.openHandlers,
    meters,
    deadlines: new TimerWheel(),
    log,
    reports: options.reports ?? DEFAULT_REPORT_QUEUE,
    graceMs: options.graceMs ?? 5000,
  };
  let snapshot: Snapshot | undefined;
  let isDrained = false;
  const retiring = new Set<Promise<void>>();

  // ---------------------------------------------------------- http, tcp

  function check(call: CheckKind, wire: Wire, caller: Caller): Verdict | Promise<Verdict> {
    try {
      const verdict = checked(call, wire, caller);
      return verdict instanceof Promise ? verdict.catch((error: unknown) => brokenCheck(call, error)) : verdict;
    } catch (error) {
      return brokenCheck(call, error);
    }
  }

  /** Nothing that a rule or a plugin throws leaves the engine: it is an error of this call. */
  function brokenCheck(call: CheckKind, error: unknown): Verdict {
    return errorOf(broken(call, error));
  }

  function broken(call: CallKind, error: unknown): readonly Reason[] {
    meters.ofCall(call).outcomes.error++;
    faults.failed(
      'internal error while deciding a call',
      error instanceof Error ? (error.stack ?? error.message) : String(error),
    );
    return [{ rule: '', text: `a fault: ${messageOf(error)}`, shadow: false }];
  }

  function checked(call: CheckKind, wire: Wire, caller: Caller): Verdict | Promise<Verdict> {
    const current = snapshot;
    if (current === undefined) {
      meters.ofCall(call).withoutPolicy++;
      return errorOf(NO_POLICY);
    }
    const beganAtMs = caller.arrivedAtMs ?? monotonic.now();
    const scope = new CallScope(nextId(), call, caller);
    const bag = new RequestBag(current.attributes, wire);
    const enriched = enrichBag(current.enrich(call), bag, scope);
    return enriched === undefined
      ? decide(current, bag, scope, call, beganAtMs)
      : held(
          current,
          enriched.then(async () => decide(current, bag, scope, call, beganAtMs)),
        );
  }

  function decide(
    current: Snapshot,
    bag: RequestBag,
    scope: CallScope,
    call: CheckKind,
    beganAtMs: number,
  ): Verdict | Promise<Verdict> {
    const checks = askChecks(current, bag, scope);
    if (checks instanceof Promise)
      return held(
        current,
        checks.then(async (late) => charge(current, bag, scope, call, late, beganAtMs)),
      );
    return charge(current, bag, scope, call, checks, beganAtMs);
  }

  function charge(
    current: Snapshot,
    bag: RequestBag,
    scope: CallScope,
    call: CheckKind,
    checks: readonly RuleOutcome[],
    beganAtMs: number,
  ): Verdict | Promise<Verdict> {
    settleGroups(checks);
    const deciding = decidingOf(checks);
    if (deciding !== undefined || current.quotas.length === 0)
      return concluded(current, [bag], call, checkVerdict(scope.id, call, checks, deciding, []), checks, beganAtMs);
    const conclude = ({ outcomes, entries }: QuotaRun): Verdict => {
      const all = inRuleOrder(checks, outcomes);
      return concluded(
        current,
        [bag],
        call,
        checkVerdict(scope.id, call, all, decidingOf(all), entries),
        all,
        beganAtMs,
      );
    };
    return held(current, whenDone(askQuotas(current, [bag], scope), conclude));
  }

  // ---------------------------------------------------------- limit

  function limit(descriptors: readonly Wire[], caller: Caller): LimitVerdict | Promise<LimitVerdict> {
    try {
      const verdict = limited(descriptors, caller);
      return verdict instanceof Promise
        ? verdict.catch((error: unknown) => limitErrorOf(broken('limit', error)))
        : verdict;
    } catch (error) {
      return limitErrorOf(broken('limit', error));
    }
  }

  function limited(descriptors: readonly Wire[], caller: Caller): LimitVerdict | Promise<LimitVerdict> {
    const current = snapshot;
    if (current === undefined) {
      meters.ofCall('limit').withoutPolicy++;
      return limitErrorOf(NO_POLICY);
    }
    const beganAtMs = caller.arrivedAtMs ?? monotonic.now();
    const scope = new CallScope(nextId(), 'limit', caller);
    const bags = descriptors.map((wire) => new RequestBag(current.attributes, wire));
    const decide = (): LimitVerdict | Promise<LimitVerdict> =>
      whenDone(allOf(bags.map((bag) => askChecks(current, bag, scope))), (checks) => {
        for (const outcomes of checks) settleGroups(outcomes);
        const isRefused = checks.some((outcomes) => decidingOf(outcomes) !== undefined);
        return whenDone(isRefused ? NO_QUOTAS : askQuotas(current, bags, scope), (quotas) => {
          const perBag = bags.map((_, at) => {
            const [from, to] = [quotas.ends[at - 1], quotas.ends[at]];
            return {
              outcomes: inRuleOrder(checks[at] ?? [], quotas.outcomes.slice(from?.outcomes ?? 0, to?.outcomes)),
              entries: quotas.entries.slice(from?.entries ?? 0, to?.entries),
            };
          });
          return concluded(
            current,
            bags,
            'limit',
            limitVerdict(scope.id, perBag),
            perBag.flatMap(({ outcomes }) => outcomes),
            beganAtMs,
          );
        });
      });
    return held(current, whenDone(allOf(bags.map((bag) => enrichBag(current.enrich('limit'), bag, scope))), decide));
  }

  /** Counts, keeps, reports. */
  function concluded<V extends Verdict | LimitVerdict>(
    current: Snapshot,
    bags: readonly RequestBag[],
    call: CallKind,
    verdict: V,
    outcomes: readonly RuleOutcome[],
    beganAtMs: number,
  ): V {
    const own = meters.ofCall(call);
    own.outcomes[verdict.outcome]++;
    const endedAtMs = monotonic.now();
    own.latency.add(endedAtMs - beganAtMs);
    const seen = bags.length > 1 ? new Set<PreparedRule>() : undefined;
    for (const outcome of outcomes) count(outcome, verdict, seen);
    kept.offer(current, bags[0], call, verdict, endedAtMs, context.nowMs);
    for (const bag of bags) void writeReports(current, call, bag); // an answer never waits for its reports
    return verdict;
  }

  // ---------------------------------------------------------- reports

  function report(call: 'log' | 'tcp-log', wire: Wire): undefined | Promise<void> {
    const current = snapshot;
    if (current === undefined) {
      meters.ofCall(call).withoutPolicy++;
      return undefined;
    }
    try {
      return reported(current, call, wire)?.catch((error: unknown) => {
        broken(call, error);
      });
    } catch (error) {
      broken(call, error);
      return undefined;
    }
  }

  function reported(current: Snapshot, call: 'log' | 'tcp-log', wire: Wire): undefined | Promise<void> {
    const bag = new RequestBag(current.attributes, wire);
    meters.ofCall(call).outcomes.allow++;
    const enriched = enrichBag(current.enrich(call), bag, new CallScope(nextId(), call, NOBODY));
    if (enriched === undefined) return recorded(current, call, bag);
    current.enter();
    return enriched.then(async () => recorded(current, call, bag)).finally(() => current.leave());
  }

  /** Charges what is owed, writes what is reported; a promise where either has to wait. */
  function recorded(current: Snapshot, call: 'log' | 'tcp-log', bag: RequestBag): Promise<void> | undefined {
    const charged = held(current, askQuotas(current, [bag], new CallScope(nextId(), call, NOBODY)));
    const counted = ({ outcomes }: QuotaRun): void => {
      for (const { failed, prepared } of outcomes) if (failed) prepared.meters.failed++;
    };
    const written = writeReports(current, call, bag);
    if (!(charged instanceof Promise)) {
      counted(charged);
      return written;
    }
    return Promise.all([charged.then(counted), written]).then(() => undefined);
  }

  /** A promise where a queue is full. Checks and limits never wait for it: theirs are dropped then, and counted. */
  function writeReports(current: Snapshot, call: CallKind, bag: RequestBag): Promise<void> | undefined {
    let waits: Promise<void> | undefined;
    for (const prepared of current.candidates.reports(bag, call)) {
      try {
        waits = writeReport(prepared, call, bag) ?? waits;
      } catch (error) {
        prepared.meters.failed++;
        faults.failed('internal error while making a report', `rule ${prepared.rule.name}: ${messageOf(error)}`);
      }
    }
    return call === 'log' || call === 'tcp-log' ? waits : undefined;
  }

  function writeReport(prepared: PreparedReport, call: CallKind, bag: RequestBag): Promise<void> | undefined {
    const {
      rule: { name },
      action,
      handler,
      sink,
      meters: own,
    } = prepared;
    const match = matchOf(prepared, bag);
    if (match === 'failed') own.failed++;
    if (match !== 'applies') return undefined;
    own.matched++;
    if (!isEnforced(prepared, bag)) {
      own.shadow++;
      return undefined;
    }
    if (sampleReports && !isSampled(prepared, bag)) return undefined;
    if (call !== 'log' && call !== 'tcp-log' && handler.reports.isFull) {
      own.dropped++;
      drops.failed(
        'reports are dropped: the queue of their handler is full',
        `rule ${name}, handler ${handler.gate.label}`,
      );
      return undefined;
    }
    const { values, failed } = action.input(bag);
    own.texts += failed.length;
    return handler.reports.push({ sink, id: nextId(), timeMs: clock.nowMs(), input: values }, name);
  }

  async function bagOf(call: CallKind, wire: Wire): Promise<RequestBag | undefined> {
    const current = snapshot;
    if (current === undefined) return undefined;
    const bag = new RequestBag(current.attributes, wire);
    await held(current, enrichBag(current.enrich(call), bag, new CallScope(nextId(), call, NOBODY)));
    return bag;
  }

  // ---------------------------------------------------------- life

  let lastPrepared: Promise<unknown> | undefined;
  const waiting = new Set<Snapshot>();
  function prepare(policy: Policy): Promise<PreparedPolicy> {
    const done = opened(policy);
    lastPrepared = done.catch(() => undefined);
    return done;
  }

  async function use(policy: Policy): Promise<void> {
    const prepared = await prepare(policy);
    if (isDrained) throw drainedError(policy); // draining closes it
    prepared.commit();
  }

  async function opened(policy: Policy): Promise<PreparedPolicy> {
    if (isDrained) throw drainedError(policy);
    const next = await openSnapshot(policy, context, snapshot);
    if (isDrained) {
      // while its handlers opened
      await next.retire();
      throw drainedError(policy);
    }
    waiting.add(next);
    return {
      commit: () => {
        if (waiting.delete(next)) putInForce(next, policy);
      },
      abandon: async () => {
        if (waiting.delete(next)) await next.retire();
      },
    };
  }

  function putInForce(next: Snapshot, policy: Policy): void {
    const last = snapshot;
    snapshot = next;
    for (const handler of next.handlers.values())
      handler.configure(policy.handlers.get(handler.spec.name) ?? handler.spec);
    meters.keepOnly(new Set(policy.rules.map(({ name }) => name)), new Set(policy.handlers.keys()));
    kept
      .settle(next)
      .catch((error: unknown) => log.error('kept verdicts could not be detached from the last policy', { error }));
    if (last === undefined) return;
    const retired = last.retire().finally(() => retiring.delete(retired));
    retiring.add(retired);
  }

  let drained: Promise<void> | undefined;
  return {
    check,
    limit,
    report,
    use,
    prepare,
    bagOf,
    flush: async () => {
      await Promise.all([...(snapshot?.handlers.values() ?? [])].map(async (handler) => handler.reports?.flush()));
    },
    drain: () => {
      isDrained = true;
      return (drained ??= (async () => {
        await lastPrepared; // what it opens is closed, and what it keeps is not closed before
        const last = snapshot;
        snapshot = undefined;
        const unused = [...waiting];
        waiting.clear();
        await Promise.all([last?.retire(), ...retiring, ...unused.map((next) => next.retire())]);
      })());
    },
    handlers: () =>
      [...(snapshot?.handlers.values() ?? [])].map(({ spec, open, gate, reports }) => ({
        name: spec.name,
        adapter: spec.adapter,
        ...readinessOf(open, gate),
        breaker: gate.breaker.state,
        running: gate.running,
        waiting: gate.waiting,
        queued: reports?.size ?? 0,
      })),
    quotas: async (depth, call, wires) =>
      snapshot === undefined ? undefined : held(snapshot, lookAtQuotas(snapshot, depth, call, wires)),
    verdicts: (filter) => kept.list(filter),
    families: [
      ...metricFamilies(meters),
      {
        kind: 'counter',
        name: 'sluice_verdicts_skipped_total',
        help: 'Refusals and shadow hits that /verdicts does not keep, since too many came at once.',
        read: () => [{ labels: {}, value: kept.skipped }],
      },
    ],
    meters,
  };
}

function drainedError({ watched: [file = 'policy'] }: Policy): SnapshotError {
  return new SnapshotError([
    {
      severity: 'error',
      position: { file, line: 1, column: 1 },
      code: 'CORE_DRAINED',
      message: CORE_ERRORS.CORE_DRAINED.means,
      excerpt: undefined,
    },
  ]);
}

/** A handler whose breaker is open is not ready; one whose last call failed is, and says why that failed. */
function readinessOf(
  open: OpenHandler,
  { spared, downWhy }: Gate,
): { readonly ready: boolean; readonly why: string | undefined } {
  const own = open.readiness();
  return { ready: own.ready && spared === undefined, why: own.why ?? spared ?? downWhy };
}

const NOBODY: Caller = { remainingMs: undefined, signal: undefined };
const NO_POLICY = [{ rule: '', text: 'no policy is in force', shadow: false }];

const errorOf = (reasons: readonly Reason[]): Verdict => ({
  id: nextId(),
  outcome: 'error',
  rule: undefined,
  status: 503,
  code: 14,
  body: '',
  headers: [],
  changes: NO_CHANGES,
  shadow: [],
  reasons,
});
const limitErrorOf = (reasons: readonly Reason[]): LimitVerdict => ({
  id: nextId(),
  outcome: 'error',
  rule: undefined,
  statuses: [],
  response: NO_CHANGES.response,
  shadow: [],
  reasons,
});

/** `seen`: a rule that applies to several descriptors refuses one call. */
function count(outcome: RuleOutcome, verdict: Verdict | LimitVerdict, seen: Set<PreparedRule> | undefined): void {
  const {
    prepared,
    prepared: { meters, rule },
    enforced,
    failed,
  } = outcome;
  if (failed) meters.failed++;
  const refusal = refusalOf(outcome);
  if (refusal === undefined || seen?.has(prepared) === true) return;
  seen?.add(prepared);
  if (!enforced) meters.shadow++;
  else if (refusal === 'error') meters.errors++;
  else if (verdict.rule === rule.name) meters.denied++;
}

/** Merges two lists that are each in the order of rules. */
function inRuleOrder(one: readonly RuleOutcome[], other: readonly RuleOutcome[]): readonly RuleOutcome[] {
  if (one.length === 0) return other;
  if (other.length === 0) return one;
  const all: RuleOutcome[] = [];
  let at = 0;
  for (const outcome of one) {
    while (at < other.length && indexOf(other[at]) < indexOf(outcome)) all.push(other[at++] as RuleOutcome);
    all.push(outcome);
  }
  while (at < other.length) all.push(other[at++] as RuleOutcome);
  return all;
}

const indexOf = (outcome: RuleOutcome | undefined): number => outcome?.prepared.rule.index ?? Infinity;

/** Goes on in the same turn where there is nothing to wait for. */
function whenDone<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}

function allOf<T>(values: readonly (T | Promise<T>)[]): T[] | Promise<T[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as T[]);
}

/** While a call waits, the handlers of its snapshot stay open. */
function held<T>(snapshot: Snapshot, value: T | Promise<T>): T | Promise<T> {
  if (!(value instanceof Promise)) return value;
  snapshot.enter();
  return value.finally(() => snapshot.leave());
}
