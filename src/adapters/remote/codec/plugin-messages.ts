/**
 * Messages of a plugin (`sluice.plugin.v1.HandleResponse`), written by the plugin and read by the host.
 * **In**: messages of the protocol, or bytes. **Out**: bytes, or messages. **Fails**: reading with a {@link Malformed}; an answer with a value
 * that cannot be held or sent becomes {@link Failed}.
 */
import type { Buffer } from 'node:buffer';
import { type Allow, allow, deny, type QuotaAnswer, type QuotaPlace } from '../../contract.ts';
import type {
  Answered,
  Closed,
  Counted,
  Failed,
  FromHandler,
  HasPage,
  LogLine,
  OpenFailed,
  Prepared,
  Readiness,
} from '../../isolated/protocol.ts';
import { FieldScan, WireType } from '../../../protobuf/scan.ts';
import { readBatch, type Variants } from './batch.ts';
import { double, flag, list, maybe, message, optional, safeInteger, text, whole, wholes, word } from './fields.ts';
import { maybeValuesBy, type OutOfRange, valuesBy } from './values.ts';

type Values = Readonly<Record<string, unknown>>;

interface AllowFields {
  readonly validForMs: number | undefined;
  readonly uses: number | undefined;
  readonly output: Values | undefined;
}
interface DenyFields {
  readonly code: number;
  readonly reason: string;
  readonly validForMs: number | undefined;
  readonly output: Values | undefined;
}

export interface CheckAnswered {
  readonly kind: 'check';
  readonly number: number;
  readonly allow?: AllowFields | undefined;
  readonly deny?: DenyFields | undefined;
}
export interface LookupAnswered {
  readonly kind: 'lookup';
  readonly number: number;
  readonly output: Values | undefined;
}
export interface ChargeAnswered {
  readonly kind: 'charge';
  readonly number: number;
  readonly answers: readonly QuotaAnswer[];
}
export interface LookAnswered {
  readonly kind: 'look';
  readonly number: number;
  readonly places: readonly QuotaPlace[];
}
export interface PageAnswered {
  readonly kind: 'page';
  readonly number: number;
  readonly text: string;
}
export interface Done {
  readonly kind: 'done';
  readonly number: number;
}
export interface FailedFields {
  readonly kind: 'failed';
  readonly number: number;
  readonly fault: 'unavailable' | 'rejected' | 'fault';
  readonly message: string;
  readonly retryAfterMs: number;
  readonly entries: readonly number[] | undefined;
  readonly name: string;
  readonly stack: string;
}
export interface OpenedFields {
  readonly kind: 'opened';
  readonly look: boolean;
  readonly reset: boolean;
}
export interface Pong {
  readonly kind: 'pong';
}
export type PluginMessage =
  | CheckAnswered
  | LookupAnswered
  | ChargeAnswered
  | LookAnswered
  | PageAnswered
  | Done
  | FailedFields
  | OpenedFields
  | OpenFailed
  | Prepared
  | Readiness
  | LogLine
  | Counted
  | HasPage
  | Closed
  | Pong;

type Bare<M> = Omit<M, 'kind'>;
type Named<K extends PluginMessage['kind']> = Bare<Extract<PluginMessage, { readonly kind: K }>>;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const HOLDER = message<{ readonly who: string; readonly units: number }>({ who: [1, text], units: [2, double] });

/** Without the declared types: the host reads the same values, whichever kind a number or a text is sent as. */
const output = maybeValuesBy(() => 'any');

