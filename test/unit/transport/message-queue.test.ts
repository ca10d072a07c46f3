import { describe, expect, test } from 'vitest';
import { MessageQueue } from '../../../src/transport/grpc/message-queue.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { message } from './raw-peer.ts';

const MOST = 1000;

test('messages cut anywhere come out as they went in, whenever they are taken', () => {
  let seed = 7;
  const below = (limit: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  for (let run = 0; run < 300; run++) {
    const said = Array.from({ length: 1 + below(20) }, () =>
      Buffer.alloc(below(3) === 0 ? 0 : below(MOST), below(256)),
    );
    const bytes = Buffer.concat(said.map((body) => message(body)));
    const queue = new MessageQueue(MOST, 'identity');
    const taken: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const to = Math.min(bytes.length, at + 1 + below(400));
      queue.push(bytes, at, to);
      at = to;
      for (let most = below(4); most > 0; most--) {
        const next = queue.next();
        if (next !== undefined) taken.push(next);
      }
    }
    for (let next = queue.next(); next !== undefined; next = queue.next()) taken.push(next);
    expect(queue.isEmpty, `run ${run}`).toBe(true);
    expect(Buffer.concat(taken.map((body) => message(body))).equals(bytes), `run ${run}`).toBe(true);
  }
});

describe('an invalid prefix', () => {
  test.each([
    ['another flag', [2, 0, 0, 0, 0], Status.INTERNAL],
    ['compressed without an encoding', [1, 0, 0, 0, 0], Status.INTERNAL],
    ['a length above the limit', [0, 0, 0, 0x10, 0], Status.RESOURCE_EXHAUSTED],
  ])('%s', (_name, bytes, code) => {
    const queue = new MessageQueue(MOST, 'identity');
    queue.push(Uint8Array.from(bytes), 0, bytes.length);
    expect(() => queue.next()).toThrow(expect.objectContaining({ code }) as GrpcError);
  });
});
