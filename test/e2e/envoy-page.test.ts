/** A real Envoy runs the config of docs/envoy.md; only the ports are changed. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { envoyProgram } from '../parts/fetch.ts';
import { freePort } from '../parts/free-port.ts';
import { type Arrived, startUpstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-envoy-page-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const page = await readFile(join(import.meta.dirname, '../../docs/envoy.md'), 'utf8');
/** Configs of Envoy; policies of ours are checked by their own test. */
const snippets = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)]
  .map(([, text = '']) => text)
  .filter((text) => text.includes('static_resources'));

async function validated(config: object): Promise<string> {
  const file = join(folder, 'envoy.json');
  await writeFile(file, JSON.stringify(config));
  return promisify(execFile)(await envoyProgram(), ['--mode', 'validate', '-c', file]).then(
    ({ stdout }) => stdout,
    (error: Error) => `refused: ${error.message}`,
  );
}

test('Envoy rejects unknown fields, so that this test can fail', async () => {
  expect(snippets).toHaveLength(1);
  const text = (snippets[0] ?? '').replace('failure_mode_allow', 'failure_mode_permit');
  expect(await validated(parse(text) as object)).toContain('failure_mode_permit');
});

const POLICY = `
handlers: { lines: { adapter: log-stdout }, counts: { adapter: quota-memory } }
attributes: { my.tier: { type: string, from: { contextExtension: tier } } }
rules:
  - name: who
    match: request.url_path == "/who"
    deny: { status: 403, body: "\${origin.ip}" }
  - name: tier
    match: request.url_path == "/tier"
    deny: { status: 403, body: "\${my.tier}" }
  - name: admin
    match: request.url_path.startsWith("/admin")
    deny: { status: 403 }
  - name: no-evil
    match: request.method == "POST" && request.?body.orValue("").contains("evil")
    deny: { status: 400 }
  - name: query
    match: request.url_path == "/query"
    onAllow: { query: { set: { tier: '\${request.headers[?"x-tier"].orValue("free")}' }, remove: [debug] } }
  - name: two-a-user
    match: ratelimit.domain == "shop"
    quota: { handler: counts, limit: 2, per: 1h, key: [ratelimit.descriptor.user] }
  - name: no-tcp
    calls: [tcp]
    match: source.ip == ip("192.0.2.1")
    deny: {}
  - name: entries
    calls: [log]
    report: { handler: lines, input: { path: request.path, user: 'request.headers["x-user"]', code: response.code } }
`;

describe('the config of the page', () => {
  let upstream: Awaited<ReturnType<typeof startUpstream>>;
  let sluice: ServedSluice;
  let envoy: EnvoyPart;
  let ports: { readonly http: number; readonly tcp: number };
  beforeAll(async () => {
    upstream = await startUpstream();
    sluice = await serveSluice(POLICY);
    const [adminPort, http, tcp] = [await freePort(), await freePort(), await freePort()];
    ports = { http, tcp };
    const by = { 9901: adminPort, 10000: http, 10001: tcp, 8080: upstream.httpPort, 9091: sluice.grpcPort };
    const text = Object.entries(by)
      .reduce(
        (config, [written, port]) => config.replace(`port_value: ${written} }`, `port_value: ${port} }`),
        snippets[0] ?? '',
      )
      .replace('timeout: 0.2s', 'timeout: 5s')
      .replace('timeout: 0.02s', 'timeout: 5s'); // a test machine is slower than a mesh
    envoy = await startEnvoy({ config: parse(text) as object, adminPort });
  });
  afterAll(async () => {
    await envoy?.stop();
    await sluice?.stop();
    await upstream?.stop();
  });

  const get = async (
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; text: string; location: string | null }> => {
    const answer = await fetch(`http://127.0.0.1:${ports.http}${path}`, { redirect: 'manual', ...init });
    return { status: answer.status, text: await answer.text(), location: answer.headers.get('location') };
  };

  test('a client cannot choose its address', async () => {
    const honest = await get('/who');
    expect(honest.status).toBe(403);
    expect(honest.text).not.toBe('');
    expect(await get('/who', { headers: { 'x-forwarded-for': '8.8.8.8' } })).toEqual(honest);
  });

  test.each(['/admin', '//admin', '/x/../admin', '/%61dmin', '/.//admin/'])(
    '%s is the same path for rules and upstream',
    async (path) => {
      const socket = connect({ host: '127.0.0.1', port: ports.http });
      socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    },
  );

  test('an escaped slash is a redirect', async () => {
    expect(await get('/a%2Fadmin')).toMatchObject({
      status: 307,
      location: expect.stringMatching(/\/a\/admin$/) as unknown,
    });
  });

  test('a body is read whole or denied as too long, and not buffered on routes that say so', async () => {
    const post = async (path: string, body: string): Promise<number> =>
      (await get(path, { method: 'POST', body })).status;
    expect(await post('/a', 'good')).toBe(200);
    expect(await post('/a', 'evil')).toBe(400);
    expect(await post('/a', `${'a'.repeat(9000)}evil`)).toBe(413);
    expect(await post('/upload', 'a'.repeat(20_000))).toBe(200);
  });

  test('route attributes, descriptors and log entries reach the rules', async () => {
    expect((await get('/tier')).text).toBe('gold');
    const user = { headers: { 'x-user': 'ann' } };
    expect([(await get('/r', user)).status, (await get('/r', user)).status, (await get('/r', user)).status]).toEqual([
      200, 200, 429,
    ]);
    await until('the entry is written', () =>
      sluice.written.find(({ path, user: who, code }) => path === '/r' && who === 'ann' && code === 429),
    );
    expect(JSON.parse((await get('/other')).text) as Arrived).toBeDefined();
  });

  test('a parameter of a rule is one parameter, and no spelling of its name passes for it', async () => {
    const init = { headers: { 'x-tier': 'gold&admin=1' } };
    const { url } = JSON.parse((await get('/query?%74ier=x&a=%2F+b&d%65bug=1', init)).text) as Arrived;
    expect(url).toBe('/query?a=%2F+b&tier=gold%26admin%3D1');
  });

  test('a header with an underscore, which some services read as one with a hyphen, is refused', async () => {
    expect((await get('/a', { headers: { x_user: 'ann' } })).status).toBe(400);
  });

  test('a gRPC client is told by grpc-status why it is denied', async () => {
    const call = async (path: string, headers: Readonly<Record<string, string>> = {}): Promise<string | null> => {
      const init = { method: 'POST', headers: { 'content-type': 'application/grpc', ...headers } };
      return (await fetch(`http://127.0.0.1:${ports.http}${path}`, init)).headers.get('grpc-status');
    };
    expect(await call('/admin')).toBe('7');
    const user = { 'x-user': 'gus' };
    expect([await call('/r', user), await call('/r', user), await call('/r', user)]).toEqual([null, null, '8']);
  });

  test('TCP connections have their own rules', async () => {
    const socket = connect({ host: '127.0.0.1', port: ports.tcp });
    await once(socket, 'connect');
    socket.end('GET /tcp HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toContain('200');
  });

  test('while Sluice is away, requests get a 503', async () => {
    await sluice.stop();
    expect((await get('/a')).status).toBe(503);
  });
});
