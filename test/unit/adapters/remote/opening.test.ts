/** Opening a handler behind an address whose server has no room, hangs, is another one, or changes while the host serves. */
import { create, toBinary } from '@bufbuild/protobuf';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { DescribeResponseSchema } from '../../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { allow, defineAdapter } from '../../../../src/adapters/contract.ts';
import { openIsolated } from '../../../../src/adapters/isolated/open-isolated.ts';
import type { OpenHandler } from '../../../../src/adapters/open-handler.ts';
import { createPluginMetrics } from '../../../../src/adapters/plugin-metrics.ts';
import { asDialled } from '../../../../src/adapters/remote/as-dialled.ts';
import { Connections } from '../../../../src/adapters/remote/connections.ts';
import { describe as describeAdapters } from '../../../../src/adapters/remote/description.ts';
import { dial } from '../../../../src/adapters/remote/dial.ts';
import { pluginMethods } from '../../../../src/adapters/remote/plugin-service.ts';
import { createSharedMemory } from '../../../../src/adapters/shared-memory.ts';
import {
  GrpcError,
  listen,
  type Method,
  Status,
  type StreamHandler,
  type Transport,
} from '../../../../src/transport/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-opening-'));
let sockets = 0;
const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const checks = defineAdapter({
  name: 'check-all',
  summary: 'Allows all.',
  config: z.strictObject({}),
  serves: { check: { input: { user: 'string' } } },
  open: async () => ({ check: () => () => allow() }),
});
const METHODS = pluginMethods([checks]);
const [[DESCRIBE_PATH, DESCRIBE], [HANDLE_PATH, HANDLE]] = METHODS as [[string, Method], [string, Method]];
const { handle: handleWell } = HANDLE as { readonly handle: StreamHandler };

const socket = (): string => `unix:${join(folder, `${++sockets}.sock`)}`;

async function serve(
  methods: readonly (readonly [string, Method])[],
  address = socket(),
): Promise<[string, Transport]> {
  const onFault = (_: unknown, error: unknown): never => {
    throw error;
  };
  const server = await listen(new Map(methods), { host: address, port: 0, maxMessageBytes: 8 << 20, onFault });
  ended.push(() => server.drain(0));
  return [address, server];
}

/** A server whose Handle is another one. */
const serveHandle = (handle: StreamHandler): Promise<[string, Transport]> =>
  serve([
    [DESCRIBE_PATH, DESCRIBE],
    [HANDLE_PATH, { kind: 'stream', handle }],
  ]);

interface Opened extends OpenHandler {
  /** Of warnings: what is said, and why. */
  readonly warnings: readonly string[];
}

async function open(address: string, { listenEveryMs = 1000, longestPauseMs = 1000 } = {}): Promise<Opened> {
  const warnings: string[] = [];
  const ignore = (): void => undefined;
  const warn = (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    warnings.push(`${message}: ${String(fields['why'])}`);
  };
  const log = { debug: ignore, info: ignore, error: warn, warn };
  const dialled = asDialled(checks);
  const opened = await openIsolated(
    dialled,
    { name: 'all', config: {}, folder },
    { log, metrics: createPluginMetrics(log), shared: createSharedMemory(), restartAfterMs: 20, closeWithinMs: 1000 },
    address,
    dial(new Connections(500), { address }, dialled, { listenEveryMs }),
    longestPauseMs,
  );
  ended.push(() => opened.close());
  return { ...opened, warnings };
}
const whyNotReady = ({ readiness }: OpenHandler): string => readiness().why ?? '';
const isReady = (opened: OpenHandler): Promise<void> =>
  expect.poll(() => opened.readiness(), { timeout: 10_000, interval: 10 }).toEqual({ ready: true, why: undefined });

