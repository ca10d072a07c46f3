/**
 * `npm run deploy:image`: builds the image, and runs it as Docker, the pods of the chart, and Envoy Gateway do: see container.ts for the
 * restrictions. Needs root, and Debian's buildah, runc and debootstrap, which it installs. Takes five minutes.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../src/adapters/testing/index.ts';
import { makeAuthority } from '../../test/parts/certificates.ts';
import { redisServer } from '../../test/parts/fetch.ts';
import { buildImage } from './build-image.ts';
import { type Container, POD_IP, startContainer } from './container.ts';
import { ok, openHelm } from './helm.ts';
import { ROOT } from './manifests.ts';
import { gets, type Pod, sluice, startPod } from './pod.ts';

const EXAMPLES = '/opt/sluice/examples';
const REQUESTS = join(ROOT, 'examples/requests');
const WITHIN_MS = 30_000;

const scratch = mkdtempSync(join(tmpdir(), 'sluice-image-run-'));
const helm = openHelm(scratch);
const authority = await makeAuthority();
const running = new Set<Container>();
const image = await buildImage();
try {
  ok(
    `deploy/docker/Dockerfile is built; as user ${image.config.User}, ${sizeMiB(join(image.rootfs, 'opt/sluice'))} MiB of Sluice`,
  );
  await asDocker();
  await withPlugin();
  await asPod();
  await withTls();
  await withSpool();
  await asLimiter();
  await asEnvoyGateway();
} finally {
  for (const container of running) await container.stop();
  image.remove();
  await authority.remove();
  rmSync(scratch, { recursive: true });
}

async function asDocker(): Promise<void> {
  assert.match(image.config.User, /^[1-9]\d*:[1-9]\d*$/);
  assert.ok(globSync('**/*', { cwd: join(image.rootfs, 'opt/sluice') }).length > 500);
  const policy = scratchFolder();
  cpSync(join(ROOT, 'examples/start'), policy, { recursive: true });
  for (const hasTmp of [true, false]) {
    const container = keep(await startContainer(image, { mounts: { '/etc/sluice/policy': policy }, hasTmp }));
    const [, ...healthcheck] = image.config.Healthcheck.Test;
    await eventually(
      () => assert.equal(container.exec(healthcheck).out.trim(), 'SERVING', container.printed()),
      WITHIN_MS,
    );
    const asked = container.exec([
      'sluice',
      'call',
      'check',
      '--to',
      `${POD_IP}:9091`,
      '--request',
      `${EXAMPLES}/requests/delete.yaml`,
    ]);
    assert.match(asked.out, /only-offices-may-delete/);
    assert.notEqual(container.beside(gets(`http://${POD_IP}:15014/healthz`)).code, 0, 'the admin port is open');
    assert.equal(container.exec(['id', '-u']).out.trim(), image.config.User.split(':')[0]);
    assert.notEqual(container.exec(['touch', '/opt/sluice/a']).code, 0);
    assert.match(container.exec(['sluice', '--version']).out, /^\d+\.\d+\.\d+ \(commit [0-9a-f]{12}\)/);
    assert.notEqual(container.exec(['npm', '--version']).code, 0);
    await drained(container, 12_000);
  }
  ok('as Docker starts it, with a read-only root: healthy, decides, drains on SIGTERM; with and without /tmp');
}

/** As in an image that adds packages. */
async function withPlugin(): Promise<void> {
  const [policy, packages] = [scratchFolder(), scratchFolder()];
  const folder = join(packages, 'sluice-check-all');
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'package.json'),
    '{ "name": "sluice-check-all", "type": "module", "exports": "./adapter.js" }',
  );
  writeFileSync(
    join(folder, 'adapter.js'),
    `import { allow, defineAdapter } from 'sluice/plugin';
    import { z } from 'zod';
    export default defineAdapter({
      name: 'check-all', summary: 'Allows all.', config: z.strictObject({}),
      serves: { check: { input: {} } }, open: async () => ({ check: () => () => allow() }),
    });`,
  );
  writeFileSync(join(policy, 'policy.yaml'), 'plugins: [sluice-check-all]\nrules: []\n');
  const mounts = { '/etc/sluice/policy': policy, '/etc/sluice/node_modules': packages };
  const container = keep(await startContainer(image, { mounts }));
  const { out } = container.exec(['sluice', 'plugins', '/etc/sluice/policy']);
  assert.match(out, /^check-all +check +sluice-check-all/m);
  await drained(container, 12_000);
  ok('a package in /etc/sluice/node_modules is found as a plugin');
}

