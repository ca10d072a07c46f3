/**
 * **In**: the quota rules of one call, over all its bags. **Out**: their outcomes.
 * **Fails**: never; a failure is an outcome.
 *
 * All enforced asks of one handler are one charge, all or none; handlers are asked in rule order, up to the first refusal. Asks of
 * shadow rules are charged separately and refuse nothing. Access log entries are charged even beyond the limit.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { allow, type QuotaAnswer, type QuotaAsk } from '../../adapters/contract.ts';
import { isEnforced, matchOf } from '../match/applies.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import {
  fail,
  microsecondsSince,
  NO_QUOTAS,
  outcomeOfThrow,
  PASSED,
  type PreparedQuota,
  type QuotaEnds,
  type QuotaEntry,
  quotaOutput,
  type QuotaRun,
  type RuleOutcome,
  withItem,
} from '../outcome.ts';
import { type CallScope, fallbackScope } from '../handlers/call-scope.ts';
import { Failure } from '../handlers/failure.ts';
import { answersProblem } from '../handlers/quota-answers.ts';
import { costOf, hasKeys, quotaAskOf } from './quota-ask.ts';

/** A {@link QuotaRun} while it is collected; the empty lists are shared, and never pushed to. */
interface CollectedQuotas {
  outcomes: RuleOutcome[];
  entries: QuotaEntry[];
  ends: QuotaEnds[];
}

const NO_OUTCOMES: RuleOutcome[] = [];
const NO_ENTRIES: QuotaEntry[] = [];
const NO_ENDS: QuotaEnds[] = [];

export function askQuotas(
  snapshot: Snapshot,
  bags: readonly RequestBag[],
  scope: CallScope,
): QuotaRun | Promise<QuotaRun> {
  const run = { outcomes: NO_OUTCOMES, entries: NO_ENTRIES, ends: NO_ENDS };
  for (const bag of bags) {
    collect(snapshot, bag, scope, run);
    if (bags.length > 1) run.ends = withItem(run.ends, { outcomes: run.outcomes.length, entries: run.entries.length });
  }
  if (run.outcomes.length === 0) return NO_QUOTAS;
  const { entries } = run;
  if (entries.length > 1) return chargeGroups(run, scope);
  const waits = charge(entries, scope);
  return waits === undefined ? run : after(waits, run);
}

async function after(waits: Promise<unknown>, run: QuotaRun): Promise<QuotaRun> {
  await waits;
  return run;
}

function chargeGroups(run: QuotaRun, scope: CallScope): QuotaRun | Promise<QuotaRun> {
  const { entries } = run;
  const apart = entries.filter(({ outcome }) => !outcome.enforced).flatMap((entry) => charge([entry], scope) ?? []);
  const enforced = chargeInTurn(handlersInOrder(entries), scope);
  if (enforced === undefined && apart.length === 0) return run;
  return after(Promise.all([...apart, enforced]), run);
}

function collect(snapshot: Snapshot, bag: RequestBag, scope: CallScope, run: CollectedQuotas): void {
  const { kind: call } = scope;
  for (const prepared of snapshot.candidates.quotas(bag, call)) {
    try {
      const outcome = outcomeOf(snapshot, prepared, bag, call, run);
      if (outcome !== undefined) run.outcomes = withItem(run.outcomes, outcome);
    } catch (error) {
      run.outcomes = withItem(run.outcomes, outcomeOfThrow(prepared, bag, error));
    }
  }
}

