import { inspect } from 'node:util';
import type { Answered, ErrorFields, FromHandler } from '../../isolated/protocol.ts';
import { CannotCross } from './cannot-cross.ts';
import type { PluginMessage } from './plugin-messages.ts';

/** The kind of answer that a call expects. */
export type AskedKind = 'check' | 'lookup' | 'charge' | 'write' | 'look' | 'reset' | 'renderPage';

/**
 * A message of a session as it is written. `kind`: of the call that it answers. Throws a {@link CannotCross} if the answer is of no shape
 * that the contract has.
 */
export function answerOf(message: FromHandler, kind: AskedKind): PluginMessage {
  switch (message.kind) {
    case 'answered':
      return answered(message, kind);
    case 'failed':
      return { kind: 'failed', number: message.number, ...failure(message.error) };
    case 'opened':
      return { kind: 'opened', ...message.has };
    case 'escaped':
      return {
        kind: 'log',
        level: 'error',
        message: 'an error that nobody caught',
        fields: { error: message.error.stack ?? message.error.message },
      };
    default:
      return message;
  }
}

function answered({ number, answer, validity }: Answered, kind: AskedKind): PluginMessage {
  switch (kind) {
    case 'check':
      return { number, ...decision(answer) };
    case 'lookup':
      return lookup(number, answer, validity);
    case 'charge':
      return { kind: 'charge', number, answers: listOf(answer) };
    case 'look':
      return { kind: 'look', number, places: listOf(answer) };
    case 'renderPage':
      return { kind: 'page', number, text: answer as string };
    case 'write':
    case 'reset':
      return { kind: 'done', number };
  }
}

function decision(answer: Answered['answer']): Omit<Extract<PluginMessage, { kind: 'check' }>, 'number'> {
  const { kind, uses, ...fields } = (answer ?? {}) as Record<string, unknown>;
  if (kind === 'deny') return { kind: 'check', deny: fields as never };
  if (kind === 'allow')
    return { kind: 'check', allow: { ...fields, uses: uses === Number.MAX_SAFE_INTEGER ? undefined : uses } as never };
  throw new CannotCross('', `${shown(answer)}, neither allow() nor deny()`);
}

function lookup(number: number, answer: Answered['answer'], validity: Answered['validity']): PluginMessage {
  if (answer !== undefined && (typeof answer !== 'object' || answer === null || Array.isArray(answer)))
    throw new CannotCross('', `${shown(answer)}, which is no values by name`);
  return {
    kind: 'lookup',
    number,
    output: answer as Readonly<Record<string, unknown>> | undefined,
    validForMs: validity?.validForMs,
    uses: validity?.uses === Number.MAX_SAFE_INTEGER ? undefined : validity?.uses,
  };
}

/** An answer may be anything. */
const shown = (answer: unknown): string =>
  inspect(answer, { depth: 1, breakLength: Infinity, maxStringLength: 60, maxArrayLength: 5 });

function listOf(answer: Answered['answer']): never[] {
  if (Array.isArray(answer)) return answer as never[];
  throw new CannotCross('', `${shown(answer)}, which is no list of answers`);
}

function failure({
  name,
  message,
  stack = '',
  retryAfterMs = 0,
  entries,
}: ErrorFields): Omit<Extract<PluginMessage, { kind: 'failed' }>, 'kind' | 'number'> {
  const fault = name === 'Unavailable' ? 'unavailable' : name === 'Rejected' ? 'rejected' : 'fault';
  return { fault, message, retryAfterMs, entries, name: fault === 'fault' ? name : '', stack };
}
