/** One report as one Kafka message. */
import type { ReportEntry } from 'sluice/plugin';
import type { KafkaConfig } from './config.ts';

export interface Message {
  readonly topic: string;
  readonly key?: Buffer;
  readonly value: Buffer;
  readonly headers: Record<string, Buffer>;
  readonly timestamp: bigint;
  readonly partition?: number;
}

/** Value: the fields as JSON. Headers: the report's id (stable over retries), the rule, and those of the config. Time: the report's own. */
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
      value: Buffer.from(JSON.stringify(input, readable)),
      headers: { ...fixed, 'sluice-id': Buffer.from(id), 'sluice-rule': Buffer.from(sink) },
      timestamp: BigInt(Math.trunc(timeMs)),
      ...(keyValue === undefined || keyValue === null
        ? {}
        : { key: Buffer.from(typeof keyValue === 'string' ? keyValue : JSON.stringify(keyValue, readable)) }),
    };
  };
}

/** Timestamps become ISO 8601 by themselves; bytes are base64; what JSON has no number for is text. */
function readable(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
