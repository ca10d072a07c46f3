/** Validates the answers of `charge()` before a rule uses them; a plugin may return anything. */
import type { QuotaAnswer, QuotaAsk } from '../../adapters/contract.ts';
import { kindOf } from '../../text/kind-of.ts';

/** `undefined` if nothing is wrong. In the path of each request with a quota: compares, and makes no text unless something is wrong. */
export function answersProblem(answers: readonly QuotaAnswer[], asks: readonly QuotaAsk[]): string | undefined {
  if (!Array.isArray(answers) || answers.length !== asks.length)
    return `charge() must return a list with one answer for each ask, ${asks.length} here; it returned ${Array.isArray(answers) ? answers.length : kindOf(answers)}`;
  for (let at = 0; at < asks.length; at++) {
    const answer = answers[at] as QuotaAnswer | undefined;
    const ask = asks[at] as QuotaAsk;
    if (!isRight(answer, ask)) return problemOf(answer, costOf(ask));
  }
  return undefined;
}

/** Clients are shown these numbers. A `resetMs` below 0 is time that has passed, as clocks of two machines have it, and counts as 0. */
const isRight = (answer: QuotaAnswer | undefined, ask: QuotaAsk): boolean =>
  typeof answer?.granted === 'boolean' &&
  isAmount(answer.limit) &&
  isAmount(answer.remaining) &&
  Number.isFinite(answer.resetMs) &&
  (answer.charged === undefined || (isAmount(answer.charged) && answer.charged <= costOf(ask)));

/** The most that may be charged. */
const costOf = (ask: QuotaAsk): number => ('cost' in ask ? ask.cost : 0);

const isAmount = (value: number): boolean => Number.isFinite(value) && value >= 0;

function problemOf(answer: QuotaAnswer | undefined, cost: number): string {
  if (typeof answer?.granted !== 'boolean') return 'each answer of charge() must have granted: true or false';
  const name = (['limit', 'remaining', 'charged'] as const).find(
    (one) => !(one === 'charged' && answer.charged === undefined) && !isAmount(answer[one] as number),
  );
  const { charged = 0 } = answer;
  if (name === undefined && charged > cost)
    return `charged of an answer of charge() is at most the cost of its ask, ${cost}; not ${shown(charged)}`;
  return name === undefined
    ? `resetMs of an answer of charge() is a finite number of milliseconds; not ${shown(answer.resetMs)}`
    : `${name} of an answer of charge() is a finite number from 0; not ${shown(answer[name])}`;
}

const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : kindOf(value));