/** `undefined` if the rule does not apply; its ask, if any, is added to `entries`. */
function outcomeOf(
  snapshot: Snapshot,
  prepared: PreparedQuota,
  bag: RequestBag,
  call: CallKind,
  run: CollectedQuotas,
): RuleOutcome | undefined {
  const { action } = prepared;
  if (call === 'limit' && !hasKeys(snapshot, bag, action.descriptorKeys)) return undefined;
  const match = matchOf(prepared, bag);
  if (match === 'does not apply') return undefined;
  const outcome: RuleOutcome<PreparedQuota> = {
    prepared,
    bag,
    enforced: isEnforced(prepared, bag),
    result: PASSED,
    failed: match === 'failed',
    handlerUs: 0,
  };
  prepared.meters.matched++;
  if (match === 'failed' && !prepared.failedMatchApplies) {
    fail(outcome, 'match', prepared.inputWord, `match failed: ${prepared.rule.match?.why(bag) ?? ''}`);
    return outcome;
  }
  const ask = quotaAskOf(snapshot, outcome, action, call);
  if (ask !== undefined)
    run.entries = withItem(run.entries, { outcome, ask, handler: prepared.handler, answer: undefined });
  return outcome;
}

// -------------------------------------------------------------- charging

function handlersInOrder(entries: readonly QuotaEntry[]): QuotaEntry[][] {
  const groups = new Map<LiveHandler, QuotaEntry[]>();
  for (const entry of entries) {
    if (!entry.outcome.enforced) continue;
    const group = groups.get(entry.handler);
    if (group === undefined) groups.set(entry.handler, [entry]);
    else group.push(entry);
  }
  return [...groups.values()].toSorted((a, b) => firstIndex(a) - firstIndex(b));
}

const firstIndex = (group: readonly QuotaEntry[]): number =>
  Math.min(...group.map(({ outcome }) => outcome.prepared.rule.index));

function chargeInTurn(groups: readonly QuotaEntry[][], scope: CallScope): Promise<void> | undefined {
  for (const [index, group] of groups.entries()) {
    const waits = charge(group, scope);
    if (waits !== undefined)
      return waits.then(async () => {
        if (!isRefused(group)) await chargeInTurn(groups.slice(index + 1), scope);
      });
    if (isRefused(group)) return undefined;
  }
  return undefined;
}

const isRefused = (group: readonly QuotaEntry[]): boolean =>
  group.some(
    ({ outcome: { result } }) => result.kind === 'over' || (result.kind === 'failed' && result.word !== 'allow'),
  );

function charge(group: readonly QuotaEntry[], scope: CallScope): Promise<void> | undefined {
  const [first] = group;
  if (first === undefined) return undefined;
  // Most calls have one ask: nothing to merge.
  const { asks, places } = group.length === 1 ? { asks: [first.ask], places: FIRST } : merged(group);
  const answers = askHandler(first.handler, asks, scope);
  return answers instanceof Promise
    ? settleLater(group, places, answers, scope)
    : settle(group, places, answers, scope);
}

async function settleLater(
  group: readonly QuotaEntry[],
  places: readonly number[],
  answers: Promise<readonly QuotaAnswer[] | Failure>,
  scope: CallScope,
): Promise<void> {
  const askedAtMs = scope.nowMs;
  const settled = await answers;
  for (const { outcome } of group) outcome.handlerUs = microsecondsSince(askedAtMs);
  await settle(group, places, settled, scope);
}

function settle(
  group: readonly QuotaEntry[],
  places: readonly number[],
  answers: readonly QuotaAnswer[] | Failure,
  scope: CallScope,
): Promise<void> | undefined {
  if (!(answers instanceof Failure)) {
    take(group, places, answers);
    return undefined;
  }
  const local = group.filter(({ outcome: { prepared } }) => prepared.local !== undefined);
  for (const { outcome } of group)
    if (outcome.prepared.local === undefined)
      fail(outcome, 'handler', answers.comesTo(outcome.prepared.rule.onError.handler), answers.why);
  return isRefused(group) ? undefined : chargeLocally(local, answers, scope);
}

