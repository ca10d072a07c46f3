import { connect } from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StreamHandler } from '../../../src/transport/index.ts';
import { all, bytes, failureOf, GrpcError, serve, type Serving, settled, Status, text } from './serving.ts';
import { TRANSPORTS, waitUntil } from './serving.ts';

describe.each(TRANSPORTS)('%s', (_transport, listen) => {
  let serving: Serving;
  let read = 0;
  let gate: PromiseWithResolvers<void>;
  let ended: string[] = [];

  const stream = (handle: StreamHandler) => ({ kind: 'stream', handle }) as const;

  beforeAll(async () => {
    serving = await serve(listen, {
      '/t.T/Echo': stream(async function* echo(requests) {
        for await (const request of requests) yield request;
      }),
      '/t.T/Count': stream(async function* count(requests) {
        let total = 0;
        for await (const request of requests) total += request.length;
        yield bytes(String(total));
      }),
      '/t.T/Gated': stream(async function* gated(requests) {
        for await (const request of requests) {
          read++;
          await gate.promise;
          if (request.length === 0) yield request;
        }
      }),
      '/t.T/Notes': stream(async function* notes(requests) {
        let said = 'ended well';
        try {
          for await (const request of requests) {
            read++;
            if (request.length === 0) yield request;
          }
        } catch (error) {
          said = error instanceof GrpcError ? `GrpcError ${error.code}` : String(error);
          throw error;
        } finally {
          ended.push(said);
        }
      }),
      '/t.T/StopsEarly': stream(async function* stops(requests) {
        for await (const request of requests) {
          yield request;
          return;
        }
      }),
      '/t.T/Throws': stream(async function* throws(requests) {
        for await (const request of requests) {
          yield request;
          throw new Error('secret detail');
        }
      }),
      '/t.T/ThrowsAtOnce': stream(() => {
        throw new Error('no generator');
      }),
      '/t.T/Refuses': stream(async function* refuses() {
        yield bytes('first');
        throw new GrpcError(Status.FAILED_PRECONDITION, 'no more');
      }),
      '/t.T/Flood': stream(async function* flood(_requests, { signal }) {
        for (let n = 0; n < 2000 && !signal.aborted; n++) {
          read++;
          yield new Uint8Array(8 * 1024);
        }
      }),
    });
  });
  afterAll(() => serving.stop());

  test('messages in, messages out, in order; OK at the end', async () => {
    const said = Array.from({ length: 300 }, (_, n) => String(n));
    expect(await all(serving.client.stream('/t.T/Echo', said.map(bytes)))).toEqual(said);
    expect(await all(serving.client.stream('/t.T/Count', said.map(bytes)))).toEqual([String(said.join('').length)]);
    expect(await all(serving.client.stream('/t.T/Count', []))).toEqual(['0']);
  });

  test('a handler may stop reading and still end well', async () => {
    const endless = async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        yield bytes('x');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    expect(await all(serving.client.stream('/t.T/StopsEarly', endless()))).toEqual(['x']);
  });

  describe('failures', () => {
    test('an error of the handler is INTERNAL after its replies, and is reported', async () => {
      const before = serving.faults.length;
      const replies = serving.client.stream('/t.T/Throws', [bytes('a')])[Symbol.asyncIterator]();
      expect(text((await replies.next()).value as Uint8Array)).toBe('a');
      const failure = await failureOf(replies.next());
      expect(failure.code).toBe(Status.INTERNAL);
      expect(failure.message).not.toContain('secret');
      expect(serving.faults.length).toBe(before + 1);
    });

    test('an error before its first reply is INTERNAL, too, though it is no generator that throws it', async () => {
      const before = serving.faults.length;
      expect((await failureOf(all(serving.client.stream('/t.T/ThrowsAtOnce', [])))).code).toBe(Status.INTERNAL);
      expect(serving.faults.slice(before)).toMatchObject([{ path: '/t.T/ThrowsAtOnce' }]);
    });

    test('a GrpcError is its status', async () => {
      expect(await failureOf(all(serving.client.stream('/t.T/Refuses', [])))).toMatchObject({
        code: Status.FAILED_PRECONDITION,
        message: 'no more',
      });
    });

    test('an unknown method is UNIMPLEMENTED', async () => {
      expect((await failureOf(all(serving.client.stream('/t.T/Nope', [bytes('a')])))).code).toBe(Status.UNIMPLEMENTED);
    });

    test('a message above the limit is RESOURCE_EXHAUSTED', async () => {
      expect(
        (await failureOf(all(serving.client.stream('/t.T/Count', [bytes('a'), new Uint8Array(64 * 1024 + 1)])))).code,
      ).toBe(Status.RESOURCE_EXHAUSTED);
    });

    test('a deadline ends it', async () => {
      const waits = async function* waits(): AsyncGenerator<Uint8Array> {
        yield bytes('a');
        await new Promise((resolve) => setTimeout(resolve, 1000));
      };
      expect((await failureOf(all(serving.client.stream('/t.T/Count', waits(), { timeoutMs: 80 })))).code).toBe(
        Status.DEADLINE_EXCEEDED,
      );
    });
  });

  test('a stream that ends inside a message fails', async () => {
    ended = [];
    const session = connect(`http://${serving.address}`);
    const status = await new Promise((resolve, reject) => {
      const request = session.request({
        ':method': 'POST',
        ':path': '/t.T/Notes',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      request.on('response', (headers) => headers['grpc-status'] !== undefined && resolve(headers['grpc-status']));
      request.on('trailers', (headers) => resolve(headers['grpc-status']));
      request.on('error', reject);
      request.resume();
      request.end(new Uint8Array([0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 9, 1]));
    });
    session.close();
    expect(status).toBe(String(Status.INTERNAL));
    expect(ended).toEqual([`GrpcError ${Status.INTERNAL}`]);
  });

  test.each([
    ['between two messages', new Uint8Array([0, 0, 0, 0, 1, 7])],
    ['inside a message', new Uint8Array([0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 9, 1])],
  ])(
    'a client that disconnects %s ends its handler with CANCELLED, and is not reported as an error',
    async (_name, sent) => {
      ended = [];
      read = 0;
      const before = serving.faults.length;
      const session = connect(`http://${serving.address}`);
      session.on('error', () => {});
      const request = session.request({
        ':method': 'POST',
        ':path': '/t.T/Notes',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      request.on('error', () => {});
      request.write(sent);
      await waitUntil(() => read === 1, 'the handler has read the first message');
      session.destroy();
      await waitUntil(() => ended.length === 1, 'the handler has ended');
      expect(ended).toEqual([`GrpcError ${Status.CANCELLED}`]);
      expect(serving.faults.length).toBe(before);
      expect(await all(serving.client.stream('/t.T/Echo', [bytes('still here')]))).toEqual(['still here']);
    },
  );

  test('many streams at once, without a warning about listeners', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning.message);
    process.on('warning', onWarning);
    const said = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        all(
          serving.client.stream(
            '/t.T/Echo',
            Array.from({ length: 20 }, () => bytes(String(n))),
          ),
        ),
      ),
    );
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(said.map(([first]) => first)).toEqual(Array.from({ length: 60 }, (_, n) => String(n)));
    expect(warnings).toEqual([]);
  });

  describe('back-pressure', () => {
    test('messages that the handler has not read give the sender no credit', async () => {
      read = 0;
      gate = Promise.withResolvers();
      const session = connect(`http://${serving.address}`);
      session.on('error', () => {});
      const request = session.request({
        ':method': 'POST',
        ':path': '/t.T/Gated',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      request.resume();
      const message = new Uint8Array(5 + 32 * 1024);
      new DataView(message.buffer).setUint32(1, 32 * 1024);
      for (let n = 0; n < 100; n++) request.write(message);
      request.end();
      await waitUntil(() => read === 1, 'the handler has read the first message');
      await settled(() => session.socket.bytesWritten);
      expect(read).toBe(1);
      // The handler's message, one ahead, one in the decoder; 64 KiB in Node's stream, and the HTTP/2 window of 64 KiB.
      expect(session.socket.bytesWritten).toBeLessThan(3 * 33 * 1024 + 2 * 65 * 1024);
      gate.resolve();
      await new Promise((resolve) => request.on('close', resolve));
      session.close();
      expect(read).toBe(100);
    });

    test('a handler that sends more than its client reads is slowed down', async () => {
      read = 0;
      const replies = serving.client.stream('/t.T/Flood', [])[Symbol.asyncIterator]();
      await replies.next();
      expect(await settled(() => read)).toBeLessThan(500);
      await replies.return?.(undefined);
    });
  });
});
