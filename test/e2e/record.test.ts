/** Real calls of a real server, recorded by the real command, and decided again. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Authorization, CheckRequestSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { RateLimitRequestSchema, RateLimitService } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { checkRequest } from '../../src/cli/call/check-request.ts';
import { limitRequest } from '../../src/cli/call/limit-request.ts';
import { dialGrpc, type GrpcClient } from '../../src/transport/index.ts';
import { freePort } from '../parts/free-port.ts';
import { tempFolder } from '../unit/traffic/recording.ts';
import { type Program, program, run } from './command.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const POLICY = `
handlers:
  limits: { adapter: quota-memory, config: {} }
  offices: { adapter: check-list, config: { values: [10.0.0.0/8], kind: cidr } }
  tokens: { adapter: check-list, config: { values: [Bearer let-me-in-please] } }
  gone: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } }
rules:
  - { name: no-admin, match: request.url_path.startsWith("/admin"), deny: { status: 404 } }
  - name: only-offices
    match: request.url_path.startsWith("/office")
    check: { handler: offices, input: { value: string(source.ip) } }
  - name: only-with-token
    match: request.url_path.startsWith("/token")
    check: { handler: tokens, input: { value: 'request.headers["authorization"]' } }
  - { name: no-postgres, match: destination.port == 5432, calls: [tcp], deny: {} }
  - { name: only-ann, match: authzen.subject.id != "ann", calls: [authzen], deny: {} }
  - name: two-a-minute
    calls: [limit]
    quota: { handler: limits, limit: 2, per: 1m, key: ['ratelimit.descriptor["user"]'] }
  - name: three-pages
    match: request.url_path == "/limited"
    quota: { handler: limits, limit: 3, per: 1d, key: [request.host] }
`;

const CHECK = `/${Authorization.typeName}/Check`;
const checkBytes = (request: Readonly<Record<string, unknown>>): Uint8Array =>
  toBinary(CheckRequestSchema, create(CheckRequestSchema, checkRequest(request)));

const recording = async (...args: readonly string[]): Promise<Program> => {
  const started = await program(['record', ...args], /recording the calls of/);
  onTestFinished(async () => {
    await started.stop();
  });
  return started;
};

const linesOf = async (path: string): Promise<readonly string[]> =>
  (await readFile(path, 'utf8')).split('\n').filter((line) => line.includes('"call":'));

describe('a running server', () => {
  let sluice: ServedSluice;
  let client: GrpcClient;
  let admin: string;
  beforeAll(async () => {
    sluice = await serveSluice(POLICY, {
      args: ['--http', '127.0.0.1:0', '--http-route', '/access/v1=authzen'],
    });
    client = dialGrpc(`127.0.0.1:${sluice.grpcPort}`);
    admin = `127.0.0.1:${sluice.adminPort}`;
  });
  afterAll(async () => {
    client.close();
    await sluice.stop();
  });

  const check = async (request: Readonly<Record<string, unknown>>): Promise<unknown> =>
    client.unary(CHECK, checkBytes(request), { timeoutMs: 10_000 });
  const limit = async (...users: readonly string[]): Promise<unknown> =>
    client.unary(
      `/${RateLimitService.typeName}/ShouldRateLimit`,
      toBinary(RateLimitRequestSchema, limitRequest({ domain: 'd', descriptors: users.map((user) => [{ user }]) })),
      { timeoutMs: 10_000 },
    );
  const evaluate = async (id: string): Promise<unknown> =>
    fetch(`http://127.0.0.1:${sluice.httpPort}/access/v1/evaluation`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        subject: { type: 'user', id },
        action: { name: 'read' },
        resource: { type: 'doc', id: '1' },
      }),
    });

  test('has its calls of each kind recorded; the same policy decides them alike, and a changed one is found out', async () => {
    const folder = await tempFolder();
    const calls = join(folder, 'calls.ndjson');
    const recorder = await recording('--to', calls, '--admin', admin);
    const authorization = 'Bearer let-me-in-please';
    for (const path of [
      '/',
      '/admin/a',
      '/office',
      '/office?token=abcdefgh',
      ...Array.from({ length: 5 }, () => '/limited'),
    ])
      await check({ 'request.path': path, 'source.ip': '10.0.0.7', 'request.headers': { cookie: 'session=zyxwvut' } });
    await check({ 'request.path': '/office', 'source.ip': '192.0.2.1' });
    await check({ 'request.path': '/token', 'request.headers': { authorization } });
    await check({ 'request.path': '/token', 'request.headers': { authorization: 'Bearer nobody-knows' } });
    for (const port of [5432, 443]) await check({ call: 'tcp', 'destination.port': port });
    for (const users of [['ann'], ['ann', 'bob'], ['bob', 'ann'], ['ann']]) await limit(...users);
    for (const id of ['ann', 'bob']) await evaluate(id);
    await until('20 calls', async () => ((await linesOf(calls)).length >= 20 ? true : undefined));
    recorder.signal('SIGINT');
    expect(await recorder.ended).toBe(0);
    expect(recorder.err()).toMatch(/20 calls in .*calls\.ndjson, 0\.0 MiB in 1 file/);

    const text = await readFile(calls, 'utf8');
    expect(text.endsWith('}\n')).toBe(true);
    expect(text).not.toMatch(/let-me-in|nobody-knows|abcdefgh|zyxwvut/);

    const kinds = Map.groupBy(await linesOf(calls), (line) => (JSON.parse(line) as { call: string }).call);
    expect(Object.fromEntries([...kinds].map(([kind, lines]) => [kind, lines.length]))).toEqual({
      http: 12,
      tcp: 2,
      limit: 4,
      authzen: 2,
    });

    const same = await run(['diff', '--recorded', sluice.policyFile, calls]);
    expect(same.out).toBe('nothing changes for 20 calls\n');
    expect(same.code).toBe(0);
    expect(same.err).not.toContain('no recorded answer');

    const changed = join(folder, 'changed.yaml');
    await writeFile(
      changed,
      POLICY.replace('startsWith("/admin")', 'startsWith("/administration")').replace('limit: 3', 'limit: 4'),
    );
    const other = await run(['diff', sluice.policyFile, changed, calls, '--json']);
    expect(other.code).toBe(1);
    expect(JSON.parse(other.out)).toMatchObject({
      compared: 20,
      differing: 3,
      groups: expect.arrayContaining([
        expect.objectContaining({
          text: 'deny by no-admin -> allow',
          calls: 1,
          samples: [
            expect.objectContaining({
              rules: [
                {
                  policy: 'old',
                  rule: 'no-admin',
                  text: 'applies: request.url_path.startsWith("/admin")',
                  reason: 'its match applies',
                },
                {
                  policy: 'new',
                  rule: 'no-admin',
                  text: 'does not apply: request.url_path.startsWith("/administration")',
                },
              ],
              values: { 'request.url_path': '/admin/a' },
            }),
          ],
        }),
        expect.objectContaining({ text: 'deny by three-pages -> allow', calls: 1 }),
      ]),
      notRead: 0,
    });

    const replayed = await run(['replay', sluice.policyFile, calls, '--summary']);
    expect(replayed.out.split('\n').map((line) => line.trim().replaceAll(/ +/g, ' '))).toEqual(
      expect.arrayContaining(['20 calls', '2 10.0% deny by three-pages', '1 5.0% deny by only-offices']),
    );
  }, 120_000);

  test('answers a burst of 10 000 calls while they are recorded, and each is in the file or counted', async () => {
    const calls = join(await tempFolder(), 'calls.ndjson');
    const recorder = await recording('--to', calls, '--admin', admin);
    const bytes = checkBytes({ 'request.path': '/burst' });
    const BURST = 10_000;
    const answers = await Promise.all(
      Array.from({ length: BURST }, async () => client.unary(CHECK, bytes, { timeoutMs: 60_000 })),
    );
    expect(answers).toHaveLength(BURST);
    const total = async (): Promise<number> =>
      (await readFile(calls, 'utf8')).split('\n').reduce((sum, line) => {
        if (line.includes('"call":')) return sum + 1;
        return line === '' ? sum : sum + ((JSON.parse(line) as { skipped?: number }).skipped ?? 0);
      }, 0);
    await until('all calls', async () => ((await total()) >= BURST ? true : undefined));
    recorder.signal('SIGTERM');
    expect(await recorder.ended).toBe(0);
    expect(await total()).toBe(BURST);
    expect((await linesOf(calls)).length).toBeGreaterThanOrEqual(1000);
  }, 120_000);

  test('is not held up by a recorder that stops reading', async () => {
    const calls = join(await tempFolder(), 'calls.ndjson');
    const recorder = await recording('--to', calls, '--admin', admin);
    recorder.signal('SIGSTOP');
    const bytes = checkBytes({ 'request.path': `/${'x'.repeat(20_000)}` });
    for (let round = 0; round < 4; round++)
      await Promise.all(Array.from({ length: 250 }, async () => client.unary(CHECK, bytes, { timeoutMs: 20_000 })));
    recorder.signal('SIGCONT');
    recorder.signal('SIGTERM');
    expect(await recorder.ended).toBe(0);
    expect((await readFile(calls, 'utf8')).endsWith('}\n')).toBe(true);
  }, 120_000);

  test('is recorded for as long as is wanted, in files of the wanted size', async () => {
    const folder = await tempFolder();
    const calls = join(folder, 'calls.ndjson.gz');
    const recorder = await recording(
      '--to',
      calls,
      '--admin',
      admin,
      '--for',
      '2s',
      '--max-bytes',
      '1KiB',
      '--keep',
      '1',
    );
    const asking = setInterval(() => void check({ 'request.path': '/' }).catch(() => undefined), 20);
    expect(await recorder.ended).toBe(0);
    clearInterval(asking);
    const replayed = await run(['replay', sluice.policyFile, folder, '--summary']);
    expect(replayed.err).not.toContain('TRAFFIC');
    expect(replayed.out).toMatch(/^\d+ calls\n/);
  }, 60_000);

  test.each([
    ['/dev/full', /CLI_CALLS_FILE \/dev\/full cannot be written: ENOSPC/],
    ['/does/not/exist/calls.ndjson', /CLI_CALLS_FILE .* cannot be written: ENOENT/],
    [import.meta.filename, /CLI_CALLS_FILE .* cannot be written: it exists, and is not a file of calls/],
  ])('is not recorded in %s', async (path, why) => {
    const { code, err } = await run(['record', '--to', path, '--admin', admin]);
    expect(err).toMatch(why);
    expect(code).toBe(3);
  });
});

test('a server that restarts is recorded further, and its absence is said once', async () => {
  const [grpcPort, adminPort] = [await freePort(), await freePort()];
  const start = async (): Promise<ServedSluice> =>
    serveSluice(POLICY, { grpcPort, args: ['--admin', `127.0.0.1:${adminPort}`] });
  const ask = async (path: string): Promise<void> => {
    const client = dialGrpc(`127.0.0.1:${grpcPort}`);
    await client.unary(CHECK, checkBytes({ 'request.path': path }), { timeoutMs: 10_000 });
    client.close();
  };
  const calls = join(await tempFolder(), 'calls.ndjson');
  const first = await start();
  const recorder = await recording('--to', calls, '--admin', `127.0.0.1:${adminPort}`);
  await ask('/before');
  await until('the call before', async () => ((await linesOf(calls)).length > 0 ? true : undefined));
  await first.stop();
  await recorder.said(/is away: /);
  const second = await start();
  await recorder.said(/is back after \d+\.\d s; its calls of that time are missing/);
  await ask('/after');
  await until('the call after', async () => ((await linesOf(calls)).length > 1 ? true : undefined));
  await second.stop('SIGKILL');
  await until('its absence to be said again', () =>
    [...recorder.err().matchAll(/is away/g)].length === 2 ? true : undefined,
  );
  recorder.signal('SIGTERM');
  expect(await recorder.ended).toBe(0);
  expect((await linesOf(calls)).map((line) => /"request\.path":"(\/\w+)"/.exec(line)?.[1])).toEqual([
    '/before',
    '/after',
  ]);
  expect((await stat(calls)).mode & 0o777).toBe(0o600);
}, 120_000);

test('a server that is not there, or answers something else, is an error', async () => {
  const port = await freePort();
  const calls = join(await tempFolder(), 'calls.ndjson');
  const { code, err } = await run(['record', '--to', calls, '--admin', `127.0.0.1:${port}`]);
  expect(err).toMatch(/CLI_UNREACHABLE calls of http:\/\/127\.0\.0\.1:\d+ cannot be recorded: .*ECONNREFUSED/);
  expect(code).toBe(3);
  expect((await run(['record', '--to', calls, '--share', '0%'])).code).toBe(2);
});
