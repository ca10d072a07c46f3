/** Pods of the chart, in their kinds; each is ready when a run begins, since `runs.pod` waits for its probes. */
import assert from 'node:assert/strict';
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../src/adapters/testing/index.ts';
import { POD_IP } from './container.ts';
import { ok } from './helm.ts';
import { ROOT } from './manifests.ts';
import { gets, type Pod, sluice } from './pod.ts';
import { type Runs, WITHIN_MS } from './runs.ts';

const requestFile = (name: string): string => join(ROOT, 'examples/requests', name);

export async function runPods(runs: Runs): Promise<void> {
  await withDefaults(runs);
  await exposed(runs);
  await withTls(runs);
  await withSpool(runs);
  await asLimiter(runs);
}

async function withDefaults(runs: Runs): Promise<void> {
  const pod = await runs.pod({});
  assert.notEqual(pod.beside(gets(`http://${POD_IP}:15014/metrics`)).code, 0, 'the admin port is open');
  const first = policyOf(pod).revision;
  pod.project('config', { 'policy.yaml': 'rules: [{ name: all, deny: { status: 418 } }]\n' });
  await eventually(() => assert.notEqual(policyOf(pod).revision, first), WITHIN_MS);
  const second = policyOf(pod).revision;
  pod.project('config', { 'policy.yaml': 'rules: [{ name: all, deni: {} }]\n' });
  await eventually(() => assert.ok(policyOf(pod).pending !== null), WITHIN_MS);
  assert.equal(policyOf(pod).revision, second);
  assert.match(called(pod, 'check', 'get.yaml'), /418/);
  await runs.drained(pod, pod.terminationMs);
  ok('as a pod of the chart: probes pass, a changed ConfigMap is loaded, a wrong one refused, drains in time');
}

async function exposed(runs: Runs): Promise<void> {
  const pod = await runs.pod({ admin: { expose: true }, workers: 2 });
  assert.match(pod.beside(gets(`http://${POD_IP}:15014/metrics`)).out, /^sluice_policy_info\{/m);
  await runs.drained(pod, pod.terminationMs);
  ok('with an exposed admin port and two workers: probes pass, metrics can be read');
}

async function withTls(runs: Runs): Promise<void> {
  const values = { tls: { secretName: 'cert', requireClientCertificate: true } };
  const pod = await runs.pod(values, { tls: await runs.issue('first') });
  assert.equal(runs.servedName(pod, 9091), 'first');
  pod.project('tls', await runs.issue('renewed'));
  await eventually(() => assert.equal(runs.servedName(pod, 9091), 'renewed'), WITHIN_MS);
  await runs.drained(pod, pod.terminationMs);
  ok('with a certificate of a Secret: probes pass, a renewed one is served');
}

async function withSpool(runs: Runs): Promise<void> {
  const policy = `settings: { spool: { folder: /var/lib/sluice/spool } }
handlers: { lines: { adapter: log-stdout, spool: disk, config: {} } }
rules: [{ name: all, report: { handler: lines, input: { path: request.path } } }]
`;
  const volumes = runs.folder();
  const pod = await runs.pod({ spool: { enabled: true }, policy: { files: { 'policy.yaml': policy } } }, { volumes });
  called(pod, 'log', 'log.yaml');
  await eventually(() => assert.match(pod.printed(), /"path":"\/ratings\/7"/), WITHIN_MS);
  const [segment = ''] = globSync('spool/lines/1/*.spool', { cwd: volumes });
  const { uid, gid } = statSync(join(volumes, segment));
  assert.deepEqual([uid, gid], [65532, 65532]);
  await runs.drained(pod, pod.terminationMs);
  ok('with a volume for spools: reports wait on it, as the user of the pod');
}

async function asLimiter(runs: Runs): Promise<void> {
  const settings = { BACKEND_TYPE: 'memory' };
  const pod = await runs.pod({ mode: 'ratelimit', grpc: { port: 8081 }, ratelimit: { settings } });
  assert.equal(pod.beside(gets(`http://${POD_IP}:9090/metrics`)).code, 0);
  assert.notEqual(pod.beside(gets(`http://${POD_IP}:6070/rlconfig`)).code, 0, 'the debug port is open');
  const limits = (): string => pod.beside(gets('http://127.0.0.1:6070/rlconfig')).out;
  assert.match(limits(), /example\.remote_address: unit=SECOND requests_per_unit=100/);
  pod.project('config', {
    'limits.yaml': 'domain: example\ndescriptors: [{ key: user, rate_limit: { unit: hour, requests_per_unit: 5 } }]\n',
  });
  await eventually(() => assert.match(limits(), /example\.user: unit=HOUR requests_per_unit=5/), WITHIN_MS);
  await runs.drained(pod, pod.terminationMs);
  ok('as a limiter of the chart: probes pass, changed limits are loaded, drains in time');
}

function called(pod: Pod, kind: 'check' | 'log', file: string): string {
  const { code, out } = pod.beside(sluice('call', kind, '--to', `${POD_IP}:9091`, '--request', requestFile(file)));
  assert.ok(code === 0 || code === 1, out); // 1: denied
  return out;
}

function policyOf(pod: Pod): { revision: string; pending: object | null } {
  const { code, out } = pod.beside(gets('http://127.0.0.1:15014/policy'));
  assert.equal(code, 0, out);
  return JSON.parse(out) as { revision: string; pending: object | null };
}
