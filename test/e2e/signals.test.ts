/** Signals while the server starts and while it stops, when they are easily missed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';
import { StreamAccessLogsMessageSchema } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { until } from './sluice.ts';

let folder: string;
let child: ChildProcess;
let said: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-signals-'));
  writeFileSync(
    join(folder, 'policy.yaml'),
    'rules: [{ name: closed, match: \'request.path == "/closed"\', deny: {} }]\n',
  );
});
afterEach(async () => {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

function start(args: readonly string[] = [], stdout: 'ignore' | 'pipe' = 'ignore'): void {
  said = '';
  child = spawn(
    process.execPath,
    [
      COMMAND,
      'serve',
      folder,
      '--grpc',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
      '--log-format',
      'json',
      '--grace',
      '2',
      ...args,
    ],
    { stdio: ['ignore', stdout, 'pipe'] },
  );
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
}

/** Waits until the kernel's list of caught signals of the process contains it. */
async function hears(): Promise<void> {
  await until('it hears SIGHUP', () => {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? '0';
    return (BigInt(`0x${caught}`) & 1n) === 1n ? true : undefined;
  });
}

const ended = async (): Promise<unknown[]> =>
  child.exitCode === null && child.signalCode === null ? once(child, 'exit') : [child.exitCode, child.signalCode];

test.each([[[]], [['--workers', '2']]])('%j: a SIGHUP before it serves reloads once it does', async (args) => {
  start(args);
  await hears();
  child.kill('SIGHUP');
  await until('it serves', () => (said.includes('"msg":"serving"') ? true : undefined), 30_000);
  await until('it has loaded anew', () => (said.includes('"msg":"policy loaded"') ? true : undefined));
  child.kill('SIGTERM');
  expect(await ended()).toEqual([0, null]);
});

test.each([[[]], [['--workers', '2']]])('%j: a SIGTERM before it serves ends it like a later one', async (args) => {
  start(args);
  await hears();
  child.kill('SIGTERM');
  expect(await ended()).toEqual([0, null]);
  expect(said).toContain('"msg":"stopped"');
});

test('an endless stream delays neither the writing of reports nor the end of the server after its grace', async () => {
  writeFileSync(
    join(folder, 'policy.yaml'),
    `handlers: { out: { adapter: log-stdout, batch: { maxAge: 10m } } }
rules: [{ name: told, report: { handler: out, input: { path: request.path } } }]
`,
  );
  start([], 'pipe');
  let written = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    written += chunk;
  });
  await until('it serves', () => (said.includes('"msg":"serving"') ? true : undefined), 30_000);
  const { grpc, admin } = JSON.parse(said.split('\n').find((line) => line.includes('"msg":"serving"')) ?? '{}') as {
    grpc: string;
    admin: string;
  };
  const client = dialGrpc(grpc);
  const over = Promise.withResolvers<void>();
  async function* entries(): AsyncGenerator<Uint8Array> {
    yield toBinary(
      StreamAccessLogsMessageSchema,
      create(StreamAccessLogsMessageSchema, {
        logEntries: { case: 'httpLogs', value: { logEntry: [{ request: { path: '/told' } }] } },
      }),
    );
    await over.promise;
  }
  const streaming = (async () => {
    for await (const _ of client.stream('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', entries(), {
      timeoutMs: 60_000,
    }));
  })().catch(() => undefined);
  await until('the entry waits', async () =>
    /^sluice_handler_queued_reports\{handler="out"\} 1$/m.test(await (await fetch(`http://${admin}/metrics`)).text())
      ? true
      : undefined,
  );
  const beganAtMs = performance.now();
  child.kill('SIGTERM');
  expect(await ended()).toEqual([0, null]);
  expect(performance.now() - beganAtMs).toBeLessThan(10_000); // the grace is 2 s
  expect(written).toContain('"path":"/told"');
  over.resolve();
  client.close();
  await streaming;
}, 60_000);

test('a SIGHUP at the end does not change the exit', async () => {
  start();
  await until('it serves', () => (said.includes('"msg":"serving"') ? true : undefined), 30_000);
  child.kill('SIGTERM');
  const nagging = setInterval(() => child.kill('SIGHUP'), 1);
  expect(await ended()).toEqual([0, null]);
  clearInterval(nagging);
});
