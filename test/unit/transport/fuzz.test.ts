/**
 * HTTP/2 fed with malformed and random bytes. Each file of `corpus/` is an input (hex) under its expected outcome; inputs that a run finds
 * are added there. `npm run fuzz:transport` tries a million of each.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { answersOf } from './conversations.ts';
import {
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  framesOf,
  head,
  message,
  PREFACE,
  Type,
  uint32,
} from './raw-peer.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';
import { side } from './side.ts';

const RUNS = Number(process.env['RUNS'] ?? 2000);

const blocks = [
  head('/t.T/Echo'),
  head('/t.T/Nope'),
  head('/t.T/Echo', [['x', 'y'.repeat(300)]]),
  Buffer.from([0x82, 0x86, 0x84]),
  Buffer.from('418cf1e3c2e5f23a6ba0ab90f4ff', 'hex'),
  Buffer.from([0x20]),
  Buffer.from([0x3f, 0xe1, 0x1f]),
];
function randomFrames(random: Random): Buffer {
  const frames: Buffer[] = [PREFACE, frame(Type.SETTINGS, 0, 0)];
  let id = 1;
  for (let count = 1 + random.below(12); count > 0; count--) {
    const kind = random.below(14);
    const flags = random.below(4) === 0 ? random.below(256) : random.below(2);
    if (kind < 4)
      frames.push(
        frame(
          Type.HEADERS,
          END_HEADERS | (random.below(8) === 0 ? flags : 0),
          (id += 2 * random.below(2)),
          blocks[random.below(blocks.length)],
        ),
      );
    else if (kind < 8)
      frames.push(
        frame(
          Type.DATA,
          random.below(2) | (random.below(8) === 0 ? flags : 0),
          id,
          message(Buffer.alloc(random.below(50), 66)).subarray(random.below(3)),
        ),
      );
    else if (kind === 8)
      frames.push(
        frame(Type.HEADERS, END_STREAM, (id += 2), blocks[0]),
        frame(Type.CONTINUATION, END_HEADERS, id, Buffer.alloc(0)),
      );
    else
      frames.push(
        frame(
          random.below(11),
          flags,
          random.below(3) === 0 ? 0 : id,
          [
            uint32(random.below(2 ** 31)),
            Buffer.alloc(8),
            Buffer.concat([uint32(id), Buffer.from([1])]),
            Buffer.from([0, 4, ...uint32(random.below(70_000))]),
            Buffer.from([
              0,
              random.below(8),
              ...uint32([0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1][random.below(5)] ?? 0),
            ]),
            uint32(2 ** 31 - 1 - random.below(70_000)), // a window that is full, nearly or too full
            Buffer.concat([Buffer.from([random.below(12)]), Buffer.alloc(random.below(12))]), // padding that fits or not
          ][random.below(7)],
        ),
      );
  }
  const bytes = Buffer.concat(frames);
  for (let changes = random.below(4) === 0 ? random.below(4) : 0; changes > 0; changes--)
    bytes[24 + random.below(bytes.length - 24)] = random.below(256);
  return bytes;
}

const FOLDER = join(import.meta.dirname, 'corpus');
const CORPUS = readdirSync(FOLDER)
  .toSorted()
  .map((file) => {
    const [first = '', ...hex] = readFileSync(join(FOLDER, file), 'utf8').split('\n');
    return { file, outcome: first.replace('# ', ''), bytes: Buffer.from(hex.join(''), 'hex') };
  });

interface Outcome {
  readonly said: string;
  readonly isSound: boolean;
}

/** The outcome of an input that arrives in pieces, in one line; sound where the invariants of any input hold. */
function outcomeOf(bytes: Buffer, pieceBytes: () => number): Outcome {
  let answered = 0;
  const { connection, said, faults, isClosed } = side(
    new Map([
      [
        '/t.T/Echo',
        {
          kind: 'unary',
          handle: (request) => {
            answered++;
            return viewOf(request);
          },
        },
      ],
    ]),
  );
  for (let at = 0; at < bytes.length;) {
    const next = Math.min(bytes.length, at + pieceBytes());
    connection.receive(bytes.subarray(at, next));
    at = next;
  }
  connection.lost();
  const { frames, rest } = framesOf(said());
  const goAway = frames.find(({ type }) => type === Type.GOAWAY);
  const answers = Object.values(answersOf(frames));
  const good = answers.filter(({ grpcStatus }) => grpcStatus === '0').length;
  const resets = new Set(
    frames.filter(({ type }) => type === Type.RST_STREAM).map(({ payload }) => nameOf(payload.readUInt32BE(0))),
  );
  const parts = [
    ...(good > 0 ? [`${good} answered well`] : []),
    ...new Set(
      answers.flatMap(({ grpcStatus }) =>
        grpcStatus === undefined || grpcStatus === '0' ? [] : [`grpc-status ${grpcStatus}`],
      ),
    ),
    ...[...resets].map((name) => `RST_STREAM ${name}`),
    ...(goAway === undefined
      ? []
      : [`GOAWAY ${nameOf(goAway.payload.readUInt32BE(4))}: ${goAway.payload.toString('utf8', 8)}`]),
  ];
  const isSound =
    faults.length === 0 &&
    rest.length === 0 &&
    connection.openStreams === 0 &&
    (goAway !== undefined) === isClosed() &&
    good <= answered;
  return { said: parts.length === 0 ? 'nothing' : parts.join('; '), isSound };
}

