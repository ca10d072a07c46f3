/** A server whose stderr is not read, closed, or not writable answers calls and stops on SIGTERM. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';
import { freePort } from '../parts/free-port.ts';
import { run } from './command.ts';
import { peerClient } from './peer-client.ts';
import { until } from './sluice.ts';

const POLICY = 'rules: [{ name: closed, match: \'request.path == "/closed"\', deny: {} }]\n';
/** As many findings as are shown, 20 KB and more together. */
const ERRORS = 50;
const UNKNOWN = 'x'.repeat(400);
/** Loads whose findings exceed a pipe, which holds 64 KiB. */
const LOADS_OF_PIPE = 4;
/** Loads whose findings exceed a pipe and the buffer of 1 MiB. */
const LOADS_OF_BUFFER = 60;
/** The log writes a line 20 times in ten seconds, so names change with each 20th load. */
const wrong = (load: number): string =>
  `rules:\n${Array.from({ length: ERRORS }, (_, nth) => `  - { name: r${nth}, match: request.n${Math.floor(load / 20)}${UNKNOWN} == "${load}", deny: {} }\n`).join('')}`;

let folder: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
});
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = undefined;
  rmSync(folder, { recursive: true, force: true });
});

interface Unread {
  readonly grpc: string;
  readonly admin: string;
  readonly own: ChildProcess;
}

/** `stderr`: an unread pipe, or a descriptor. */
async function serve(args: readonly string[], stderr: 'pipe' | number = 'pipe'): Promise<Unread> {
  const [grpcPort, adminPort] = [await freePort(), await freePort()];
  const own = (child = spawn(
    process.execPath,
    [
      COMMAND,
      'serve',
      folder,
      '--grpc',
      `127.0.0.1:${grpcPort}`,
      '--admin',
      `127.0.0.1:${adminPort}`,
      '--grace',
      '1',
      ...args,
    ],
    { stdio: ['ignore', 'ignore', stderr] },
  ));
  const admin = `http://127.0.0.1:${adminPort}`;
  const server = { grpc: `127.0.0.1:${grpcPort}`, admin, own };
  await until('it serves', async () => ((await answers(server)) === 7 ? true : undefined), 30_000);
  return server;
}

const refusedLoads = async (admin: string): Promise<number> =>
  Number(
    /^sluice_policy_reloads_total\{result="refused"\} (\d+)/m.exec(
      await (await fetch(`${admin}/metrics`)).text(),
    )?.[1] ?? 0,
  );

/** Fills stderr with the errors of policies. */
async function fill({ admin, own }: Unread, loads = LOADS_OF_PIPE): Promise<void> {
  for (let load = 0; load < loads; load++) {
    const before = await refusedLoads(admin);
    writeFileSync(join(folder, 'policy.yaml'), wrong(load));
    own.kill('SIGHUP');
    await until('the policy is refused', async () => (await refusedLoads(admin)) > before, 60_000);
  }
}

/** The code of a call that the policy denies; `undefined` without an answer in time. */
async function answers({ grpc }: Pick<Unread, 'grpc'>): Promise<number | undefined> {
  const client = peerClient(grpc);
  try {
    return (await client.check({ path: '/closed' })).status?.code;
  } catch {
    return undefined;
  } finally {
    client.close();
  }
}

async function stopped(own: ChildProcess): Promise<number | null> {
  const ended = once(own, 'exit');
  own.kill('SIGTERM');
  return ((await ended) as [number | null])[0];
}

describe.each([['text'], ['json']])('in %s', (format) => {
  test.each([
    ['one server', []],
    ['workers', ['--workers', '2']],
  ])(
    '%s: an unread pipe delays nothing; the number of dropped lines is logged when it is read again',
    async (_, more) => {
      const server = await serve(['--log-format', format, ...more]);
      await fill(server, LOADS_OF_BUFFER);
      expect(await until('it answers', async () => answers(server))).toBe(7);
      let said = '';
      server.own.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk;
      });
      await until('it says what was dropped', () => (said.includes('log lines were dropped') ? true : undefined));
      const dropped = Number(/"?dropped"?[:=](\d+)/.exec(said)?.[1]);
      const written = said.match(/EXPRESSION_UNKNOWN_ATTRIBUTE/g)?.length ?? 0;
      expect(dropped).toBeGreaterThan(0);
      expect(format === 'json' ? said.split('\n').every((line) => line === '' || line.startsWith('{')) : true).toBe(
        true,
      );
      expect(written + dropped).toBeGreaterThanOrEqual(ERRORS * LOADS_OF_BUFFER);
      expect(await stopped(server.own)).toBe(0);
    },
    120_000,
  );
});

