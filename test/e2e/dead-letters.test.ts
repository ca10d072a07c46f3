/** Reports that a sink rejects, settled by commands beside the server that runs. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { PER_STREAM, sendStreams, Streams } from '../parts/numbered-streams.ts';
import type { SinkFault } from '../parts/sink/adapter.ts';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { run, type Serving, serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const POLICY = `
plugins: [${join(import.meta.dirname, '../parts/sink/adapter.ts')}]
settings: { spool: { folder: "a spool" } }
handlers:
  out: { adapter: log-faulty, config: { out: OUT, fault: FAULT }, spool: disk }
rules:
  - { name: all, report: { handler: out, input: { path: request.path, code: response.code } } }
`;

let workspace: Workspace;
let server: Serving;
const fault = (now: SinkFault): void => writeFileSync(workspace.path('fault'), now);

beforeAll(async () => {
  workspace = makeWorkspace();
  workspace.write(
    'policy.yaml',
    POLICY.replace('OUT', workspace.path('out')).replace('FAULT', workspace.path('fault')),
  );
  fault('reject');
  server = await serving([workspace.path('policy.yaml')]);
});
afterAll(async () => {
  await server.stop();
  workspace.remove();
});

interface Letter {
  readonly id: string;
  readonly rule: string;
}
/** By the command line `sluice ...` of a log line, in a shell's words. */
const byLine = (line: string) =>
  run([...line.replace(/^sluice /, '').matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''));
const listed = async (): Promise<Letter[]> =>
  JSON.parse((await run(['deadletter', 'list', '--json', '--folder', workspace.path('a spool')])).out) as Letter[];

test('the log line names a command that shows the values; replayed letters are sent, or refused again, by the running server', async () => {
  const load = sendStreams(server.grpc, new Streams(), 1, PER_STREAM);
  await load.stop();
  await eventually(async () => expect(await listed()).toHaveLength(PER_STREAM));
  expect(existsSync(workspace.path('out'))).toBe(false);

  const line = server.err().match(/"show":"([^"]*)"/)?.[1] ?? '';
  const shown = await byLine(line);
  expect(shown.code, `${line}\n${shown.err}`).toBe(0);
  expect(JSON.parse(shown.out)).toMatchObject({
    handler: 'out',
    rule: 'all',
    why: expect.stringContaining('it takes nothing today'),
    values: { path: expect.stringMatching(/^\/\d+$/), code: 200 },
  });

  const before = (await listed()).map(({ id }) => id);
  const replay = () => run(['deadletter', 'replay', '--all', '--policy', workspace.path('policy.yaml')]);
  expect((await replay()).out).toBe(`${PER_STREAM} dead letters will be sent again\n`);
  await eventually(async () => expect((await listed()).map(({ id }) => id)).toEqual(before));

  fault('none');
  expect((await replay()).code).toBe(0);
  const written = (): { id: string; path: string }[] =>
    readFileSync(workspace.path('out'), 'utf8')
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one) as { id: string; path: string });
  await eventually(() => expect(written()).toHaveLength(PER_STREAM));
  expect(written().map(({ id }) => id)).toEqual(before);
  expect(await listed()).toEqual([]);
}, 120_000);

test('letters on disk are listed, shown, replayed and dropped over the admin port of the server that writes them', async () => {
  fault('reject');
  const at = (...args: string[]) => run(['deadletter', ...args, '--to', server.admin]);
  const letters = async (): Promise<readonly Letter[]> => JSON.parse((await at('list', '--json')).out) as Letter[];
  const load = sendStreams(server.grpc, new Streams(), 1, PER_STREAM);
  await load.stop();
  await eventually(async () => expect(await letters()).toHaveLength(PER_STREAM));
  expect(await letters()).toEqual(await listed());
  const [first] = await letters();
  expect(JSON.parse((await at('show', first?.id ?? '')).out)).toMatchObject({
    handler: 'out',
    rule: 'all',
    values: { path: expect.stringMatching(/^\/\d+$/), code: 200 },
  });
  expect((await at('drop', first?.id ?? '')).out).toBe('1 dead letter dropped\n');
  expect(await letters()).toHaveLength(PER_STREAM - 1);
  expect((await at('drop', first?.id ?? '')).err).toContain('no dead letter has the id');
  fault('none');
  const before = linesOf(workspace.path('out'));
  expect((await at('replay', '--all', '--handler', 'out')).out).toBe(
    `${PER_STREAM - 1} dead letters will be sent again\n`,
  );
  await eventually(() => expect(linesOf(workspace.path('out'))).toBe(before + PER_STREAM - 1));
  expect((await at('list')).out).toBe('no dead letters\n');
}, 120_000);

