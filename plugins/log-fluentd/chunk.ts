/**
 * Reports as one message of the forward protocol: PackedForward with an id to acknowledge (fluentd wiki: Forward Protocol Specification
 * v1).
 */
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { encode, ExtensionCodec } from '@msgpack/msgpack';
import type { ReportEntry } from 'sluice/plugin';

export interface Sink {
  readonly rule: string;
  readonly tag: string;
}

export interface Chunk {
  /** 16 random bytes in base64; the acknowledgement repeats it. */
  readonly id: string;
  readonly message: Uint8Array;
}

class EventTime {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

/** EventTime is extension 0: seconds and nanoseconds, 32 bits each, big endian. */
const extensionCodec = new ExtensionCodec();
extensionCodec.register({
  type: 0,
  encode(value) {
    if (!(value instanceof EventTime)) return null;
    const bytes = Buffer.alloc(8);
    const seconds = Math.floor(value.ms / 1000);
    bytes.writeUInt32BE(Math.min(Math.max(seconds, 0), 0xffff_ffff), 0);
    bytes.writeUInt32BE(Math.floor((value.ms - seconds * 1000) * 1e6) % 1e9, 4);
    return bytes;
  },
  decode: () => null,
});

export async function chunkOf(
  tag: string,
  entries: readonly ReportEntry<Sink>[],
  compress: 'none' | 'gzip',
): Promise<Chunk> {
  const events = Buffer.concat(
    entries.map(({ sink, id, timeMs, input }) =>
      encode([new EventTime(timeMs), { ...(plain(input) as object), sluice_id: id, sluice_rule: sink.rule }], {
        extensionCodec,
      }),
    ),
  );
  const id = randomBytes(16).toString('base64');
  const body = compress === 'gzip' ? await promisify(gzip)(events) : events;
  const options = { size: entries.length, chunk: id, ...(compress === 'gzip' ? { compressed: 'gzip' } : {}) };
  return { id, message: encode([tag, body, options]) };
}

/** Values that every consumer of MessagePack knows: timestamps become ISO 8601 text, large integers text; bytes stay. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, plain(of)]));
}
