/** Invalid input gets one clear message and never stops what works. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, serving, type Serving } from './command.ts';
import { type PeerClient, peerClient } from './peer-client.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-bad-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function file(text: string): string {
  files += 1;
  const path = join(folder, `policy-${files}.yaml`);
  writeFileSync(path, text);
  return path;
}

const GOOD = 'rules:\n  - name: closed\n    match: request.path == "/closed"\n    deny: { status: 403 }\n';

describe('an invalid policy', () => {
  test.each([
    ['broken YAML', 'rules:\n  - name: [a\n', /:\d+:\d+ [A-Z]+_[A-Z_]+ /],
    [
      'an unknown key, with the nearest known one',
      'rules:\n  - name: a\n    mach: true\n    deny: {}\n',
      /:3:5 [A-Z_]+ .*mach.*match/,
    ],
    [
      'an unknown handler',
      'rules:\n  - name: a\n    check: { handler: nobody, input: { value: request.path } }\n',
      /:3:\d+ [A-Z_]+ .*nobody/,
    ],
    [
      'an unknown adapter',
      'handlers: { a: { adapter: quota-rediss, config: {} } }\nrules: [{ name: a, deny: {} }]\n',
      /:1:\d+ [A-Z_]+ .*quota-redis/,
    ],
    ['a wrong type', 'rules:\n  - name: a\n    match: request.method > 5\n    deny: {}\n', /:3:\d+ EXPRESSION_\w+ /],
    [
      'an unknown attribute',
      'rules:\n  - name: a\n    match: request.mehtod == "GET"\n    deny: {}\n',
      /:3:\d+ EXPRESSION_\w+ .*request\.method/,
    ],
    ['no rule at all', 'handlers: {}\n', /[A-Z_]+ .*rule/],
    ['an empty file', '', /[A-Z_]+ .*rule/],
  ])('%s: lint reports position and problem and exits with 1; serve does not start', async (_what, text, said) => {
    const path = file(text);
    const [lint, serve] = await Promise.all([
      run(['lint', path]),
      run(['serve', path, '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0']),
    ]);
    expect(`${lint.out}${lint.err}`).toMatch(said);
    expect(lint.code).toBe(1);
    expect(serve.err).toMatch(said);
    expect(serve.err).not.toMatch(/\n {4}at /);
    expect(serve.code).toBe(1);
  });

  test('all errors are reported at once, in the order of the file', async () => {
    const { code, out, err } = await run([
      'lint',
      file(
        'rules:\n  - name: a\n    match: request.x == 1\n    deny: {}\n  - name: b\n    match: request.y == 1\n    deny: { stat: 403 }\n',
      ),
    ]);
    const places = [...`${out}${err}`.matchAll(/policy-\d+\.yaml:(\d+):\d+ [A-Z]/g)].map(([, line]) => Number(line));
    expect(places).toEqual([3, 6, 7]);
    expect(code).toBe(1);
  });

  test('a missing path, and a file that cannot be read', async () => {
    const missing = await run([
      'serve',
      join(folder, 'nowhere.yaml'),
      '--grpc',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
    ]);
    expect(missing.err).toMatch(/nowhere\.yaml/);
    expect(missing.err).not.toMatch(/\n {4}at /);
    expect([1, 3]).toContain(missing.code);
    const loop = join(folder, 'loop');
    mkdirSync(loop);
    symlinkSync(join(loop, 'a.yaml'), join(loop, 'a.yaml')); // unreadable, even for root
    const unreadable = await run(['lint', loop]);
    expect(`${unreadable.out}${unreadable.err}`).toMatch(/a\.yaml/);
    expect([1, 3]).toContain(unreadable.code);
  });
});

describe('an address that cannot be bound', () => {
  let holder: Server;
  let port = 0;
  beforeAll(async () => {
    holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    port = (holder.address() as { port: number }).port;
  });
  afterAll(() => {
    holder.close();
  });

  test.each(['--grpc', '--admin'])('%s on a port in use: one message, exit 3, no process left', async (option) => {
    const other = option === '--grpc' ? '--admin' : '--grpc';
    const { code, err } = await run(['serve', file(GOOD), option, `127.0.0.1:${port}`, other, '127.0.0.1:0']);
    expect(err).toMatch(new RegExp(`CLI_PORT_TAKEN .*127\\.0\\.0\\.1:${port}`));
    expect(err).not.toMatch(/\n {4}at /);
    expect(code).toBe(3);
  });
});

describe('a server that receives invalid requests', () => {
  let server: Serving;
  let client: PeerClient;
  beforeAll(async () => {
    server = await serving([file(GOOD)]);
    client = peerClient(server.grpc);
  });
  afterAll(async () => {
    client?.close();
    await server?.stop();
  });

  const CHECK = '/envoy.service.auth.v3.Authorization/Check';
  test.each([
    ['malformed protobuf', CHECK, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), [3, 13]],
    ['an empty message', CHECK, Buffer.alloc(0), [3, 13]],
    ['an oversized message', CHECK, Buffer.alloc(32 * 1024 * 1024), [8]],
    ['an unknown method', '/envoy.service.auth.v3.Authorization/Chek', Buffer.alloc(0), [12]],
  ])('%s is a gRPC error, never an empty OK', async (_what, path, bytes, codes) => {
    expect(codes).toContain(await client.raw(path, bytes));
    expect((await client.check({ path: '/closed' })).denied_response?.status.code).toBe('Forbidden');
  });

  test('a client that disconnects in the middle of a stream', async () => {
    await client.breakOffLog();
    expect((await client.check({ path: '/open' })).http_response).toBe('ok_response');
  });

  test('call and explain report an invalid request file', async () => {
    const request = file('call: http\nrequest.path: [not, text]\n');
    const explained = await run(['explain', file(GOOD), '--request', request]);
    expect(explained.err).toMatch(/request\.path/);
    expect(explained.code).toBe(3);
    const missing = await run(['call', 'check', '--to', server.grpc, '--request', join(folder, 'none.yaml')]);
    expect(missing.err).toMatch(/CLI_REQUEST_FILE .*none\.yaml/);
    expect(missing.code).toBe(3);
  });

  test('call reports an unreachable server', async () => {
    const { code, err } = await run([
      'call',
      'check',
      '--to',
      '127.0.0.1:1',
      '--request',
      'examples/requests/get.yaml',
      '--timeout',
      '500',
    ]);
    expect(err).toMatch(/CLI_UNREACHABLE .*127\.0\.0\.1:1/);
    expect(code).toBe(3);
  });
});

test("without Redis and Kafka it starts, logs that they are away, and each rule's onError applies", async () => {
  const server = await serving([
    file(`
handlers:
  limits: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } }
  audit: { adapter: log-kafka, config: { brokers: ["127.0.0.1:1"], topic: t } }
rules:
  - name: closed
    match: request.path == "/closed"
    deny: { status: 403 }
  - name: open-when-away
    match: request.path == "/open"
    quota: { handler: limits, limit: 1, per: 1m, key: ['"k"'] }
  - name: shut-when-away
    match: request.path == "/shut"
    quota: { handler: limits, limit: 1, per: 1m, key: ['"k"'] }
    onError: { handler: deny }
  - name: written
    report: { handler: audit, input: { path: request.path } }
`),
  ]);
  const client = peerClient(server.grpc);
  try {
    expect((await client.check({ path: '/closed' })).denied_response?.status.code).toBe('Forbidden');
    expect((await client.check({ path: '/open' })).http_response).toBe('ok_response');
    expect((await client.check({ path: '/shut' })).denied_response?.status.code).toBe('ServiceUnavailable');
    const ready = await fetch(`http://${server.admin}/readyz`);
    expect(ready.status).toBe(200);
    const { handlers } = (await ready.json()) as { handlers: { name: string; ready: boolean }[] };
    expect(handlers.find(({ name }) => name === 'limits')?.ready).toBe(false);
    expect(await server.stop()).toBe(0);
  } finally {
    client.close();
    await server.stop();
  }
}, 40_000);

describe('files and variables outside the policy', () => {
  test('a list whose file is missing: lint reports its place, serve does not start', async () => {
    const path = file(
      'handlers: { office: { adapter: check-list, config: { kind: cidr, file: nowhere.txt } } }\nrules: [{ name: a, check: { handler: office, input: { value: source.ip } } }]\n',
    );
    const [lint, serve] = await Promise.all([
      run(['lint', path]),
      run(['serve', path, '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0']),
    ]);
    expect(lint).toMatchObject({
      code: 1,
      out: expect.stringMatching(/:1:\d+ CORE_HANDLER_OPEN .*nowhere\.txt/) as unknown,
    });
    expect(serve).toMatchObject({ code: 3, err: expect.stringContaining('CLI_HANDLER_OPEN') as unknown });
  });

  test('a rule whose params its handler refuses: serve says to correct the rule', async () => {
    const path = file(
      'handlers: { lines: { adapter: log-kafka, config: { brokers: ["127.0.0.1:1"], topic: a } } }\nrules: [{ name: a, report: { handler: lines, params: { key: nope }, input: { path: request.path } } }]\n',
    );
    const serve = await run(['serve', path, '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0']);
    expect(serve).toMatchObject({
      code: 3,
      err: expect.stringMatching(
        /CLI_RULE_PREPARE .*CORE_RULE_PREPARE .*the field "nope".*\n {2}Correct the params of that rule/,
      ) as unknown,
    });
  });

  test('an unset variable is a warning in lint and test, and an error in serve', async () => {
    const path = file(`handlers:
  limits: { adapter: quota-redis, config: { url: { $env: SLUICE_NOT_SET } } }
rules:
  - { name: q, quota: { handler: limits, limit: 5, per: 1h, key: [request.host] } }
---
cases:
  - { name: passes, http: { request.host: a.example }, want: { allow: true } }
`);
    const [lint, cases, serve] = await Promise.all([
      run(['lint', path]),
      run(['test', path]),
      run(['serve', path, '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0']),
    ]);
    expect(lint).toMatchObject({
      code: 0,
      out: expect.stringMatching(/:2:\d+ RULES_ENV \(warning\) .*SLUICE_NOT_SET/) as unknown,
    });
    expect(cases.code).toBe(0);
    expect(serve).toMatchObject({
      code: 1,
      err: expect.stringMatching(/:2:\d+ RULES_ENV the environment variable SLUICE_NOT_SET is not set/) as unknown,
    });
  });
});
