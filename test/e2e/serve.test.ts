/** `sluice serve` with the example policy, called by a third-party client. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, serving, type Serving } from './command.ts';
import { type PeerClient, peerClient } from './peer-client.ts';
import { makeAuthority } from '../parts/certificates.ts';
import { freePort } from '../parts/free-port.ts';
import { healthMethods } from '../../src/frontends/index.ts';
import { listen } from '../../src/transport/index.ts';
import { promtool } from '../parts/fetch.ts';

let server: Serving;
let client: PeerClient;
beforeAll(async () => {
  server = await serving(['examples/start']);
  client = peerClient(server.grpc);
});
afterAll(async () => {
  client?.close();
  await server?.stop();
});

const page = async (path: string): Promise<{ status: number; text: string }> => {
  const answer = await fetch(`http://${server.admin}${path}`);
  return { status: answer.status, text: await answer.text() };
};

describe('the example policy', () => {
  test('allows, changes and denies by its rules', async () => {
    const allowed = await client.check({ path: '/other' });
    expect(allowed.status?.code ?? 0).toBe(0);
    expect(allowed.http_response).toBe('ok_response');
    const headers = (allowed.ok_response?.headers ?? []).map(({ header }) => [
      header.key,
      header.value || header.raw_value.toString(),
    ]);
    expect(headers).toContainEqual(['x-route', 'other']);

    const denied = await client.check({ path: '/a/../b' });
    expect(denied.status?.code).toBe(3);
    expect(denied.denied_response).toMatchObject({ status: { code: 'BadRequest' }, body: 'bad path: /a/../b' });
    const closed = await client.check({ path: '/admin/users' });
    expect(closed.denied_response).toMatchObject({ status: { code: 'Forbidden' }, body: 'this path is closed' });
  });

  test('limits each user, by ext_authz and by ratelimit', async () => {
    const user = { path: '/ratings/1', headers: { 'x-user': 'serve-test' } };
    const outcomes: (string | undefined)[] = [];
    for (let nth = 0; nth < 6; nth += 1) outcomes.push((await client.check(user)).denied_response?.status.code);
    expect(outcomes.slice(0, 5)).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(outcomes[5]).toBe('TooManyRequests');
    const codes: string[] = [];
    for (let nth = 0; nth < 6; nth += 1) codes.push((await client.limit('shop', { user: 'serve-test' })).overall_code);
    expect(codes).toEqual(['OK', 'OK', 'OK', 'OK', 'OK', 'OVER_LIMIT']);
  });

  test('sluice call reports the verdict by its exit code', async () => {
    const allowed = await run(['call', 'check', '--to', server.grpc, '--request', 'examples/requests/get.yaml']);
    expect(allowed.err).toBe('');
    expect(allowed.code).toBe(0);
    const refused = await run([
      'call',
      'check',
      '--to',
      server.grpc,
      '--request',
      'examples/requests/delete.yaml',
      '--json',
    ]);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.out)).toMatchObject({
      outcome: 'deny',
      response: { deniedResponse: { status: { code: 'Forbidden' }, body: 'not from 203.0.113.9' } },
    });
    const limited = await run(['call', 'limit', '--to', server.grpc, '--request', 'examples/requests/limit.yaml']);
    expect(limited.code).toBe(0);
  });

  test('an access log entry becomes a line on stdout and a count on the metrics page', async () => {
    const sent = await run(['call', 'log', '--to', server.grpc, '--request', 'examples/requests/log.yaml']);
    expect(sent.err).toBe('');
    expect(sent.code).toBe(0);
    await expect.poll(() => server.out(), { timeout: 20_000 }).toContain('/ratings/7');
    await expect
      .poll(async () => (await page('/metrics')).text, { timeout: 20_000 })
      .toMatch(/^shop_requests_total\{.*code="200".*\} 1$/m);
  });

  test('the admin port shows the policy in force, and denials with their reasons', async () => {
    expect(await page('/healthz')).toMatchObject({ status: 200 });
    expect(JSON.parse((await page('/readyz')).text)).toMatchObject({ ready: true });
    const { rules } = JSON.parse((await page('/rules')).text) as { rules: { name: string; calls: string[] }[] };
    expect(rules.map(({ name }) => name)).toContain('no-path-tricks');
    expect(JSON.parse((await page('/handlers')).text)).toMatchObject({
      handlers: expect.arrayContaining([
        expect.objectContaining({ name: 'limits', adapter: 'quota-memory', ready: true }),
      ]) as unknown,
    });
    await client.check({ path: '/x/../y' });
    const { verdicts } = JSON.parse((await page('/verdicts?rule=no-path-tricks&limit=1')).text) as {
      verdicts: { outcome: string; reasons: { rule: string }[] }[];
    };
    expect(verdicts[0]).toMatchObject({ outcome: 'deny' });
    expect(verdicts[0]?.reasons.map(({ rule }) => rule)).toContain('no-path-tricks');
    expect((await page('/metrics')).text).toMatch(/^sluice_calls_total\{.*\} \d+$/m);
  });

  test('sluice health reports the health by its exit code', async () => {
    expect(await run(['health', '--to', server.grpc])).toMatchObject({ code: 0, out: 'SERVING\n' });
    expect(await run(['health', '--to', `127.0.0.1:${await freePort()}`])).toMatchObject({
      code: 3,
      err: expect.stringContaining('CLI_UNREACHABLE') as unknown,
    });
  });

  test('sluice health exits with 1 for a server that is NOT_SERVING', async () => {
    const stopping = await listen(new Map(healthMethods({ services: [], isServing: () => false })), {
      host: '127.0.0.1',
      port: 0,
      maxMessageBytes: 1024,
      onFault: () => {},
    });
    try {
      expect(await run(['health', '--to', `127.0.0.1:${stopping.port}`])).toMatchObject({
        code: 1,
        out: 'NOT_SERVING\n',
        err: '',
      });
    } finally {
      await stopping.drain(0);
    }
  });

  test('sluice health and sluice call speak TLS, with a client certificate if the server asks for one', async () => {
    const authority = await makeAuthority();
    try {
      const [own, client] = [
        await authority.issue('server', 'DNS:sluice.test'),
        await authority.issue('probe', 'DNS:probe'),
      ];
      const secure = await serving(['examples/start'], {
        args: ['--tls-cert', own.cert, '--tls-key', own.key, '--tls-client-ca', authority.ca],
      });
      const named = ['--tls-ca', authority.ca, '--tls-server-name', 'sluice.test'];
      const known = [...named, '--tls-cert', client.cert, '--tls-key', client.key];
      const health = (...args: string[]) => run(['health', '--to', secure.grpc, ...args]);
      expect(await health(...known)).toMatchObject({ code: 0, out: 'SERVING\n', err: '' });
      expect(
        await run(['call', 'check', '--to', secure.grpc, '--request', '-', ...known], { stdin: 'request.path: /\n' }),
      ).toMatchObject({
        code: 0,
        err: '',
      });
      for (const args of [[], named, ['--tls'], ['--tls-ca', authority.ca, ...known.slice(4)]])
        expect(await health(...args), args.join(' ')).toMatchObject({
          code: 3,
          err: expect.stringContaining('CLI_UNREACHABLE') as unknown,
        });
      expect(await health('--tls-cert', client.cert)).toMatchObject({
        code: 2,
        err: expect.stringContaining('--tls-cert and --tls-key') as unknown,
      });
      expect(await health('--tls-ca', 'not-there.pem')).toMatchObject({
        err: expect.stringMatching(/CLI_TLS_FILE not-there\.pem cannot be read/) as unknown,
      });
      expect(await secure.stop()).toBe(0);
    } finally {
      await authority.remove();
    }
  });

  test('Prometheus can read the metrics page', async () => {
    const { text } = await page('/metrics');
    const checked = spawnSync(await promtool(), ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect([checked.status, checked.stdout, checked.stderr]).toEqual([0, '', '']);
  });
});

test('on SIGTERM it reports NOT_SERVING, finishes calls in flight and exits with 0', async () => {
  const other = await serving(['examples/start']);
  const code = await other.stop();
  expect(code).toBe(0);
  expect(other.err()).toContain('"msg":"stopped"');
});

test('both signals of a terminal end it, and SIGINT exits with 0 as well', async () => {
  const other = await serving(['examples/start']);
  other.signal('SIGINT');
  expect(await other.ended).toBe(0);
});
