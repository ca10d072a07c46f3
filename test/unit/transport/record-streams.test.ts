/** Streams of records: ended by OK first and read to their end, whatever their client does. */
import { describe, expect, test } from 'vitest';
import { type Listen, listen, listenHttp2, type Transport } from '../../../src/transport/index.ts';
import { END_HEADERS, END_STREAM, type Frame, frame, head, message, rawPeer, Type } from './raw-peer.ts';
import { bytes, text, waitUntil } from './serving.ts';

const GRACE_MS = 3000;
const STACKS: readonly (readonly [string, Listen])[] = [
  ['our own HTTP/2', listen],
  ["Node's HTTP/2", listenHttp2],
];

interface Recorder {
  readonly transport: Transport;
  readonly read: string[];
  /** Settles when the handler may go on after its first message. */
  release(): void;
  ended: number;
}

async function recorder(stack: Listen, options: { maxStreamAgeMs?: number; holds?: boolean } = {}): Promise<Recorder> {
  const gate = Promise.withResolvers<void>();
  if (options.holds !== true) gate.resolve();
  const read: string[] = [];
  const recorder = { read, release: () => gate.resolve(), ended: 0 };
  const transport = await stack(
    new Map([
      [
        '/t.T/Record',
        {
          kind: 'stream',
          records: { lastReply: bytes('bye') },
          handle: async function* record(requests) {
            for await (const request of requests) {
              read.push(text(request));
              await gate.promise;
            }
            recorder.ended++;
            yield bytes('bye');
          },
        },
      ],
    ]),
    { host: '127.0.0.1', port: 0, maxMessageBytes: 1024, onFault: () => {}, ...options },
  );
  return Object.assign(recorder, { transport });
}

const open = frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Record'));
const data = (said: string, flags = 0): Buffer => frame(Type.DATA, flags, 1, message(Buffer.from(said)));
const hasEnded = (frames: readonly Frame[]): boolean =>
  frames.some(({ type, stream, flags }) => type === Type.HEADERS && stream === 1 && (flags & END_STREAM) !== 0);
const isReset = (frames: readonly Frame[]): boolean => frames.some(({ type }) => type === Type.RST_STREAM);
const isToldToGo = (frames: readonly Frame[]): boolean => frames.some(({ type }) => type === Type.GOAWAY);

describe.each(STACKS)('a stream of records over %s', (_, stack) => {
  test('a server that stops ends it with OK, then reads what the client still sends, then lets the connection go', async () => {
    const served = await recorder(stack);
    const peer = await rawPeer(served.transport.port);
    peer.send(open, data('a'));
    await waitUntil(() => served.read.length === 1, 'the first message is read');
    const drained = served.transport.drain(GRACE_MS);
    await peer.until(hasEnded, 'it ends');
    // Node's server announces the end to its connections when it stops listening.
    expect([isReset(peer.frames), isToldToGo(peer.frames)]).toEqual([false, stack === listenHttp2]);
    peer.send(data('b'), data('c', END_STREAM));
    await drained;
    expect(served.read).toEqual(['a', 'b', 'c']);
    expect([isReset(peer.frames), isToldToGo(peer.frames)]).toEqual([false, true]);
  });

  test('a client that never ends its side delays the end of the server by no more than the grace', async () => {
    const served = await recorder(stack);
    const peer = await rawPeer(served.transport.port);
    peer.send(open, data('a'));
    await waitUntil(() => served.read.length === 1, 'the first message is read');
    const beganAtMs = performance.now();
    const drained = served.transport.drain(1000);
    await peer.until(hasEnded, 'it ends');
    peer.send(data('b'));
    await drained;
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    expect([served.read, served.ended]).toEqual([['a', 'b'], 1]);
  });

  test('what has arrived is read by a busy handler, though the client has gone', async () => {
    const served = await recorder(stack, { holds: true });
    const peer = await rawPeer(served.transport.port);
    peer.send(open, data('a'), data('b'), data('c'));
    await waitUntil(() => served.read.length === 1, 'the first message is read');
    peer.socket.destroy();
    const drained = served.transport.drain(GRACE_MS);
    served.release();
    await drained;
    expect([served.read, served.ended]).toEqual([['a', 'b', 'c'], 1]);
  });

  test('its age ends it with OK, and the connection stays', async () => {
    const served = await recorder(stack, { maxStreamAgeMs: 100 });
    const peer = await rawPeer(served.transport.port);
    peer.send(open, data('a'));
    await peer.until(hasEnded, 'it ends', 5000);
    peer.send(data('b', END_STREAM));
    await waitUntil(() => served.ended === 1, 'the handler ends');
    expect([served.read, isReset(peer.frames), isToldToGo(peer.frames)]).toEqual([['a', 'b'], false, false]);
    peer.socket.destroy();
    await served.transport.drain(GRACE_MS);
  });
});