async function asPod(): Promise<void> {
  const pod = keepPod(await startPod(image, helm.render({}), scratchFolder()));
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) await pod.becomes(probe);
  assert.notEqual(pod.beside(gets(`http://${POD_IP}:15014/metrics`)).code, 0, 'the admin port is open');
  const revision = (): string => pageOf(pod, '/policy').revision;
  const first = revision();
  const request = (status: number): string => `rules: [{ name: all, deny: { status: ${status} } }]\n`;
  pod.project('config', { 'policy.yaml': request(418) });
  await eventually(() => assert.notEqual(revision(), first), WITHIN_MS);
  const second = revision();
  pod.project('config', { 'policy.yaml': 'rules: [{ name: all, deni: {} }]\n' });
  await eventually(() => assert.ok(pageOf(pod, '/policy').pending !== null), WITHIN_MS);
  assert.equal(revision(), second);
  assert.match(
    pod.beside(sluice('call', 'check', '--to', `${POD_IP}:9091`, '--request', join(REQUESTS, 'get.yaml'))).out,
    /418/,
  );
  await drained(pod, pod.terminationMs);

  const exposed = keepPod(await startPod(image, helm.render({ admin: { expose: true }, workers: 2 }), scratchFolder()));
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) await exposed.becomes(probe);
  assert.match(exposed.beside(gets(`http://${POD_IP}:15014/metrics`)).out, /^sluice_policy_info\{/m);
  await drained(exposed, exposed.terminationMs);
  ok(
    'as a pod of the chart: probes pass, a changed ConfigMap is loaded, a wrong one refused, metrics by choice, drains in time',
  );
}

async function withTls(): Promise<void> {
  const { cert, key } = await authority.issue('sluice', `IP:${POD_IP}`);
  const files = {
    'tls.crt': readFileSync(cert, 'utf8'),
    'tls.key': readFileSync(key, 'utf8'),
    'ca.crt': readFileSync(authority.ca, 'utf8'),
  };
  const values = { tls: { secretName: 'cert', requireClientCertificate: true } };
  const pod = keepPod(await startPod(image, helm.render(values), scratchFolder(), { tls: files }));
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) await pod.becomes(probe);
  const peer = (): string =>
    pod.beside([
      'openssl',
      's_client',
      '-connect',
      `${POD_IP}:9091`,
      '-alpn',
      'h2',
      '-CAfile',
      authority.ca,
      '-cert',
      cert,
      '-key',
      key,
      '-brief',
    ]).out;
  assert.match(peer(), /CN ?= ?sluice/);
  const renewed = await authority.issue('renewed', `IP:${POD_IP}`);
  pod.project('tls', {
    ...files,
    'tls.crt': readFileSync(renewed.cert, 'utf8'),
    'tls.key': readFileSync(renewed.key, 'utf8'),
  });
  await eventually(() => assert.match(peer(), /CN ?= ?renewed/), WITHIN_MS);
  await drained(pod, pod.terminationMs);
  ok('with a certificate of a Secret: probes pass, a renewed one is served');
}

async function withSpool(): Promise<void> {
  const policy = `settings: { spool: { folder: /var/lib/sluice/spool } }
handlers: { lines: { adapter: log-stdout, spool: disk, config: {} } }
rules: [{ name: all, report: { handler: lines, input: { path: request.path } } }]
`;
  const folder = scratchFolder();
  const manifests = helm.render({ spool: { enabled: true }, policy: { files: { 'policy.yaml': policy } } });
  const pod = keepPod(await startPod(image, manifests, folder));
  await pod.becomes('readinessProbe');
  const sent = pod.beside(sluice('call', 'log', '--to', `${POD_IP}:9091`, '--request', join(REQUESTS, 'log.yaml')));
  assert.equal(sent.code, 0, sent.out);
  await eventually(() => assert.match(pod.printed(), /"path":"\/ratings\/7"/), WITHIN_MS);
  const [segment = ''] = globSync('spool/lines/1/*.spool', { cwd: folder });
  assert.deepEqual([statSync(join(folder, segment)).uid, statSync(join(folder, segment)).gid], [65532, 65532]);
  await drained(pod, pod.terminationMs);
  ok('with a volume for spools: reports wait on it, as the user of the pod');
}

async function asLimiter(): Promise<void> {
  const values = { mode: 'ratelimit', grpc: { port: 8081 }, ratelimit: { settings: { BACKEND_TYPE: 'memory' } } };
  const pod = keepPod(await startPod(image, helm.render(values), scratchFolder()));
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) await pod.becomes(probe);
  assert.equal(pod.beside(gets(`http://${POD_IP}:9090/metrics`)).code, 0);
  assert.notEqual(pod.beside(gets(`http://${POD_IP}:6070/rlconfig`)).code, 0, 'the debug port is open');
  const limits = (): string => pod.beside(gets('http://127.0.0.1:6070/rlconfig')).out;
  assert.match(limits(), /example\.remote_address: unit=SECOND requests_per_unit=100/);
  pod.project('config', {
    'limits.yaml': 'domain: example\ndescriptors: [{ key: user, rate_limit: { unit: hour, requests_per_unit: 5 } }]\n',
  });
  await eventually(() => assert.match(limits(), /example\.user: unit=HOUR requests_per_unit=5/), WITHIN_MS);
  await drained(pod, pod.terminationMs);
  ok('as a limiter of the chart: probes pass, changed limits are loaded, drains in time');
}

