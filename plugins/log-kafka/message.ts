/** One report as one Kafka message. */
import type { ReportEntry } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';
import type { KafkaConfig } from './config.ts';
import { reportProtobuf } from './protobuf.ts';

export interface Message {
  readonly topic: string;
  readonly key?: Buffer;
  readonly value: Buffer;
  readonly headers: Map<string, Buffer>;
  readonly timestamp: bigint;
  /** Of a message without a key; set when it is sent. */
  partition?: number;
}

/** Where the parts of a rule's messages come from: names of its fields. */
export interface MessageParts {
  readonly rule: string;
  readonly ruleBytes: Buffer;
  readonly key: string | undefined;
  /** Header and field. */
  readonly headers: readonly (readonly [header: string, field: string])[];
  /** Fields that are not part of the value. */
  readonly leaveOut: ReadonlySet<string>;
}

/**
 * The value is the rule's fields as JSON or protobuf; the headers are the report's id (the same in each retry), its rule, and those of the
 * config and the rule.
 */
export function messageMaker({
  topic,
  headers,
  value: format,
}: Pick<KafkaConfig, 'topic' | 'headers' | 'value'>): (entry: ReportEntry<MessageParts>) => Message {
  const fixed = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)] as const);
  return ({ sink, id, timeMs, input }) => {
    const keyValue = sink.key === undefined ? undefined : input[sink.key];
    const all = new Map<string, Buffer>(fixed);
    for (const [name, field] of sink.headers) {
      const value = input[field];
      if (value !== undefined && value !== null) all.set(name, bytesFor(value));
    }
    all.set('sluice-id', Buffer.from(id)).set('sluice-rule', sink.ruleBytes);
    const { leaveOut } = sink;
    const fields =
      leaveOut.size === 0 ? input : Object.fromEntries(Object.entries(input).filter(([name]) => !leaveOut.has(name)));
    const value =
      format === 'json' ? Buffer.from(reportJson(fields)) : reportProtobuf({ id, timeMs }, sink.rule, fields);
    const timestamp = BigInt(Math.trunc(timeMs));
    return keyValue === undefined || keyValue === null
      ? { topic, value, headers: all, timestamp, partition: 0 }
      : { topic, value, headers: all, timestamp, key: bytesFor(keyValue) };
  };
}

const bytesFor = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : reportJson(value));

export const bytesOf = ({ value, key }: Message): number => value.length + (key?.length ?? 0);
