/**
 * A cheap gRPC client: hand-written HTTP/2, so that one core can saturate a fast server, with headers that vary between calls as Envoy's
 * do (x-request-id and traceparent, new each time and inserted into the HPACK table). Prints figures as JSON.
 *
 *   node bench/load-client.ts PORT FRAMES CONNECTIONS STREAMS SECONDS [CALLS_PER_SECOND] [PATH] [ENTRIES_PER_SECOND]
 *
 * ENTRIES_PER_SECOND: access log entries that arrive beside. FRAMES is a file of messages with gRPC's length prefix, which are sent in
 * turn.
 *
 * Without a rate (closed loop) each answer triggers the next call, which is timed from its write, as `echo-client.ts` does; with one (open
 * loop) calls are timed from when they are due.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { CODES } from '../src/transport/h2/huffman.ts';
import { percentile } from './figures.ts';
import { frame, uint32 } from './h2-frame.ts';
import { PER_MESSAGE } from './log-message.ts';
import { LogStream } from './log-stream.ts';

const [port = 0, , connections = 1, streams = 1, seconds = 1, rate = 0] = process.argv.slice(2).map(Number);
const entryRate = Number(process.argv[9] ?? 0);
const bodies = framesOf(readFileSync(process.argv[3] ?? ''));
let nextBody = 0;
const TABLE_BYTES = 4096;
const OUT_BYTES = 256 * 1024;
const FIXED: readonly (readonly [name: string, value: string])[] = [
  [':path', process.argv[8] || '/envoy.service.auth.v3.Authorization/Check'],
  [':authority', 'sluice'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
  ['grpc-timeout', '200m'],
  ['x-envoy-internal', 'true'],
  ['x-forwarded-for', '10.4.2.17'],
  ['user-agent', 'envoy'],
];

/** Huffman-coded if that is shorter, as Envoy does. Only for short strings: the length is one byte here. */
function text(plain: string): Buffer {
  const bits = [...Buffer.from(plain)].map((byte) => CODE_OF[byte] ?? '').join('');
  const encoded = Buffer.from(
    (bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)),
  );
  return encoded.length < plain.length
    ? Buffer.concat([Buffer.from([0x80 | encoded.length]), encoded])
    : Buffer.concat([Buffer.from([plain.length]), Buffer.from(plain)]);
}
const CODE_OF: string[] = [];
for (const { symbol, code, bits } of CODES) CODE_OF[symbol] = code.toString(2).padStart(bits, '0');

const literal = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
const sizeOf = (name: string, value: string): number => name.length + value.length + 32;
const fixed = FIXED.map(([name, value]) => ({ bytes: literal(name, value), size: sizeOf(name, value) }));
const ids = Array.from({ length: 4096 }, () => {
  const [requestId, trace] = [
    randomBytes(18).toString('hex'),
    `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`,
  ];
  return Buffer.concat([literal('x-request-id', requestId), literal('traceparent', trace)]);
});
const IDS_SIZE = sizeOf('x-request-id', 'a'.repeat(36)) + sizeOf('traceparent', 'a'.repeat(55));

/** A minimal HPACK encoder: indexed fields for entries of the table, literals with indexing for all others. */
class Headers {
  #inserted = 0;
  #bytes = 0;
  readonly #known = fixed.map(() => ({ number: 0, before: -TABLE_BYTES - 1 }));

  /** Writes a header block; returns its end. */
  write(out: Buffer, from: number, varying: Buffer): number {
    let at = from;
    out[at++] = 0x83; // :method POST
    out[at++] = 0x86; // :scheme http
    for (let index = 0; index < fixed.length; index++) {
      const { bytes, size } = fixed[index] as { bytes: Buffer; size: number };
      const known = this.#known[index] as { number: number; before: number };
      if (this.#bytes - known.before <= TABLE_BYTES) {
        const place = 61 + this.#inserted - known.number;
        if (place < 127) out[at++] = 0x80 | place;
        else {
          out[at++] = 0xff;
          out[at++] = place - 127;
        }
        continue;
      }
      known.number = this.#inserted++;
      known.before = this.#bytes;
      this.#bytes += size;
      out.set(bytes, at);
      at += bytes.length;
    }
    this.#inserted += 2;
    this.#bytes += IDS_SIZE;
    out.set(varying, at);
    return at + varying.length;
  }
}

