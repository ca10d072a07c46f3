/** HTTP/2 without a socket: bytes in, bytes out. */
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { listen, listenHttp2 } from '../../../src/transport/index.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import { type Answer, answersOf, CONVERSATIONS, METHODS } from './conversations.ts';
import { END_HEADERS, END_STREAM, frame, framesOf, head, message, PREFACE, Type } from './raw-peer.ts';
import { side } from './side.ts';

/** The output for an input that arrives in these pieces. */
function saidTo(pieces: readonly Uint8Array[]): Buffer {
  const { connection, said, faults } = side();
  for (const piece of pieces) connection.receive(piece);
  expect(faults).toEqual([]);
  return said();
}

describe.each(Object.entries(CONVERSATIONS))('%s', (_name, conversation) => {
  const whole = saidTo([conversation]);

  test('is answered to its end', () => {
    const answers = answersOf(framesOf(whole).frames);
    expect(Object.values(answers).length).toBeGreaterThan(0);
    expect(answers).toMatchSnapshot();
  });

  test('the reply is the same wherever the input is cut in two', () => {
    for (let at = 1; at < conversation.length; at++) {
      if (!saidTo([conversation.subarray(0, at), conversation.subarray(at)]).equals(whole))
        throw new Error(`cut at ${at}, it is answered otherwise`);
    }
  });

  test('the reply is the same byte by byte', () => {
    expect(saidTo(Array.from(conversation, (byte) => Uint8Array.of(byte))).equals(whole)).toBe(true);
  });

  test("Node's HTTP/2 gives the same answers", async () => {
    const [own, nodes] = await Promise.all(
      [listen, listenHttp2].map(async (listenAt) => {
        const transport = await listenAt(METHODS, {
          host: '127.0.0.1',
          port: 0,
          maxMessageBytes: 64 * 1024,
          onFault: () => {},
        });
        const asked = Object.keys(answersOf(framesOf(whole).frames)).length;
        const answers = await overSocket(transport.port, conversation, asked);
        await transport.drain(0);
        return answers;
      }),
    );
    expect(own).toEqual(nodes);
  });
});

/** Sends it in random pieces, and waits until all is answered. */
async function overSocket(port: number, conversation: Buffer, asked: number): Promise<Record<number, Answer>> {
  const socket = connect(port, '127.0.0.1');
  let said = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    said = Buffer.concat([said, chunk]);
  });
  socket.on('error', () => {});
  for (let at = 0; at < conversation.length;) {
    const next = at + 1 + Math.floor(Math.random() * 200);
    socket.write(conversation.subarray(at, next));
    at = next;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const until = Date.now() + 3000;
  for (;;) {
    const answers = answersOf(framesOf(said).frames);
    const isWhole = ({ grpcStatus, status, body, reset }: Answer): boolean =>
      grpcStatus !== undefined || reset !== undefined || (status !== '200' && body !== '');
    if (Object.values(answers).filter(isWhole).length === asked || Date.now() > until) {
      socket.destroy();
      return answers;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a burst of more streams than are allowed: the bodies of those that were refused end no other', () => {
  const { connection, said } = side(
    new Map([['/t.T/Waits', { kind: 'unary', handle: () => new Promise<Uint8Array>(() => {}) }]]),
  );
  const BEYOND = 450;
  const ids = Array.from({ length: DEFAULT_LIMITS.maxStreams + BEYOND }, (_, at) => 2 * at + 1);
  connection.receive(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0)]));
  connection.receive(Buffer.concat(ids.map((id) => frame(Type.HEADERS, END_HEADERS, id, head('/t.T/Waits')))));
  connection.receive(Buffer.concat(ids.map((id) => frame(Type.DATA, END_STREAM, id, message(Buffer.from('x'))))));
  const { frames } = framesOf(said());
  expect(frames.filter(({ type }) => type === Type.RST_STREAM).length).toBe(BEYOND);
  expect(frames.filter(({ type }) => type === Type.GOAWAY)).toEqual([]);
  expect(connection.openStreams).toBe(DEFAULT_LIMITS.maxStreams);
  connection.lost();
});
