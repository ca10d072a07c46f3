/** The verdict of the check and of the rate limit come back in the access log of a real Envoy. */
import { expect, onTestFinished, test } from 'vitest';
import { startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { grpcAccessLog, logEnvoyConfig } from '../parts/log-envoy-config.ts';
import { startMesh } from './mesh.ts';
import { serveSluice, until } from './sluice.ts';

const POLICY = `
handlers:
  limits: { adapter: quota-memory, config: {} }
  lines: { adapter: log-stdout, config: {} }
  counts: { adapter: metrics-prometheus, config: { metrics: { outcomes_total: { kind: counter, labels: [rule, outcome, code] } } } }
rules:
  - { name: closed, calls: [http], match: request.url_path == "/closed", deny: {} }
  - { name: broken, calls: [http], match: 'request.url_path == "/broken" && request.headers["x-absent"] == "a"', deny: {} }
  - { name: one-each, match: ratelimit.domain == "edge", quota: { handler: limits, limit: 1, per: 1h, key: [ratelimit.descriptor.user] } }
  - name: joined
    report:
      handler: lines
      input:
        path: request.url_path
        has_id: has(verdict.id)
        outcome: 'has(verdict.outcome) ? verdict.outcome : "unchecked"'
        rule: 'has(verdict.rule) ? verdict.rule : "-"'
        limited: 'has(verdict.limit_outcome) ? verdict.limit_outcome : "unchecked"'
        by: 'has(verdict.limit_rule) ? verdict.limit_rule : "-"'
  - name: rule-by-outcome
    report:
      handler: counts
      params: { metric: outcomes_total }
      input:
        value: 1
        labels: { rule: 'has(verdict.rule) ? verdict.rule : "-"', outcome: 'has(verdict.outcome) ? verdict.outcome : "unchecked"', code: response.code }
`;

test('allowed, denied, failed and limited requests carry their verdicts, and a metric has rule by outcome', async () => {
  const mesh = await startMesh(POLICY);
  onTestFinished(() => mesh.stop());
  const statuses: number[] = [];
  for (const path of ['/open', '/closed', '/broken', '/limited/a', '/limited/a'])
    statuses.push((await mesh.get(path, { headers: { 'x-user': 'ann' } })).status);
  expect(statuses).toEqual([200, 403, 503, 200, 429]);
  const lines = await until('all entries', () => (mesh.sluice.written.length >= 5 ? mesh.sluice.written : undefined));
  const shown = lines.map(({ path, has_id, outcome, rule, limited, by }) => [path, has_id, outcome, rule, limited, by]);
  expect(shown).toEqual([
    ['/open', true, 'allow', '-', 'unchecked', '-'],
    ['/closed', true, 'deny', 'closed', 'unchecked', '-'],
    ['/broken', true, 'failed', 'broken', 'unchecked', '-'],
    ['/limited/a', true, 'allow', '-', 'allow', '-'],
    ['/limited/a', true, 'allow', '-', 'deny', 'one-each'],
  ]);
  const page = await until('the metric', async () => {
    const text = await (await mesh.sluice.admin('/metrics')).text();
    return text.includes('code="429"') ? text : undefined;
  });
  expect(page).toContain('outcomes_total{rule="closed",outcome="deny",code="403"} 1');
  expect(page).toContain('outcomes_total{rule="broken",outcome="failed",code="503"} 1');
}, 60_000);

test('a request that no check was asked for has no verdict', async () => {
  await using sluice = await serveSluice(POLICY);
  onTestFinished(async () => {
    await sluice.stop('SIGKILL');
  });
  const [adminPort, httpPort] = [await freePort(), await freePort()];
  const config = logEnvoyConfig({ adminPort, httpPort, sluicePorts: [sluice.grpcPort], accessLog: [grpcAccessLog()] });
  const envoy = await startEnvoy({ config, adminPort });
  onTestFinished(() => envoy.stop());
  expect((await fetch(`http://127.0.0.1:${httpPort}/open`)).status).toBe(200);
  const line = await until('the entry', () => sluice.written[0]);
  expect(line).toMatchObject({ path: '/open', has_id: false, outcome: 'unchecked', rule: '-' });
}, 60_000);
