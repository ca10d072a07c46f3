/**
 * Messages between a handler's process and its host, as flat lists: a structured clone of a list of primitives costs a third of one of
 * objects. The calls and answers that come thousands of times a second are spread out; all others are passed as they are.
 */
import type { Allow } from '../contract.ts';
import type { FromHandler, ToHandler } from '../isolated/protocol.ts';

/** Each message begins with one of these. */
const ASK = 1;
const ALLOWED = 2;
const ANSWERED = 3;
const OTHER = 0;
const CLOCK = 4;

/** The host's clock, where a test moves it. */
export interface Times {
  readonly nowMs: number;
  readonly monotonicMs: number;
}

export function packed(messages: readonly ToHandler[], times?: Times): unknown[] {
  const list: unknown[] = times === undefined ? [] : [CLOCK, times];
  for (const message of messages) {
    if (message.kind !== 'ask') list.push(OTHER, message);
    else {
      const { call, slot, input } = message;
      list.push(ASK, call.number, call.id, call.remainingMs, slot, input);
    }
  }
  return list;
}

export function unpacked(list: readonly unknown[], onTimes: (times: Times) => void): ToHandler[] {
  const messages: ToHandler[] = [];
  for (let at = 0; at < list.length;) {
    if (list[at] === ASK) {
      const call = { number: list[at + 1] as number, id: list[at + 2] as string, remainingMs: list[at + 3] as number };
      messages.push({
        kind: 'ask',
        call,
        slot: list[at + 4] as number,
        input: list[at + 5] as Record<string, unknown>,
      });
      at += 6;
    } else {
      if (list[at] === CLOCK) onTimes(list[at + 1] as Times);
      else messages.push(list[at + 1] as ToHandler);
      at += 2;
    }
  }
  return messages;
}

export function packedAnswers(messages: readonly FromHandler[]): unknown[] {
  const list: unknown[] = [];
  for (const message of messages) {
    if (message.kind !== 'answered' || message.validity !== undefined) list.push(OTHER, message);
    else if (isPlainAllow(message.answer))
      list.push(ALLOWED, message.number, message.answer.validForMs, message.answer.uses);
    else list.push(ANSWERED, message.number, message.answer);
  }
  return list;
}

export function unpackedAnswers(list: readonly unknown[]): FromHandler[] {
  const messages: FromHandler[] = [];
  for (let at = 0; at < list.length;) {
    const number = list[at + 1] as number;
    switch (list[at]) {
      case ALLOWED:
        messages.push({
          kind: 'answered',
          number,
          answer: {
            kind: 'allow',
            validForMs: list[at + 2] as number | undefined,
            uses: list[at + 3] as number,
            output: undefined,
          },
        });
        at += 4;
        break;
      case ANSWERED:
        messages.push({ kind: 'answered', number, answer: list[at + 2] as never });
        at += 3;
        break;
      default:
        messages.push(list[at + 1] as FromHandler);
        at += 2;
    }
  }
  return messages;
}

/** Anything but an ordinary allow is passed on unchanged, for the host to check; a plugin may answer anything. */
function isPlainAllow(answer: unknown): answer is Allow {
  if (typeof answer !== 'object' || answer === null) return false;
  const { kind, validForMs, uses, output } = answer as Readonly<Record<string, unknown>>;
  return (
    kind === 'allow' &&
    output === undefined &&
    (validForMs === undefined || typeof validForMs === 'number') &&
    typeof uses === 'number'
  );
}
