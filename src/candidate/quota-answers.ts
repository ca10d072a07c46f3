/**
 * The answer that a quota of the candidate would have got, from the same call in force.
 * **In**: an ask of the candidate, and the quotas of the call in force. **Out**: an answer; `undefined` if that call did not ask this
 * counter, so that it has to be looked at. **Fails**: with Unavailable, if the handler failed in the call in force.
 *
 * The call has charged the counter when the candidate is asked, and others have since. Its own answers say what was left before.
 */
import { Unavailable, type QuotaAnswer, type QuotaAsk, type QuotaRule } from '../adapters/contract.ts';
import { changeOf, fits } from '../counting/ask.ts';
import type { LiveHandler } from '../core/handlers/live-handler.ts';
import type { DecidedCall } from '../core/history/observers.ts';
import { type QuotaEntry, shadowCounter } from '../core/outcome.ts';

/** A rule in shadow mode counts apart; it stands for the same rule when it is enforced. */
export const counterName = (counter: string): string => {
  const mark = shadowCounter('');
  return counter.endsWith(mark) ? counter.slice(0, -mark.length) : counter;
};

/** Units that a counter has at most. */
const capacityOf = ({ algorithm }: Pick<QuotaRule, 'algorithm'>, { limit, burst }: QuotaAsk): number =>
  algorithm === 'gcra' ? burst : limit;

export function answerInForce(
  ask: QuotaAsk,
  rule: QuotaRule,
  handler: LiveHandler,
  { quotas }: DecidedCall,
): QuotaAnswer | undefined {
  const name = counterName(rule.counter);
  const same = quotas.filter(
    ({ handler: asked, ask: { key, perMs }, outcome: { prepared } }) =>
      asked === handler &&
      prepared.action.counter === name &&
      prepared.action.algorithm === rule.algorithm &&
      perMs === ask.perMs &&
      key === ask.key,
  );
  const [first] = same;
  if (first === undefined) return undefined;
  const { answer, outcome } = first;
  if (answer === undefined) {
    if (outcome.result.kind === 'failed') throw new Unavailable(outcome.result.why);
    return undefined; // a quota before it refused the call
  }
  const cost = Math.max(...same.map(({ ask: asked }) => changeOf(asked)));
  if (isAlike(ask, first.ask) && cost === changeOf(ask)) return answer;
  const charged = isCharged(first, quotas) ? (answer.charged ?? cost) : 0;
  const used = capacityOf(rule, first.ask) - (answer.remaining + charged);
  const left = Math.max(0, capacityOf(rule, ask) - used);
  const isGranted = fits(ask, left);
  return {
    granted: isGranted,
    limit: ask.limit,
    remaining: isGranted ? Math.max(0, Math.floor(left - changeOf(ask))) : Math.floor(left),
    resetMs: isGranted ? answer.resetMs : Math.max(1, answer.resetMs),
    ...(isGranted && ask.kind === 'spend' && ask.partial === true
      ? { charged: Math.min(ask.cost, Math.floor(left)) }
      : {}),
  };
}

const isAlike = (one: QuotaAsk, other: QuotaAsk): boolean =>
  one.kind === other.kind && one.limit === other.limit && one.burst === other.burst;

/** Enforced asks of a handler are charged together or not at all; each shadow rule is charged by itself. */
function isCharged({ outcome, handler, answer }: QuotaEntry, all: readonly QuotaEntry[]): boolean {
  if (!outcome.enforced) return answer?.granted === true;
  return all.every((entry) => entry.handler !== handler || !entry.outcome.enforced || entry.answer?.granted !== false);
}