test('10 000 lists and 10 000 settlings at once are answered, in bounded memory, while calls are', async () => {
  fault('reject');
  const load = sendStreams(server.grpc, new Streams(), 1, PER_STREAM);
  await load.stop();
  await eventually(async () => expect(await listed()).toHaveLength(PER_STREAM));
  const ids = (await listed()).map(({ id }) => id);
  const ask = manyConnections();
  const beforeMiB = residentMiB();
  const client = peerClient(server.grpc);
  onTestFinished(() => client.close());
  const lists = Promise.all(
    Array.from({ length: 10_000 }, async () => {
      const { status, json } = await ask('/deadletters');
      const { letters, more } = json as { letters: readonly Letter[]; more: number };
      return status === 200 && more === 0 && letters.length === ids.length && letters.at(-1)?.id === ids.at(-1);
    }),
  );
  for (let call = 0; call < 20; call++) await client.check({ path: '/' }, 10_000);
  expect((await lists).filter(Boolean)).toHaveLength(10_000);

  // Each drops one of the letters; who comes later finds it gone.
  const settled = await Promise.all(
    Array.from({ length: 10_000 }, async (__, at) => {
      const { json } = await ask('/deadletters/drop', { ids: [ids[at % ids.length]] });
      return (json as { settled: readonly string[] }).settled.length;
    }),
  );
  expect(settled.reduce((sum, one) => sum + one, 0)).toBe(ids.length);
  expect(await listed()).toEqual([]);
  expect(residentMiB() - beforeMiB).toBeLessThan(200);
}, 180_000);

/** Asks the admin port over 2000 connections. */
function manyConnections(): (path: string, body?: object) => Promise<{ status: number; json: unknown }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 2000 });
  onTestFinished(() => agent.destroy());
  return (path, body) =>
    new Promise((resolve, reject) => {
      const sent = request(`http://${server.admin}${path}`, {
        agent,
        method: body === undefined ? 'GET' : 'POST',
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
      });
      sent.on('error', reject).on('response', (response) => {
        text(response).then((said) => resolve({ status: response.statusCode ?? 0, json: JSON.parse(said) }), reject);
      });
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
}

const residentMiB = (): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1] ?? Infinity) / 1024;

test('of 10 000 replays at once each letter is sent once, in bounded memory, while calls are answered', async () => {
  fault('reject');
  await sendStreams(server.grpc, new Streams(), 1, PER_STREAM).stop();
  await eventually(async () => expect(await listed()).toHaveLength(PER_STREAM));
  const ids = (await listed()).map(({ id }) => id);
  fault('none');
  const written = (): string[] =>
    existsSync(workspace.path('out'))
      ? readFileSync(workspace.path('out'), 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => (JSON.parse(line) as { id: string }).id)
          .filter((id) => ids.includes(id))
      : [];
  const ask = manyConnections();
  const beforeMiB = residentMiB();
  const client = peerClient(server.grpc);
  onTestFinished(() => client.close());
  // Who comes later finds its letter gone; some want all.
  const replays = Promise.all(
    Array.from({ length: 10_000 }, async (_, at) => {
      const body = at % 1000 === 999 ? { all: true } : { ids: [ids[at % ids.length]] };
      const { status, json } = await ask('/deadletters/replay', body);
      return { status, ...(json as { settled: readonly string[]; failed: readonly unknown[] }) };
    }),
  );
  for (let call = 0; call < 20; call++) await client.check({ path: '/' }, 10_000);
  const answers = await replays;
  expect(answers.filter(({ status, failed }) => status !== 200 || failed.length > 0)).toEqual([]);
  expect(answers.flatMap(({ settled }) => settled).toSorted()).toEqual(ids.toSorted());
  await eventually(() => expect(written().length).toBeGreaterThanOrEqual(ids.length));
  expect(written().toSorted()).toEqual(ids.toSorted());
  expect(await listed()).toEqual([]);
  expect(readdirSync(workspace.path('a spool/out/1/replay'))).toEqual([]);
  expect(residentMiB() - beforeMiB).toBeLessThan(200);
}, 180_000);

