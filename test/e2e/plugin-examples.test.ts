/** The example plugins in other languages, behind the real host. Python is needed; Go where it is there. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Capability, HandleRequestSchema, HandleResponseSchema, Plugin } from '../../gen/sluice/plugin/v1/plugin_pb.ts';
import { connectStreams } from '../../src/transport/streams-client.ts';
import { framed } from '../../src/transport/framed.ts';
import { COMMAND } from '../parts/command-path.ts';
import { type Command, goPlugin, pythonPlugin } from '../parts/plugin-examples.ts';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { run, serving, type Serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const EXAMPLES = join(ROOT, 'examples');
const python = await pythonPlugin();
const go = await goPlugin();

let workspace: Workspace;
const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
  workspace.remove();
});

interface Running {
  readonly child: ChildProcess;
  stop(): Promise<number | null>;
}

async function start({ program, args }: Command): Promise<Running> {
  const child = spawn(program, [...args, '--listen', `unix:${workspace.path('revoked.sock')}`], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    return exited;
  };
  ended.push(stop);
  for await (const line of createInterface({ input: child.stderr })) if (line.startsWith('serving plugins')) break;
  child.stderr.resume();
  return { child, stop };
}

async function host(): Promise<{ readonly served: Serving; readonly ask: (user: string) => Promise<string> }> {
  const served = await serving(['policy.yaml'], { cwd: workspace.folder });
  ended.push(async () => served.stop());
  const client = peerClient(served.grpc);
  const ask = async (user: string): Promise<string> => {
    const { denied_response: denied } = await client.check({ path: `/of/${user}`, headers: { 'x-user': user } });
    return denied === undefined ? 'allowed' : `${denied.status.code}: ${denied.body}`;
  };
  return { served, ask };
}

const describePlugin = async (): Promise<void> => {
  const { out, err, code } = await run(['plugins', 'describe', '--dial', 'unix:revoked.sock'], {
    cwd: workspace.folder,
  });
  expect(err).toBe('');
  expect(code).toBe(0);
  workspace.write('plugin.json', out);
};
const handlers = async ({ admin }: Serving): Promise<string> => (await fetch(`http://${admin}/handlers`)).text();
const linesOf = (file: string): string[] => readFileSync(workspace.path(file), 'utf8').trim().split('\n');

describe.each([
  { language: 'Python', command: python },
  ...(go === undefined ? [] : [{ language: 'Go', command: go }]),
])('the example in $language', ({ language, command }) => {
  // With time to spare, since the machine of the tests is busy.
  const policy = readFileSync(join(EXAMPLES, `plugin-${language.toLowerCase()}`, 'policy.yaml'), 'utf8').replace(
    'adapter: check-revoked',
    'adapter: check-revoked\n    deadline: 4s',
  );

  test('refuses whom its list names, follows the list, reports, and is one handler each in /handlers', async () => {
    workspace = makeWorkspace({ 'policy.yaml': policy, 'revoked.txt': 'bob\n' });
    await start(command);
    await describePlugin();
    const { served, ask } = await host();
    expect([await ask('ann'), await ask('bob'), await ask('root')]).toEqual([
      'allowed',
      'Forbidden: bob is revoked; ask security@example.com',
      'allowed',
    ]);
    workspace.write('revoked.txt', 'ann\nroot\n');
    await expect.poll(async () => ask('ann'), { timeout: 10_000 }).toMatch(/ann is revoked/);
    expect([await ask('bob'), await ask('root')]).toEqual(['allowed', 'allowed']); // root is ignored by the rule
    await served.said(/"users":2,.*"msg":"the list is read"/);
    expect(await handlers(served)).toMatch(/unix:.*revoked\.sock/);
    expect(await (await fetch(`http://${served.admin}/metrics`)).text()).toMatch(
      /sluice_plugin_revoked_reloads_total\{handler="revoked"\} 2/,
    );
    await expect.poll(() => linesOf('log.jsonl').length, { timeout: 10_000 }).toBeGreaterThan(4);
    expect(JSON.parse(linesOf('log.jsonl')[0] ?? '')).toMatchObject({ rule: 'lines', path: '/of/ann', user: 'ann' });
    expect(served.err()).not.toMatch(/"level":(50|40|"error"|"warn")/);
  });

  test('many at once are each answered by their own', async () => {
    workspace = makeWorkspace({ 'policy.yaml': policy, 'revoked.txt': 'user-7\nuser-77\n' });
    await start(command);
    await describePlugin();
    const { ask } = await host();
    const answers = await Promise.all(Array.from({ length: 500 }, async (_, n) => ask(`user-${n}`)));
    expect(answers.flatMap((answer, n) => (answer === 'allowed' ? [] : [n]))).toEqual([7, 77]);
  });

  test('a list that is away is a failure, not a refusal; config and rules that it rejects have a place', async () => {
    workspace = makeWorkspace({ 'policy.yaml': policy });
    await start(command);
    await describePlugin();
    const { served, ask } = await host();
    expect(await ask('ann')).toMatch(/^ServiceUnavailable/);
    expect(await handlers(served)).toMatch(/revoked\.txt/);
    workspace.write('revoked.txt', 'bob\n');
    await expect.poll(async () => ask('ann'), { timeout: 10_000 }).toBe('allowed');
    workspace.write('wrong.yaml', policy.replace('file: revoked.txt,', 'flie: revoked.txt,'));
    const linted = await run(['lint', 'wrong.yaml'], { cwd: workspace.folder });
    expect(linted.out + linted.err).toMatch(
      /wrong\.yaml:8:\d+ RULES_CONFIG config of check-revoked, flie: unknown key; did you mean file/,
    );
    const before = served.err().length;
    workspace.write('policy.yaml', policy.replace('ignore: [root]', 'ignore: [""]'));
    await served.said(/ignore has an empty name/, before);
    expect(await ask('bob')).toMatch(/^Forbidden/); // the last good policy stays
  });

  test('killed and started again, it serves the same rules; SIGTERM ends it with 0', async () => {
    workspace = makeWorkspace({ 'policy.yaml': policy, 'revoked.txt': 'bob\n' });
    const first = await start(command);
    await describePlugin();
    const { served, ask } = await host();
    expect(await ask('bob')).toMatch(/bob is revoked/);
    first.child.kill('SIGKILL');
    await expect.poll(async () => ask('ann'), { timeout: 10_000 }).toMatch(/^ServiceUnavailable/);
    await served.said(/a handler ended; its calls fail until it is open again/);
    rmSync(workspace.path('revoked.sock'), { force: true });
    const second = await start(command);
    await expect.poll(async () => ask('bob'), { timeout: 20_000 }).toMatch(/bob is revoked/);
    expect(await second.stop()).toBe(0);
  });

  test('rules that come along with a config that it refuses are not prepared, and it goes on', async () => {
    workspace = makeWorkspace();
    const { child } = await start(command);
    const client = await connectStreams(
      { host: `unix:${workspace.path('revoked.sock')}`, port: 0 },
      { withinMs: 10_000 },
    );
    ended.push(async () => client.close());
    const messages = [
      { kind: { case: 'open', value: { handler: 'h', adapter: 'check-none', contract: 1 } } },
      { kind: { case: 'prepare', value: { slot: 1, capability: Capability.CHECK, rule: { rule: 'r' } } } },
    ];
    const said: string[] = [];
    const isOver = Promise.withResolvers<number>();
    const stream = client.open(`/${Plugin.typeName}/Handle`, 1_000_000, {
      message: (bytes) =>
        said.push(...fromBinary(HandleResponseSchema, bytes).messages.map(({ kind }) => `${kind.case}`)),
      over: ({ code }) => isOver.resolve(code),
    });
    stream.send(framed(toBinary(HandleRequestSchema, create(HandleRequestSchema, { messages } as never))));
    expect(await isOver.promise).toBe(0);
    expect(said[0]).toBe('openFailed');
    await describePlugin();
    expect(child.exitCode).toBeNull();
  });

  test('it is asked for its health and its services as any gRPC server', async () => {
    workspace = makeWorkspace();
    await start(command);
    const { code, out, err } = await run(['health', '--to', 'unix:revoked.sock'], { cwd: workspace.folder });
    expect([out + err, code]).toEqual([expect.any(String), 0]);
  });
});

test('the quota of the example in Python: a burst passes its limit and no more, for all hosts together', async () => {
  const limits = readFileSync(join(EXAMPLES, 'plugin-python/limits.yaml'), 'utf8')
    .replace('150ms', '4s')
    .replace('1h', '1d');
  workspace = makeWorkspace({ 'policy.yaml': limits });
  await start(python);
  await describePlugin();
  const { ask, served } = await host();
  const many = (user: string): Promise<string[]> => Promise.all(Array.from({ length: 200 }, async () => ask(user)));
  const passed = (answers: readonly string[]): number => answers.filter((answer) => answer === 'allowed').length;
  expect(passed(await many('ann'))).toBe(5);
  expect(await ask('bob')).toBe('allowed');
  await served.stop();
  const second = await host();
  expect(await second.ask('ann')).toMatch(/^TooManyRequests/);
  expect(await second.ask('bob')).toBe('allowed');
});

test('the lookup of the example in Python: types, what is unknown, a file that changes, and one that is away', async () => {
  const teams = readFileSync(join(EXAMPLES, 'plugin-python/teams.yaml'), 'utf8').replace('150ms', '4s');
  const since = teams.replace(
    '"for payments alone"',
    `'for payments alone\${has(my.user.since) ? " since " + string(my.user.since.getFullYear()) : ""}'`,
  );
  expect(since).not.toBe(teams);
  workspace = makeWorkspace({
    'policy.yaml': since,
    'teams.csv': 'ann,payments,2024-05-06\nbob,search,2023-01-02\n',
  });
  await start(python);
  await describePlugin();
  const { ask, served } = await host();
  expect([await ask('ann'), await ask('eve')]).toEqual(['allowed', 'Forbidden: for payments alone']);
  expect(await ask('bob')).toBe('Forbidden: for payments alone since 2023');
  workspace.write('teams.csv', 'eve,payments,\n');
  await expect.poll(async () => ask('eve'), { timeout: 10_000 }).toBe('allowed');
  await expect.poll(async () => ask('ann'), { timeout: 10_000 }).toMatch(/^Forbidden/);
  workspace.write('teams.csv', 'eve\n'); // the last good one stays
  await served.said(/the teams cannot be read; the last ones stay/);
  expect(await ask('eve')).toBe('allowed');
});

/** The server of grpcio sends connections away at their age, and breaks off what is left after the grace. */
const AGED = `
import grpc, runpy, sys
of_grpc = grpc.server
def server(*given, options=(), **more):
    aged = [("grpc.max_connection_age_ms", 700), ("grpc.max_connection_age_grace_ms", 100)]
    return of_grpc(*given, options=[*options, *aged], **more)
grpc.server = server
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
`;

