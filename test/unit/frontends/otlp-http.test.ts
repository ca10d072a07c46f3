/** OTLP over HTTP, on a real port. The schema of the requests is the one of a collector, not ours. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { fromBinary, fromJsonString } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Value } from '../../../src/attributes/values.ts';
import type { Engine } from '../../../src/core/call.ts';
import { otlpHttpHandler } from '../../../src/frontends/index.ts';
import { type HttpListener, listenHttp } from '../../../src/serve/http-listener.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { ExportLogsServiceResponseSchema } from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import { encodedLogs } from '../../parts/otlp-collector.ts';
import { fixedEngine } from '../../parts/fixed-engine.ts';
import { waitUntil } from '../transport/serving.ts';
import { readerOf } from './call.ts';

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

let server: HttpListener;
let engine: { -readonly [K in keyof Engine]: Engine[K] };
let bodies: (Value | undefined)[];
let traces: (Value | undefined)[];
let refused: string[];
let faults: unknown[];

beforeEach(async () => {
  [bodies, traces, refused, faults] = [[], [], [], []];
  engine = fixedEngine({
    report: (_, wire) => {
      bodies.push(readerOf(wire)('log.body'));
      traces.push(readerOf(wire)('trace.id'));
      return undefined;
    },
  });
  server = await listenHttp({
    address: { host: '127.0.0.1', port: 0 },
    tls: undefined,
    reusePort: false,
    handle: otlpHttpHandler(engine, {
      onRefusedEntry: (why) => refused.push(why),
      onFault: (error) => faults.push(error),
    }),
  });
});
afterEach(async () => {
  await server.drain(1000);
});

interface Answered {
  readonly status: number;
  readonly type: string | null;
  readonly retryAfter: string | null;
  readonly body: Buffer;
}

async function post(
  body: Uint8Array | string,
  headers: Readonly<Record<string, string>>,
  path = '/v1/logs',
  method = 'POST',
): Promise<Answered> {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    method,
    headers,
    ...(method === 'GET' ? {} : { body: typeof body === 'string' ? body : new Blob([Uint8Array.from(body)]) }),
  });
  return {
    status: answer.status,
    type: answer.headers.get('content-type'),
    retryAfter: answer.headers.get('retry-after'),
    body: Buffer.from(await answer.arrayBuffer()),
  };
}
const statusIn = ({ body, type }: Answered): { code: number; message: string } =>
  type === PROTOBUF ? fromBinary(StatusSchema, body) : fromJsonString(StatusSchema, body.toString());

const json = (records: readonly unknown[]): string =>
  JSON.stringify({ resourceLogs: [{ resource: {}, scopeLogs: [{ scope: { name: 'lib' }, logRecords: records }] }] });

describe('POST /v1/logs', () => {
  test.each([
    ['protobuf', {}],
    ['protobuf, gzip', { 'content-encoding': 'gzip' }],
  ])('takes %s', async (_, headers) => {
    const plain = encodedLogs([{ body: 'one' }, { body: 'two' }]);
    const answer = await post('content-encoding' in headers ? gzipSync(plain) : plain, {
      'content-type': PROTOBUF,
      ...headers,
    });
    expect([answer.status, answer.type, answer.body.length]).toEqual([200, PROTOBUF, 0]);
    expect(bodies).toEqual(['one', 'two']);
  });

  test.each([
    ['lowerCamelCase', (text: string) => text],
    ['names of the .proto file', (text: string) => text.replaceAll(/[a-z]+[A-Z]\w*/g, snake)],
  ])('takes JSON with %s, ids in hex, ints as text, enums as numbers', async (_, named) => {
    const record = {
      timeUnixNano: '1700000000000000001',
      severityNumber: 9,
      traceId: '0AF7651916cd43dd8448eb211c80319c',
      spanId: '00f067aa0ba902b7',
      body: { kvlistValue: { values: [{ key: 'n', value: { intValue: '7' } }] } },
      unknownField: [1],
    };
    const answer = await post(named(json([record, { traceId: '', body: { stringValue: 'b' } }])), {
      'content-type': 'application/json; charset=utf-8',
    });
    expect([answer.status, answer.type, answer.body.toString()]).toEqual([200, JSON_TYPE, '{}']);
    expect(bodies).toEqual([new Map([['n', 7n]]), 'b']);
    expect(traces).toEqual(['0af7651916cd43dd8448eb211c80319c', undefined]);
  });

  test('answers a partial success in the encoding of the request', async () => {
    const bad = { attributes: [{ key: 'sluice.call', value: { stringValue: 'http' } }] };
    const inJson = await post(json([bad, {}]), { 'content-type': JSON_TYPE });
    const why = '1 of 2 records were rejected; record 1: sluice.call is "http"; expected log or tcp-log';
    expect(JSON.parse(inJson.body.toString())).toEqual({
      partialSuccess: { rejectedLogRecords: '1', errorMessage: why },
    });
    const encoded = encodedLogs([{ attributes: { 'sluice.call': 'http' } }, {}]);
    const inProtobuf = await post(encoded, { 'content-type': PROTOBUF });
    expect(fromBinary(ExportLogsServiceResponseSchema, inProtobuf.body).partialSuccess).toMatchObject({
      rejectedLogRecords: 1n,
      errorMessage: why,
    });
    expect([inJson.status, inProtobuf.status, refused.length]).toEqual([200, 200, 2]);
  });

  test('is answered when its records are safe', async () => {
    const safe = Promise.withResolvers<void>();
    engine.whenSafe = () => safe.promise;
    let isAnswered = false;
    const answer = post(encodedLogs([{}]), { 'content-type': PROTOBUF }).finally(() => {
      isAnswered = true;
    });
    await waitUntil(() => bodies.length === 1, 'the record is reported');
    expect(isAnswered).toBe(false);
    safe.resolve();
    expect((await answer).status).toBe(200);
  });

  test.each([PROTOBUF, JSON_TYPE])('is 429 with Retry-After while a queue is full, in %s', async (type) => {
    engine.reportsFull = () => true;
    const answer = await post(type === PROTOBUF ? encodedLogs([{}]) : json([{}]), { 'content-type': type });
    expect([answer.status, answer.type, answer.retryAfter, statusIn(answer).code, bodies]).toEqual([
      429,
      type,
      '1',
      8,
      [],
    ]);
  });

  test.each<[string, string | Uint8Array, string, Readonly<Record<string, string>>, RegExp]>([
    ['bytes that are not protobuf', 'no', PROTOBUF, {}, /the message is not valid protobuf/],
    ['text that is not JSON', '{', JSON_TYPE, {}, /not JSON of OTLP/],
    ['JSON of another shape', '[]', JSON_TYPE, {}, /found \[\]; expected an object/],
    ['a list that is none', '{"resourceLogs":{}}', JSON_TYPE, {}, /resourceLogs is not a list/],
    ['an id that is not hex', json([{ traceId: 'zz' }]), JSON_TYPE, {}, /traceId is "zz"; expected 32 hex digits/],
    ['a number that is text', json([{ severityNumber: 'high' }]), JSON_TYPE, {}, /severity/],
    ['bytes that are not gzip', 'no', PROTOBUF, { 'content-encoding': 'gzip' }, /not gzip/],
    [
      'gzip that is cut off',
      gzipSync('a'.repeat(100)).subarray(0, 15),
      PROTOBUF,
      { 'content-encoding': 'gzip' },
      /not gzip/,
    ],
  ])('is 400 for %s', async (_, body, type, headers, why) => {
    const answer = await post(body, { 'content-type': type, ...headers });
    expect([answer.status, answer.type, statusIn(answer).code]).toEqual([400, type, 3]);
    expect(statusIn(answer).message).toMatch(why);
    expect([bodies, faults]).toEqual([[], []]);
  });

  test('JSON that nests without end is 400, and the server lives', async () => {
    const depth = 50_000;
    const deep = `${'{"arrayValue":{"values":['.repeat(depth)}${']}}'.repeat(depth)}`;
    const answer = await post(json([{}]).replace('[{}]', `[{"body":${deep}}]`), { 'content-type': JSON_TYPE });
    expect(answer.status).toBe(400);
    expect((await post(encodedLogs([{}]), { 'content-type': PROTOBUF })).status).toBe(200);
  });

  test.each([
    ['another path', '/v1/traces', 'POST', PROTOBUF, 404],
    ['another method', '/v1/logs', 'GET', PROTOBUF, 405],
    ['another type', '/v1/logs', 'POST', 'text/plain', 415],
  ])('is refused for %s', async (_, path, method, type, status) => {
    const answer = await post(new Uint8Array(1), { 'content-type': type }, path, method);
    expect(answer.status).toBe(status);
    expect(statusIn(answer).message).not.toBe('');
  });

  test('another coding is 415', async () => {
    const answer = await post(new Uint8Array(1), { 'content-type': PROTOBUF, 'content-encoding': 'br' });
    expect(answer.status).toBe(415);
  });

  test('a body over 4 MiB is 413: announced, in chunks, or after gzip', async () => {
    const large = Buffer.alloc(4 * 1024 * 1024 + 1);
    expect((await post(gzipSync(large), { 'content-type': PROTOBUF, 'content-encoding': 'gzip' })).status).toBe(413);
    for (const framing of [`content-length: ${large.length}`, 'transfer-encoding: chunked']) {
      const socket = connect({ host: '127.0.0.1', port: server.port });
      socket.on('error', () => {}); // it may be closed while the rest is written
      socket.write(`POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: ${PROTOBUF}\r\n${framing}\r\n\r\n`);
      if (framing.includes('chunked')) {
        socket.write(`${large.length.toString(16)}\r\n`);
        socket.write(large);
      }
      const [head] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      expect(head.toString()).toMatch(/^HTTP\/1\.1 413 /);
    }
  });

  test('a client that leaves in the middle is no fault, and its bytes are forgotten', async () => {
    for (let client = 0; client < 20; client++) {
      const socket = connect({ host: '127.0.0.1', port: server.port });
      socket.write(`POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: ${PROTOBUF}\r\ncontent-length: 4000000\r\n\r\n`);
      await new Promise<void>((resolve) => socket.write(Buffer.alloc(3_900_000), () => resolve()));
      socket.destroy();
      await once(socket, 'close');
    }
    await memoryIsFree();
    expect(faults).toEqual([]);
  });

  test('bodies that arrive together hold at most 64 MiB; those above are told to come again', async () => {
    const sockets = Array.from({ length: 20 }, () => connect({ host: '127.0.0.1', port: server.port }));
    const answers: string[] = [];
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.on('data', (data: Buffer) => answers.push(data.toString()));
      socket.write(`POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: ${PROTOBUF}\r\ncontent-length: 4000000\r\n\r\n`);
      socket.write(Buffer.alloc(3_999_999));
    }
    await waitUntil(() => answers.length > 0, 'one is refused');
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 429 /);
      expect(answer.toLowerCase()).toContain('retry-after: 1');
    }
    expect(answers.length).toBeLessThanOrEqual(5);
    for (const socket of sockets) socket.destroy();
    await memoryIsFree();
  });

  test('an internal error is 500, and goes to the log', async () => {
    engine.reportsFull = () => {
      throw new TypeError('ours');
    };
    const answer = await post(encodedLogs([{}]), { 'content-type': PROTOBUF });
    expect([answer.status, statusIn(answer)]).toMatchObject([500, { code: 13 }]);
    expect(faults).toMatchObject([{ message: 'ours' }]);
  });

  test('a drain answers what is in flight, though a queue has no room, and refuses new connections', async () => {
    engine.report = () => {
      bodies.push('waits');
      return new Promise(() => {});
    };
    const answer = post(encodedLogs([{}, {}]), { 'content-type': PROTOBUF });
    await waitUntil(() => bodies.length === 1, 'the first record is reported');
    await server.drain(1000);
    expect([(await answer).status, bodies.length]).toEqual([200, 2]);
    await expect(post(encodedLogs([{}]), { 'content-type': PROTOBUF })).rejects.toThrow('fetch failed');
  });
});

/** Only if nothing is held, 16 bodies of almost 4 MiB fit. */
async function memoryIsFree(): Promise<void> {
  const large = encodedLogs([{ body: 'x'.repeat(4_100_000) }]);
  for (const endsAt = Date.now() + 5000; Date.now() < endsAt;) {
    const answers = await Promise.all(Array.from({ length: 15 }, () => post(large, { 'content-type': PROTOBUF })));
    if (answers.every(({ status }) => status === 200)) return;
  }
  throw new Error('memory of requests that are over is still held');
}

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
