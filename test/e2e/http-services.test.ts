/** `sluice serve` with rules that ask HTTP services: real services, real calls. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { burstOfChecks } from '../parts/burst.ts';
import { freePort } from '../parts/free-port.ts';
import { type HttpService, json, startHttpService } from '../parts/http-service.ts';
import { run } from './command.ts';
import { type PeerClient, peerClient } from './peer-client.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const CONNECTIONS = 8;
const POLICY = `
handlers:
  authz:
    adapter: check-http
    config: { url: { $env: AUTHZ }, connections: ${CONNECTIONS}, json: { allow: /result/allow, reason: /result/why } }
    deadline: 30s # the service shares its event loop with the senders of bursts
  away: { adapter: check-http, config: { url: { $env: AWAY } }, deadline: 200ms }
  profiles:
    adapter: enrich-http
    config: { url: { $env: PROFILES }, values: { plan: { at: /plan } } }
    deadline: 500ms
rules:
  - name: profile
    match: request.url_path.startsWith("/plans")
    enrich:
      handler: profiles
      params: { path: "users/{user}" }
      input: { user: 'request.headers[?"x-user"].orValue("nobody")' }
      as: my.profile
  - name: who-has-a-plan
    match: request.url_path.startsWith("/plans")
    onAllow: { request: { set: { x-plan: '\${my.profile.?plan.orValue("none")}' } } }
  - name: authz
    match: request.url_path == "/a"
    check:
      handler: authz
      params: { method: POST, path: v1/data/mesh }
      input: { body: '{"input": {"user": request.headers[?"x-user"].orValue("nobody"), "path": request.path}}' }
    onAllow: { request: { set: { x-level: '\${out.?body.result.level.orValue("")}' } } }
    onDeny: { status: 403, body: "\${out.reason}" }
  - name: asks-the-one-that-is-away
    match: request.url_path == "/away"
    check: { handler: away, input: {} }
`;

let authz: HttpService;
let profiles: HttpService;
let sluice: ServedSluice;
let client: PeerClient;
let awayPort: number;
beforeAll(async () => {
  authz = await startHttpService(({ body }, response) => {
    const { input } = JSON.parse(body) as { input: { user: string } };
    const result = input.user.startsWith('bad')
      ? { allow: false, why: `${input.user} is bad` }
      : { allow: true, level: 'high' };
    const headers = input.user.endsWith('kept') ? { 'cache-control': 'max-age=60' } : undefined;
    setTimeout(() => json(response, { result }, headers), input.user.startsWith('slow') ? 3000 : 0);
  });
  profiles = await startHttpService(({ path }, response) => {
    if (path === '/users/ann') json(response, { plan: 'gold' }, { 'cache-control': 'max-age=60' });
    else response.writeHead(404, { 'cache-control': 'max-age=60' }).end();
  });
  awayPort = await freePort();
  const env = { AUTHZ: authz.url, PROFILES: profiles.url, AWAY: `http://127.0.0.1:${awayPort}` };
  sluice = await serveSluice(POLICY, { env });
  client = peerClient(`127.0.0.1:${sluice.grpcPort}`);
});
afterAll(async () => {
  client.close();
  await sluice.stop();
  await Promise.all([authz.stop(), profiles.stop()]);
});

const ask = (path: string, user: string) => client.check({ path, method: 'GET', headers: { 'x-user': user } });

describe('a rule that asks a service', () => {
  test('allows and denies as it answers, and texts read the answer', async () => {
    const allowed = await ask('/a', 'ann');
    expect(allowed.http_response).toBe('ok_response');
    expect(
      allowed.ok_response?.headers.map(({ header }) => [header.key, header.raw_value.toString() || header.value]),
    ).toContainEqual(['x-level', 'high']);
    expect((await ask('/a', 'bad-bob')).denied_response).toMatchObject({
      status: { code: 'Forbidden' },
      body: 'bad-bob is bad',
    });
  });

  test('uses an answer again for as long as its cache-control says', async () => {
    const before = authz.requests.length;
    for (let call = 0; call < 20; call++) expect((await ask('/a', 'ann-kept')).http_response).toBe('ok_response');
    for (let call = 0; call < 20; call++)
      expect((await ask('/a', 'bad-kept')).denied_response?.body).toBe('bad-kept is bad');
    expect(authz.requests.length - before).toBe(2);
    const again = authz.requests.length;
    for (let call = 0; call < 5; call++) await ask('/a', 'eve');
    expect(authz.requests.length - again).toBe(5);
  });

  test('answers a call that waits for the answer to an equal one, although the caller of that one has left', async () => {
    await ask('/a', 'first-kept'); // the rule's answers may stay valid
    const slow = { path: '/a', method: 'GET', headers: { 'x-user': 'slow-kept' } };
    const left = client.check(slow, 1000).then(
      ({ http_response }) => http_response,
      (error: Error) => error.message,
    );
    const before = authz.requests.length;
    await until('the service to be asked', () => (authz.requests.length > before ? true : undefined));
    const stays = client.check(slow, 20_000);
    // Sluice answers at the deadline, too, and may be first.
    expect(await left).toMatch(/DEADLINE_EXCEEDED|denied_response/);
    expect((await stays).http_response).toBe('ok_response');
    expect(authz.requests.length - before).toBe(2);
  });

  test('reads facts from a service, also that there are none', async () => {
    const planOf = async (user: string): Promise<string | undefined> => {
      const { ok_response } = await ask('/plans', user);
      const header = ok_response?.headers.find(({ header: { key } }) => key === 'x-plan')?.header;
      return header?.raw_value.toString() || header?.value;
    };
    const before = profiles.requests.length;
    for (let call = 0; call < 10; call++) expect([await planOf('ann'), await planOf('bob')]).toEqual(['gold', 'none']);
    expect(profiles.requests.length - before).toBe(2);
  });

  test('asks for ten thousand calls at once over the connections that its config allows', async () => {
    const before = authz.connections.all;
    expect(await burstOfChecks(sluice.grpcPort, 'burst', { calls: 10_000, timeoutMs: 120_000 })).toEqual({
      passed: 10_000,
      refused: 0,
      failed: {},
    });
    expect(authz.connections.open).toBeLessThanOrEqual(CONNECTIONS);
    expect(authz.connections.all - before).toBeLessThanOrEqual(CONNECTIONS);
  }, 200_000);

  test('of ten thousand equal calls asks once, if the answer stays valid', async () => {
    await ask('/a', 'first-kept'); // the rule's answers may stay valid
    const before = authz.requests.length;
    expect(await burstOfChecks(sluice.grpcPort, 'burst-kept', { calls: 10_000, timeoutMs: 120_000 })).toEqual({
      passed: 10_000,
      refused: 0,
      failed: {},
    });
    expect(authz.requests.length - before).toBe(1);
  }, 200_000);
});

describe('a service that is away', () => {
  const lines = (): string[] => sluice.log.filter((line) => line.includes('handler=away'));

  test('fails its own rule alone, with one log line, and is found again', async () => {
    const failed = await Promise.all(Array.from({ length: 100 }, () => ask('/away', 'ann')));
    expect(new Set(failed.map(({ denied_response }) => denied_response?.status.code))).toEqual(
      new Set(['ServiceUnavailable']),
    );
    expect((await ask('/a', 'ann')).http_response).toBe('ok_response');
    const row = async () => {
      const { handlers } = (await (await sluice.admin('/handlers')).json()) as {
        handlers: { name: string; ready: boolean; why?: string }[];
      };
      return handlers.find(({ name }) => name === 'away');
    };
    expect(await row()).toMatchObject({ ready: false, why: `127.0.0.1:${awayPort}: connection refused` });
    expect(lines().filter((line) => line.includes('does not answer'))).toHaveLength(1);
    const back = await startHttpService((_, response) => void response.end(), { port: awayPort });
    onTestFinished(() => back.stop());
    await until('the service to be found', async () => ((await row())?.ready === true ? true : undefined));
    await until('a call to pass', async () =>
      (await ask('/away', 'ann')).http_response === 'ok_response' ? true : undefined,
    );
  });
});

describe('a list from a URL', () => {
  const policy = (url: string): string => `
handlers:
  revoked: { adapter: check-list, config: { url: "${url}", refreshMs: 200, blocks: true } }
rules:
  - name: not-revoked
    check: { handler: revoked, input: { value: 'request.headers[?"x-user"].orValue("")' } }
    onDeny: { status: 403 }
`;

  test('decides as it changes, without a reload; before it is loaded the call fails', async () => {
    let lines: string | undefined;
    const lists = await startHttpService((_, response) => {
      if (lines === undefined) response.writeHead(503).end();
      else response.writeHead(200, { 'content-length': Buffer.byteLength(lines) }).end(lines);
    });
    await using served = await serveSluice(policy(lists.url));
    const caller = peerClient(`127.0.0.1:${served.grpcPort}`);
    onTestFinished(async () => {
      caller.close();
      await served.stop();
      await lists.stop();
    });
    const answerTo = async (user: string): Promise<string> => {
      const { denied_response } = await caller.check({ path: '/', method: 'GET', headers: { 'x-user': user } });
      return denied_response?.status.code ?? 'passed';
    };
    expect(await answerTo('ann')).toBe('ServiceUnavailable');
    lines = 'ann\n';
    await until('the list to be loaded', async () => ((await answerTo('ann')) === 'Forbidden' ? true : undefined));
    expect(await answerTo('bob')).toBe('passed');
    lines = 'bob\n';
    await until('the list to change', async () => ((await answerTo('ann')) === 'passed' ? true : undefined));
    expect(await answerTo('bob')).toBe('Forbidden');
  });

  test('is not loaded by lint, nor by cases, which give its answer', async () => {
    const lists = await startHttpService(
      (_, response) => void response.writeHead(200, { 'content-length': 4 }).end('ann\n'),
    );
    const folder = await mkdtemp(join(tmpdir(), 'sluice-list-'));
    onTestFinished(async () => {
      await lists.stop();
      await rm(folder, { recursive: true });
    });
    const file = join(folder, 'policy.yaml');
    const call = 'http: { request.path: /a, request.headers: { x-user: ann } }';
    await writeFile(
      file,
      `${policy(lists.url)}---
cases:
  - { name: given, given: { revoked: deny }, ${call}, want: { deny: not-revoked } }
  - { name: not given, ${call}, want: { allow: true } }
`,
    );
    expect((await run(['lint', file])).code).toBe(0);
    const { code, out } = await run(['test', file]);
    expect(code).toBe(1);
    expect(out).toContain('the handler revoked was called but needs a backend; write given: { revoked: ANSWER }');
    expect(lists.requests).toEqual([]);
  });
});
