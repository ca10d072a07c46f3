import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { Decompressor } from '../../../src/transport/grpc/decompressor.ts';
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

test('the budget is 8 MiB beyond 16 times the compressed size, and is refilled within a second', () => {
  let nowMs = 0;
  const decompressor = new Decompressor(4 * MIB, () => nowMs);
  const three = (): number[] => [1, 2, 3].map(() => statusOf(() => decompressor.decompress(zeros)));
  expect(three()).toEqual([Status.OK, Status.OK, Status.RESOURCE_EXHAUSTED]);
  nowMs = 100; // 0.8 MiB
  expect(statusOf(() => decompressor.decompress(zeros))).toBe(Status.RESOURCE_EXHAUSTED);
  nowMs = 60_000;
  expect(three()).toEqual([Status.OK, Status.OK, Status.RESOURCE_EXHAUSTED]);
});

test('a refused message uses the budget for the work that it took', () => {
  const decompressor = new Decompressor(MIB, () => 0);
  for (let at = 0; at < 9; at++) expect(statusOf(() => decompressor.decompress(zeros))).toBe(Status.RESOURCE_EXHAUSTED);
  expect(statusOf(() => decompressor.decompress(gzipSync(Buffer.alloc(MIB))))).toBe(Status.RESOURCE_EXHAUSTED);
  expect(decompressor.decompress(gzipSync(Buffer.from('as small as most')))).toEqual(Buffer.from('as small as most'));
});

test('a message that is not gzip, or is cut, fails its call', () => {
  const decompressor = new Decompressor(MIB);
  expect(statusOf(() => decompressor.decompress(Buffer.from('no gzip')))).toBe(Status.INTERNAL);
  expect(statusOf(() => decompressor.decompress(gzipSync(Buffer.from('cut')).subarray(0, -9)))).toBe(Status.INTERNAL);
});
