/** A batch of records of one partition, as brokers store it (kafka.apache.org/documentation/#recordbatch). */
import { compressionsAlgorithms, crc32c } from '@platformatic/kafka';
import type { KafkaConfig } from './config.ts';
import { LONGEST_VARINT, varintBytes, writeVarint } from './varint.ts';

/** A record without what depends on its place in a batch: its key, value and headers. */
export interface RecordBody {
  readonly timeMs: number;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

export type Compression = KafkaConfig['compression'];

/** By which the broker recognises a repeated batch. */
export interface BatchIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
}

const MAGIC = 2;
/** Length, attributes (0), differences of time and of offset. */
const LONGEST_PREFIX = 3 * LONGEST_VARINT + 1;
const HEADER_BYTES = 61;
/** The parts of the header that the length and the checksum do not cover. */
const [BEFORE_LENGTH, BEFORE_CHECKSUM] = [12, 21];

/** A promise where the compression has a thread of its own. */
export function recordBatch(
  bodies: readonly RecordBody[],
  compression: Compression,
  identity: BatchIdentity,
): Buffer | Promise<Buffer> {
  const written = recordsOf(bodies);
  if (compression === 'none') return withHeader(bodies, written, 0, identity);
  const algorithm = compressionsAlgorithms[compression];
  const { bitmask } = algorithm;
  return 'compress' in algorithm
    ? algorithm.compress(written).then((records) => withHeader(bodies, records, bitmask, identity))
    : withHeader(bodies, algorithm.compressSync(written), bitmask, identity);
}

function recordsOf(bodies: readonly RecordBody[]): Buffer {
  let room = 0;
  for (const { from, to } of bodies) room += to - from + LONGEST_PREFIX;
  const into = Buffer.allocUnsafeSlow(room);
  const firstMs = bodies[0]?.timeMs ?? 0;
  let end = 0;
  for (let at = 0; at < bodies.length; at++) {
    const { timeMs, bytes, from, to } = bodies[at] as RecordBody;
    const laterMs = timeMs - firstMs;
    end = writeVarint(into, end, 1 + varintBytes(laterMs) + varintBytes(at) + to - from);
    into[end++] = 0;
    end = writeVarint(into, end, laterMs);
    end = writeVarint(into, end, at);
    end += bytes.copy(into, end, from, to);
  }
  return into.subarray(0, end);
}

function withHeader(
  bodies: readonly RecordBody[],
  records: Buffer,
  attributes: number,
  { producerId, producerEpoch, firstSequence }: BatchIdentity,
): Buffer {
  const firstMs = bodies[0]?.timeMs ?? 0;
  const lastMs = bodies.reduce((latest, { timeMs }) => Math.max(latest, timeMs), firstMs);
  const batch = Buffer.allocUnsafeSlow(HEADER_BYTES + records.length);
  let at = batch.writeBigInt64BE(0n); // the broker numbers the records
  at = batch.writeInt32BE(batch.length - BEFORE_LENGTH, at);
  at = batch.writeInt32BE(0, at); // epoch of the leader, which the broker knows
  at = batch.writeInt8(MAGIC, at) + 4; // the checksum follows at last
  at = batch.writeInt16BE(attributes, at);
  at = batch.writeInt32BE(bodies.length - 1, at);
  at = batch.writeBigInt64BE(BigInt(firstMs), at);
  at = batch.writeBigInt64BE(BigInt(lastMs), at);
  at = batch.writeBigInt64BE(producerId, at);
  at = batch.writeInt16BE(producerEpoch, at);
  at = batch.writeInt32BE(firstSequence, at);
  at = batch.writeInt32BE(bodies.length, at);
  batch.set(records, at);
  batch.writeUInt32BE(crc32c(batch.subarray(BEFORE_CHECKSUM)), BEFORE_CHECKSUM - 4);
  return batch;
}