test('a server with max_connection_age and a short grace: no call fails, and nothing is logged', async () => {
  const policy = readFileSync(join(EXAMPLES, 'plugin-python/policy.yaml'), 'utf8');
  workspace = makeWorkspace({
    'policy.yaml': policy.replace('adapter: check-revoked', 'adapter: check-revoked\n    deadline: 4s'),
    'revoked.txt': 'bob\n',
  });
  await start({ ...python, args: ['-c', AGED, ...python.args] });
  await describePlugin();
  const { served, ask } = await host();
  const opened = async (): Promise<number> => {
    const page = await (await fetch(`http://${served.admin}/metrics`)).text();
    return Number(/sluice_plugin_revoked_reloads_total\{handler="revoked"\} (\d+)/.exec(page)?.[1] ?? 0);
  };
  const answers = new Map<string, number>();
  let asked = 0;
  // Each opening of the handler reads the list once.
  while ((await opened()) < 5)
    for (const answer of await Promise.all(Array.from({ length: 20 }, async () => ask(`user-${asked++}`))))
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
  expect(answers).toEqual(new Map([['allowed', asked]]));
  await expect.poll(() => linesOf('log.jsonl').length, { timeout: 20_000 }).toBe(asked);
  expect(served.err()).not.toMatch(/"level":(50|40|"error"|"warn")/);
});

