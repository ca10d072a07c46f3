/**
 * Random clients that keep to RFC 9113 in odd ways: blocks in any encoding and in any number of CONTINUATIONs, with table updates, entries
 * that are evicted and names by index; padding; PRIORITY; trailers; resets in the middle of a body; windows and settings that change while
 * replies are sent; GOAWAY and new streams after it. Each whole call is answered, with the headers and the body that it sent, and no window
 * is exceeded. `npm run fuzz:transport` runs more of them.
 */
import { expect, test } from 'vitest';
import { HpackDecoder } from '../../../src/transport/h2/hpack-decoder.ts';
import type { Methods } from '../../../src/transport/index.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';
import { END_HEADERS, END_STREAM, frame, framesOf, message, PREFACE, Type, uint32 } from './raw-peer.ts';
import { type Side, side } from './side.ts';
import { TestEncoder } from './test-encoder.ts';

const RUNS = Math.min(20_000, Number(process.env['RUNS'] ?? 300));
const [PADDED, PRIORITY, ACK] = [0x8, 0x20, 0x1];
const NAMES = Array.from({ length: 30 }, (_, at) => `x-${'n'.repeat(at)}`);

/** Answers with the header `x-echo`, the number of its bytes, and the message, some times over. */
const METHODS: Methods = new Map([
  [
    '/t.T/Echo',
    {
      kind: 'unary',
      handle: ({ bytes, from, to }, call) => {
        const said = Buffer.concat([
          Buffer.from(call.metadata('x-echo') ?? 'none', 'latin1'),
          Buffer.from(bytes.subarray(from, to)),
        ]);
        return Buffer.concat(Array.from({ length: Number(call.metadata('x-times') ?? 1) }, () => said));
      },
    },
  ],
]);

interface Call {
  readonly answer: Buffer;
  /** What is left to send, frame by frame. */
  readonly left: Buffer[];
  window: number;
  isReset: boolean;
  isSent: boolean;
}

class Client {
  readonly #random: Random;
  readonly #side: Side = side(METHODS);
  readonly #encoder: TestEncoder;
  /** Its calls have few headers, so that their blocks are alike. */
  readonly #isPlain: boolean;
  /** We have made the table of the server smaller; it says so after its acknowledgement (RFC 7541 section 4.2). */
  #table: 'usual' | 'reduced' | 'acknowledged' | 'updated' = 'usual';
  readonly #decoder = new HpackDecoder(64 * 1024);
  readonly calls = new Map<number, Call>();
  readonly #bodies = new Map<number, Buffer[]>();
  readonly statuses = new Map<number, string>();
  #seen = 0;
  #nextId = 1;
  /** What the server may send; it learns a change when it has read our frame, which is at once here. */
  #window = 65_535;
  #initialWindow = 65_535;

  constructor(random: Random) {
    this.#random = random;
    this.#encoder = new TestEncoder(random);
    this.#isPlain = random.chance(2);
    this.#send(PREFACE, frame(Type.SETTINGS, 0, 0));
  }

