/** A spool on disk behind the real server, while handlers, workers and the disk fail: every confirmed entry reaches the sink, in order. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { missing, outOfOrder, sendStreams, Streams } from '../parts/numbered-streams.ts';
import type { SinkFault } from '../parts/sink/adapter.ts';
import { type SmallDisk, smallDisk } from '../parts/small-disk.ts';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { peerClient } from './peer-client.ts';
import { program, type Program, type Serving, serving } from './command.ts';

const SINK = join(import.meta.dirname, '../parts/sink/adapter.ts');

let workspace: Workspace;
let server: Serving;
let streams: Streams;
let disk: SmallDisk | undefined;
const running: Program[] = [];
beforeEach(() => {
  workspace = makeWorkspace();
  streams = new Streams();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  await disk?.unmount();
  disk = undefined;
  workspace.remove();
});

const RECEIVED = '  - { name: all, report: { handler: out, input: { path: request.path } } }';
const DECIDED = `  - { name: closed, deny: { status: 403 } }
  - { name: decided, calls: [decision], report: { handler: out, input: { path: request.path, by: verdict.?rule.orValue("") } } }`;

async function start(run: string, args: readonly string[] = [], rules = RECEIVED): Promise<void> {
  const policy = workspace.write(
    'policy.yaml',
    `
plugins: [${SINK}]
settings: { spool: { folder: spool } }
handlers:
  out:
    adapter: log-faulty
    config: { out: ${workspace.path('out')}, fault: ${workspace.path('fault')} }
    run: ${run}
    deadline: 300ms
    spool: disk
rules:
${rules}
`,
  );
  server = await serving([policy], { args });
  running.push(server);
}

const fault = (now: SinkFault): void => writeFileSync(workspace.path('fault'), now);
const arrived = (): number[] =>
  readFileSync(workspace.path('out'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => Number((JSON.parse(line) as { path: string }).path.slice(1)));

async function allArrive(leastStreams: number): Promise<void> {
  expect(streams.confirmed.length).toBeGreaterThanOrEqual(leastStreams);
  expect(server.err()).not.toContain('put aside');
  await eventually(() => expect(missing(streams, arrived())).toEqual([]), 30_000);
  expect(outOfOrder(arrived())).toEqual([]);
}

/** The sink takes entries, has the fault for a while, and takes entries again. */
async function whileIt(now: SinkFault, forMs: number): Promise<void> {
  const before = streams.confirmed.length;
  const load = sendStreams(server.grpc, streams, 2, 4000);
  await sleep(200);
  fault(now);
  await sleep(forMs);
  fault('none');
  await sleep(100);
  await confirmed(before + 10);
  await load.stop();
}

const confirmed = async (leastStreams: number): Promise<void> =>
  eventually(() => expect(streams.confirmed.length).toBeGreaterThanOrEqual(leastStreams), 30_000);

describe.each([
  ['inline', 'inline', ['away', 'hang', 'slow', 'forgotten']],
  ['in a process of its own', 'worker', ['away', 'hang', 'exit']],
  ['behind an address', 'dial', ['away', 'hang']],
] as const)('a sink that runs %s', (_, kind, faults) => {
  const socket = (): string => `unix:${workspace.path('plugin.sock')}`;
  const plugin = async (): Promise<Program> => {
    const started = await program(['plugins', 'serve', SINK, '--listen', socket()], /serving plugins/);
    running.push(started);
    return started;
  };

  test('loses nothing while it is away, hangs, is slow, forgets an await or dies', async () => {
    const remote = kind === 'dial' ? await plugin() : undefined;
    await start(kind === 'dial' ? `{ dial: "${socket()}" }` : kind);
    for (const now of faults) await whileIt(now, 400);
    if (remote !== undefined) {
      const load = sendStreams(server.grpc, streams, 2, 4000);
      await sleep(200);
      remote.signal('SIGKILL');
      await remote.ended;
      await plugin();
      await load.stop();
    }
    await allArrive(10 * faults.length);
  }, 120_000);
});

test('a worker that crashes with a batch is replaced, and its successor sends what waits', async () => {
  await start('inline', ['--workers', '2']);
  const load = sendStreams(server.grpc, streams, 4, 4000);
  await eventually(() => expect(arrived().length).toBeGreaterThan(0));
  fault('exit');
  await eventually(() => expect(existsSync(workspace.path('fault'))).toBe(false));
  const before = arrived().length;
  const restarted = async () =>
    (await (await fetch(`http://${server.admin}/metrics`)).text()).includes('sluice_worker_restarts_total 1\n');
  await eventually(async () => expect(await restarted()).toBe(true));
  await server.said(/reports that an earlier process left on disk are sent/);
  await eventually(() => expect(arrived().length).toBeGreaterThan(before));
  await confirmed(10);
  await load.stop();
  await allArrive(10);
}, 60_000);

/** A spool on a disk of 1 MiB. */
async function onSmallDisk(): Promise<void> {
  const folder = workspace.path('spool');
  workspace.write('spool/.keep', '');
  rmSync(join(folder, '.keep'));
  disk = await smallDisk(folder, '1m');
}

