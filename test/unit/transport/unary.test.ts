import { getEventListeners } from 'node:events';
import { connect, constants } from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CallContext, UnaryHandler } from '../../../src/transport/index.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { bytes, failureOf, GrpcError, serve, Status, text, waitUntil, type Serving } from './serving.ts';
import { TRANSPORTS } from './serving.ts';

describe.each(TRANSPORTS)('%s', (_transport, listen) => {
  let serving: Serving;
  let seen: CallContext | undefined;
  let aborted = 0;
  /** Shared by all replies of a method. Long, so that some wait for their window. */
  let begun = 0;
  const observed: string[] = [];
  const lent = new Uint8Array(30_000);

  const unary = (handle: UnaryHandler) => ({ kind: 'unary', handle }) as const;

  beforeAll(async () => {
    serving = await serve(listen, {
      '/t.T/Echo': unary(viewOf),
      '/t.T/Later': unary(async (request) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return viewOf(request);
      }),
      '/t.T/Lends': unary((request) => {
        lent.fill(0x2e).set(viewOf(request).subarray(0, lent.length));
        return lent;
      }),
      '/t.T/Context': unary((request, context) => {
        seen = context;
        return bytes(
          JSON.stringify({
            peer: context.peer,
            remainingMs: context.remainingMs,
            who: context.metadata('x-who'),
            none: context.metadata('x-none'),
          }),
        );
      }),
      '/t.T/Throws': unary(() => {
        throw new Error('secret detail');
      }),
      '/t.T/Rejects': unary(() => Promise.reject(new Error('secret detail'))),
      '/t.T/Refuses': unary(() => {
        throw new GrpcError(Status.RESOURCE_EXHAUSTED, 'too much: 100 % of \u{1F600}');
      }),
      '/t.T/RefusesLater': unary(() => Promise.reject(new GrpcError(Status.NOT_FOUND, 'nothing there'))),
      '/t.T/RefusesOddly': unary(() => {
        throw new GrpcError(Status.NOT_FOUND, 'half a pair: \ud83d.');
      }),
      '/t.T/SaysOkByThrowing': unary(() => {
        throw new GrpcError(Status.OK, 'fine');
      }),
      '/t.T/AnswersNothing': unary(() => undefined as unknown as Uint8Array),
      '/t.T/AnswersNothingLater': unary(() => Promise.resolve(undefined as unknown as Uint8Array)),
      '/t.T/Observes': unary(
        (_request, context) =>
          new Promise((_resolve, reject) => {
            begun++;
            context.observe?.({
              callerGone(why) {
                observed.push(why);
                reject(new GrpcError(Status.CANCELLED, why));
              },
            });
          }),
      ),
      '/t.T/Hangs': unary(
        (_request, { signal }) =>
          new Promise((_resolve, reject) => {
            begun++;
            signal.addEventListener('abort', () => {
              aborted++;
              reject(signal.reason);
            });
          }),
      ),
    });
  });
  afterAll(() => serving.stop());

  describe('answers', () => {
    test('at once, and by promise', async () => {
      expect(text(await serving.client.unary('/t.T/Echo', bytes('a')))).toBe('a');
      expect(text(await serving.client.unary('/t.T/Later', bytes('b')))).toBe('b');
    });

    test('an empty request and an empty reply, where the handler means it', async () => {
      expect((await serving.client.unary('/t.T/Echo', new Uint8Array())).length).toBe(0);
    });

    test('a reply that is a view of a larger buffer', async () => {
      const part = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
      expect([...(await serving.client.unary('/t.T/Echo', part))]).toEqual([2, 3]);
    });

    test('many at once', async () => {
      const replies = await Promise.all(
        Array.from({ length: 500 }, (_, n) =>
          serving.client.unary(n % 2 ? '/t.T/Echo' : '/t.T/Later', bytes(String(n))),
        ),
      );
      expect(replies.map(text)).toEqual(Array.from({ length: 500 }, (_, n) => String(n)));
    });
  });

  test('replies whose buffer the handler reuses for the next', async () => {
    const replies = await Promise.all(
      Array.from({ length: 60 }, (_, n) => serving.client.unary('/t.T/Lends', bytes(`${n} `))),
    );
    expect(replies.map((reply) => [text(reply.subarray(0, 3)).replaceAll('.', ''), reply.length])).toEqual(
      Array.from({ length: 60 }, (_, n) => [`${n} `, lent.length]),
    );
  });

  test('the context says who calls, what it sent and how long it waits', async () => {
    const without = JSON.parse(text(await serving.client.unary('/t.T/Context', bytes('')))) as Record<string, unknown>;
    expect(without['peer']).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(without).not.toHaveProperty('remainingMs');
    const reply = JSON.parse(
      text(await serving.client.unary('/t.T/Context', bytes(''), { timeoutMs: 20_000, metadata: { 'x-who': 'ann' } })),
    ) as Record<string, unknown>;
    expect(reply['who']).toBe('ann');
    expect(reply).not.toHaveProperty('none');
    expect(reply['remainingMs']).toBeGreaterThan(10_000);
    expect(reply['remainingMs']).toBeLessThanOrEqual(20_000);
  });

  test('a signal that is read is not aborted by a good answer', async () => {
    await serving.client.unary('/t.T/Context', bytes(''), { timeoutMs: 20_000 });
    const { signal } = seen as CallContext;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(signal.aborted).toBe(false);
  });

  describe('never an empty OK', () => {
    test('an unknown method is UNIMPLEMENTED', async () => {
      expect((await failureOf(serving.client.unary('/t.T/Nope', bytes('a')))).code).toBe(Status.UNIMPLEMENTED);
      expect((await failureOf(serving.client.unary('/', bytes('a')))).code).toBe(Status.UNIMPLEMENTED);
    });

    for (const method of ['Throws', 'Rejects', 'SaysOkByThrowing', 'AnswersNothing', 'AnswersNothingLater']) {
      test(`${method} is INTERNAL, told to the log, and the reason stays here`, async () => {
        const before = serving.faults.length;
        const failure = await failureOf(serving.client.unary(`/t.T/${method}`, bytes('a')));
        expect(failure.code).toBe(Status.INTERNAL);
        expect(failure.message).not.toContain('secret');
        expect(serving.faults.length).toBe(before + 1);
        expect(serving.faults.at(-1)?.path).toBe(`/t.T/${method}`);
        expect(serving.faults.at(-1)?.error).toBeInstanceOf(Error);
      });
    }

    test('a GrpcError is its status and message, and is not reported', async () => {
      const before = serving.faults.length;
      expect(await failureOf(serving.client.unary('/t.T/Refuses', bytes('')))).toMatchObject({
        code: Status.RESOURCE_EXHAUSTED,
        message: 'too much: 100 % of \u{1F600}',
      });
      expect(await failureOf(serving.client.unary('/t.T/RefusesLater', bytes('')))).toMatchObject({
        code: Status.NOT_FOUND,
        message: 'nothing there',
      });
      expect(await failureOf(serving.client.unary('/t.T/RefusesOddly', bytes('')))).toMatchObject({
        code: Status.NOT_FOUND,
        message: 'half a pair: \ufffd.',
      });
      expect(serving.faults.length).toBe(before);
    });
  });

  describe('a caller that stops waiting', () => {
    test('its deadline ends the call and aborts the handler', async () => {
      const before = { aborted, faults: serving.faults.length };
      const failure = await failureOf(serving.client.unary('/t.T/Hangs', bytes(''), { timeoutMs: 80 }));
      expect(failure.code).toBe(Status.DEADLINE_EXCEEDED);
      await waitUntil(() => aborted === before.aborted + 1, 'the handler is aborted');
      expect(serving.faults.length).toBe(before.faults);
    });

    test('its cancellation aborts the handler', async () => {
      const before = { aborted, begun };
      const cancel = new AbortController();
      const call = failureOf(serving.client.unary('/t.T/Hangs', bytes(''), { signal: cancel.signal }));
      await waitUntil(() => begun === before.begun + 1, 'the handler is called');
      cancel.abort();
      expect((await call).code).toBe(Status.CANCELLED);
      await waitUntil(() => aborted === before.aborted + 1, 'the handler is aborted');
    });
  });

  test('an observer learns that the caller has disconnected, and that its deadline has passed', async () => {
    const before = begun;
    const cancel = new AbortController();
    const call = failureOf(serving.client.unary('/t.T/Observes', bytes(''), { signal: cancel.signal }));
    await waitUntil(() => begun === before + 1, 'the handler is called');
    cancel.abort();
    await call;
    await waitUntil(() => observed.length === 1, 'the observer is called');
    await failureOf(serving.client.unary('/t.T/Observes', bytes(''), { timeoutMs: 80 }));
    await waitUntil(() => observed.length === 2, 'the observer is called at the deadline');
    for (const why of observed) expect(why).toMatch(/the caller has disconnected|the deadline has passed/);
  });

  test('a signal that outlives its calls keeps no listeners of them', async () => {
    const { signal } = new AbortController();
    for (let call = 0; call < 3; call++) await serving.client.unary('/t.T/Echo', bytes(''), { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('a request above the limit is RESOURCE_EXHAUSTED, and the next one works', async () => {
    const failure = await failureOf(serving.client.unary('/t.T/Echo', new Uint8Array(64 * 1024 + 1)));
    expect(failure.code).toBe(Status.RESOURCE_EXHAUSTED);
    expect((await serving.client.unary('/t.T/Echo', new Uint8Array(64 * 1024))).length).toBe(64 * 1024);
  });

  /** Frames that no client library would send. */
  function raw(
    path: string,
    body: Uint8Array,
  ): Promise<{ readonly status: string | undefined; readonly data: number }> {
    return new Promise((resolve, reject) => {
      const session = connect(`http://${serving.address}`);
      session.on('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      let status: string | undefined;
      let data = 0;
      const note = (headers: Record<string, unknown>): void => {
        const sent = headers['grpc-status'];
        if (typeof sent === 'string') status = sent;
      };
      stream.on('response', note);
      stream.on('trailers', note);
      stream.on('data', (chunk: Buffer) => {
        data += chunk.length;
      });
      stream.on('error', reject);
      stream.on('close', () => {
        session.close();
        resolve({ status, data });
      });
      stream.end(body);
    });
  }

  describe('frames that are wrong', () => {
    const cases: Readonly<Record<string, Uint8Array>> = {
      'no message at all': new Uint8Array(),
      'half a frame header': new Uint8Array([0, 0, 0]),
      'half a message': new Uint8Array([0, 0, 0, 0, 9, 1, 2]),
      'a compressed flag without an encoding': new Uint8Array([1, 0, 0, 0, 1, 7]),
      'two messages': new Uint8Array([0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 1, 8]),
    };
    for (const [name, body] of Object.entries(cases)) {
      test(`${name}: an error status and no message`, async () => {
        const { status, data } = await raw('/t.T/Echo', body);
        expect({ status: status !== '0' && status !== undefined, data }).toEqual({ status: true, data: 0 });
      });
    }
  });

  test('a client whose connection breaks affects no others', async () => {
    const before = { aborted, begun };
    const session = connect(`http://${serving.address}`);
    session.on('error', () => {});
    const stream = session.request({
      ':method': 'POST',
      ':path': '/t.T/Hangs',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    stream.end(new Uint8Array([0, 0, 0, 0, 0]));
    await waitUntil(() => begun === before.begun + 1, 'the handler is called');
    session.destroy(new Error('gone'), constants.NGHTTP2_CANCEL);
    await waitUntil(() => aborted === before.aborted + 1, 'the handler is aborted');
    expect(text(await serving.client.unary('/t.T/Echo', bytes('still here')))).toBe('still here');
  });
});
