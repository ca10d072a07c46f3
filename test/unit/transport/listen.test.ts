import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { dialGrpc, type Methods, type StreamHandler } from '../../../src/transport/index.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { all, bytes, failureOf, serve, Status, text, waitUntil, type Serving } from './serving.ts';
import { rawPeer, Type } from './raw-peer.ts';
import { TRANSPORTS } from './serving.ts';

/** Leaves a socket file behind, as a killed process does. */
const leaveSocketAt = async (path: string): Promise<void> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [
        '-e',
        `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
      ],
      () => resolve(),
    );
  });

describe.each(TRANSPORTS)('%s', (_transport, listen) => {
  const started: Serving[] = [];
  const start = async (methods: Parameters<typeof serve>[1]): Promise<Serving> => {
    const serving = await serve(listen, methods);
    started.push(serving);
    return serving;
  };
  afterEach(async () => {
    for (const serving of started.splice(0)) await serving.stop();
  });

  const options = { host: '127.0.0.1', port: 0, maxMessageBytes: 1024, onFault: () => {} };

  describe('an address that cannot be bound', () => {
    test('a port that is taken is named', async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => other.once('listening', resolve));
      const { port } = other.address() as AddressInfo;
      await expect(listen(new Map(), { ...options, port })).rejects.toThrow(
        `127.0.0.1:${port} is in use by another process; stop it, or choose another port`,
      );
      other.close();
    });

    test('an address of another machine is named', async () => {
      await expect(listen(new Map(), { ...options, host: '192.0.2.1' })).rejects.toThrow(
        /^192\.0\.2\.1:0 is not an address of this machine/,
      );
    });
  });

  test('port 0 takes any free one, and IPv6 works', async () => {
    const transport = await listen(new Map([['/t.T/Echo', { kind: 'unary', handle: viewOf }]]), {
      ...options,
      host: '::1',
    });
    const client = dialGrpc(`[::1]:${transport.port}`);
    expect(text(await client.unary('/t.T/Echo', bytes('six')))).toBe('six');
    client.close();
    await transport.drain(100);
  });

  test('a unix socket: calls are answered, a path that is taken is named, and one that a dead process left is taken over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-'));
    const path = join(folder, 'grpc.sock');
    const at = { ...options, host: `unix:${path}` };
    const methods: Methods = new Map([['/t.T/Peer', { kind: 'unary', handle: (_, { peer }) => bytes(peer) }]]);
    const transport = await listen(methods, at);
    const client = dialGrpc(`unix:${path}`);
    expect(text(await client.unary('/t.T/Peer', bytes('')))).toBe('unix:');
    client.close();
    await expect(listen(methods, at)).rejects.toThrow(
      `unix:${path} is in use by another process; stop it, or choose another path`,
    );
    await transport.drain(100);
    await leaveSocketAt(path);
    const next = await listen(methods, at);
    expect([next.host, next.port]).toEqual([`unix:${path}`, 0]);
    await next.drain(100);
    await rm(folder, { recursive: true });
  });

  test('a server that is away is UNAVAILABLE', async () => {
    const client = dialGrpc('127.0.0.1:1');
    expect((await failureOf(client.unary('/t.T/Echo', bytes('a'), { timeoutMs: 20_000 }))).code).toBe(
      Status.UNAVAILABLE,
    );
    client.close();
  });

  test('a connection of the maximum age is drained, and its calls are answered on a new one', async () => {
    const transport = await listen(new Map([['/t.T/Echo', { kind: 'unary', handle: viewOf }]]), {
      ...options,
      maxConnectionAgeMs: 100,
    });
    const peer = await rawPeer(transport.port);
    await peer.until((frames) => frames.some(({ type }) => type === Type.GOAWAY), 'it is told to go', 4000);
    const client = dialGrpc(`127.0.0.1:${transport.port}`);
    for (let call = 0; call < 15; call++) {
      expect(text(await client.unary('/t.T/Echo', bytes('on')))).toBe('on');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    client.close();
    peer.socket.destroy();
    await transport.drain(100);
  });

  test('a connection whose age is found late is drained all the same: its calls are answered', async () => {
    let began = 0;
    const slow: Methods = new Map([
      [
        '/t.T/Slow',
        {
          kind: 'unary',
          handle: async (request) => {
            began++;
            await new Promise((resolve) => setTimeout(resolve, 1600));
            return viewOf(request);
          },
        },
      ],
    ]);
    const transport = await listen(slow, { ...options, maxConnectionAgeMs: 400 });
    const client = dialGrpc(`127.0.0.1:${transport.port}`);
    const answer = client.unary('/t.T/Slow', bytes('slow'));
    await waitUntil(() => began === 1, 'the call has begun');
    const endsAtMs = performance.now() + 1300;
    while (performance.now() < endsAtMs); // past twice the age
    expect(text(await answer)).toBe('slow');
    client.close();
    await transport.drain(100);
  });

  describe('drain', () => {
    test('a call in flight still gets its answer, a new one is refused', async () => {
      const gate = Promise.withResolvers<void>();
      let began = false;
      const serving = await start({
        '/t.T/Slow': {
          kind: 'unary',
          handle: async (request) => {
            began = true;
            await gate.promise;
            return viewOf(request);
          },
        },
      });
      const slow = serving.client.unary('/t.T/Slow', bytes('slow'));
      await waitUntil(() => began, 'the call has begun');
      const drained = serving.transport.drain(3000);
      await new Promise((resolve) => setTimeout(resolve, 100)); // it accepts the connections that wait
      const late = dialGrpc(serving.address);
      expect((await failureOf(late.unary('/t.T/Slow', bytes('late'), { timeoutMs: 1000 }))).code).toBe(
        Status.UNAVAILABLE,
      );
      late.close();
      gate.resolve();
      expect(text(await slow)).toBe('slow');
      await drained;
    });

    test('a call that never ends is cut off after the grace', async () => {
      let began = false;
      const serving = await start({
        '/t.T/Hangs': {
          kind: 'unary',
          handle: () => {
            began = true;
            return new Promise<Uint8Array>(() => {});
          },
        },
      });
      const call = failureOf(serving.client.unary('/t.T/Hangs', bytes('')));
      await waitUntil(() => began, 'the call has begun');
      const from = Date.now();
      await serving.transport.drain(200);
      expect(Date.now() - from).toBeLessThan(1000);
      expect((await call).code).not.toBe(Status.OK);
    });

    const counting = (total: { messages: number }): StreamHandler =>
      async function* count(requests) {
        for await (const request of requests) total.messages += request.length;
        yield bytes(String(total.messages));
      };

    test('a stream that is quiet ends at once and well, with everything read', async () => {
      const total = { messages: 0 };
      const serving = await start({ '/t.T/Count': { kind: 'stream', handle: counting(total) } });
      const waits = async function* waits(): AsyncGenerator<Uint8Array> {
        yield bytes('abc');
        await new Promise((resolve) => setTimeout(resolve, 5000).unref());
      };
      const replies = all(serving.client.stream('/t.T/Count', waits()));
      await waitUntil(() => total.messages === 3, 'the message has come');
      const from = Date.now();
      await serving.transport.drain(5000);
      expect(Date.now() - from).toBeLessThan(1000);
      expect(await replies).toEqual(['3']);
    });

    test('a stream that is busy is ended well before the grace is over', async () => {
      const total = { messages: 0 };
      const serving = await start({ '/t.T/Count': { kind: 'stream', handle: counting(total) } });
      const busy = async function* busy(): AsyncGenerator<Uint8Array> {
        for (;;) {
          yield bytes('a');
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      };
      const replies = all(serving.client.stream('/t.T/Count', busy()));
      await waitUntil(() => total.messages > 0, 'the stream has begun');
      const before = total.messages;
      await serving.transport.drain(500);
      expect(await replies).toEqual([String(total.messages)]); // its end is an answer
      expect(total.messages).toBeGreaterThan(before);
    });

    test('a handler that waits is notified', async () => {
      let told = false;
      const serving = await start({
        '/t.T/Watch': {
          kind: 'stream',
          handle: async function* watch(_requests, { draining }) {
            yield bytes('watching');
            await new Promise((resolve) => draining.addEventListener('abort', resolve));
            told = true;
          },
        },
      });
      const replies = serving.client.stream('/t.T/Watch', [])[Symbol.asyncIterator]();
      await replies.next();
      const last = replies.next();
      await serving.transport.drain(3000);
      expect(told).toBe(true);
      expect((await last).done).toBe(true);
    });
  });
});