const linesOf = (file: string): number => readFileSync(file, 'utf8').trim().split('\n').length;

test('letters in memory are listed, shown, replayed and dropped over the admin port of a server of two workers', async () => {
  const own = makeWorkspace();
  onTestFinished(() => own.remove());
  own.write(
    'policy.yaml',
    POLICY.replace('OUT', own.path('out')).replace('FAULT', own.path('fault')).replace(', spool: disk', ''),
  );
  writeFileSync(own.path('fault'), 'reject' satisfies SinkFault);
  const memory = await serving([own.path('policy.yaml')], { args: ['--workers', '2'] });
  onTestFinished(async () => void (await memory.stop()));
  const at = ['--to', memory.admin];
  const inMemory = async (): Promise<Letter[]> =>
    JSON.parse((await run(['deadletter', 'list', '--json', ...at])).out) as Letter[];
  const total = 4 * PER_STREAM;
  const streams = new Streams();
  await Promise.all(Array.from({ length: 4 }, () => sendStreams(memory.grpc, streams, 1, PER_STREAM).stop()));
  await eventually(async () => expect(await inMemory()).toHaveLength(total));
  const { handlers } = (await (await fetch(`http://${memory.admin}/handlers`)).json()) as { handlers: unknown[] };
  expect(handlers).toMatchObject([{ name: 'out', deadLetters: { kept: total, dropped: 0 } }]);
  expect(await (await fetch(`http://${memory.admin}/metrics`)).text()).toContain(
    `sluice_handler_dead_letters{handler="out"} ${total}`,
  );

  const [first, second] = await inMemory();
  const id = memory.err().match(/"show":"sluice deadletter show ([^"]*)"/)?.[1] ?? '';
  const shown = await run(['deadletter', 'show', id, ...at]);
  expect(JSON.parse(shown.out)).toMatchObject({ handler: 'out', id, rule: 'all', values: { code: 200 } });
  expect((await run(['deadletter', 'drop', first?.id ?? '', second?.id ?? '', ...at])).out).toBe(
    '2 dead letters dropped\n',
  );
  expect((await run(['deadletter', 'drop', first?.id ?? '', ...at])).err).toContain('no dead letter has the id');
  writeFileSync(own.path('fault'), 'none' satisfies SinkFault);
  expect((await run(['deadletter', 'replay', '--all', ...at])).out).toBe(
    `${total - 2} dead letters will be sent again\n`,
  );
  await eventually(() => expect(readFileSync(own.path('out'), 'utf8').trim().split('\n')).toHaveLength(total - 2));
  expect(await inMemory()).toEqual([]);

  const elsewhere = await fetch(`http://${memory.admin}/deadletters/drop`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: 'http://evil.example' },
    body: '{"all":true}',
  });
  expect(elsewhere.status).toBe(403);
  const wrong = await fetch(`http://${memory.admin}/deadletters/drop`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"ids":[]}',
  });
  expect([wrong.status, await wrong.json()]).toEqual([400, { error: 'expected {"ids": [...]}, or {"all": true}' }]);
}, 180_000);

