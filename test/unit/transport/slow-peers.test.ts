/** The tick of a connection ends requests that arrive too slowly and replies that are never read; the tests set its time. */
import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import type { Method, Methods } from '../../../src/transport/index.ts';
import { END_HEADERS, END_STREAM, frame, framesOf, head, message, PREFACE, Type, uint32 } from './raw-peer.ts';
import { type Side, side } from './side.ts';

const METHODS: Methods = new Map<string, Method>([
  ['/t.T/Large', { kind: 'unary', handle: () => new Uint8Array(1000) }],
  [
    '/t.T/Takes',
    {
      kind: 'stream',
      handle: async function* takes(requests) {
        for await (const request of requests) if (request.length === 0) yield request;
      },
    },
  ],
]);

const opened = (...said: Uint8Array[]): Side => {
  const one = side(METHODS);
  one.connection.receive(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), ...said]));
  return one;
};
const ticks = ({ connection }: Side, seconds: number, each: (second: number) => void = () => {}): void => {
  const fromMs = performance.now();
  for (let second = 1; second <= seconds; second++) {
    each(second);
    connection.tick(fromMs + second * 1000);
  }
};
const goAwayOf = (one: Side): [code: number, why: string] | undefined => {
  const found = framesOf(one.said()).frames.find(({ type }) => type === Type.GOAWAY);
  return found === undefined ? undefined : [found.payload.readUInt32BE(4), found.payload.toString('utf8', 8)];
};
const TOO_SLOW = [ErrorCode.ENHANCE_YOUR_CALM, 'a frame or a header block took too long to arrive'];

describe('requests that arrive too slowly', () => {
  test('a header block whose CONTINUATIONs trickle', () => {
    const one = opened(frame(Type.HEADERS, 0, 1, head('/t.T/Large')));
    ticks(one, 40, () => one.connection.receive(frame(Type.CONTINUATION, 0, 1, Buffer.from([0]))));
    expect([goAwayOf(one), one.isClosed()]).toEqual([TOO_SLOW, true]);
  });

  test('a frame whose bytes trickle', () => {
    const whole = frame(Type.DATA, 0, 1, Buffer.alloc(1000));
    const one = opened(frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Takes')), whole.subarray(0, 20));
    ticks(one, 40, (second) => one.connection.receive(whole.subarray(19 + second, 20 + second)));
    expect([goAwayOf(one), one.isClosed()]).toEqual([TOO_SLOW, true]);
  });

  test('frames that are cut, one after the other, do not count as slow', () => {
    const ping = frame(Type.WINDOW_UPDATE, 0, 0, uint32(1));
    const one = opened(ping.subarray(0, 5));
    ticks(one, 60, () => one.connection.receive(Buffer.concat([ping.subarray(5), ping.subarray(0, 5)])));
    expect(goAwayOf(one)).toBeUndefined();
  });

  test.each([
    ['that brings nothing', Buffer.alloc(0)],
    ['that brings half a message', frame(Type.DATA, 0, 1, message(Buffer.alloc(100)).subarray(0, 50))],
    ['that brings a message and no end', frame(Type.DATA, 0, 1, message(Buffer.alloc(100)))],
  ])('a request %s ends after 30 s, whatever its deadline', (_name, said) => {
    const one = opened(frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Large', [['grpc-timeout', '99999999H']])), said);
    ticks(one, 29);
    expect(one.connection.openStreams).toBe(1);
    ticks(one, 32);
    expect(one.connection.openStreams).toBe(0);
    const { frames } = framesOf(one.said());
    expect(
      frames.some(({ type, payload }) => type === Type.HEADERS && payload.includes('the deadline has passed')),
    ).toBe(true);
    expect(frames.some(({ type, stream }) => type === Type.RST_STREAM && stream === 1)).toBe(true);
  });

  test('an incomplete message of a stream; a stream that is idle between messages lives on', async () => {
    const one = opened(
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Takes')),
      frame(Type.DATA, 0, 1, message(Buffer.alloc(100)).subarray(0, 50)),
      frame(Type.HEADERS, END_HEADERS, 3, head('/t.T/Takes')),
      frame(Type.DATA, 0, 3, message(Buffer.alloc(100))),
    );
    await new Promise((resolve) => setImmediate(resolve));
    ticks(one, 40);
    const { frames } = framesOf(one.said());
    expect(
      frames
        .filter(({ type }) => type === Type.HEADERS)
        .map(({ stream, payload }) => [stream, payload.includes('a message took more than 30 s to arrive')]),
    ).toEqual([[1, true]]);
    expect(one.connection.openStreams).toBe(1);
    one.connection.lost();
  });
});

describe('replies that are never taken', () => {
  test('a reply that gets no window: the stream is reset, the connection lives on', () => {
    const one = opened(
      frame(Type.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(10)])),
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Large')),
      frame(Type.DATA, END_STREAM, 1, message(Buffer.alloc(1))),
    );
    ticks(one, 40);
    const { frames } = framesOf(one.said());
    expect(
      frames
        .filter(({ type, stream }) => type === Type.RST_STREAM && stream === 1)
        .map(({ payload }) => payload.readUInt32BE()),
    ).toEqual([ErrorCode.FLOW_CONTROL_ERROR]);
    expect([one.connection.openStreams, goAwayOf(one)]).toEqual([0, undefined]);
  });

  test('a reply that is taken little by little is sent to its end', () => {
    const one = opened(
      frame(Type.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(0)])),
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Large')),
      frame(Type.DATA, END_STREAM, 1, message(Buffer.alloc(1))),
    );
    ticks(one, 101, (second) => {
      if (second % 10 === 0) one.connection.receive(frame(Type.WINDOW_UPDATE, 0, 1, uint32(101)));
    });
    const { frames } = framesOf(one.said());
    expect(frames.filter(({ type }) => type === Type.DATA).reduce((sum, { payload }) => sum + payload.length, 0)).toBe(
      1005,
    );
    expect(frames.some(({ type }) => type === Type.RST_STREAM)).toBe(false);
  });
});

test('a connection that drains ends when the peer cancels its last stream', () => {
  const one = opened(frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Takes')));
  one.connection.drain();
  one.connection.finishDrain();
  expect(one.isClosed()).toBe(false);
  one.connection.receive(frame(Type.RST_STREAM, 0, 1, uint32(ErrorCode.CANCEL)));
  expect([one.connection.openStreams, one.isClosed()]).toEqual([0, true]);
});