test('with an unread pipe it stops on SIGTERM', async () => {
  const server = await serve([]);
  await fill(server);
  expect(await stopped(server.own)).toBe(0);
}, 90_000);

test('a second signal ends it at once, also with an unread pipe', async () => {
  const server = await serve(['--grace', '60']);
  await fill(server);
  const ended = once(server.own, 'exit');
  const client = peerClient(server.grpc);
  await client.check({ path: '/' });
  server.own.kill('SIGTERM');
  await until('it drains', async () =>
    (await fetch(`${server.admin}/readyz`).catch(() => undefined))?.ok === true ? undefined : true,
  );
  server.own.kill('SIGTERM');
  expect([0, 143]).toContain(((await ended) as [number | null])[0]);
  client.close();
}, 90_000);

test('a closed pipe ends nothing', async () => {
  const server = await serve([]);
  server.own.stderr?.destroy();
  await fill(server);
  expect(await until('it answers', async () => answers(server))).toBe(7);
  expect(await stopped(server.own)).toBe(0);
}, 90_000);

test('a log on a full disk does not end it', async () => {
  const full = openSync('/dev/full', 'w');
  const server = await serve([], full);
  closeSync(full);
  await fill(server);
  expect(await until('it answers', async () => answers(server))).toBe(7);
  expect(await stopped(server.own)).toBe(0);
}, 90_000);

test.each([[[]], [['--workers', '2']]])(
  'sluice ratelimit %j answers while its log is not read',
  async (more) => {
    const config = join(folder, 'ratelimit', 'config');
    mkdirSync(config, { recursive: true });
    writeFileSync(
      join(config, 'a.yaml'),
      'domain: d\ndescriptors: [{ key: k, rate_limit: { unit: hour, requests_per_unit: 1 } }]\n',
    );
    const [grpc, http, debug] = [await freePort(), await freePort(), await freePort()];
    const own = (child = spawn(process.execPath, [COMMAND, 'ratelimit', ...more], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        RUNTIME_ROOT: folder,
        RUNTIME_SUBDIRECTORY: 'ratelimit',
        BACKEND_TYPE: 'memory',
        HOST: '127.0.0.1',
        GRPC_HOST: '127.0.0.1',
        DEBUG_HOST: '127.0.0.1',
        GRPC_PORT: String(grpc),
        PORT: String(http),
        DEBUG_PORT: String(debug),
        USE_STATSD: 'false',
        LOG_LEVEL: 'warn',
      },
    }));
    const health = async (): Promise<true | undefined> =>
      (await fetch(`http://127.0.0.1:${http}/healthcheck`).catch(() => undefined))?.ok === true ? true : undefined;
    await until('it serves', health, 30_000);
    for (let nth = 0; nth < 3000; nth++)
      writeFileSync(
        join(config, `wrong-${nth}.yaml`),
        `domain: d${nth}\ndescriptors: [{ key: k, rate_limit: { unit: century-${'x'.repeat(400)}, requests_per_unit: 1 } }]\n`,
      );
    await new Promise((resolve) => {
      setTimeout(resolve, 3000);
    }); // files are polled every half second
    const client = peerClient(`127.0.0.1:${grpc}`);
    expect((await client.limit('d', { k: 'v' })).overall_code).toBe('OK');
    client.close();
    expect(await stopped(own)).toBe(0);
  },
  60_000,
);

test('a reader that closes stdout is no fault', async () => {
  const own = spawn('bash', ['-c', `"${process.execPath}" "${COMMAND}" plugins | head -1; exit \${PIPESTATUS[0]}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let err = '';
  own.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(own, 'close')) as [number];
  expect([code, err]).toEqual([0, '']);
});

test('with the JSON log, failures to start and findings of the policy are lines of JSON', async () => {
  writeFileSync(join(folder, 'policy.yaml'), 'rules: [{ name: a, match: request.pth == "/", deny: {} }]\n');
  const { code, err } = await run([
    'serve',
    folder,
    '--grpc',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--log-format',
    'json',
  ]);
  expect(code).not.toBe(0);
  const lines = err
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toEqual([
    expect.objectContaining({
      level: 'error',
      code: 'EXPRESSION_UNKNOWN_ATTRIBUTE',
      file: join(folder, 'policy.yaml'),
      line: 1,
      column: 27,
    }),
    expect.objectContaining({ level: 'error', code: 'CLI_POLICY' }),
  ]);
});