test('a server of two workers that cannot read its letters says so, and not that there are none', async () => {
  const own = makeWorkspace();
  onTestFinished(() => own.remove());
  own.write('policy.yaml', POLICY.replace('OUT', own.path('out')).replace('FAULT', own.path('fault')));
  writeFileSync(own.path('fault'), 'reject' satisfies SinkFault);
  const onDisk = await serving([own.path('policy.yaml')], { args: ['--workers', '2'] });
  onTestFinished(async () => void (await onDisk.stop()));
  const list = ['deadletter', 'list', '--json', '--to', onDisk.admin];
  const total = 2 * PER_STREAM;
  const streams = new Streams();
  await Promise.all(Array.from({ length: 2 }, () => sendStreams(onDisk.grpc, streams, 1, PER_STREAM).stop()));
  await eventually(async () => expect(JSON.parse((await run(list)).out)).toHaveLength(total));
  for (const folder of readdirSync(own.path('a spool/out')).filter((name) => name.startsWith('dead-letters')))
    mkdirSync(own.path(`a spool/out/${folder}/done`));
  const { code, out, err } = await run(list);
  expect([code, out]).toEqual([3, '']);
  expect(err).toContain('the log has the reason');
  expect(onDisk.err()).toContain('EISDIR');
}, 180_000);

test('while the worker that has the disk is restarted, lists and settlings say that they are incomplete', async () => {
  const own = makeWorkspace();
  onTestFinished(() => own.remove());
  own.write('policy.yaml', POLICY.replace('OUT', own.path('out')).replace('FAULT', own.path('fault')));
  const becomes = (now: SinkFault): void => writeFileSync(own.path('fault'), now);
  becomes('reject');
  const two = await serving([own.path('policy.yaml')], { args: ['--workers', '2'] });
  onTestFinished(async () => void (await two.stop()));
  const at = (...args: string[]) => run(['deadletter', ...args, '--to', two.admin]);
  const page = async () =>
    (await (await fetch(`http://${two.admin}/deadletters`)).json()) as {
      letters: readonly Letter[];
      incomplete: string;
    };
  await sendStreams(two.grpc, new Streams(), 1, PER_STREAM).stop();
  await eventually(async () => expect((await page()).letters).toHaveLength(PER_STREAM));
  const [first] = JSON.parse((await at('list', '--json')).out) as Letter[];

  const endOf = async (): Promise<number> => {
    const after = two.err().length;
    becomes('gone');
    await sendStreams(two.grpc, new Streams(), 1, PER_STREAM).stop();
    await two.said(/ended unexpectedly and is restarted/, after);
    return Number(/"worker":(\d)[^\n]*ended unexpectedly/.exec(two.err().slice(after))?.[1]);
  };
  // The kernel chooses the worker of a connection.
  for (let tries = 0; (await endOf()) !== 1; tries++) {
    expect(tries).toBeLessThan(30);
    becomes('none');
    await eventually(async () =>
      expect(await (await fetch(`http://${two.admin}/metrics`)).text()).toMatch(/^sluice_workers 2$/m),
    );
  }

  const incomplete = /incomplete: worker 1, which has the dead letters on disk, is being restarted/;
  const list = await at('list');
  expect([list.code, list.out]).toEqual([3, '']);
  expect(list.err).toMatch(incomplete);
  const { letters: none, incomplete: why } = await page();
  expect([none, `incomplete: ${why}`]).toEqual([[], expect.stringMatching(incomplete)]);
  const shown = await at('show', first?.id ?? '');
  expect([shown.code, shown.err]).toEqual([3, expect.stringContaining('worker 1, which has the dead letters')]);
  expect(shown.err).not.toContain('no dead letter has the id');
  const dropped = await at('drop', '--all');
  expect([dropped.code, dropped.out]).toEqual([3, '0 dead letters dropped\n']);
  expect(dropped.err).toContain('others may not have been dropped: worker 1');

  becomes('none');
  await eventually(async () => expect((await page()).letters.map(({ id }) => id)).toContain(first?.id));
  expect((await at('list')).code).toBe(0);
}, 180_000);
