/** ext_authz of a real Envoy. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mesh, startMesh } from './mesh.ts';
import { until } from './sluice.ts';

const POLICY = `
settings: { trustedHops: 1 }
attributes:
  my.tier: { type: string, from: [{ contextExtension: tier }] }
handlers:
  lines: { adapter: log-stdout, config: {} }
rules:
  - name: no-deletes
    match: request.method == "DELETE"
    deny: { status: 418, headers: { x-reason: "no deletes", set-cookie: "a=1" }, body: "not \${request.url_path}, says \${request.headers[?'x-user'].orValue('nobody')}" }
  - name: no-bad-words
    match: request.method == "POST" && request.body.contains("forbidden")
    deny: { status: 422, body: bad word }
  - name: only-the-shop
    match: destination.namespace != "shop"
    deny: { status: 404 }
  - name: from-far
    match: origin.ip == ip("203.0.113.9")
    deny: { status: 451 }
  - name: failing
    match: request.url_path == "/failing" && request.headers["x-absent"] == "a"
    deny: { status: 403 }
  - name: changes
    onAllow:
      request: { set: { x-tier: "\${my.tier}", x-user: "\${request.headers[?'x-user'].orValue('nobody')}-seen" }, append: { x-many: two, x-new: one }, remove: [x-internal] }
      response: { set: { x-policy: shop-7 } }
      query: { set: { tier: gold }, remove: [debug] }
      metadata: { team: red }
  - name: say
    calls: [log]
    report: { handler: lines, input: { path: request.path, code: response.code, rule: verdict.rule, outcome: verdict.outcome, id: verdict.id, team: 'metadata["envoy.filters.http.ext_authz"]["team"]' } }
`;

let mesh: Mesh;
beforeAll(async () => {
  mesh = await startMesh(POLICY);
});
afterAll(async () => {
  await mesh.stop();
});

describe('ext_authz behind a real Envoy', () => {
  test('an allowed request passes with the changes of the rules', async () => {
    const answer = await mesh.get('/a?debug=1&b=2', {
      headers: { 'x-user': 'ann', 'x-internal': 'spoofed', 'x-many': 'one' },
    });
    expect(answer.status).toBe(200);
    const { headers, url } = answer.arrived();
    expect(headers['x-tier']).toBe('gold');
    expect(headers['x-user']).toBe('ann-seen');
    expect(String(headers['x-many']).replaceAll(' ', '')).toBe('one,two');
    expect(headers['x-new']).toBe('one');
    expect(headers['x-internal']).toBeUndefined();
    const query = new URL(url, 'http://upstream').searchParams;
    expect(Object.fromEntries(query)).toEqual({ b: '2', tier: 'gold' });
    expect(answer.headers.get('x-policy')).toBe('shop-7');
  });

  test("a denied request gets the rule's answer", async () => {
    const answer = await mesh.get('/a/b?c=d', { method: 'DELETE', headers: { 'x-user': 'ann' } });
    expect(answer.status).toBe(418);
    expect(answer.text).toBe('not /a/b, says ann');
    expect(answer.headers.get('x-reason')).toBe('no deletes');
    expect(answer.headers.get('set-cookie')).toBe('a=1');
  });

  test('rules read the body, and an allowed one reaches the upstream whole', async () => {
    expect((await mesh.get('/post', { method: 'POST', body: 'something forbidden' })).status).toBe(422);
    const good = await mesh.get('/post', { method: 'POST', body: 'something good' });
    expect(good.status).toBe(200);
    expect(good.arrived().body).toBe('something good');
  });

  test('origin.ip is the client address that Envoy determines', async () => {
    expect((await mesh.get('/a', { headers: { 'x-forwarded-for': '203.0.113.9' } })).status).toBe(451);
    expect((await mesh.get('/a', { headers: { 'x-forwarded-for': '203.0.113.9, 198.51.100.2' } })).status).toBe(200);
  });

  test('a failure is a 503, not a denial', async () => {
    expect((await mesh.get('/failing')).status).toBe(503);
    expect((await mesh.get('/failing', { headers: { 'x-absent': 'a' } })).status).toBe(403);
  });

  test('the verdict is in the access log entry, for allowed and denied requests', async () => {
    await mesh.get('/logged/allow');
    await mesh.get('/logged/deny', { method: 'DELETE' });
    const lines = await until('both entries', () => {
      const found = mesh.sluice.written.filter((line) => String(line['path']).startsWith('/logged/'));
      return found.length >= 2 ? found : undefined;
    });
    const byPath = new Map(lines.map((line) => [line['path'], line]));
    expect(byPath.get('/logged/allow?tier=gold') ?? byPath.get('/logged/allow')).toMatchObject({
      code: 200,
      outcome: 'allow',
      rule: null,
      team: 'red',
    });
    expect(byPath.get('/logged/deny')).toMatchObject({ code: 418, outcome: 'deny', rule: 'no-deletes' });
  });

  test('Envoy counted no error', async () => {
    const stats = await mesh.stats();
    const sum = (suffix: string): number =>
      Object.entries(stats)
        .filter(([name]) => name.endsWith(suffix))
        .reduce((total, [, value]) => total + value, 0);
    expect(sum('ext_authz.ok')).toBeGreaterThan(3);
    expect(sum('ext_authz.denied')).toBeGreaterThan(3);
    expect(sum('ext_authz.error')).toBe(0);
  });
});

describe('without Sluice', () => {
  test('Envoy answers with its status_on_error', async () => {
    const gone = await startMesh(POLICY.replace('status: 418', 'status: 403'));
    try {
      expect((await gone.get('/a', { method: 'DELETE' })).status).toBe(403);
      await gone.sluice.stop('SIGKILL');
      expect((await gone.get('/a', { method: 'DELETE' })).status).toBe(503);
      const stats = await gone.stats();
      expect(Object.entries(stats).some(([name, value]) => name.endsWith('ext_authz.error') && value > 0)).toBe(true);
    } finally {
      await gone.stop();
    }
  });
});
