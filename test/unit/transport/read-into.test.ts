/** Memory of what a connection reads: reused after a turn, unless a call goes on reading it. */
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { listen, type UnaryHandler } from '../../../src/transport/index.ts';
import { readInto } from '../../../src/transport/socket/read-into.ts';
import { type Serving, serve } from './serving.ts';
import { TLS } from './tls-of-tests.ts';

let serving: Serving;
/** The memory in which requests arrived, in order. */
let memories: ArrayBufferLike[];
let waiting: (() => void)[];

const unary = (handle: UnaryHandler) => ({ kind: 'unary', handle }) as const;

const methods = {
  '/t.T/Echo': unary((request) => {
    memories.push(request.bytes.buffer);
    return viewOf(request);
  }),
  /** Answers when all that wait are released; reads its request then. */
  '/t.T/Waits': unary(async (request) => {
    memories.push(request.bytes.buffer);
    await new Promise<void>((resolve) => waiting.push(resolve));
    return Uint8Array.from(viewOf(request));
  }),
};

const request = (number: number, length = 1400): Uint8Array => Buffer.alloc(length, `request ${number} of a test, `);

describe.each([
  ['cleartext', undefined],
  ['TLS', TLS],
] as const)('%s', (_, tls) => {
  beforeEach(async () => {
    memories = [];
    waiting = [];
    serving = await serve(listen, methods, undefined, tls);
  });
  afterEach(() => serving.stop());

  test('calls one after the other are read into one buffer', async () => {
    for (let number = 0; number < 100; number++)
      expect(await serving.client.unary('/t.T/Echo', request(number))).toEqual(request(number));
    expect(new Set(memories).size).toBe(1); // else this Node reads as if nothing was asked of it
  });

  test('a call that waits reads its own request, whatever arrives after it', async () => {
    const { client } = serving;
    const numbers = Array.from({ length: 600 }, (_, number) => number);
    const late: Promise<Uint8Array>[] = [];
    for (const number of numbers) {
      late.push(client.unary('/t.T/Waits', request(number, 10 + number * 7)));
      if (number % 5 === 0) await nextTurn();
      if (number % 3 === 0)
        expect(await client.unary('/t.T/Echo', request(1000 + number))).toEqual(request(1000 + number));
    }
    while (waiting.length < numbers.length) await nextTurn();
    for (const release of waiting) release();
    for (const [number, answer] of (await Promise.all(late)).entries())
      expect(answer).toEqual(request(number, 10 + number * 7));
  });

  test('calls that wait hold little more memory than their requests', async () => {
    const late: Promise<Uint8Array>[] = [];
    for (let number = 0; number < 300; number++) {
      late.push(serving.client.unary('/t.T/Waits', request(number)));
      while (waiting.length <= number) await nextTurn(); // so that each is a read of its own
    }
    const held = [...new Set(memories)].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(held).toBeLessThan(2 * 300 * 1500);
    for (const release of waiting) release();
    for (const [number, answer] of (await Promise.all(late)).entries()) expect(answer).toEqual(request(number));
  });
});

test('what lacks the members that it needs is read by its data', async () => {
  const stream = new PassThrough();
  const received: Uint8Array[] = [];
  readInto(stream as unknown as Socket, (bytes, length) => {
    received.push(bytes.subarray(0, length));
    return false;
  });
  stream.end('some bytes');
  await finished(stream);
  expect(Buffer.concat(received).toString()).toBe('some bytes');
});
