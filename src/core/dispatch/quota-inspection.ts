/**
 * One quota rule in one bag, for operators.
 * **In**: a quota rule, a bag. **Out**: whether it applies and why, and its ask if it has one. **Fails**: never.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { HIDDEN, SecretlessBag } from '../../attributes/secrets.ts';
import type { Algorithm, QuotaAsk, QuotaLease, QuotaPlace } from '../../adapters/contract.ts';
import { type Compiled, FAILED } from '../../expression/index.ts';
import { isEnforced, matchOf } from '../match/applies.ts';
import { keyPart } from '../key-text.ts';
import { RuleMeters } from '../metrics/meters.ts';
import { toShape } from '../rules/actions/convert.ts';
import type { QuotaAction } from '../rules/rule.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { PASSED, type PreparedQuota, type PreparedRule, type RuleOutcome, shadowCounter } from '../outcome.ts';
import { costOf, hasKeys, quotaAskOf } from './quota-ask.ts';

/** A counter as its handler shows it. */
export interface CounterInspection {
  /** `granted`: whether the cost of the call is left now (idempotency keys are not checked). */
  readonly state?: {
    readonly granted: boolean;
    readonly used: number;
    readonly remaining: number;
    readonly resetMs: number;
  };
  /** The backend's name of the counter. */
  readonly place?: string;
  /** Replicas that hold units taken in advance. */
  readonly holders?: NonNullable<QuotaPlace['holders']>;
  /** `concurrency`: the leases of the requested page, oldest first, and how many there are; absent if the handler does not list them. */
  readonly leases?: readonly QuotaLease[];
  readonly leaseCount?: number;
  /** What failed, and why. */
  readonly failure?: string;
}

export interface QuotaInspection extends CounterInspection {
  readonly rule: string;
  /** `file:line`. */
  readonly at: string;
  /** The descriptor of a `limit` call, from 1. */
  readonly descriptor?: number;
  /** Whether the call would charge it. */
  readonly applies: boolean;
  /** A sentence without its full stop. */
  readonly why: string;
  /** As written; absent if the rule always applies. */
  readonly match?: string;
  /** False: it is charged, but never refuses. */
  readonly enforced: boolean;
  readonly handler: string;
  readonly adapter: string;
  readonly algorithm: Algorithm;
  /** Rules with equal names share a counter. */
  readonly counter: string;
  /** Expressions and their values, in order: null if absent, `(secret)` if hidden. */
  readonly key: readonly { readonly source: string; readonly value: unknown }[];
  /** Absent if it cannot be evaluated. */
  readonly limit?: number;
  readonly cost?: number;
  readonly burst?: number;
  /** Approximate for calendar periods. */
  readonly perMs: number;
  /** `month Europe/Amsterdam`. */
  readonly calendar?: string;
  /** Whether its counter was reset; absent if that was not requested. */
  readonly reset?: boolean;
}

export interface InspectedQuota {
  readonly look: QuotaInspection;
  /** Only if the rule applies and could be charged. */
  readonly ask: QuotaAsk | undefined;
  readonly handler: LiveHandler;
}

/** A copy with separate meters, so that an inspection is not counted. */
export const unmetered = <P extends PreparedRule>(prepared: P): P => ({ ...prepared, meters: new RuleMeters() });

export function inspectedQuota(
  snapshot: Snapshot,
  metered: PreparedQuota,
  bag: RequestBag,
  call: CallKind,
  at: number,
): InspectedQuota {
  const prepared = unmetered(metered);
  const { rule, action, handler } = prepared;
  const { mode, position } = rule;
  const outcome: RuleOutcome = {
    prepared,
    bag,
    enforced: isEnforced(prepared, bag),
    result: PASSED,
    failed: false,
    handlerUs: 0,
  };
  const { applies, why } = applicationOf(snapshot, prepared, action, bag, call);
  const ask = quotaAskOf(snapshot, outcome, action, call);
  const { result } = outcome;
  const look: QuotaInspection = {
    rule: rule.name,
    at: `${position.file}:${position.line}`,
    ...(call === 'limit' ? { descriptor: at + 1 } : {}),
    applies,
    why,
    ...(rule.match === undefined ? {} : { match: rule.match.source }),
    enforced: outcome.enforced,
    handler: handler.spec.name,
    adapter: handler.spec.adapter,
    algorithm: action.algorithm,
    counter: mode.kind === 'shadow' ? shadowCounter(action.counter) : action.counter,
    key: shownKey(action.key, bag),
    ...(ask === undefined
      ? {}
      : { limit: ask.limit, cost: costOf(ask), ...(action.algorithm === 'gcra' ? { burst: ask.burst } : {}) }),
    perMs: ask?.perMs ?? action.perMs,
    ...(action.calendar === undefined ? {} : { calendar: action.zone }),
    ...(applies && result.kind === 'failed' ? { failure: `${result.why}; ${RESULTS[result.word]}` } : {}),
  };
  return { look, ask: applies ? ask : undefined, handler };
}

const RESULTS = {
  deny: 'the call is refused as failed',
  allow: 'the call passes uncharged',
  error: 'the call is answered as an error',
} as const;

function applicationOf(
  snapshot: Snapshot,
  prepared: PreparedRule,
  { descriptorKeys }: QuotaAction,
  bag: RequestBag,
  call: CallKind,
): { readonly applies: boolean; readonly why: string } {
  const {
    rule: { calls, match },
    failedMatchApplies,
    inputWord,
  } = prepared;
  if (!calls.has(call)) return { applies: false, why: `it is asked in ${[...calls].join(', ')} calls, not in ${call}` };
  const missing = call === 'limit' ? descriptorKeys.find((key) => !hasKeys(snapshot, bag, [key])) : undefined;
  if (missing !== undefined) return { applies: false, why: `the descriptor has no ${missing}` };
  switch (matchOf(prepared, bag)) {
    case 'applies':
      return { applies: true, why: match === undefined ? 'it has no match' : 'its match is true' };
    case 'does not apply':
      return { applies: false, why: 'its match is false' };
    case 'failed':
      return {
        applies: failedMatchApplies,
        why: `its match failed: ${match?.why(bag) ?? ''}; ${failedMatchApplies ? 'a quota is charged then' : RESULTS[inputWord]}`,
      };
  }
}

/** Hides values that depend on secrets of the request, that is, differ when evaluated without them. */
export function shownKey(key: readonly Compiled[], bag: RequestBag): QuotaInspection['key'] {
  const secretless = new SecretlessBag(bag);
  return key.map((part) => {
    const value = part.evaluate(bag);
    if (textOf(part, secretless) !== textOf(part, bag)) return { source: part.source, value: HIDDEN };
    return { source: part.source, value: value === FAILED ? null : toShape('any', value) };
  });
}

function textOf(part: Compiled, bag: RequestBag): string {
  const value = part.evaluate(bag);
  return keyPart(value === FAILED ? undefined : value, part.type);
}
