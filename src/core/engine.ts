/**
 * A request's life on one page.
 * **In**: a wire, and its caller. **Out**: a verdict, synchronously if every handler answers synchronously; or a queued report.
 * **Fails**: never by throwing; without a policy, or if a rule says so, the outcome is `error`.
 */
import { RequestBag, type Wire } from '../attributes/bag.ts';
import type { CallKind, RecordKind } from '../attributes/carrier.ts';
import { messageOf } from '../text/message-of.ts';
import { TimerWheel } from '../time/timer-wheel.ts';
import { nextId } from './call-id.ts';
import { type Caller, type CheckKind, type LimitVerdict, NO_CALLER, type Reason, type Verdict } from './call.ts';
import { askQuotas } from './dispatch/charge-quotas.ts';
import { chargeRecord } from './dispatch/charge-records.ts';
import { askChecks } from './dispatch/checks.ts';
import { enrichBag, enrichedBag } from './dispatch/enrich.ts';
import { inspectQuotas } from './dispatch/inspect-quotas.ts';
import { ReportWriter } from './dispatch/write-reports.ts';
import { CallScope } from './handlers/call-scope.ts';
import { DEFAULT_REPORT_QUEUE } from './handlers/report-queue.ts';
import { SILENT_LOG } from './handlers/live-handler.ts';
import { LetterBoxes } from './handlers/memory-letters.ts';
import { Spools } from './handlers/spools.ts';
import { endLines, ThrottledLine, ThrottledLines } from './handlers/throttled-line.ts';
import { ConcludedCalls } from './history/concluded-calls.ts';
import { heldOf } from './history/held-loop.ts';
import { metricFamilies } from './metrics/families.ts';
import { Meters } from './metrics/meters.ts';
import { inRuleOrder, type RuleOutcome, NO_QUOTAS, type QuotaRun } from './outcome.ts';
import type { EngineOptions, RunningEngine } from './running-engine.ts';
import { PolicyInForce } from './snapshot/in-force.ts';
import type { Snapshot } from './snapshot/snapshot.ts';
import { checkVerdict } from './verdict/check-verdict.ts';
import { errorVerdict, limitErrorVerdict, NO_POLICY } from './verdict/error-verdict.ts';
import { decidingOf, settleGroups } from './verdict/first-deny.ts';
import { byDescriptor, limitVerdict } from './verdict/limit-verdict.ts';
import { allOf, whenDone } from './when-done.ts';

/** `globalThis.performance` is a getter; keep a local reference on the hot path. */
const monotonic = performance;

