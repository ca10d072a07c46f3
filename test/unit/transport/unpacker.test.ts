import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { Unpacker } from '../../../src/transport/grpc/unpacker.ts';
import { GrpcError, Status } from '../../../src/transport/index.ts';

const MIB = 1024 * 1024;
const zeros = gzipSync(Buffer.alloc(4 * MIB));
const statusOf = (unpack: () => unknown): number => {
  try {
    unpack();
    return Status.OK;
  } catch (error) {
    return error instanceof GrpcError ? error.code : -1;
  }
};

test('8 MiB of what messages have beyond 16 times their packed size, and 8 MiB more after a second', () => {
  let nowMs = 0;
  const unpacker = new Unpacker(4 * MIB, () => nowMs);
  const three = (): number[] => [1, 2, 3].map(() => statusOf(() => unpacker.unpack(zeros)));
  expect(three()).toEqual([Status.OK, Status.OK, Status.RESOURCE_EXHAUSTED]);
  nowMs = 100; // 0.8 MiB
  expect(statusOf(() => unpacker.unpack(zeros))).toBe(Status.RESOURCE_EXHAUSTED);
  nowMs = 60_000;
  expect(three()).toEqual([Status.OK, Status.OK, Status.RESOURCE_EXHAUSTED]);
});

test('a message that is refused has cost the work up to there', () => {
  const unpacker = new Unpacker(MIB, () => 0);
  for (let at = 0; at < 9; at++) expect(statusOf(() => unpacker.unpack(zeros))).toBe(Status.RESOURCE_EXHAUSTED);
  expect(statusOf(() => unpacker.unpack(gzipSync(Buffer.alloc(MIB))))).toBe(Status.RESOURCE_EXHAUSTED);
  expect(unpacker.unpack(gzipSync(Buffer.from('as small as most')))).toEqual(Buffer.from('as small as most'));
});

test('what is no gzip, or is cut, is a fault of the call', () => {
  const unpacker = new Unpacker(MIB);
  expect(statusOf(() => unpacker.unpack(Buffer.from('no gzip')))).toBe(Status.INTERNAL);
  expect(statusOf(() => unpacker.unpack(gzipSync(Buffer.from('cut')).subarray(0, -9)))).toBe(Status.INTERNAL);
});
