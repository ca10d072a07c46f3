/** One report as one Kafka message. */
import type { ReportEntry } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';
import type { KafkaConfig } from './config.ts';

export interface Message {
  readonly topic: string;
  readonly key?: Buffer;
  readonly value: Buffer;
  readonly headers: Record<string, Buffer>;
  readonly timestamp: bigint;
  readonly partition?: number;
}

/** The value is the rule's fields as JSON; the headers are the report's id (the same in each retry), its rule, and the config's headers. */
export function messageMaker({
  topic,
  key,
  headers,
}: Pick<KafkaConfig, 'topic' | 'key' | 'headers'>): (entry: ReportEntry<string>) => Message {
  const fixed = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));
  return ({ sink, id, timeMs, input }) => {
    const keyValue = key === undefined ? undefined : input[key];
    return {
      topic,
      value: Buffer.from(reportJson(input)),
      headers: { ...fixed, 'sluice-id': Buffer.from(id), 'sluice-rule': Buffer.from(sink) },
      timestamp: BigInt(Math.trunc(timeMs)),
      ...(keyValue === undefined || keyValue === null
        ? {}
        : { key: Buffer.from(typeof keyValue === 'string' ? keyValue : reportJson(keyValue)) }),
    };
  };
}

export const bytesOf = ({ value, key }: Message): number => value.length + (key?.length ?? 0);
