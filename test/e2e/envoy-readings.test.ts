/** Rules hold for every spelling of a request, tried through a real Envoy. */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Mesh, startMesh } from './mesh.ts';

const POLICY = `
handlers:
  counts: { adapter: quota-memory, config: {} }
rules:
  - name: admin-host
    match: request.host == "admin.example.com"
    deny: { status: 403 }
  - name: first-page-only
    match: request.query[?"page"].orValue("1") != "1"
    deny: { status: 403 }
  - name: whole-bodies-only
    match: request.body_is_partial && request.url_path != "/unguarded"
    deny: { status: 413 }
  - name: no-evil
    match: request.method == "POST" && request.body.contains("evil")
    deny: { status: 422 }
  - name: log-in-first
    match: request.url_path == "/login"
    deny: { status: 401, headers: { set-cookie: ["a=1", "b=2"] } }
  - name: per-host
    match: request.url_path == "/counted"
    quota: { handler: counts, limit: 1, per: 1h, key: [request.host] }
`;

let mesh: Mesh;
beforeAll(async () => {
  mesh = await startMesh(POLICY);
});
afterAll(async () => {
  await mesh.stop();
});

async function statusOf(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string | Buffer,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: mesh.httpPort, path, headers, method: body === undefined ? 'GET' : 'POST' },
      (answer) => {
        text(answer).then(() => resolve(answer.statusCode), reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

test.each([
  'admin.example.com',
  'ADMIN.example.com',
  'Admin.Example.Com:80',
  'admin.example.com:8081',
  'admin.example.com.',
  'ADMIN.EXAMPLE.COM.:443',
])('the host %s is denied', async (host) => {
  expect(await statusOf('/', { host })).toBe(403);
});

test('all spellings of a host share one count', async () => {
  expect(await statusOf('/counted', { host: 'shop.example' })).toBe(200);
  for (const host of ['SHOP.example', 'shop.example:80', 'Shop.Example.'])
    expect(await statusOf('/counted', { host }), host).toBe(429);
});

test('a second question mark hides no parameter', async () => {
  expect([await statusOf('/a?page=2'), await statusOf('/a??page=1&page=2'), await statusOf('/a?page=1')]).toEqual([
    403, 403, 200,
  ]);
});

test('a body that Envoy cuts is absent: a rule can deny it, and a rule that reads it fails', async () => {
  const long = `${'a'.repeat(9000)}evil`;
  expect([
    await statusOf('/p', {}, 'evil'),
    await statusOf('/p', {}, 'good'),
    await statusOf('/p', {}, long),
    await statusOf('/unguarded', {}, long),
  ]).toEqual([422, 200, 413, 503]);
});

test('bytes that are not UTF-8 hide nothing of a body', async () => {
  expect(await statusOf('/p', {}, Buffer.from('\xffevil\xc3', 'latin1'))).toBe(422);
});

test('a denial sets two cookies', async () => {
  const { status, headers } = await mesh.get('/login');
  expect([status, headers.getSetCookie()]).toEqual([401, ['a=1', 'b=2']]);
});
