/** Messages between a handler's process and its host, as bytes. */
import { expect, test } from 'vitest';
import { BEAT, frame, FrameReader } from '../../../src/adapters/worker/frames.ts';

const LISTS: readonly (readonly unknown[])[] = [
  [1, 'é', undefined, null],
  [],
  [new Date(5), new Uint8Array([1, 2, 3]), new Map([['a', 1]])],
  [{ value: 'x'.repeat(100_000) }],
];

test('frames are read wherever the stream is cut', () => {
  const bytes = Buffer.concat([BEAT, ...LISTS.map((list) => frame(list)), BEAT, frame(['end'])]);
  for (const size of [1, 2, 3, 4, 5, 7, 64, 1000, bytes.length]) {
    const read: unknown[] = [];
    const reader = new FrameReader((list) => read.push(list));
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
    expect(read).toEqual([...LISTS, ['end']]);
  }
});

test('a list that cannot be cloned is not framed', () => {
  expect(() => frame([() => 1])).toThrow(/could not be cloned/);
});

test('a frame longer than its bound, and bytes that are no frame, are errors', () => {
  const reader = (): FrameReader => new FrameReader(() => undefined);
  expect(() => reader().push(Buffer.from([255, 255, 255, 255]))).toThrow(/4294967295 bytes/);
  expect(() => reader().push(Buffer.from([3, 0, 0, 0, 1, 2, 3]))).toThrow();
});
