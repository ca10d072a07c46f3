import { listen } from '../../../src/transport/index.ts';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, test } from 'vitest';
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Is,
  HealthCheckResponseSchema,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import { healthMethods } from '../../../src/frontends/health.ts';
import { END_HEADERS, type Frame, frame, head, message, rawPeer, Type } from '../transport/raw-peer.ts';
import { failureOf, serve, Status, type Serving, waitUntil } from '../transport/serving.ts';

const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const SERVICE = 'envoy.service.auth.v3.Authorization';

const asking = (service: string): Uint8Array =>
  toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }));
const statusIn = (bytes: Uint8Array): Is => fromBinary(HealthCheckResponseSchema, bytes).status;

let serving: Serving;
let isServing: boolean;
const start = async (): Promise<void> => {
  isServing = true;
  serving = await serve(
    listen,
    Object.fromEntries(healthMethods({ services: [SERVICE], isServing: () => isServing, watchEveryMs: 10 })),
  );
};
afterEach(() => serving.stop());

describe('Check', () => {
  test('the server and each service have the status that the server reports', async () => {
    await start();
    for (const service of ['', SERVICE, 'grpc.health.v1.Health']) {
      isServing = true;
      expect(statusIn(await serving.client.unary(CHECK, asking(service)))).toBe(Is.SERVING);
      isServing = false;
      expect(statusIn(await serving.client.unary(CHECK, asking(service)))).toBe(Is.NOT_SERVING);
    }
  });

  test('an unknown service is NOT_FOUND, and half a message INVALID_ARGUMENT', async () => {
    await start();
    expect(await failureOf(serving.client.unary(CHECK, asking('a.B')))).toMatchObject({
      code: Status.NOT_FOUND,
      message: 'a.B is not served here',
    });
    expect((await failureOf(serving.client.unary(CHECK, new Uint8Array([10, 9, 65])))).code).toBe(
      Status.INVALID_ARGUMENT,
    );
    expect(serving.faults).toEqual([]);
  });
});

describe('Watch', () => {
  const watching = (service: string): AsyncIterator<Uint8Array> =>
    serving.client.stream(WATCH, [asking(service)])[Symbol.asyncIterator]();
  const next = async (replies: AsyncIterator<Uint8Array>): Promise<Is> =>
    statusIn((await replies.next()).value as Uint8Array);

  test('sends the status, then each change', async () => {
    await start();
    const replies = watching(SERVICE);
    expect(await next(replies)).toBe(Is.SERVING);
    isServing = false;
    expect(await next(replies)).toBe(Is.NOT_SERVING);
    isServing = true;
    expect(await next(replies)).toBe(Is.SERVING);
    await replies.return?.();
  });

  test('an unknown service is SERVICE_UNKNOWN, and the watch goes on', async () => {
    await start();
    const gone = new AbortController();
    const replies = serving.client.stream(WATCH, [asking('a.B')], { signal: gone.signal })[Symbol.asyncIterator]();
    expect(await next(replies)).toBe(Is.SERVICE_UNKNOWN);
    const more = replies.next();
    expect(await Promise.race([more, new Promise((resolve) => setTimeout(resolve, 60, 'nothing more'))])).toBe(
      'nothing more',
    );
    gone.abort();
    expect((await failureOf(more)).code).toBe(Status.CANCELLED);
    expect(serving.faults).toEqual([]);
  });

  test('a thousand watches share one timer, get each change, and leave no timer behind', async () => {
    await start();
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const peer = await rawPeer(serving.transport.port);
    const before = timers();
    const body = message(asking(SERVICE));
    for (let at = 0; at < 1000; at++)
      peer.send(frame(Type.HEADERS, END_HEADERS, at * 2 + 1, head(WATCH)), frame(Type.DATA, 0, at * 2 + 1, body));
    const told =
      (times: number) =>
      (frames: readonly Frame[]): boolean =>
        frames.filter(({ type }) => type === Type.DATA).length === times * 1000;
    await peer.until(told(1), 'each is told how things are', 20_000);
    expect(timers() - before).toBeLessThan(10);
    isServing = false;
    await peer.until(told(2), 'each is told of the change', 20_000);
    peer.socket.destroy();
    await waitUntil(() => timers() <= before, 'nobody watches any more', 20_000);
  });

  test('a connection may watch as often as it may have streams, and no more', async () => {
    await start();
    const peer = await rawPeer(serving.transport.port);
    const body = message(asking(SERVICE));
    for (let at = 0; at <= DEFAULT_LIMITS.maxStreams; at++)
      peer.send(frame(Type.HEADERS, END_HEADERS, at * 2 + 1, head(WATCH)), frame(Type.DATA, 0, at * 2 + 1, body));
    await peer.until((some) => some.some(({ type }) => type === Type.RST_STREAM), 'one is refused', 20_000);
    const refused = peer.frames.filter(({ type }) => type === Type.RST_STREAM);
    expect(refused.map(({ stream, payload }) => [stream, payload.readUInt32BE()])).toEqual([
      [DEFAULT_LIMITS.maxStreams * 2 + 1, ErrorCode.REFUSED_STREAM],
    ]);
    peer.socket.destroy();
  });

  test('a second request ends a watch', async () => {
    await start();
    const replies = serving.client.stream(WATCH, [asking(SERVICE), asking(SERVICE)])[Symbol.asyncIterator]();
    const failed = async (): Promise<unknown> => {
      for (;;) if ((await replies.next()).done === true) return undefined;
    };
    expect((await failureOf(failed())).code).toBe(Status.INVALID_ARGUMENT);
  });

  test('a server that drains sends NOT_SERVING and ends the watch at once', async () => {
    await start();
    const replies = watching('');
    expect(await next(replies)).toBe(Is.SERVING);
    const from = Date.now();
    const drained = serving.transport.drain(5000);
    expect(await next(replies)).toBe(Is.NOT_SERVING);
    expect((await replies.next()).done).toBe(true);
    await drained;
    expect(Date.now() - from).toBeLessThan(1000);
  });
});
