/**
 * Messages of the host (`sluice.plugin.v1.HandleRequest`), written by the host and read by a plugin.
 * **In**: messages of the protocol, or bytes. **Out**: bytes, or messages. **Fails**: reading with a {@link Malformed}; writing
 * with a {@link CannotCross}.
 */
import type { Buffer } from 'node:buffer';
import {
  CAPABILITIES,
  type LeasePage,
  type QuotaAsk,
  type ReportEntry,
  type Shape,
  type ShapeType,
} from '../../contract.ts';
import { ALGORITHMS } from '../../description.ts';
import { SHAPE_TYPES } from '../../shape-problems.ts';
import type {
  Ask,
  CallFields,
  Cancel,
  Charge,
  Close,
  Forget,
  Inspect,
  Open,
  Prepare,
  RenderPage,
  RuleFields,
  Slot,
  ToHandler,
  Write,
} from '../../isolated/protocol.ts';
import { framed } from '../../../transport/framed.ts';
import type { ProtobufWriter } from '../../../protobuf/writer.ts';
import { readBatch, writeBatches, type Variants } from './batch.ts';
import {
  double,
  type FieldCodec,
  flag,
  list,
  maybe,
  message,
  type MessageCodec,
  nested,
  optional,
  text,
  whole,
  word,
} from './fields.ts';
import { anyValue, valuesBy } from './values.ts';

export interface Ping {
  readonly kind: 'ping';
}
export type HostMessage = (Open & { readonly contract: number }) | Exclude<ToHandler, Open> | Ping;

const ASK_KINDS = ['spend', 'look', 'giveBack', 'release', 'owe'] as const;

const FIELD = message<{ readonly name: string; readonly type: ShapeType; readonly optional: boolean }>({
  name: [1, text],
  type: [2, word(SHAPE_TYPES, 'any')],
  optional: [3, flag],
});
const FIELDS = message<{ readonly fields: readonly { name: string; type: ShapeType; optional: boolean }[] }>({
  fields: [1, list(FIELD)],
});

export const shape: FieldCodec<Shape | undefined> = {
  ...maybe(FIELDS),
  write: (writer, number, value, holder) =>
    maybe(FIELDS).write(
      writer,
      number,
      {
        fields: Object.entries(value ?? {}).map(([name, type]) => ({
          name,
          type: type.replace(/\?$/, '') as ShapeType,
          optional: type.endsWith('?'),
        })),
      },
      holder,
    ),
  read: (bytes, { from, to }) =>
    Object.fromEntries(
      FIELDS.read(bytes, from, to).fields.map(({ name, type, optional: isOptional }) => [
        name,
        isOptional ? (`${type}?` as const) : type,
      ]),
    ),
  absent: () => undefined,
};

const CALL = message<CallFields>({ number: [1, whole], id: [2, text], remainingMs: [3, double] });

/** Only some kinds have `cost` and the members after it. */
interface AskFields {
  readonly bucket: Slot;
  readonly kind: QuotaAsk['kind'];
  readonly key: string;
  readonly limit: number;
  readonly burst: number;
  readonly perMs: number;
  readonly cost: number;
  readonly partial: boolean;
  readonly endsAtMs: number | undefined;
  readonly idempotencyKey: string | undefined;
}
const QUOTA_ASK = message<AskFields>({
  bucket: [1, whole],
  kind: [2, word(ASK_KINDS, 'look')],
  key: [3, text],
  limit: [4, double],
  burst: [5, double],
  perMs: [6, double],
  cost: [7, double],
  partial: [8, flag],
  endsAtMs: [9, optional(double)],
  idempotencyKey: [10, optional(text)],
}) as MessageCodec<object> as MessageCodec<QuotaAsk<Slot>>;

const RULE = message<RuleFields>({
  rule: [1, text],
  params: [2, anyValue],
  counter: [3, optional(text)],
  algorithm: [4, word(ALGORITHMS, undefined)],
  perMs: [5, optional(double)],
  input: [6, shape],
});

type Bare<M> = Omit<M, 'kind'>;
const inspect = message<Bare<Inspect>>({
  call: [1, nested(CALL)],
  asks: [2, list(QUOTA_ASK)],
  leases: [3, maybe(message<LeasePage>({ from: [1, whole], count: [2, whole] }))],
});

/** `inputOf`: the types of a slot's input. */
function variants(inputOf: (slot: Slot) => Shape | 'any'): Variants<HostMessage> {
  const entry = message<ReportEntry<Slot>>({
    sink: [1, whole],
    id: [2, text],
    timeMs: [3, double],
    input: [4, valuesBy(({ sink }: ReportEntry<Slot>) => inputOf(sink))],
  });
  return {
    ask: [
      1,
      message<Bare<Ask>>({
        call: [1, nested(CALL)],
        slot: [2, whole],
        input: [3, valuesBy(({ slot }: Ask) => inputOf(slot))],
      }),
    ],
    charge: [2, message<Bare<Charge>>({ call: [1, nested(CALL)], asks: [2, list(QUOTA_ASK)] })],
    write: [3, message<Bare<Write>>({ call: [1, nested(CALL)], entries: [2, list(entry)] })],
    cancel: [4, message<Bare<Cancel>>({ number: [1, whole], why: [2, text] })],
    prepare: [
      5,
      message<Bare<Prepare>>({
        slot: [1, whole],
        capability: [2, word(CAPABILITIES, 'check')],
        rule: [3, nested(RULE)],
      }),
    ],
    forget: [6, message<Bare<Forget>>({ slot: [1, whole] })],
    open: [
      7,
      message<Bare<Open & { readonly contract: number }>>({
        handler: [1, text],
        adapter: [2, text],
        config: [3, anyValue],
        folder: [4, text],
        worker: [5, nested(message<Open['worker']>({ number: [1, whole], count: [2, whole] }))],
        openWithinMs: [6, double],
        contract: [7, whole],
      }),
    ],
    close: [8, message<Bare<Close>>({ withinMs: [1, double] })],
    look: [9, inspect],
    reset: [10, inspect],
    renderPage: [11, message<Bare<RenderPage>>({ call: [1, nested(CALL)] })],
    ping: [12, message<Bare<Ping>>({})],
  };
}

/** Encodes batches of messages, each with the prefix of gRPC; throws a {@link CannotCross} before any of them is passed on. */
export function hostMessageWriter(
  writer: ProtobufWriter,
  inputOf: (slot: Slot) => Shape | 'any',
): (messages: readonly HostMessage[]) => Uint8Array[] {
  const kinds = variants(inputOf);
  return (messages) => writeBatches(writer, kinds, messages, framed);
}

const READING = variants(() => 'any');

export const readHostMessages = (bytes: Buffer): HostMessage[] => readBatch(READING, bytes);
