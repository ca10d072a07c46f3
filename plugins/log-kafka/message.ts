/** One report as one Kafka message. */
import type { ReportEntry } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';
import type { KafkaConfig } from './config.ts';
import { reportProtobuf } from './protobuf.ts';
import { mostBytesOf, RecordWriter } from './record-writer.ts';
import { LONGEST_VARINT } from './varint.ts';

/** A report on its way to Kafka: the key, value and headers of its record stand at `from` to `to` in `bytes`. */
export interface Message {
  readonly id: string;
  readonly rule: string;
  readonly timeMs: number;
  /** Decides the partition. */
  readonly key: Buffer | undefined;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Where the parts of a rule's messages come from: names of its fields. */
export interface MessageParts {
  readonly rule: string;
  readonly key: string | undefined;
  /** Fields that are not part of the value. */
  readonly leaveOut: ReadonlySet<string>;
  readonly headers: Headers;
}

/** Headers, each as it stands in a record. */
interface Headers {
  /** Of the config, but those that may come from fields. */
  readonly fixed: Buffer;
  readonly fixedCount: number;
  readonly ofFields: readonly HeaderOfField[];
  readonly idName: Buffer;
  readonly rule: Buffer;
}

interface HeaderOfField {
  readonly name: string;
  readonly field: string;
  /** Of the config, if the field is absent. */
  readonly otherwise: string | undefined;
}

const ID = 'sluice-id';
const RULE = 'sluice-rule';

/** The headers: those of the config and of the rule (header to field), the report's id (the same in each retry), and its rule. */
export function headersOf(
  ofConfig: Readonly<Record<string, string>>,
  ofRule: Readonly<Record<string, string>>,
  rule: string,
): Headers {
  const fixed = Object.entries(ofConfig).filter(([name]) => !isOurs(name) && !Object.hasOwn(ofRule, name));
  return {
    fixed: encoded(fixed.flat()),
    fixedCount: fixed.length,
    ofFields: Object.entries(ofRule)
      .filter(([name]) => !isOurs(name))
      .map(([name, field]) => ({ name, field, otherwise: ofConfig[name] })),
    idName: encoded([ID]),
    rule: encoded([RULE, rule]),
  };
}

const isOurs = (name: string): boolean => name === ID || name === RULE;

function encoded(texts: readonly string[]): Buffer {
  const writer = new RecordWriter();
  writer.room(texts.reduce((sum, text) => sum + mostBytesOf(text), 0));
  for (const text of texts) writer.value(text);
  return Buffer.from(writer.bytes.subarray(0, writer.at));
}

/** The value is the rule's fields as JSON or protobuf. A maker fills one chunk of memory after the other; one for each batch. */
export function messageMaker({
  value: format,
}: Pick<KafkaConfig, 'value'>): (entry: ReportEntry<MessageParts>) => Message {
  const writer = new RecordWriter();
  return ({ sink, id, timeMs, input }) => {
    const { rule, headers, leaveOut } = sink;
    const keyText = sink.key === undefined ? undefined : textOf(input[sink.key]);
    const key = keyText === undefined ? undefined : Buffer.from(keyText);
    const fields =
      leaveOut.size === 0 ? input : Object.fromEntries(Object.entries(input).filter(([name]) => !leaveOut.has(name)));
    const value = format === 'json' ? reportJson(fields) : reportProtobuf({ id, timeMs }, rule, fields);
    const ofFields = headers.ofFields.length === 0 ? NONE : textsOf(headers.ofFields, input);

    let room = mostBytesOf(key) + mostBytesOf(value) + LONGEST_VARINT;
    room += headers.fixed.length + headers.idName.length + mostBytesOf(id) + headers.rule.length;
    for (const text of ofFields) room += mostBytesOf(text);
    writer.room(room);

    const from = writer.at;
    writer.value(key);
    writer.value(value);
    writer.varint(headers.fixedCount + ofFields.length / 2 + 2);
    writer.raw(headers.fixed);
    for (const text of ofFields) writer.value(text);
    writer.raw(headers.idName);
    writer.value(id);
    writer.raw(headers.rule);
    return { id, rule, timeMs: Math.trunc(timeMs), key, bytes: writer.bytes, from, to: writer.at };
  };
}

const NONE: readonly string[] = [];

/** Names and values in turn. */
const textsOf = (headers: readonly HeaderOfField[], input: Readonly<Record<string, unknown>>): string[] =>
  headers.flatMap(({ name, field, otherwise }) => {
    const text = textOf(input[field]) ?? otherwise;
    return text === undefined ? [] : [name, text];
  });

function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : reportJson(value);
}

export const bytesOf = ({ from, to }: Message): number => to - from;