/** Maximum number of open streams. */
const OPEN_STREAMS = 1 << 16;
const AT_WRITE = -1;
const times: number[] = [];
/** Open loop: delays between due time and sending. Interference on the load's own core is part of every figure. */
const lates: number[] = [];
let failed = 0;
let isMeasuring = false;
let nextId = 0;

class Caller {
  readonly #socket: Socket;
  readonly #headers = new Headers();
  /** Per open stream: its due time (0: not open), and whether a message has arrived. */
  readonly #dueMs = new Float64Array(OPEN_STREAMS);
  readonly #isAnswered = new Uint8Array(OPEN_STREAMS);
  waiting = 0;
  #stream = 1;
  /** The first call that is not written yet. */
  #unsent = 1;
  #rest: Buffer = Buffer.alloc(0);
  #out = Buffer.allocUnsafeSlow(OUT_BYTES);
  #length = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(4, 0, 0, Buffer.alloc(0)),
        frame(8, 0, 0, uint32(0x7000_0000)),
      ]),
    );
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  /** `dueMs`: of an open loop; otherwise the time of its write is taken. */
  call(dueMs = AT_WRITE): void {
    const id = this.#stream;
    this.#stream += 2;
    this.#dueMs[placeOf(id)] = dueMs;
    this.waiting++;
    const body = bodies[nextBody++ % bodies.length] as Buffer;
    if (this.#length + body.length + 1024 > this.#out.length) this.flush();
    const end = this.#headers.write(this.#out, this.#length + 9, ids[nextId++ % ids.length] as Buffer);
    this.#frameHead(1, 4, id, end - this.#length - 9);
    this.#length = end;
    this.#frameHead(0, 1, id, body.length);
    this.#out.set(body, end + 9);
    this.#length = end + 9 + body.length;
  }

  flush(): void {
    if (this.#length === 0) return;
    const nowMs = performance.now();
    for (; this.#unsent < this.#stream; this.#unsent += 2)
      if (this.#dueMs[placeOf(this.#unsent)] === AT_WRITE) this.#dueMs[placeOf(this.#unsent)] = nowMs;
    this.#socket.write(this.#out.subarray(0, this.#length));
    if (this.#socket.writableLength > 0) this.#out = Buffer.allocUnsafeSlow(OUT_BYTES); // the socket still holds the old buffer
    this.#length = 0;
  }

  #say(type: number, flags: number, payload: Buffer): void {
    this.#frameHead(type, flags, 0, payload.length);
    this.#out.set(payload, this.#length + 9);
    this.#length += 9 + payload.length;
  }

  #frameHead(type: number, flags: number, stream: number, bytes: number): void {
    const at = this.#length;
    const out = this.#out;
    out[at] = bytes >>> 16;
    out[at + 1] = bytes >>> 8;
    out[at + 2] = bytes;
    out[at + 3] = type;
    out[at + 4] = flags;
    out[at + 5] = stream >>> 24;
    out[at + 6] = stream >>> 16;
    out[at + 7] = stream >>> 8;
    out[at + 8] = stream;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const nowMs = performance.now();
    const byteAt = (place: number): number => bytes[place] as number;
    let at = 0;
    while (bytes.length - at >= 9) {
      const end = at + 9 + ((byteAt(at) << 16) | (byteAt(at + 1) << 8) | byteAt(at + 2));
      if (end > bytes.length) break;
      this.#frame(
        byteAt(at + 3),
        byteAt(at + 4),
        (byteAt(at + 5) << 24) | (byteAt(at + 6) << 16) | (byteAt(at + 7) << 8) | byteAt(at + 8),
        bytes,
        at + 9,
        end,
        nowMs,
      );
      at = end;
    }
    this.#rest = bytes.subarray(at);
    this.flush();
  }

  #frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number, nowMs: number): void {
    const place = placeOf(id);
    if (type === 0) {
      if (to - from > 5) this.#isAnswered[place] = 1;
    } else if (type === 4 && (flags & 1) === 0) this.#say(4, 1, Buffer.alloc(0));
    else if (type === 6 && (flags & 1) === 0) this.#say(6, 1, bytes.subarray(from, to));
    else if (type === 7) throw new Error(`GOAWAY: ${bytes.subarray(from + 8, to).toString()}`);
    const isEnd = type === 3 || ((flags & 1) !== 0 && type <= 1);
    const dueMs = this.#dueMs[place] as number;
    if (id === 0 || !isEnd || dueMs === 0) return;
    this.#dueMs[place] = 0;
    this.waiting--;
    if (this.#isAnswered[place] === 0) failed++;
    this.#isAnswered[place] = 0;
    if (isMeasuring) times.push(nowMs - dueMs);
    if (rate === 0 && !isOver) this.call();
  }
}

const placeOf = (id: number): number => (id >>> 1) % OPEN_STREAMS;

function framesOf(bytes: Buffer): readonly Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) frames.push(bytes.subarray(at, (at += 5 + bytes.readUInt32BE(at + 1))));
  return frames;
}

