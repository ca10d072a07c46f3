/** NGINX, Caddy and HAProxy ask Sluice, as docs/http.md configures them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ForwardProxy, PROXIES, type Proxy, startProxy } from '../parts/forward-proxies.ts';
import { sendRaw } from '../parts/raw-http.ts';
import { type Arrived, startUpstream, type Upstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const POLICY = `
settings: { trustedHops: 0 }
handlers:
  lines: { adapter: log-stdout, config: {} }
  gone: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } }
rules:
  - name: secret
    match: request.url_path.startsWith("/secret") || request.method == "DELETE" || request.host == "secret.example"
    deny: { status: 403, body: "not \${request.url_path}" }
  - name: login
    match: request.url_path == "/login"
    deny: { status: 401, headers: { www-authenticate: 'Basic realm="x"' }, body: log in }
  - name: slow-down
    match: request.url_path == "/busy"
    deny: { status: 429, headers: { x-reason: busy }, body: slow down }
  - name: failed
    match: request.url_path == "/failed"
    quota: { handler: gone, limit: 1, per: 1h, key: [] }
    onError: { handler: deny }
  - name: undecided
    match: request.url_path == "/error"
    quota: { handler: gone, limit: 1, per: 1h, key: [] }
    onError: { handler: error }
  - name: user
    match: request.url_path != "/anonymous"
    onAllow: { request: { set: { x-user: ann } } }
  - name: seen
    calls: [http]
    report:
      handler: lines
      input:
        mark: request.headers[?"x-mark"].orValue("")
        method: request.method
        path: request.path
        host: request.host
        scheme: request.scheme
        source: source.ip
        origin: origin.ip
        own: request.headers.filter(n, n.startsWith("x-original") || n.startsWith("x-forwarded-uri"))
`;

let upstream: Upstream;
let sluice: ServedSluice;
const proxies = new Map<Proxy, ForwardProxy>();
beforeAll(async () => {
  upstream = await startUpstream();
  sluice = await serveSluice(POLICY, { args: ['--http', '127.0.0.1:0'] });
  const ports = { sluicePort: sluice.httpPort ?? 0, appPort: upstream.httpPort };
  for (const proxy of PROXIES) proxies.set(proxy, await startProxy(proxy, ports));
}, 120_000);
afterAll(async () => {
  await Promise.all([...proxies.values()].map(async (proxy) => proxy.stop()));
  await sluice.stop();
  await upstream.stop();
});

const send = (proxy: Proxy, line: string, headers: readonly string[] = ['host: shop.example'], body = '') =>
  sendRaw(proxies.get(proxy)?.port ?? 0, line, headers, body);

/** The statuses that differ: NGINX knows two of them. */
const STATUSES: Readonly<Record<Proxy, Readonly<Record<string, number>>>> = {
  nginx: { '/a': 200, '/secret/1': 403, '/login': 401, '/busy': 403, '/failed': 403, '/error': 500 },
  caddy: { '/a': 200, '/secret/1': 403, '/login': 401, '/busy': 429, '/failed': 403, '/error': 503 },
  haproxy: { '/a': 200, '/secret/1': 403, '/login': 401, '/busy': 429, '/failed': 403, '/error': 503 },
};

describe.each(PROXIES)('%s', (proxy) => {
  test('answers with the verdict', async () => {
    for (const [path, status] of Object.entries(STATUSES[proxy]))
      expect([path, (await send(proxy, `GET ${path} HTTP/1.1`)).status]).toEqual([path, status]);
    const login = await send(proxy, 'GET /login HTTP/1.1');
    expect(login.headers.get('www-authenticate')).toEqual(['Basic realm="x"']);
    expect((await send(proxy, 'DELETE /a HTTP/1.1')).status).toBe(403);
    if (proxy !== 'nginx') expect((await send(proxy, 'GET /secret/1 HTTP/1.1')).body).toBe('not /secret/1');
  });

  test("an allowed request arrives whole, with the rules' header in place of the client's", async () => {
    const headers = ['host: shop.example', 'x-user: mallory', 'content-type: text/plain'];
    const { status, body } = await send(proxy, 'POST /a?b=%41 HTTP/1.1', headers, 'hello');
    const arrived = JSON.parse(body) as Arrived;
    expect([status, arrived.method, arrived.url, arrived.body]).toEqual([200, 'POST', '/a?b=%41', 'hello']);
    expect(arrived.headers['x-user']).toBe('ann');
    const anonymous = await send(proxy, 'GET /anonymous HTTP/1.1', headers);
    // Caddy 2.6 sends the text of its placeholder.
    expect((JSON.parse(anonymous.body) as Arrived).headers['x-user'] ?? '{').toMatch(/^\{/);
  });

  test('headers of the dialect that a client sends choose nothing', async () => {
    const claims = ['host: shop.example', 'x-forwarded-uri: /a', 'x-original-uri: /a', 'x-original-url: http://a/a'];
    const more = [
      'x-forwarded-method: GET',
      'x-original-method: GET',
      'x-forwarded-host: a',
      'x-forwarded-for: 9.9.9.9',
    ];
    expect((await send(proxy, 'GET /secret/2 HTTP/1.1', [...claims, ...more])).status).toBe(403);
    expect((await send(proxy, 'DELETE /a HTTP/1.1', [...claims, ...more])).status).toBe(403);
    const toSecret = ['host: secret.example', ...claims.slice(1), ...more];
    expect((await send(proxy, 'GET /a HTTP/1.1', toSecret)).status).toBe(403);
  });

  test('attributes are those of the client', async () => {
    const headers = ['host: Shop.Example', `x-mark: ${proxy}`, 'x-forwarded-for: 203.0.113.9', 'x-forwarded-uri: /x'];
    expect((await send(proxy, 'GET /a//b?c=d HTTP/1.1', headers)).status).toBe(200);
    const report = await until('its report', () => sluice.written.find(({ mark }) => mark === proxy), 5000);
    expect(report).toMatchObject({
      method: 'GET',
      path: '/a//b?c=d',
      host: 'shop.example',
      scheme: 'http',
      source: '127.0.0.1',
      origin: '127.0.0.1',
    });
  });
});

test('without Sluice, no proxy lets a request pass', async () => {
  sluice.child.kill('SIGKILL');
  await until('its end', () => sluice.child.signalCode ?? undefined);
  for (const proxy of PROXIES) {
    const { status } = await send(proxy, 'GET /a HTTP/1.1');
    expect([500, 502, 503], proxy).toContain(status);
  }
});
