/** Rate limits by route actions, and access logs of HTTP and TCP, behind a real Envoy. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mesh, startMesh } from './mesh.ts';
import { until } from './sluice.ts';

const POLICY = `
handlers:
  limits: { adapter: quota-memory, config: {} }
  lines: { adapter: log-stdout, config: {} }
  metrics: { adapter: metrics-prometheus, config: { metrics: { e2e_requests_total: { kind: counter, help: Requests., labels: [method, code] } } } }
rules:
  - name: per-user
    match: ratelimit.domain == "edge"
    quota: { handler: limits, limit: 3, per: 1h, key: [ratelimit.descriptor.user] }
  - name: per-user-and-path
    match: 'ratelimit.entries.map(e, e.key) == ["user", "path"] && ratelimit.descriptor["path"] == "/limited/tight"'
    quota: { handler: limits, limit: 1, per: 1h, key: [ratelimit.descriptor.user, ratelimit.descriptor.path] }
  - name: no-tcp-from-far
    match: '!cidr("127.0.0.0/8").containsIP(source.ip)'
    deny: {}
  - name: http-entries
    calls: [log]
    report:
      handler: lines
      input: { kind: '"http"', method: request.method, path: request.path, code: response.code, took: response.duration, user: 'request.headers[?"x-user"].orValue("")', zone: my.zone, bytes: response.size, flags: response.flags }
  - name: tcp-entries
    calls: [tcp-log]
    report: { handler: lines, input: { kind: '"tcp"', event: connection.event, received: connection.received.bytes_total, sent: connection.sent.bytes_total, zone: my.zone } }
  - name: count
    calls: [log]
    report: { handler: metrics, params: { metric: e2e_requests_total }, input: { value: 1, labels: { method: request.method, code: response.code } } }
attributes:
  my.zone: { type: string, from: [{ customTag: zone }] }
`;

let mesh: Mesh;
beforeAll(async () => {
  mesh = await startMesh(POLICY);
});
afterAll(async () => {
  await mesh.stop();
});

describe('ratelimit behind a real Envoy', () => {
  test('the fourth call of a user is over the limit, and headers have the numbers', async () => {
    const statuses: number[] = [];
    for (let call = 0; call < 4; call += 1) {
      const answer = await mesh.get('/limited/a', { headers: { 'x-user': 'ann' } });
      statuses.push(answer.status);
      expect(answer.headers.get('x-ratelimit-limit')).toMatch(/^3/);
      expect(Number(answer.headers.get('x-ratelimit-remaining'))).toBe(Math.max(0, 2 - call));
      expect(Number(answer.headers.get('x-ratelimit-reset'))).toBeGreaterThan(0);
    }
    expect(statuses).toEqual([200, 200, 200, 429]);
  });

  test('each user has its own count, and the tighter descriptor decides', async () => {
    expect((await mesh.get('/limited/tight', { headers: { 'x-user': 'bob' } })).status).toBe(200);
    expect((await mesh.get('/limited/tight', { headers: { 'x-user': 'bob' } })).status).toBe(429);
    expect((await mesh.get('/limited/a', { headers: { 'x-user': 'bob' } })).status).toBe(200);
  });

  test('a path without route actions is not limited', async () => {
    for (let call = 0; call < 5; call += 1)
      expect((await mesh.get('/free', { headers: { 'x-user': 'ann' } })).status).toBe(200);
  });
});

describe('access logs behind a real Envoy', () => {
  test('an HTTP entry arrives with the fields of the rule', async () => {
    await mesh.get('/entry?status=503&ms=30', { headers: { 'x-user': 'eve' } });
    const line = await until('the entry', () =>
      mesh.sluice.written.find((one) => String(one['path']).startsWith('/entry')),
    );
    expect(line).toMatchObject({ kind: 'http', method: 'GET', code: 503, user: 'eve', zone: 'test-zone' });
    expect(Number.parseFloat(String(line['took']))).toBeGreaterThanOrEqual(0.03);
    expect(Number(line['bytes'])).toBeGreaterThan(0);
  });

  test('a TCP connection is logged when it has ended', async () => {
    expect(await mesh.tcp('hello')).toBe('hello');
    const line = await until('the entry', () => mesh.sluice.written.find((one) => one['kind'] === 'tcp'));
    expect(line).toMatchObject({ event: 'close', received: 5, sent: 5, zone: 'test-zone' });
  });

  test('the metrics page counts the requests', async () => {
    await until('the count', async () => {
      const page = await (await mesh.sluice.admin('/metrics')).text();
      return /e2e_requests_total\{[^}]*code="429"[^}]*\} [1-9]/.test(page) ? true : undefined;
    });
  });

  test('Envoy dropped nothing', async () => {
    const stats = await mesh.stats();
    const sum = (suffix: string): number =>
      Object.entries(stats)
        .filter(([name]) => name.endsWith(suffix))
        .reduce((total, [, value]) => total + value, 0);
    expect(sum('grpc_access_log.logs_written')).toBeGreaterThan(0);
    expect(sum('grpc_access_log.logs_dropped')).toBe(0);
    expect(sum('ratelimit.error')).toBe(0);
  });
});

describe('network ext_authz behind a real Envoy', () => {
  test('a denied connection is closed, and the log has no verdict', async () => {
    const closed = await startMesh(`
rules:
  - name: nobody
    match: source.ip == ip("127.0.0.1")
    calls: [tcp]
    deny: {}
`);
    try {
      expect(await closed.tcp('hello')).toBe('');
    } finally {
      await closed.stop();
    }
  });
});
