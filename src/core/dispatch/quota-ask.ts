/**
 * The ask of a quota rule.
 * **In**: a rule that applies, in one bag. **Out**: the ask for its handler. **Fails**: never; a failed part is recorded in the
 * outcome, and there is no ask if nothing can be charged without it.
 */
import type { Bag } from '../../attributes/bag.ts';
import { type CallKind, isRecord } from '../../attributes/carrier.ts';
import type { QuotaAsk } from '../../adapters/contract.ts';
import { type Compiled, FAILED } from '../../expression/index.ts';
import { keyPart } from '../key-text.ts';
import type { QuotaAction } from '../rules/rule.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type RuleOutcome, fail } from '../outcome.ts';

/** A descriptor without a key that the rule reads is skipped. */
export function hasKeys({ slots: { descriptor } }: Snapshot, bag: Bag, keys: readonly string[]): boolean {
  if (keys.length === 0) return true;
  const map = descriptor === undefined ? undefined : bag.get(descriptor);
  return map instanceof Map && keys.every((key) => map.has(key));
}

/** What an ask charges. */
export const costOf = (ask: QuotaAsk): number => (ask.kind === 'spend' || ask.kind === 'owe' ? ask.cost : 0);

export function quotaAskOf(
  snapshot: Snapshot,
  outcome: RuleOutcome,
  action: QuotaAction,
  call: CallKind,
): QuotaAsk | undefined {
  const { prepared, bag } = outcome;
  const key = keyOf(outcome, action);
  if (key === undefined) return undefined;
  const isLimit = call === 'limit';
  const override = isLimit && action.override ? overrideOf(snapshot, bag) : undefined;
  const limit = override?.limit ?? amount(outcome, 'limit', action.limit, bag);
  const cost =
    action.cost === undefined ? (isLimit ? hitsOf(snapshot, bag) : 1) : amount(outcome, 'cost', action.cost, bag);
  const burst = action.burst === undefined ? limit : amount(outcome, 'burst', action.burst, bag);
  if (limit === undefined || cost === undefined || burst === undefined) return undefined;
  const perMs = override?.perMs ?? action.perMs;
  const ask: QuotaAsk = { kind: 'spend', bucket: prepared.bucket, key, limit, cost, burst, perMs };
  const isLog = isRecord(call);
  if (cost > 0 && !isLog && action.once === undefined && !action.partial && action.calendar === undefined) return ask;
  const idempotencyKey = onceOf(outcome, action.once, bag);
  const counter = {
    ...ask,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(override === undefined && action.calendar !== undefined
      ? { endsAtMs: action.calendar.at(snapshot.nowMs() / 1000).endsAtS * 1000 }
      : {}),
  };
  // After the fact: the lease has ended, or the cost is owed.
  if (isLog) return { ...counter, kind: action.algorithm === 'concurrency' ? 'release' : 'owe' };
  if (cost === 0) return { ...counter, kind: 'look' };
  return action.partial ? { ...counter, partial: true } : counter;
}

/** A failed part counts as a distinct value, unless the rule sets `onError.input`. */
function keyOf(outcome: RuleOutcome, { key }: QuotaAction): string | undefined {
  const {
    prepared: { rule },
    bag,
  } = outcome;
  let text = '';
  for (let at = 0; at < key.length; at++) {
    const part = key[at] as Compiled;
    const value = part.evaluate(bag);
    if (at > 0) text += ',';
    if (value !== FAILED) {
      text += keyPart(value, part.type);
      continue;
    }
    text += keyPart(undefined, part.type);
    outcome.failed = true;
    const { input } = rule.onError;
    if (input !== undefined) {
      fail(outcome, 'input', input, `key ${part.source}: ${part.why(bag)}`);
      return undefined;
    }
  }
  return text;
}

/** Without an idempotency key, because it is empty or failed, the request is charged each time. A failure is counted. */
function onceOf(outcome: RuleOutcome, compiled: Compiled | undefined, bag: Bag): string | undefined {
  if (compiled === undefined) return undefined;
  const value = compiled.evaluate(bag);
  if (value === '') return undefined;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return String(value);
  outcome.failed = true;
  return undefined;
}

/** A number from 0 to 2^53; anything else is a failure. */
function amount(outcome: RuleOutcome, what: string, compiled: Compiled, bag: Bag): number | undefined {
  const value = compiled.evaluate(bag);
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number <= Number.MAX_SAFE_INTEGER) return number;
  const why =
    value === FAILED
      ? compiled.why(bag)
      : `${typeof number === 'number' ? number : 'the value'} is not a number from 0 to 2^53`;
  fail(outcome, 'input', outcome.prepared.inputWord, `${what}: ${why}`);
  return undefined;
}

function hitsOf({ slots: { hits } }: Snapshot, bag: Bag): number {
  const value = hits === undefined ? undefined : bag.get(hits);
  if (typeof value === 'bigint') return Number.MAX_SAFE_INTEGER; // more than any limit
  return typeof value === 'number' ? value : 1;
}

function overrideOf(
  { slots: { override } }: Snapshot,
  bag: Bag,
): { readonly limit: number; readonly perMs: number } | undefined {
  const map = override === undefined ? undefined : bag.get(override);
  if (!(map instanceof Map)) return undefined;
  const [limit, perMs] = [map.get('limit'), map.get('per_ms')] as const;
  return typeof limit === 'number' && typeof perMs === 'number' ? { limit, perMs } : undefined;
}