const nameOf = (code: number): string =>
  Object.entries(ErrorCode).find(([, number]) => number === code)?.[0] ?? String(code);

describe('the corpus', () => {
  test.each(CORPUS)('$file', ({ bytes, outcome }) => {
    expect(outcomeOf(bytes, () => bytes.length)).toEqual({ said: outcome, isSound: true });
    expect(outcomeOf(bytes, () => 1)).toEqual({ said: outcome, isSound: true });
  });

  test(`${RUNS} inputs made of it: no fault, whole frames, and no good answer that no handler gave`, () => {
    const kinds = new Set<string>();
    for (const seed of seeds(RUNS)) {
      const random = new Random(seed);
      const { said, isSound } = outcomeOf(mutated(random), () => 1 + random.below(400));
      if (!isSound) throw new Error(`seed ${seed}: ${said}`);
      kinds.add(said.replaceAll(/\d+/g, 'N'));
    }
    expect(kinds.size).toBeGreaterThan(10); // else it tries the same again and again
  });
});

/** Two inputs, one after or within the other, with bytes changed, removed and repeated. */
function mutated(random: Random): Buffer {
  const one = (CORPUS[random.below(CORPUS.length)] as (typeof CORPUS)[0]).bytes;
  const other = (CORPUS[random.below(CORPUS.length)] as (typeof CORPUS)[0]).bytes.subarray(PREFACE.length);
  const at = PREFACE.length + random.below(Math.max(1, one.length - PREFACE.length));
  let bytes =
    random.below(3) === 0
      ? Buffer.concat([one.subarray(0, at), other, one.subarray(at)])
      : Buffer.concat([one, random.below(2) === 0 ? other : Buffer.alloc(0)]);
  for (let changes = random.below(5); changes > 0; changes--) {
    const from = PREFACE.length + random.below(Math.max(1, bytes.length - PREFACE.length));
    const to = Math.min(bytes.length, from + 1 + random.below(20));
    const cut = random.below(4);
    if (cut === 0) bytes = Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
    else if (cut === 1) bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
    else if (from < bytes.length) {
      bytes = Buffer.from(bytes);
      bytes[from] = random.below(256);
    }
  }
  return bytes;
}

describe('random inputs', () => {
  test(`${RUNS} sequences of frames: no fault, whole frames, and no good answer that no handler gave`, () => {
    for (const seed of seeds(RUNS)) {
      const random = new Random(seed);
      const { said, isSound } = outcomeOf(randomFrames(random), () => 1 + random.below(400));
      if (!isSound) throw new Error(`seed ${seed}: ${said}`);
    }
  });

  test(`${RUNS} header blocks of random bytes: fields, or COMPRESSION_ERROR`, () => {
    for (const seed of seeds(RUNS)) {
      const random = new Random(seed);
      const { connection, said, faults } = side();
      const block = Buffer.from(Array.from({ length: random.below(120) }, () => random.below(256)));
      connection.receive(
        Buffer.concat([
          PREFACE,
          frame(Type.SETTINGS, 0, 0),
          frame(Type.HEADERS, END_HEADERS | END_STREAM, 1, block),
          frame(Type.PING, 0, 0, Buffer.alloc(8)),
        ]),
      );
      const { frames } = framesOf(said());
      expect(faults, `seed ${seed}`).toEqual([]);
      const goAway = frames.find(({ type }: Frame) => type === Type.GOAWAY);
      if (goAway === undefined) expect(frames.at(-1)?.type, `seed ${seed}`).toBe(Type.PING);
      else expect(goAway.payload.readUInt32BE(4), `seed ${seed}`).toBe(ErrorCode.COMPRESSION_ERROR);
    }
  });
});
