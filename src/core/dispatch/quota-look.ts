/**
 * One quota rule in one bag, as operators see it.
 * **In**: any quota rule, a bag. **Out**: whether it applies and why, and the ask where it would make one. **Fails**: never.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { HIDDEN, SecretlessBag } from '../../attributes/secrets.ts';
import type { Algorithm, QuotaAsk } from '../../adapters/contract.ts';
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

export interface QuotaLook {
  readonly rule: string;
  /** `file:line`. */
  readonly at: string;
  /** Of a `limit` call: which of its descriptors, from 1. */
  readonly descriptor?: number;
  /** Whether the call would charge it. */
  readonly applies: boolean;
  /** A sentence without its stop. */
  readonly why: string;
  /** As written; absent: it has none, and always applies. */
  readonly match?: string;
  /** False: it is charged, and refuses nothing. */
  readonly enforced: boolean;
  readonly handler: string;
  readonly adapter: string;
  readonly algorithm: Algorithm;
  /** Rules with equal names share their counts. */
  readonly counter: string;
  /** In order: the expression, and its value; null where it is absent, `(secret)` where not to be shown. */
  readonly key: readonly { readonly source: string; readonly value: unknown }[];
  /** Absent where it cannot be had. */
  readonly limit?: number;
  readonly cost?: number;
  readonly burst?: number;
  /** About, where it is of a calendar. */
  readonly perMs: number;
  /** `month Europe/Amsterdam`. */
  readonly calendar?: string;
  /** What its counter is at; `granted`: whether what the call would cost is left now (what `once` remembers is not asked). */
  readonly state?: {
    readonly granted: boolean;
    readonly used: number;
    readonly remaining: number;
    readonly resetMs: number;
  };
  /** Where its counter is, as the backend names it. */
  readonly place?: string;
  /** Who has taken units that are not spent yet. */
  readonly holders?: readonly { readonly who: string; readonly units: number }[];
  /** Whether its counter was taken away; absent where that was not asked for. */
  readonly reset?: boolean;
  /** What could not be had or done, and why. */
  readonly failure?: string;
}

export interface SeenQuota {
  readonly look: QuotaLook;
  /** Where it applies, and could be charged. */
  readonly ask: QuotaAsk | undefined;
  readonly handler: LiveHandler;
}

/** Looked at by somebody: what it comes to is not counted. */
export const unmetered = <P extends PreparedRule>(prepared: P): P => ({ ...prepared, meters: new RuleMeters() });

export function seenQuota(
  snapshot: Snapshot,
  metered: PreparedQuota,
  bag: RequestBag,
  call: CallKind,
  at: number,
): SeenQuota {
  const prepared = unmetered(metered);
  const { rule, action, handler } = prepared;
  const { mode, position } = rule;
  const outcome: RuleOutcome = { prepared, bag, enforced: isEnforced(prepared, bag), result: PASSED, failed: false };
  const { applies, why } = applicationOf(snapshot, prepared, action, bag, call);
  const ask = quotaAskOf(snapshot, outcome, action, call);
  const { result } = outcome;
  const look: QuotaLook = {
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
    key: keyForPeople(action.key, bag),
    ...(ask === undefined
      ? {}
      : { limit: ask.limit, cost: costOf(ask), ...(action.algorithm === 'gcra' ? { burst: ask.burst } : {}) }),
    perMs: ask?.perMs ?? action.perMs,
    ...(action.calendar === undefined ? {} : { calendar: action.zone }),
    ...(applies && result.kind === 'failed' ? { failure: `${result.why}; ${COMES_TO[result.word]}` } : {}),
  };
  return { look, ask: applies ? ask : undefined, handler };
}

const COMES_TO = {
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
        why: `its match failed: ${match?.why(bag) ?? ''}; ${failedMatchApplies ? 'a quota is charged then' : COMES_TO[inputWord]}`,
      };
  }
}

/** A value that would be another one without the secrets of the request could tell of them. */
export function keyForPeople(key: readonly Compiled[], bag: RequestBag): QuotaLook['key'] {
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
