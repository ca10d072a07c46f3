/** One report as an entry of a stream: its key and its fields. */
import { crc32 } from 'node:zlib';
import type { ReportEntry } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';

export interface EntryOptions {
  readonly stream: string;
  readonly shards: number;
  readonly shardBy?: string | undefined;
  readonly format: 'fields' | 'json';
}

/** With braces, so that Redis cluster finds the slot by the whole name. The same report has the same key in each retry. */
export function keyOf({ stream, shards, shardBy }: EntryOptions, { id, input }: ReportEntry<string>): string {
  if (shards === 1) return stream;
  const value = shardBy === undefined ? id : textOf(input[shardBy]);
  return `{${stream}:${crc32(value) % shards}}`;
}

/** `sluice-id`, `sluice-rule` and `sluice-time` (milliseconds since 1970), then the fields of the rule; null is an empty text. */
export function fieldsOf({ format }: EntryOptions, { sink, id, timeMs, input }: ReportEntry<string>): string[] {
  const fields = ['sluice-id', id, 'sluice-rule', sink, 'sluice-time', String(Math.trunc(timeMs))];
  if (format === 'json') fields.push('json', reportJson(input));
  else for (const [name, value] of Object.entries(input)) fields.push(name, textOf(value));
  return fields;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  const json = reportJson(value);
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}