const queued = async (): Promise<number> => {
  const page = (await (await fetch(`http://${server.admin}/handlers`)).json()) as { handlers: { queued: number }[] };
  return page.handlers[0]?.queued ?? 0;
};

test('a full disk holds the streams back, says so, and goes on when the sink works again', async () => {
  await onSmallDisk();
  fault('away');
  await start('inline');
  const load = sendStreams(server.grpc, streams, 4);
  await server.said(/a spool cannot be written; reports wait until the disk accepts them/);
  let held = 0;
  await eventually(async () => {
    held = await queued();
    await sleep(700);
    expect(await queued()).toBe(held); // the streams stand still
  });
  fault('none');
  await server.said(/"msg":"a spool can be written again/);
  await eventually(async () => expect((await queued()) < held).toBe(true));
  await load.stop();
  await allArrive(10);
  expect(server.err().match(/a spool cannot be written/g)).toHaveLength(1);
}, 60_000);

test('a server that starts on a full disk answers checks, holds the streams back, and sends what its predecessor left', async () => {
  await onSmallDisk();
  const rules = `${RECEIVED}\n  - { name: closed, calls: [http], deny: { status: 403 } }`;
  fault('away');
  await start('inline', ['--grace', '1'], rules);
  const load = sendStreams(server.grpc, streams, 4);
  await server.said(/a spool cannot be written; reports wait until the disk accepts them/);
  // It ends well, so that its lock is gone; somebody else takes that space as well.
  await Promise.all([load.stop(), server.stop()]);
  spawnSync('dd', ['if=/dev/zero', `of=${workspace.path('spool/filler')}`, 'bs=4k']);
  expect(() => writeFileSync(workspace.path('spool/other'), 'x')).toThrow('ENOSPC');

  await start('inline', [], rules);
  expect(await denied(['/1'])).toBe(1);
  const next = sendStreams(server.grpc, streams, 4);
  await server.said(/a spool cannot be written; reports wait until the disk accepts them/);
  const before = streams.confirmed.length;
  fault('none');
  await confirmed(before + 10);
  await next.stop();
  await allArrive(10);
  expect(server.err().match(/a spool cannot be written/g)).toHaveLength(1);
}, 120_000);

/** Resolves with the number of calls that were denied, over one connection. */
async function denied(paths: readonly string[]): Promise<number> {
  const client = peerClient(server.grpc);
  try {
    const answers = await Promise.all(paths.map((path) => client.check({ path })));
    return answers.filter(({ denied_response: response }) => response?.status?.code === 'Forbidden').length;
  } finally {
    client.close();
  }
}
const paths = (from: number, count: number, tail = ''): string[] =>
  Array.from({ length: count }, (_, at) => `/${from + at}${tail}`);

describe('a decision log with a spool on disk', () => {
  test('loses no denial while its sink is away and Sluice is killed', async () => {
    fault('away');
    await start('inline', [], DECIDED);
    expect(await denied(paths(0, 500))).toBe(500);
    await eventually(async () => expect(await queued()).toBe(500));
    server.signal('SIGKILL');
    await server.ended;
    fault('none');
    await start('inline', [], DECIDED);
    await eventually(
      () => expect(existsSync(workspace.path('out')) ? new Set(arrived()).size : 0, server.err()).toBe(500),
      60_000,
    );
    expect(readFileSync(workspace.path('out'), 'utf8')).toMatch(/"by":"closed"/);
  }, 120_000);

  test('on a full disk delays no check; what it cannot take is dropped, counted and logged', async () => {
    await onSmallDisk();
    fault('away');
    await start('inline', [], DECIDED);
    const dropped = async (): Promise<number> =>
      Number(
        /^sluice_rule_dropped_reports_total\{rule="decided"\} (\d+)$/m.exec(
          await (await fetch(`http://${server.admin}/metrics`)).text(),
        )?.[1],
      );
    const tail = `?${'x'.repeat(2000)}`;
    let sent = 0;
    const send = async (): Promise<void> => {
      expect(await denied(paths(sent, 500, tail))).toBe(500); // the client gives up on a call after its deadline
      sent += 500;
    };
    while (!/a spool cannot be written/.test(server.err())) await send();
    while ((await dropped()) < 1000) await send();
    expect(server.err().match(/reports dropped: the queue of their handler is full/g)).toHaveLength(1);

    fault('none');
    await server.said(/"msg":"a spool can be written again/);
    await eventually(async () => expect(await queued()).toBe(0), 30_000);
    expect(await denied(['/1000000'])).toBe(1);
    await eventually(() => expect(readFileSync(workspace.path('out'), 'utf8')).toContain('"path":"/1000000"'));
    const lines = readFileSync(workspace.path('out'), 'utf8').trim().split('\n').length;
    expect(lines).toBeGreaterThanOrEqual(sent + 1 - (await dropped())); // a line may come twice
  }, 120_000);
});