export const PLUGIN_MESSAGES: Variants<PluginMessage> = {
  check: [
    1,
    message<Named<'check'>>({
      number: [1, whole],
      allow: [
        2,
        maybe(
          message<AllowFields>({ validForMs: [1, optional(double)], uses: [2, optional(double)], output: [3, output] }),
        ),
      ],
      deny: [
        3,
        maybe(
          message<DenyFields>({
            code: [1, whole],
            reason: [2, text],
            validForMs: [3, optional(double)],
            output: [4, output],
          }),
        ),
      ],
    }),
  ],
  lookup: [2, message<Named<'lookup'>>({ number: [1, whole], output: [2, output] })],
  charge: [
    3,
    message<Named<'charge'>>({
      number: [1, whole],
      answers: [
        2,
        list(
          message<QuotaAnswer>({
            granted: [1, flag],
            limit: [2, double],
            remaining: [3, double],
            resetMs: [4, double],
            charged: [5, optional(double)],
          }),
        ),
      ],
    }),
  ],
  done: [4, message<Named<'done'>>({ number: [1, whole] })],
  failed: [
    5,
    message<Named<'failed'>>({
      number: [1, whole],
      fault: [2, word(['unavailable', 'rejected'], 'fault')],
      message: [3, text],
      retryAfterMs: [4, double],
      entries: [5, wholes],
      name: [6, text],
      stack: [7, text],
    }),
  ],
  prepared: [6, message<Named<'prepared'>>({ slot: [1, whole], why: [2, optional(text)] })],
  opened: [7, message<Named<'opened'>>({ look: [1, flag], reset: [2, flag] })],
  openFailed: [8, message<Omit<Named<'openFailed'>, 'code'>>({ why: [1, text] })],
  readiness: [9, message<Named<'readiness'>>({ ready: [1, flag], why: [2, optional(text)] })],
  log: [
    10,
    message<Named<'log'>>({
      level: [1, word(LEVELS, 'info')],
      message: [2, text],
      fields: [3, valuesBy(() => 'any')],
    }),
  ],
  counted: [11, message<Named<'counted'>>({ name: [1, text], help: [2, text], amount: [3, double] })],
  look: [
    12,
    message<Named<'look'>>({
      number: [1, whole],
      places: [2, list(message<QuotaPlace>({ counter: [1, text], holders: [2, list(HOLDER)] }))],
    }),
  ],
  page: [13, message<Named<'page'>>({ number: [1, whole], text: [2, text] })],
  hasPage: [14, message<Named<'hasPage'>>({})],
  closed: [15, message<Named<'closed'>>({})],
  pong: [16, message<Named<'pong'>>({})],
};

// ---------------------------------------------------------------- as the host reads them

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

export const failed = (number: number, name: string, why: string): FailedFields => ({
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
    case 'check':
      return answered(read.number, decisionOf(read));
    case 'lookup':
      return answered(read.number, read.output);
    case 'charge':
      return answered(read.number, read.answers);
    case 'look':
      return answered(read.number, read.places);
    case 'page':
      return answered(read.number, read.text);
    case 'done':
      return answered(read.number, undefined);
    case 'failed':
      return failure(read);
    case 'opened':
      return { kind: 'opened', has: { look: read.look, reset: read.reset } };
    default:
      return read;
  }
}

const answered = (number: number, answer: Answered['answer']): Answered => ({ kind: 'answered', number, answer });

function decisionOf({ allow: allowed, deny: denied }: CheckAnswered): ReturnType<typeof deny> | Allow | undefined {
  if (denied !== undefined) {
    const { code, reason, validForMs, output } = denied;
    return deny(code, reason, {
      ...(validForMs === undefined ? {} : { validForMs }),
      ...(output === undefined ? {} : { output }),
    });
  }
  if (allowed === undefined) return undefined;
  const { validForMs, uses, output } = allowed;
  return allow({
    ...(validForMs === undefined ? {} : { validForMs }),
    ...(uses === undefined ? {} : { uses }),
    ...(output === undefined ? {} : { output }),
  });
}

const NAMES = { unavailable: 'Unavailable', rejected: 'Rejected' } as const;

function failure({ number, fault, message: why, retryAfterMs, entries, name, stack }: FailedFields): Failed {
  return {
    kind: 'failed',
    number,
    error: {
      name: fault === 'fault' ? (name === '' ? 'Error' : name) : NAMES[fault],
      message: why,
      ...(fault === 'unavailable' ? { retryAfterMs } : {}),
      ...(entries === undefined ? {} : { entries }),
      ...(stack === '' ? {} : { stack }),
    },
  };
}
