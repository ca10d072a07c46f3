/** Estimated memory of the texts of a verdict and of what handlers answered, in bytes. */
import type { LimitVerdict, Verdict } from '../call.ts';
import { inputBytes } from '../handlers/report-size.ts';
import type { RuleOutcome } from '../outcome.ts';
import type { DecidedCall } from './observers.ts';

export function verdictBytes(verdict: Verdict | LimitVerdict): number {
  let bytes = 0;
  for (const { text } of verdict.reasons) bytes += text.length;
  if (!('body' in verdict)) return bytes;
  const { body, hasConstantBody, headers, changes } = verdict;
  bytes += (hasConstantBody === true ? 0 : body.length) + pairsBytes(headers);
  if (changes.isConstant) return bytes;
  const { request, response, query, metadata } = changes;
  const set = [request.set, request.append, response.set, response.append, query.set, metadata];
  for (const pairs of set) bytes += pairsBytes(pairs);
  return bytes;
}

function pairsBytes(pairs: readonly (readonly [name: string, value: string])[]): number {
  let bytes = 0;
  for (const [, value] of pairs) bytes += value.length;
  return bytes;
}

/** Of a decided call: its request, its verdict, and what its handlers answered. */
export const callBytes = ({ bags, verdict, outcomes }: Pick<DecidedCall, 'bags' | 'verdict' | 'outcomes'>): number =>
  (bags[0]?.wire.weight ?? 0) + verdictBytes(verdict) + answersBytes(outcomes);

/** Outputs of any size, which explanations of a kept verdict read. */
function answersBytes(outcomes: readonly RuleOutcome[]): number {
  let bytes = 0;
  for (const { result } of outcomes) {
    const output = 'answer' in result ? result.answer?.output : undefined;
    if (output !== undefined) bytes += inputBytes(output);
  }
  return bytes;
}
