/** Senders of records while a write to the spool hangs: a real engine, spool and transport; only the file system's write is held back. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { ReportEntry } from '../../../src/adapters/contract.ts';
import { frontendMethods } from '../../../src/frontends/index.ts';
import { type GrpcError, listen, Status } from '../../../src/transport/index.ts';
import { StreamAccessLogsMessageSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { encodedLogs } from '../../parts/otlp-collector.ts';
import { engineOf } from '../core/engine-of.ts';
import { all, serve, waitUntil } from '../transport/serving.ts';

const EXPORT = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
const STREAM = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const MIB = 1024 * 1024;

/** Every write to a file waits until `held` settles, and fails if it rejects. */
async function writesAfter(held: () => Promise<unknown>): Promise<void> {
  const handle = await open('/dev/null', 'r');
  const prototype = Object.getPrototypeOf(handle) as Record<'write', (...args: unknown[]) => Promise<unknown>>;
  await handle.close();
  const { write } = prototype;
  const spy = vi.spyOn(prototype, 'write').mockImplementation(async function (this: unknown, ...args) {
    await held();
    return write.apply(this, args);
  });
  onTestFinished(() => spy.mockRestore());
}

async function hungDisk(): Promise<{ go(): void }> {
  const hang = Promise.withResolvers<void>();
  await writesAfter(() => hang.promise);
  return { go: () => hang.resolve() };
}

async function servedEngine() {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-hung-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const entries: ReportEntry[] = [];
  const { engine } = await engineOf(
    `
settings: { spool: { folder: ${folder} } }
handlers: { out: { adapter: log-script, config: { script: out }, batch: { max: 1000, maxAge: 10ms }, spool: disk } }
rules:
  - { name: logs, calls: [log], report: { handler: out, input: { what: request.path } } }
  - { name: records, calls: [otlp-log], report: { handler: out, input: { what: log.body } } }`,
    { out: { write: (batch) => void entries.push(...batch) } },
  );
  const serving = await serve(listen, Object.fromEntries(frontendMethods(engine)), 4 * MIB);
  onTestFinished(() => serving.stop());
  const queued = (): number => engine.handlers()[0]?.queued ?? 0;
  return { engine, serving, entries, queued };
}

const PER_MESSAGE = 20;
const message = (first: number, bytes = 0): Uint8Array =>
  toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      logEntries: {
        case: 'httpLogs',
        value: {
          logEntry: Array.from({ length: PER_MESSAGE }, (_, at) => ({
            request: { path: `/${first + at} ${'x'.repeat(bytes)}` },
          })),
        },
      },
    }),
  );

test('each stream holds one message; checks are answered; nothing is lost when the disk goes on', async () => {
  const { serving, entries, queued } = await servedEngine();
  const disk = await hungDisk();
  const STREAMS = 8;
  const MESSAGES = 50;
  const streams = Array.from({ length: STREAMS }, (_, stream) =>
    all(
      serving.client.stream(
        STREAM,
        Array.from({ length: MESSAGES }, (_message, at) => message((stream * MESSAGES + at) * PER_MESSAGE)),
      ),
    ),
  );
  await waitUntil(() => queued() === STREAMS * PER_MESSAGE, 'a message of each stream is read');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(queued()).toBe(STREAMS * PER_MESSAGE);
  const check = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: {} }));
  expect(await serving.client.unary('/envoy.service.auth.v3.Authorization/Check', check)).toBeDefined();
  disk.go();
  expect((await Promise.all(streams)).map((replies) => replies.length)).toEqual(Array.from(streams, () => 1));
  await waitUntil(() => entries.length === STREAMS * MESSAGES * PER_MESSAGE, 'every entry is sent', 10_000);
  expect(new Set(entries.map(({ input }) => input['what'])).size).toBe(entries.length);
}, 30_000);

test.each([
  ['large', 1_000_000, 8],
  ['small', 10, 512],
])(
  '%s exports wait, then are refused; checks on the same connection go on, and each answer is kept',
  async (_, bytes, most) => {
    const { serving, entries, queued } = await servedEngine();
    const disk = await hungDisk();
    const answers: Promise<'kept' | number>[] = [];
    let refused = 0;
    for (let at = 0; at < most + 3; at++) {
      answers.push(
        serving.client.unary(EXPORT, encodedLogs([{ body: `${at} ${'x'.repeat(bytes)}` }])).then(
          () => 'kept' as const,
          (error: GrpcError) => {
            refused++;
            return error.code;
          },
        ),
      );
      await waitUntil(() => refused + queued() === at + 1, 'the record is queued or refused', 10_000);
    }
    expect([queued(), refused]).toEqual([most, 3]);
    const check = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: {} }));
    expect(await serving.client.unary('/envoy.service.auth.v3.Authorization/Check', check)).toBeDefined();
    disk.go();
    const settled = await Promise.all(answers);
    expect(settled.filter((answer) => answer !== 'kept')).toEqual(
      Array.from({ length: 3 }, () => Status.RESOURCE_EXHAUSTED),
    );
    await waitUntil(() => entries.length === most, 'every acknowledged record is sent', 10_000);
    expect(await serving.client.unary(EXPORT, encodedLogs([{ body: 'again' }]))).toHaveLength(0);
  },
  30_000,
);

test.each<[string, () => Promise<unknown>]>([
  ['hangs', () => new Promise(() => {})],
  ['is full', () => Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))],
])(
  'a server that stops while its disk %s does not acknowledge what it could not write',
  async (_, held) => {
    const { engine, serving, queued } = await servedEngine();
    await writesAfter(held);
    const answer = serving.client.unary(EXPORT, encodedLogs([{ body: 'a' }])).then(
      () => 'kept',
      (error: GrpcError) => error.code,
    );
    await waitUntil(() => queued() > 0, 'the record is queued');
    const beganAtMs = performance.now();
    await serving.transport.drain(1000);
    await engine.drain();
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    expect(await answer).toBe(Status.UNAVAILABLE);
  },
  30_000,
);
