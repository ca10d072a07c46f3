/**
 * Answers of checks and lookups, recorded for `sluice explain`, and how long a verdict made of them holds.
 * **In**: how to open handlers. **Out**: handlers that record what they answer. **Fails**: never; an answer is passed on unchanged.
 */
import { type AnyHandler, type CheckAnswer, isFound, type LookupAnswer, valuesOf } from '../adapters/contract.ts';
import type { OpenHandlers } from '../core/handlers/live-handler.ts';
import { bound } from './looking-only.ts';
import type { Rule } from '../core/rules/rule.ts';

export interface HandlerAnswer {
  readonly rule: string;
  readonly handler: string;
  readonly says: 'allow' | 'deny' | 'values' | 'nothing';
  /** Milliseconds; null where the answer is for its call alone. */
  readonly validForMs: number | null;
}

export function recording(openHandlers: OpenHandlers, answers: HandlerAnswer[]): OpenHandlers {
  return async (spec) => {
    const open = await openHandlers(spec);
    return { ...open, handler: recorder(open.handler, spec.name, answers) };
  };
}

function recorder(handler: AnyHandler, name: string, answers: HandlerAnswer[]): AnyHandler {
  const check = handler.check?.bind(handler);
  const lookup = handler.lookup?.bind(handler);
  const noted = <T>(answer: T | Promise<T>, note: (answer: T) => HandlerAnswer): T | Promise<T> => {
    const add = (said: T): T => {
      try {
        answers.push(note(said));
      } catch {
        // not an answer, which the engine reports
      }
      return said;
    };
    return answer instanceof Promise ? answer.then(add) : add(answer);
  };
  return {
    ...bound(handler),
    ...(check === undefined
      ? {}
      : {
          check: (rule) => {
            const ask = check(rule);
            return (input, call) => noted(ask(input, call), (answer) => ofCheck(rule.rule, name, answer));
          },
        }),
    ...(lookup === undefined
      ? {}
      : {
          lookup: (rule) => {
            const ask = lookup(rule);
            return (input, call) => noted(ask(input, call), (answer) => ofLookup(rule.rule, name, answer));
          },
        }),
  };
}

const ofCheck = (rule: string, handler: string, { kind, validForMs }: CheckAnswer): HandlerAnswer => ({
  rule,
  handler,
  says: kind,
  validForMs: validForMs ?? null,
});

const ofLookup = (rule: string, handler: string, answer: LookupAnswer): HandlerAnswer => ({
  rule,
  handler,
  says: valuesOf(answer) === undefined ? 'nothing' : 'values',
  validForMs: (isFound(answer) ? answer.validForMs : undefined) ?? null,
});

export type Validity =
  /** Calls with equal attributes, of those that were read, get the same verdict for this long; null: until the policy changes. */
  { readonly holds: true; readonly forMs: number | null } | { readonly holds: false; readonly why: string };

/** Attributes that differ in each call. */
const PER_CALL = new Set(['request.id', 'request.time', 'connection.id']);

/** `applying`: the rules that apply. `failed`: names of rules with a part that failed. `read`: names of attributes that were read. */
export function validityOf(
  applying: readonly Rule[],
  failed: readonly string[],
  answers: readonly HandlerAnswer[],
  read: readonly string[],
): Validity {
  const forOne = (why: string): Validity => ({ holds: false, why });
  if (failed[0] !== undefined) return forOne(`a part of the rule ${failed[0]} failed`);
  let forMs: number | null = null;
  for (const { name, action, mode } of applying) {
    if (action?.kind === 'quota') return forOne(`the rule ${name} charges a quota`);
    if (action?.kind === 'report') return forOne(`the rule ${name} reports each call`);
    if (mode.kind === 'percent' && mode.keyExpression === undefined)
      return forOne(`the rule ${name} draws each call at random`);
    if (action?.handler === undefined) continue;
    const answer = answers.find(({ rule }) => rule === name);
    if (answer === undefined) return forOne(`the handler ${action.handler} gave no answer to the rule ${name}`);
    if (answer.validForMs === null)
      return forOne(`the handler ${answer.handler} states no validity of its answer to the rule ${name}`);
    forMs = Math.min(forMs ?? Infinity, answer.validForMs);
  }
  const own = read.find((attribute) => PER_CALL.has(attribute));
  return own === undefined ? { holds: true, forMs } : forOne(`${own}, which is read, differs in each call`);
}
