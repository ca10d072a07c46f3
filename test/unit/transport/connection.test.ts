/** The core of HTTP/2 without a socket: octets in, octets out. */
import { describe, expect, test } from 'vitest';
import { grpcServer } from '../../../src/transport/grpc/serve.ts';
import { Connection } from '../../../src/transport/h2/connection.ts';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/h2/limits.ts';
import { listen, listenHttp2, type Methods } from '../../../src/transport/index.ts';
import { type Answer, answersOf, CONVERSATIONS, METHODS } from './conversations.ts';
import { END_HEADERS, END_STREAM, type Frame, frame, framesOf, head, message, PREFACE, Type, uint32 } from './raw-peer.ts';
import { connect } from 'node:net';

const RUNS = Number(process.env['RUNS'] ?? 2000);

interface Side { readonly connection: Connection; readonly said: () => Buffer; readonly faults: unknown[]; readonly isClosed: () => boolean }

function side(methods: Methods = METHODS): Side {
  const said: Buffer[] = [];
  const faults: unknown[] = [];
  let isClosed = false;
  const { serve } = grpcServer(methods, { maxMessageBytes: 64 * 1024, onFault: (_path, error) => { faults.push(error); } });
  const connection = new Connection({
    serve, limits: DEFAULT_LIMITS, peer: 'test:1', nowMs: () => performance.now(), onFault: (error) => { faults.push(error); },
    outlet: { isFull: false, write: (bytes) => said.push(Buffer.from(bytes)) > 0, soon: (flush) => flush(), close: () => { isClosed = true; } },
  });
  return { connection, said: () => Buffer.concat(said), faults, isClosed: () => isClosed };
}

/** All that a server says to a conversation that comes in these pieces. */
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

  test('the same octets leave wherever it is cut in two', () => {
    for (let at = 1; at < conversation.length; at++) {
      if (!saidTo([conversation.subarray(0, at), conversation.subarray(at)]).equals(whole)) throw new Error(`cut at ${at}, it is answered otherwise`);
    }
  });

  test('and octet by octet', () => {
    expect(saidTo(Array.from(conversation, (octet) => Uint8Array.of(octet))).equals(whole)).toBe(true);
  });

  test('Node\'s HTTP/2 answers alike', async () => {
    const [own, nodes] = await Promise.all([listen, listenHttp2].map(async (listenAt) => {
      const transport = await listenAt(METHODS, { host: '127.0.0.1', port: 0, maxMessageBytes: 64 * 1024, onFault: () => {} });
      const asked = Object.keys(answersOf(framesOf(whole).frames)).length;
      const answers = await overSocket(transport.port, conversation, asked);
      await transport.drain(0);
      return answers;
    }));
    expect(own).toEqual(nodes);
  });
});

/** Sent in random pieces, until all is answered. */
async function overSocket(port: number, conversation: Buffer, asked: number): Promise<Record<number, Answer>> {
  const socket = connect(port, '127.0.0.1');
  let said = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => { said = Buffer.concat([said, chunk]); });
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
    const isWhole = ({ grpcStatus, status, body, reset }: Answer): boolean => grpcStatus !== undefined || reset !== undefined || (status !== '200' && body !== '');
    if (Object.values(answers).filter(isWhole).length === asked || Date.now() > until) {
      socket.destroy();
      return answers;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('fuzz', () => {
  class Random {
    #state: number;
    constructor(seed: number) {
      this.#state = seed >>> 0;
    }
    below(limit: number): number {
      this.#state = (Math.imul(this.#state ^ (this.#state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
      return Math.floor(this.#state / 2 ** 32 * limit);
    }
  }

  const blocks = [head('/t.T/Echo'), head('/t.T/Nope'), head('/t.T/Echo', [['x', 'y'.repeat(300)]]), Buffer.from([0x82, 0x86, 0x84]), Buffer.from('418cf1e3c2e5f23a6ba0ab90f4ff', 'hex'), Buffer.from([0x20]), Buffer.from([0x3f, 0xe1, 0x1f])];
  function randomFrames(random: Random): Buffer {
    const frames: Buffer[] = [PREFACE, frame(Type.SETTINGS, 0, 0)];
    let id = 1;
    for (let count = 1 + random.below(12); count > 0; count--) {
      const kind = random.below(14);
      const flags = random.below(4) === 0 ? random.below(256) : random.below(2);
      if (kind < 4) frames.push(frame(Type.HEADERS, END_HEADERS | (random.below(8) === 0 ? flags : 0), id += 2 * random.below(2), blocks[random.below(blocks.length)]));
      else if (kind < 8) frames.push(frame(Type.DATA, random.below(2) | (random.below(8) === 0 ? flags : 0), id, message(Buffer.alloc(random.below(50), 66)).subarray(random.below(3))));
      else if (kind === 8) frames.push(frame(Type.HEADERS, END_STREAM, id += 2, blocks[0]), frame(Type.CONTINUATION, END_HEADERS, id, Buffer.alloc(0)));
      else frames.push(frame(random.below(11), flags, random.below(3) === 0 ? 0 : id, [uint32(random.below(2 ** 31)), Buffer.alloc(8), Buffer.concat([uint32(id), Buffer.from([1])]), Buffer.from([0, 4, ...uint32(random.below(70_000))])][random.below(4)]));
    }
    const octets = Buffer.concat(frames);
    for (let changes = random.below(4) === 0 ? random.below(4) : 0; changes > 0; changes--) octets[24 + random.below(octets.length - 24)] = random.below(256);
    return octets;
  }

  test(`${RUNS} sequences of frames: no fault, whole frames, and no good answer that no handler gave`, () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      let answered = 0;
      const { connection, said, faults, isClosed } = side(new Map([['/t.T/Echo', { kind: 'unary', handle: (request) => { answered++; return request; } }]]));
      const octets = randomFrames(random);
      for (let at = 0; at < octets.length;) {
        const next = Math.min(octets.length, at + 1 + random.below(400));
        connection.receive(octets.subarray(at, next));
        at = next;
      }
      connection.lost();
      const { frames, rest } = framesOf(said());
      const what = `seed ${seed}`;
      expect([faults, rest.length, connection.openStreams], what).toEqual([[], 0, 0]);
      expect(frames.some(({ type }) => type === Type.GOAWAY), what).toBe(isClosed());
      const good = Object.values(answersOf(frames)).filter(({ grpcStatus }) => grpcStatus === '0');
      expect(good.length, what).toBeLessThanOrEqual(answered);
    }
  });

  test(`${RUNS} header blocks of random octets: fields, or COMPRESSION_ERROR`, () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = new Random(seed);
      const { connection, said, faults } = side();
      const block = Buffer.from(Array.from({ length: random.below(120) }, () => random.below(256)));
      connection.receive(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), frame(Type.HEADERS, END_HEADERS | END_STREAM, 1, block), frame(Type.PING, 0, 0, Buffer.alloc(8))]));
      const { frames } = framesOf(said());
      expect(faults, `seed ${seed}`).toEqual([]);
      const goAway = frames.find(({ type }: Frame) => type === Type.GOAWAY);
      if (goAway === undefined) expect(frames.at(-1)?.type, `seed ${seed}`).toBe(Type.PING);
      else expect(goAway.payload.readUInt32BE(4), `seed ${seed}`).toBe(ErrorCode.COMPRESSION_ERROR);
    }
  });
});