export function createEngine(options: EngineOptions): RunningEngine {
  const { clock, log = SILENT_LOG, graceMs = 5000, sampleReports = true, keepsVerdicts = true } = options;
  const nowMs = clock === undefined ? (): number => Date.now() : (): number => clock.nowMs();
  let closesWithinMs = graceMs;
  const meters = new Meters();
  const internalErrors = new ThrottledLine(log, 'error', 'internal error while deciding a call');
  const reports = new ReportWriter(log, sampleReports, nowMs);
  const concluded = new ConcludedCalls({ meters, reports, log, sampleReports, keepsVerdicts, nowMs });
  const inForce = new PolicyInForce(
    {
      nowMs,
      openHandlers: options.openHandlers,
      meters,
      deadlines: new TimerWheel(),
      log,
      reports: options.reports ?? DEFAULT_REPORT_QUEUE,
      graceMs: () => closesWithinMs,
      spools: new Spools({ log, nowMs, graceMs, worker: options.worker }),
      letterBoxes: new LetterBoxes(),
      longTexts: new ThrottledLines(log, 'warn', 'a text of a rule is too long'),
    },
    (snapshot) => concluded.settle(snapshot),
  );

  // ---------------------------------------------------------- http, tcp

  function check(call: CheckKind, wire: Wire, caller: Caller): Verdict | Promise<Verdict> {
    try {
      const verdict = checked(call, wire, caller);
      return verdict instanceof Promise ? caught(verdict, call) : verdict;
    } catch (error) {
      return errorVerdict(internalError(call, error));
    }
  }

  // The steps after a wait are separate functions: the variables of a closure would be allocated even for calls that do not wait.
  async function caught(verdict: Promise<Verdict>, call: CheckKind): Promise<Verdict> {
    try {
      return await verdict;
    } catch (error) {
      return errorVerdict(internalError(call, error));
    }
  }

  /** No exception leaves the engine; the call is answered with an error. */
  function internalError(call: CallKind, error: unknown): readonly Reason[] {
    meters.ofCall(call).outcomes.error++;
    internalErrors.write(() => ({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
    return [{ rule: '', text: `internal error: ${messageOf(error)}`, shadow: false }];
  }

  function snapshotFor(call: CallKind): Snapshot | undefined {
    const { current } = inForce;
    if (current === undefined) meters.ofCall(call).withoutPolicy++;
    return current;
  }

  function checked(call: CheckKind, wire: Wire, caller: Caller): Verdict | Promise<Verdict> {
    const current = snapshotFor(call);
    if (current === undefined) return errorVerdict(NO_POLICY);
    const beganAtMs = caller.arrivedAtMs ?? monotonic.now();
    const scope = new CallScope(caller.id ?? nextId(), call, caller);
    const bag = current.bagOf(wire, scope.id);
    scope.bags = bag;
    const enriched = enrichBag(current.enrich(call), bag, scope);
    return enriched === undefined
      ? decide(current, bag, scope, beganAtMs)
      : current.hold(decideLater(enriched, current, bag, scope, beganAtMs));
  }

  async function decideLater(
    enriched: Promise<void>,
    current: Snapshot,
    bag: RequestBag,
    scope: CallScope,
    beganAtMs: number,
  ): Promise<Verdict> {
    await enriched;
    return decide(current, bag, scope, beganAtMs);
  }

  function decide(current: Snapshot, bag: RequestBag, scope: CallScope, beganAtMs: number): Verdict | Promise<Verdict> {
    const checks = askChecks(current, bag, scope);
    return checks instanceof Promise
      ? current.hold(chargeLater(checks, current, bag, scope, beganAtMs))
      : charge(current, bag, scope, checks, beganAtMs);
  }

  async function chargeLater(
    checks: Promise<readonly RuleOutcome[]>,
    current: Snapshot,
    bag: RequestBag,
    scope: CallScope,
    beganAtMs: number,
  ): Promise<Verdict> {
    return charge(current, bag, scope, await checks, beganAtMs);
  }

  function charge(
    current: Snapshot,
    bag: RequestBag,
    scope: CallScope,
    checks: readonly RuleOutcome[],
    beganAtMs: number,
  ): Verdict | Promise<Verdict> {
    settleGroups(checks);
    const deciding = decidingOf(checks);
    const bags = [bag];
    if (deciding !== undefined || current.quotas.length === 0)
      return concluded.add(
        current,
        bags,
        scope.kind,
        checkVerdict(scope, checks, deciding, NO_QUOTAS.entries),
        checks,
        NO_QUOTAS.entries,
        beganAtMs,
      );
    const run = askQuotas(current, bags, scope);
    return run instanceof Promise
      ? current.hold(concludeLater(run, current, bags, scope, checks, beganAtMs))
      : concludeWith(run, current, bags, scope, checks, beganAtMs);
  }

  async function concludeLater(
    run: Promise<QuotaRun>,
    current: Snapshot,
    bags: readonly RequestBag[],
    scope: CallScope,
    checks: readonly RuleOutcome[],
    beganAtMs: number,
  ): Promise<Verdict> {
    return concludeWith(await run, current, bags, scope, checks, beganAtMs);
  }

  function concludeWith(
    { outcomes, entries }: QuotaRun,
    current: Snapshot,
    bags: readonly RequestBag[],
    scope: CallScope,
    checks: readonly RuleOutcome[],
    beganAtMs: number,
  ): Verdict {
    const all = inRuleOrder(checks, outcomes);
    const verdict = checkVerdict(scope, all, decidingOf(all), entries);
    return concluded.add(current, bags, scope.kind, verdict, all, entries, beganAtMs);
  }

  // ---------------------------------------------------------- limit

  function limit(descriptors: readonly Wire[], caller: Caller): LimitVerdict | Promise<LimitVerdict> {
    try {
      const verdict = limited(descriptors, caller);
      return verdict instanceof Promise
        ? verdict.catch((error: unknown) => limitErrorVerdict(internalError('limit', error)))
        : verdict;
    } catch (error) {
      return limitErrorVerdict(internalError('limit', error));
    }
  }

  function limited(descriptors: readonly Wire[], caller: Caller): LimitVerdict | Promise<LimitVerdict> {
    const current = snapshotFor('limit');
    if (current === undefined) return limitErrorVerdict(NO_POLICY);
    const beganAtMs = caller.arrivedAtMs ?? monotonic.now();
    const scope = new CallScope(caller.id ?? nextId(), 'limit', caller);
    const bags = descriptors.map((wire) => current.bagOf(wire, scope.id));
    scope.bags = bags;
    const decideAll = (): LimitVerdict | Promise<LimitVerdict> =>
      whenDone(allOf(bags.map((bag) => askChecks(current, bag, scope))), (checks) => {
        for (const outcomes of checks) settleGroups(outcomes);
        const isRefused = checks.some((outcomes) => decidingOf(outcomes) !== undefined);
        return whenDone(isRefused ? NO_QUOTAS : askQuotas(current, bags, scope), (quotas) => {
          const perDescriptor = byDescriptor(checks, quotas);
          const all = perDescriptor.flatMap(({ outcomes }) => outcomes);
          return concluded.add(
            current,
            bags,
            'limit',
            limitVerdict(scope.id, perDescriptor),
            all,
            quotas.entries,
            beganAtMs,
          );
        });
      });
    const enriched = allOf(bags.map((bag) => enrichBag(current.enrich('limit'), bag, scope)));
    return current.hold(whenDone(enriched, decideAll));
  }

  // ---------------------------------------------------------- reports

  function report(call: RecordKind, wire: Wire): undefined | Promise<void> {
    const current = snapshotFor(call);
    if (current === undefined) return undefined;
    try {
      return reported(current, call, wire)?.catch((error: unknown) => {
        internalError(call, error);
      });
    } catch (error) {
      internalError(call, error);
      return undefined;
    }
  }

  function reported(current: Snapshot, call: RecordKind, wire: Wire): undefined | Promise<void> {
    const bag = new RequestBag(current.attributes, wire);
    meters.ofCall(call).outcomes.allow++;
    const lookups = current.enrich(call);
    if (lookups.length === 0) return recorded(current, call, bag); // without a scope, which costs an id
    const enriched = enrichBag(lookups, bag, new CallScope(nextId(), call, NO_CALLER).about(bag));
    if (enriched === undefined) return recorded(current, call, bag);
    return current.hold(enriched.then(async () => recorded(current, call, bag)));
  }

  /** Charges quotas after the fact and queues reports; a promise if either waits. */
  function recorded(current: Snapshot, call: RecordKind, bag: RequestBag): Promise<void> | undefined {
    const atMs = monotonic.now();
    const charged = current.quotas.length === 0 ? undefined : chargeRecord(current, call, bag, atMs);
    const written = reports.write(current, call, bag, atMs);
    concluded.entries.offer(bag, call, atMs);
    return charged === undefined ? written : Promise.all([charged, written]).then(() => undefined);
  }

  // ---------------------------------------------------------- for operators

  return {
    check,
    limit,
    report,
    whenSafe: () => inForce.whenSafe(),
    reportsFull: () => inForce.reportsFull(),
    use: (policy) => inForce.use(policy),
    prepare: (policy) => inForce.prepare(policy),
    drain: (withinMs = graceMs) => {
      closesWithinMs = withinMs;
      return inForce.drain().finally(() => endLines(log));
    },
    bagOf: async (call, wire) => inForce.current && enrichedBag(inForce.current, call, wire),
    get snapshot() {
      return inForce.current;
    },
    flush: async () => {
      await concluded.decisions.written();
      await inForce.flush();
    },
    handlers: () => inForce.handlers().map((handler) => handler.state()),
    letters: async (request) =>
      (await import('./handlers/dead-letter-requests.ts')).askLetters(inForce.handlers(), request),
    quotas: async (depth, call, wires, leases) =>
      inForce.current?.hold(inspectQuotas(inForce.current, depth, call, wires, leases)),
    verdicts: (filter) => concluded.list(filter),
    kept: (id) => concluded.find(id),
    logEntry: (id) => inForce.current && concluded.entries.find(id, inForce.current.attributes),
    held: () => heldOf(concluded.held, inForce.handlers()),
    observe: (observer) => concluded.observers.add(observer),
    families: [...metricFamilies(meters), ...concluded.families],
    meters,
  };
}