test("the README of the example in Python, followed in a folder of one's own beside an installed Sluice", async () => {
  workspace = makeWorkspace({
    'bin/sluice': `#!/bin/sh\nexec '${process.execPath}' '${COMMAND}' "$@"\n`,
  });
  chmodSync(workspace.path('bin/sluice'), 0o755);
  mkdirSync(workspace.path('node_modules'));
  symlinkSync(ROOT, workspace.path('node_modules/sluice'));
  const folder = workspace.path('mine/plugin');
  cpSync(join(EXAMPLES, 'plugin-python'), folder, { recursive: true });
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const commands = /```sh\n([\s\S]*?)```/.exec(readme)?.[1]?.trim().split('\n') ?? [];
  expect(commands.slice(0, 2)).toEqual([
    'python3 -m venv venv && . venv/bin/activate',
    'pip install -r requirements.txt',
  ]);
  expect(commands.at(-1)).toBe('sluice serve policy.yaml');
  // The packages are downloaded once for all tests, and the server gets ports of its own.
  const venv = dirname(dirname(python.program));
  const script = ['set -e', ...commands.slice(2, -1), 'echo "plugin: $!"'].join('\n');
  const shell = spawn('sh', ['-c', script], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${venv}/bin:${workspace.path('bin')}:${process.env['PATH']}` },
  });
  let said = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const [code] = (await once(shell, 'exit')) as [number];
  const plugin = /^plugin: (\d+)$/m.exec(said)?.[1];
  if (plugin !== undefined) ended.push(async () => process.kill(Number(plugin), 'SIGTERM'));
  expect(said).not.toContain('rror');
  expect(code).toBe(0);
  const served = await serving(['policy.yaml'], { cwd: folder });
  ended.push(async () => served.stop());
  const client = peerClient(served.grpc);
  const statusOf = async (user: string): Promise<string | undefined> =>
    (await client.check({ path: '/', headers: { 'x-user': user } })).denied_response?.status.code;
  await expect.poll(async () => statusOf('bob'), { timeout: 10_000 }).toBe('Forbidden');
  expect(await statusOf('ann')).toBeUndefined();
});

test("the example in Python passes its author's own tests", async () => {
  workspace = makeWorkspace();
  await promisify(execFile)(python.program, ['-m', 'unittest'], { cwd: python.folder });
});
