/** One report as one Kafka message. */
import type { ReportEntry } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';
import type { KafkaConfig } from './config.ts';
import { reportProtobuf } from './protobuf.ts';

export interface Message {
  readonly topic: string;
  readonly key?: Buffer;
  readonly value: Buffer;
  readonly headers: Record<string, Buffer>;
  readonly timestamp: bigint;
  readonly partition?: number;
}

/** Where the parts of a rule's messages come from: names of its fields. */
export interface MessageParts {
  readonly rule: string;
  readonly key: string | undefined;
  /** Field by header. */
  readonly headers: Readonly<Record<string, string>>;
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
  const fixed = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));
  return ({ sink, id, timeMs, input }) => {
    const keyValue = sink.key === undefined ? undefined : input[sink.key];
    const ofRule: Record<string, Buffer> = {};
    for (const [name, field] of Object.entries(sink.headers)) {
      const value = input[field];
      if (value !== undefined && value !== null) ofRule[name] = bytesFor(value);
    }
    const { leaveOut } = sink;
    const fields =
      leaveOut.size === 0 ? input : Object.fromEntries(Object.entries(input).filter(([name]) => !leaveOut.has(name)));
    return {
      topic,
      value: format === 'json' ? Buffer.from(reportJson(fields)) : reportProtobuf({ id, timeMs }, sink.rule, fields),
      headers: { ...fixed, ...ofRule, 'sluice-id': Buffer.from(id), 'sluice-rule': Buffer.from(sink.rule) },
      timestamp: BigInt(Math.trunc(timeMs)),
      ...(keyValue === undefined || keyValue === null ? {} : { key: bytesFor(keyValue) }),
    };
  };
}

const bytesFor = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : reportJson(value));

export const bytesOf = ({ value, key }: Message): number => value.length + (key?.length ?? 0);