/** internal/infrastructure/kubernetes/ratelimit/testdata/deployments/default.yaml of Envoy Gateway; the control plane is not there. */
async function asEnvoyGateway(): Promise<void> {
  const certs = scratchFolder();
  const { cert, key } = await authority.issue('envoy-ratelimit', 'DNS:envoy-ratelimit');
  for (const [name, from] of [
    ['tls.crt', cert],
    ['tls.key', key],
    ['ca.crt', authority.ca],
  ] as const)
    writeFileSync(join(certs, name), readFileSync(from), { mode: 0o644 });
  const env = {
    RUNTIME_ROOT: '/data',
    RUNTIME_SUBDIRECTORY: 'ratelimit',
    RUNTIME_IGNOREDOTFILES: 'true',
    RUNTIME_WATCH_ROOT: 'false',
    LOG_LEVEL: 'info',
    USE_STATSD: 'false',
    CONFIG_TYPE: 'GRPC_XDS_SOTW',
    CONFIG_GRPC_XDS_SERVER_URL: 'envoy-gateway:18001',
    CONFIG_GRPC_XDS_NODE_ID: 'envoy-ratelimit',
    GRPC_SERVER_USE_TLS: 'true',
    GRPC_SERVER_TLS_CERT: '/certs/tls.crt',
    GRPC_SERVER_TLS_KEY: '/certs/tls.key',
    GRPC_SERVER_TLS_CA_CERT: '/certs/ca.crt',
    CONFIG_GRPC_XDS_SERVER_USE_TLS: 'true',
    CONFIG_GRPC_XDS_CLIENT_TLS_CERT: '/certs/tls.crt',
    CONFIG_GRPC_XDS_CLIENT_TLS_KEY: '/certs/tls.key',
    CONFIG_GRPC_XDS_SERVER_TLS_CACERT: '/certs/ca.crt',
    FORCE_START_WITHOUT_INITIAL_CONFIG: 'true',
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: '127.0.0.1:6379',
    USE_PROMETHEUS: 'true',
    PROMETHEUS_ADDR: ':19001',
  };
  const user = { uid: 65534, gid: 65534 };
  const container = keep(
    await startContainer(image, { command: ['/bin/ratelimit'], env, user, mounts: { '/certs': certs }, hasTmp: false }),
  );
  const redis = container.spawnBeside([
    await redisServer(),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    scratch,
  ]);
  try {
    const answers = (url: string): void => assert.equal(container.beside(gets(url)).code, 0, container.printed());
    await eventually(() => answers(`http://${POD_IP}:8080/healthcheck`), WITHIN_MS);
    answers(`http://${POD_IP}:19001/metrics`);
    assert.match(
      container.beside([
        'openssl',
        's_client',
        '-connect',
        `${POD_IP}:8081`,
        '-alpn',
        'h2',
        '-CAfile',
        authority.ca,
        '-brief',
      ]).out,
      /CN ?= ?envoy-ratelimit/,
    );
    await drained(container, 15_000);
  } finally {
    await redis.stop();
  }
  ok(
    'as Envoy Gateway starts its limiter (/bin/ratelimit, user 65534, read-only root, no /tmp): healthy, TLS, metrics',
  );
}

/** SIGTERM ends it by itself, before it would be killed. */
async function drained(container: Container, withinMs: number): Promise<void> {
  const began = performance.now();
  await container.stop(withinMs);
  running.delete(container);
  assert.ok(performance.now() - began < withinMs, `killed after ${withinMs} ms\n${container.printed()}`);
  assert.match(container.printed(), /"msg":"stopped"|msg="?stopped|stopped/);
}

function pageOf(pod: Pod, path: string): { revision: string; pending: object | null } {
  const { code, out } = pod.beside(gets(`http://127.0.0.1:15014${path}`));
  assert.equal(code, 0, out);
  return JSON.parse(out) as { revision: string; pending: object | null };
}

function keep(container: Container): Container {
  running.add(container);
  return container;
}
function keepPod(pod: Pod): Pod {
  running.add(pod);
  return pod;
}

/** Readable by the user of a container. */
function scratchFolder(): string {
  const folder = mkdtempSync(join(scratch, 'volume-'));
  chmodSync(folder, 0o755);
  return folder;
}

function sizeMiB(folder: string): number {
  const files = globSync('**/*', { cwd: folder, withFileTypes: true }).filter((entry) => entry.isFile());
  return Math.round(
    files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0) / 2 ** 20,
  );
}