/** Each replica admits its part of the limit. All entries have the same handler, so they have the same fallback. */
function chargeLocally(group: readonly QuotaEntry[], away: Failure, scope: CallScope): Promise<void> | undefined {
  const local = group[0]?.outcome.prepared.local;
  if (local === undefined) return undefined;
  const { handler, replicas } = local;
  const { asks, places } = merged(group);
  const buckets = group.map(({ outcome: { prepared } }) => prepared.local?.bucket);
  const parts = asks.map((ask, at): QuotaAsk => ({
    ...ask,
    bucket: buckets[places.indexOf(at)],
    limit: Math.ceil(ask.limit / replicas),
    burst: Math.ceil(ask.burst / replicas),
  }));
  const settleLocal = (answers: readonly QuotaAnswer[] | Failure): undefined => {
    if (!(answers instanceof Failure)) {
      for (const {
        outcome: { prepared },
      } of group)
        prepared.meters.local++;
      take(group, places, answers);
    } else {
      for (const { outcome } of group)
        fail(
          outcome,
          'handler',
          answers.comesTo(away.comesTo(outcome.prepared.rule.onError.handler)),
          `${away.why}; ${answers.why}`,
        );
    }
    return undefined;
  };
  const answers = askHandler(handler, parts, fallbackScope(scope));
  return answers instanceof Promise ? answers.then(settleLocal) : settleLocal(answers);
}

function askHandler(
  { gate, deadlinesMs, charge: chargeHandler }: LiveHandler,
  asks: readonly QuotaAsk[],
  scope: CallScope,
): readonly QuotaAnswer[] | Failure | Promise<readonly QuotaAnswer[] | Failure> {
  return gate.ask(chargeHandler, asks, scope, deadlinesMs.quota, answersProblem);
}

const FIRST: readonly number[] = [0];

/** Each counter once, with the largest cost and the tightest limit of the rules that share it. */
function merged(group: readonly QuotaEntry[]): { readonly asks: QuotaAsk[]; readonly places: readonly number[] } {
  const known = new Map<string, number>();
  const asks: QuotaAsk[] = [];
  const places = group.map(
    ({
      ask,
      outcome: {
        prepared: { action },
      },
    }) => {
      const counter = `${action.counter}\0${ask.key}\0${ask.perMs}`;
      const at = known.get(counter);
      const other = at === undefined ? undefined : asks[at];
      if (at === undefined || other === undefined) {
        known.set(counter, asks.length);
        return asks.push(ask) - 1;
      }
      asks[at] = tighter(other, ask);
      return at;
    },
  );
  return { asks, places };
}

/** Merges two asks of one counter: the larger cost, the tighter limit, partial only if both are. */
function tighter(one: QuotaAsk, other: QuotaAsk): QuotaAsk {
  const larger = costOf(other) > costOf(one) ? other : one;
  const bounds = { limit: Math.min(one.limit, other.limit), burst: Math.min(one.burst, other.burst) };
  return larger.kind === 'spend'
    ? { ...larger, ...bounds, partial: [one, other].every((ask) => ask.kind !== 'spend' || ask.partial === true) }
    : { ...larger, ...bounds };
}

function take(group: readonly QuotaEntry[], places: readonly number[], answers: readonly QuotaAnswer[]): void {
  let isRefused = false;
  for (let at = 0; at < group.length; at++) {
    const entry = group[at] as QuotaEntry;
    entry.answer = answers[places[at] ?? 0];
    if (entry.answer?.granted === false) isRefused = true;
  }
  if (!isRefused) {
    for (const { outcome, ask, answer } of group)
      if (outcome.prepared.rule.onAllow !== undefined && answer !== undefined)
        outcome.result = {
          kind: 'passed',
          answer: allow({ output: quotaOutput(answer, answer.charged ?? costOf(ask)) }),
        };
    return;
  }
  const refused = group.filter(({ answer }) => answer?.granted === false);
  const least = answers.reduce((one, other) => (other.remaining < one.remaining ? other : one));
  const retryAfterMs = Math.max(...refused.map(({ answer }) => answer?.resetMs ?? 0));
  for (const { outcome, answer, ask } of refused)
    if (answer !== undefined)
      outcome.result = { kind: 'over', quota: { perMs: ask.perMs, answer, least, retryAfterMs } };
}