test('a server that never gets to its stream: the handler is away and says what to look at, and is found again', async () => {
  let isFull = true;
  const [address] = await serveHandle(async function* (requests, context) {
    if (!isFull) return yield* handleWell(requests, context);
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
  });
  const opened = await open(address, { listenEveryMs: 30 });
  expect(whyNotReady(opened)).toMatch(
    /said nothing on the stream for 0\.2 s; it hangs, or its server runs fewer streams at once than it has handlers/,
  );
  isFull = false;
  await isReady(opened);
});

test.each([
  ['RESOURCE_EXHAUSTED', 'Concurrent RPC limit exceeded!'],
  ['UNAVAILABLE', 'stopping'],
] as const)(
  'a server that answers %s to its stream: the handler is away, and is opened once there is room',
  async (code, said) => {
    let isFull = true;
    const [address] = await serveHandle((requests, context) => {
      if (isFull) throw new GrpcError(Status[code], said);
      return handleWell(requests, context);
    });
    const opened = await open(address);
    expect(whyNotReady(opened)).toBe(`it is not running: its stream ended with ${code}: ${said}`);
    isFull = false;
    await isReady(opened);
  },
);

test('a server that refuses the stream, or breaks off while it opens the handler, has failed to open it', async () => {
  const [refusing] = await serveHandle(() => {
    throw new GrpcError(Status.INVALID_ARGUMENT, 'not today');
  });
  await expect(open(refusing)).rejects.toMatchObject({
    code: 'ADAPTER_OPEN_FAILED',
    message: '[check-all/all] its stream ended with INVALID_ARGUMENT: not today',
  });
  const [crashing, server] = await serveHandle(async function* () {
    await server.drain(0);
    yield* [];
  });
  await expect(open(crashing)).rejects.toMatchObject({ code: 'ADAPTER_OPEN_FAILED' });
});

test('of the message of a status the beginning is kept', async () => {
  const status = {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': 3,
    'grpc-message': 'x'.repeat(9000),
  };
  const server = createHttp2Server().on('stream', (stream) => stream.respond(status, { endStream: true }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ended.push(async () => server.close());
  const why = whyNotReady(await open(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  expect(why).toMatch(/does not describe itself: x{4000}/);
  expect(why.length).toBeLessThan(4300);
});

test('a server of HTTP/1 is named as such', async () => {
  const server = createServer((_, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ended.push(async () => server.close());
  const opened = await open(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(whyNotReady(opened)).toMatch(/speaks no HTTP\/2 there; it may speak HTTP\/1 or TLS: correct the address/);
});

test('a release that does not match is started: that is logged at once, beside the end of the last one, and once', async () => {
  const [address, server] = await serve(METHODS);
  const opened = await open(address, { longestPauseMs: 30 });
  await isReady(opened);
  await server.drain(0);
  const other = describeAdapters([{ ...checks, name: 'check-other' } as never], 'other 2');
  const description = toBinary(DescribeResponseSchema, create(DescribeResponseSchema, other));
  const describeOther: Method = { kind: 'unary', handle: () => description };
  await serve(
    [
      [DESCRIBE_PATH, describeOther],
      [HANDLE_PATH, HANDLE],
    ],
    address,
  );
  const { restarts } = opened.running?.() ?? { restarts: 0 };
  await expect.poll(() => opened.running?.().restarts, { timeout: 10_000 }).toBeGreaterThan(restarts + 10);
  const [end, ...more] = opened.warnings;
  expect(end).toMatch(/^a handler ended; its calls fail until it is open again: it ended the stream/);
  expect(more.filter((line) => !line.includes('nothing listens'))).toEqual([
    'a handler cannot be opened again: it has no adapter check-all, but check-other',
  ]);
});

test('its pauses between attempts have a bound, so that it is found soon after a long absence', async () => {
  const opened = await open(socket(), { longestPauseMs: 40 });
  await expect.poll(() => opened.running?.().restarts, { timeout: 10_000 }).toBeGreaterThan(30);
  expect(opened.warnings).toHaveLength(1);
});