let isOver = false;
const callers = await Promise.all(
  Array.from({ length: connections }, async () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    return new Caller(socket);
  }),
);
const logs = entryRate > 0 ? await LogStream.open(port) : undefined;
/** Respects the server's limit of streams when it cannot keep up. */
const MAX_WAITING = 90;
let notSent = 0;
const WARM_MS = 1500;
const beganAtMs = performance.now();
const endsAtMs = beganAtMs + WARM_MS + seconds * 1000;
let measuredFromMs = 0;
function turn(sent: number): void {
  const nowMs = performance.now();
  if (!isMeasuring && nowMs > beganAtMs + WARM_MS) {
    isMeasuring = true;
    measuredFromMs = nowMs;
  }
  if (nowMs > endsAtMs) return over(nowMs);
  let count = sent;
  if (rate > 0)
    for (; beganAtMs + (count * 1000) / rate <= nowMs; count++) {
      const caller = callers[count % callers.length];
      const dueMs = beganAtMs + (count * 1000) / rate;
      if (caller === undefined || caller.waiting >= MAX_WAITING) notSent++;
      else {
        if (isMeasuring) lates.push(performance.now() - dueMs);
        caller.call(dueMs);
      }
    }
  for (const caller of callers) caller.flush();
  logs?.sendUntil(((nowMs - beganAtMs) * entryRate) / (1000 * PER_MESSAGE));
  if (rate > 0) setImmediate(turn, count);
  else setTimeout(turn, 20, count);
}

function over(nowMs: number): void {
  isOver = true;
  const inUs = (values: readonly number[]): Float64Array => Float64Array.from(values, (ms) => ms * 1000).toSorted();
  const sorted = inUs(times);
  console.log(
    JSON.stringify({
      requests: times.length,
      failed,
      perSecond: times.length / ((nowMs - measuredFromMs) / 1000),
      p50Us: percentile(sorted, 0.5),
      p99Us: percentile(sorted, 0.99),
      p999Us: percentile(sorted, 0.999),
      notSent,
      entriesPerSecond: (logs?.entries ?? 0) / ((nowMs - beganAtMs) / 1000),
      lateP99Us: percentile(inUs(lates), 0.99),
    }),
  );
  process.exit(0);
}

if (rate === 0) for (const caller of callers) for (let stream = 0; stream < streams; stream++) caller.call();
turn(0);