  #send(...frames: Buffer[]): void {
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + 1 + this.#random.below(2000));
      // The server reuses the buffer that it reads into.
      const chunk = Buffer.from(bytes.subarray(at, end));
      this.#side.connection.receive(chunk);
      chunk.fill(0xff);
      at = end;
    }
    this.#read();
  }

  #read(): void {
    const { frames, rest } = framesOf(this.#side.said());
    expect(rest.length).toBe(0);
    for (const { type, stream, payload, flags } of frames.slice(this.#seen)) {
      if (type === Type.GOAWAY) throw new Error(`GOAWAY ${payload.readUInt32BE(4)}: ${payload.toString('utf8', 8)}`);
      if (type === Type.RST_STREAM && payload.readUInt32BE(0) !== 0)
        throw new Error(`RST_STREAM ${payload.readUInt32BE(0)} on stream ${stream}`);
      if (type === Type.DATA) {
        const call = this.calls.get(stream) as Call;
        this.#window -= payload.length;
        call.window -= payload.length;
        if (payload.length > 0) expect(Math.min(this.#window, call.window)).toBeGreaterThanOrEqual(0);
        this.#bodies.set(stream, [...(this.#bodies.get(stream) ?? []), payload]);
      } else if (type === Type.SETTINGS && flags === ACK && this.#table === 'reduced') this.#table = 'acknowledged';
      else if (type === Type.HEADERS) {
        if (this.#table === 'acknowledged') {
          expect((payload[0] as number) & 0xe0).toBe(0x20);
          this.#table = 'updated';
        }
        for (const { name, value } of this.#decoder.decode(payload, 0, payload.length) ?? [])
          if (name === 'grpc-status') this.statuses.set(stream, value);
        if ((flags & END_STREAM) !== 0) expect(this.statuses.has(stream)).toBe(true);
      }
    }
    this.#seen = frames.length;
  }

  bodyOf(id: number): Buffer {
    return Buffer.concat(this.#bodies.get(id) ?? []);
  }

  #padded(type: number, flags: number, id: number, payload: Buffer): Buffer {
    if (!this.#random.chance(3)) return frame(type, flags, id, payload);
    const padding = this.#random.one([0, 1, 17, 255]);
    return frame(type, flags | PADDED, id, Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)]));
  }

  /** A header block in a HEADERS frame and any number of CONTINUATIONs. */
  #block(id: number, block: Buffer, flags: number): Buffer[] {
    const random = this.#random;
    const cuts = random.chance(2)
      ? []
      : random.list([1, 2, 5], () => random.below(block.length + 1)).toSorted((a, b) => a - b);
    const parts = [...cuts, block.length].map((end, at) => block.subarray(at === 0 ? 0 : cuts[at - 1], end));
    const [first = Buffer.alloc(0), ...others] = parts;
    const last = (at: number): number => (at === others.length ? END_HEADERS : 0);
    const hasPriority = random.chance(4);
    const dependency = Buffer.concat([uint32(random.one([0, id + 2, 0x8000_0000])), Buffer.from([random.below(256)])]);
    return [
      this.#padded(
        Type.HEADERS,
        flags | last(0) | (hasPriority ? PRIORITY : 0),
        id,
        hasPriority ? Buffer.concat([dependency, first]) : first,
      ),
      ...others.map((part, at) => frame(Type.CONTINUATION, last(at + 1), id, part)),
    ];
  }

  begin(): void {
    const random = this.#random;
    const id = (this.#nextId += random.one([2, 2, 2, 40]));
    const echo = this.#isPlain
      ? random.one(['1', '2', '3'])
      : random.chance(5)
        ? 'é'.repeat(random.below(20))
        : String(random.below(1000)).repeat(random.below(12));
    const times = random.one([1, 1, 1, 40]);
    const body = Buffer.from(String(random.below(10 ** 9)).repeat(random.one([0, 1, 30, 300])));
    const block = this.#encoder.block([
      [':method', 'POST'],
      [':scheme', random.one(['http', 'https'])],
      [':path', '/t.T/Echo'],
      [':authority', random.one(['a', 'b.example', 'c'.repeat(300)])],
      ['content-type', random.one(['application/grpc', 'application/grpc+proto'])],
      ['te', 'trailers'],
      ...random.list(this.#isPlain ? [0] : [0, 1, 4], (): [string, string] => [
        random.one(NAMES),
        'v'.repeat(random.below(600)),
      ]),
      ...(echo === '' ? [] : [['x-echo', echo] as const]),
      ['x-times', String(times)],
      ...random.list(this.#isPlain ? [0] : [0, 1, 4], (): [string, string] => [
        random.one(NAMES),
        String(random.below(5)),
      ]),
    ]);
    const said = Buffer.concat([Buffer.from(echo === '' ? 'none' : echo, 'latin1'), body]);
    const whole = message(body);
    const hasTrailers = random.chance(4);
    const cuts = random.list([0, 1, 3], () => random.below(whole.length + 1)).toSorted((a, b) => a - b);
    const pieces = [...cuts, whole.length].map((end, at) => whole.subarray(at === 0 ? 0 : cuts[at - 1], end));
    const left = pieces.map((piece, at) =>
      this.#padded(Type.DATA, at === pieces.length - 1 && !hasTrailers ? END_STREAM : 0, id, piece),
    );
    if (hasTrailers) left.push(Buffer.alloc(0)); // encoded when they are sent, since blocks have an order
    this.calls.set(id, {
      answer: message(Buffer.concat(Array.from({ length: times }, () => said))),
      left,
      window: this.#initialWindow,
      isReset: false,
      isSent: false,
    });
    this.#send(...this.#block(id, block, 0));
  }

  /** Sends the next frame of a call that is not whole yet. */
  more(): void {
    const open = [...this.calls].filter(([, { left, isReset }]) => left.length > 0 && !isReset);
    if (open.length === 0) return this.begin();
    const [id, call] = this.#random.one(open);
    const next = call.left.shift() as Buffer;
    call.isSent = call.left.length === 0;
    if (next.length > 0) return this.#send(next);
    const trailers = this.#encoder.block([['x-checksum', String(this.#random.below(1000))]]);
    this.#send(...this.#block(id, trailers, END_STREAM));
  }

  resetOne(): void {
    const open = [...this.calls].filter(([id, { isReset }]) => !isReset && !this.statuses.has(id));
    if (open.length === 0) return;
    const [id, call] = this.#random.one(open);
    call.isReset = true;
    this.#send(frame(Type.RST_STREAM, 0, id, uint32(8)));
  }

  /** Among frames of calls: what a server has to take at any time. */
  aside(): void {
    const random = this.#random;
    const id = random.below(2) === 0 ? 0 : random.one([1, 3, 5, 99]);
    const kind = random.below(6);
    if (kind === 0) return this.#send(frame(Type.PRIORITY, 0, id + 1, Buffer.concat([uint32(0), Buffer.from([7])])));
    if (kind === 1) return this.#send(frame(Type.PING, random.one([0, ACK]), 0, Buffer.alloc(8, 7)));
    if (kind === 2)
      return this.#send(frame(Type.GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0), Buffer.from('bye')])));
    if (kind === 3) return this.#send(frame(random.one([10, 16, 200]), random.below(256), id, Buffer.alloc(5, 1)));
    if (kind === 4) return this.#send(frame(Type.SETTINGS, ACK, 0));
    this.#setWindow(random.one([0, 1, 100, 65_535, 200_000]), random.one([0, 100, 4096, 65_536]));
  }

  #setWindow(bytes: number, tableBytes: number): void {
    for (const [id, call] of this.calls) if (!this.statuses.has(id)) call.window += bytes - this.#initialWindow;
    this.#initialWindow = bytes;
    if (tableBytes < 4096 && this.#table === 'usual') this.#table = 'reduced';
    this.#send(
      frame(
        Type.SETTINGS,
        0,
        0,
        Buffer.concat([Buffer.from([0, 4]), uint32(bytes), Buffer.from([0, 1]), uint32(tableBytes)]),
      ),
    );
  }

  /** Opens windows, of one stream or of all. */
  widen(bytes: number): void {
    const open = [...this.calls].filter(([id, { isReset }]) => !isReset && !this.statuses.has(id));
    this.#window += bytes;
    const frames = [frame(Type.WINDOW_UPDATE, 0, 0, uint32(bytes))];
    if (open.length > 0) {
      const [id, call] = this.#random.one(open);
      call.window += bytes;
      frames.push(frame(Type.WINDOW_UPDATE, 0, id, uint32(bytes)));
    }
    this.#send(...frames);
  }

  /** Sends what is left, and opens every window. */
  finish(): void {
    while ([...this.calls.values()].some(({ left, isReset }) => left.length > 0 && !isReset)) this.more();
    this.#window += 2 ** 29;
    this.#send(frame(Type.WINDOW_UPDATE, 0, 0, uint32(2 ** 29)));
    this.#setWindow(2 ** 29, 4096);
    expect(this.#side.faults).toEqual([]);
    expect(this.#side.connection.openStreams).toBe(0);
  }
}

test(`${RUNS} connections: every whole call is answered with what it sent`, () => {
  let answered = 0;
  for (const seed of seeds(RUNS)) {
    const random = new Random(seed);
    const client = new Client(random);
    try {
      for (let step = 5 + random.below(60); step > 0; step--) {
        const lot = random.below(20);
        if (lot < 5) client.begin();
        else if (lot < 14) client.more();
        else if (lot < 15) client.resetOne();
        else if (lot < 17) client.widen(random.one([1, 50, 5000, 100_000]));
        else client.aside();
      }
      client.finish();
      for (const [id, { answer, isReset, isSent }] of client.calls) {
        if (isReset) continue;
        expect([isSent, client.statuses.get(id)], `stream ${id}`).toEqual([true, '0']);
        expect(client.bodyOf(id).equals(answer), `stream ${id}`).toBe(true);
        answered++;
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
  expect(answered).toBeGreaterThan(3 * RUNS);
});
