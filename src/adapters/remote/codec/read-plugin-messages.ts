/**
 * **In**: bytes of a HandleResponse. **Out**: messages of the protocol. **Fails**: with a {@link Malformed}; an answer with a value that
 * cannot be held becomes a failure of its call.
 */
import type { Buffer } from 'node:buffer';
import { allow, type CheckAnswer, deny } from '../../contract.ts';
import type { Answered, AnswerKind, Failed, FromHandler } from '../../isolated/protocol.ts';
import { FieldScan, WireType } from '../../../protobuf/scan.ts';
import { boundedText } from '../bounded-text.ts';
import { readBatch } from './batch.ts';
import { safeInteger } from './fields.ts';
import {
  type AllowFields,
  type CheckAnswered,
  type FailedFields,
  type LookupAnswered,
  PLUGIN_MESSAGES,
  type PluginMessage,
  type Pong,
} from './plugin-messages.ts';
import type { OutOfRange } from './values.ts';

type Values = Readonly<Record<string, unknown>>;

export const readPluginMessages = (bytes: Buffer): (FromHandler | Pong)[] =>
  readBatch(PLUGIN_MESSAGES, bytes, inPlaceOf).map(toHost);

/** A value that cannot be held concerns its call; elsewhere the message is left out. */
function inPlaceOf(
  kind: PluginMessage['kind'],
  bytes: Buffer,
  from: number,
  to: number,
  error: OutOfRange,
): PluginMessage | undefined {
  if (kind !== 'check' && kind !== 'lookup') return undefined;
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === 1 && fields.type === WireType.VARINT)
      return failed(
        safeInteger(bytes, fields),
        'RangeError',
        `the answer has a value that cannot be read: ${error.message}`,
      );
  return undefined;
}

const failed = (number: number, name: string, why: string): FailedFields => ({
  kind: 'failed',
  number,
  fault: 'fault',
  message: why,
  retryAfterMs: 0,
  entries: undefined,
  name,
  stack: '',
});

function toHost(read: PluginMessage): FromHandler | Pong {
  switch (read.kind) {
    case 'check': {
      const decision = decisionOf(read);
      return decision === undefined
        ? failure(failed(read.number, 'Error', 'a CheckAnswer has neither allow nor deny'))
        : answered(read.kind, read.number, decision);
    }
    case 'lookup':
      return { ...answered(read.kind, read.number, read.output), ...validityOf(read) };
    case 'charge':
      return answered(read.kind, read.number, read.answers);
    case 'look':
      return answered(read.kind, read.number, read.places);
    case 'page':
      return answered(read.kind, read.number, read.text);
    case 'done':
      return answered(read.kind, read.number, undefined);
    case 'failed':
      return failure(read);
    case 'opened':
      return { kind: 'opened', has: { look: read.look, reset: read.reset } };
    case 'openFailed':
      return { ...read, why: boundedText(read.why) };
    case 'prepared':
    case 'readiness':
      return read.why === undefined ? read : { ...read, why: boundedText(read.why) };
    default:
      return read;
  }
}

const answered = (by: AnswerKind, number: number, answer: Answered['answer']): Answered => ({
  kind: 'answered',
  number,
  answer,
  by,
});

function decisionOf({ allow: allowed, deny: denied }: CheckAnswered): CheckAnswer | undefined {
  if (denied !== undefined) {
    const { code, reason, headers } = denied;
    return deny(code, reason, { ...given(denied), ...(headers === undefined ? {} : { headers: headers as Headers }) });
  }
  return allowed === undefined ? undefined : allow(given(allowed));
}

const validityOf = ({ validForMs, uses }: LookupAnswered): Pick<Answered, 'validity'> =>
  validForMs === undefined && uses === undefined
    ? {}
    : { validity: { validForMs, uses: uses ?? Number.MAX_SAFE_INTEGER } };

/** The host checks that they are texts. */
type Headers = Readonly<Record<string, string>>;

/** The members that are there. */
const given = ({
  validForMs,
  uses,
  output: values,
}: Partial<AllowFields>): { validForMs?: number; uses?: number; output?: Values } => ({
  ...(validForMs === undefined ? {} : { validForMs }),
  ...(uses === undefined ? {} : { uses }),
  ...(values === undefined ? {} : { output: values }),
});

const NAMES = { unavailable: 'Unavailable', rejected: 'Rejected' } as const;

function failure({ number, fault, message: why, retryAfterMs, entries, name, stack }: FailedFields): Failed {
  return {
    kind: 'failed',
    number,
    error: {
      name: fault === 'fault' ? (name === '' ? 'Error' : name) : NAMES[fault],
      message: boundedText(why),
      ...(fault === 'unavailable' ? { retryAfterMs } : {}),
      ...(entries === undefined ? {} : { entries }),
      ...(stack === '' ? {} : { stack: boundedText(stack) }),
    },
  };
}
