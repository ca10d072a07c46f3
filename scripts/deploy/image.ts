/**
 * `npm run deploy:image`: builds the images, and runs them as Docker, the pods of the chart, Envoy Gateway and injected pods do: see
 * container.ts for the restrictions. Needs root, and Debian's buildah, runc and debootstrap, which it installs. Takes six minutes.
 */
import assert from 'node:assert/strict';
import { cpSync, globSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../src/adapters/testing/index.ts';
import { redisServer } from '../../test/parts/fetch.ts';
import { gatewayLimiterEnv } from '../../test/parts/envoy-gateway-limiter.ts';
import { buildImages } from './build-image.ts';
import { POD_IP } from './container.ts';
import { ok } from './helm.ts';
import { runInjectedPod } from './injected-pod.ts';
import { ROOT } from './manifests.ts';
import { gets } from './pod.ts';
import { runPods } from './pod-runs.ts';
import { openRuns, WITHIN_MS } from './runs.ts';

const images = await buildImages();
const image = images.sluice;
const runs = await openRuns(image);
try {
  const files = globSync('opt/sluice/**/*', { cwd: image.rootfs }).map((file) => statSync(join(image.rootfs, file)));
  const mebibytes = Math.round(files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0) / 2 ** 20);
  assert.match(image.config.User, /^[1-9]\d*:[1-9]\d*$/);
  ok(`deploy/docker/Dockerfile is built; as user ${image.config.User}, ${mebibytes} MiB of Sluice`);
  await asDocker();
  await withPlugin();
  await runPods(runs);
  await asEnvoyGateway();
  await runInjectedPod(runs, images.proxy);
} finally {
  await runs.close();
  images.remove();
}

async function asDocker(): Promise<void> {
  const policy = runs.folder();
  cpSync(join(ROOT, 'examples/start'), policy, { recursive: true });
  for (const hasTmp of [true, false]) {
    const container = await runs.container({ mounts: { '/etc/sluice/policy': policy }, hasTmp });
    const [, ...healthcheck] = image.config.Healthcheck.Test;
    await eventually(
      () => assert.equal(container.exec(healthcheck).out.trim(), 'SERVING', container.printed()),
      WITHIN_MS,
    );
    const call = `sluice call check --to ${POD_IP}:9091 --request /opt/sluice/examples/requests/delete.yaml`;
    assert.match(container.exec(call.split(' ')).out, /only-offices-may-delete/);
    assert.notEqual(container.beside(gets(`http://${POD_IP}:15014/healthz`)).code, 0, 'the admin port is open');
    assert.equal(container.exec(['id', '-u']).out.trim(), image.config.User.split(':')[0]);
    assert.notEqual(container.exec(['touch', '/opt/sluice/a']).code, 0);
    assert.notEqual(container.exec(['npm', '--version']).code, 0);
    assert.match(container.exec(['sluice', '--version']).out, /^\d+\.\d+\.\d+ \(commit [0-9a-f]{12}\)/);
    await runs.drained(container, 12_000);
  }
  ok('as Docker starts it, with a read-only root: healthy, decides, drains on SIGTERM; with and without /tmp');
}

/** As in an image that adds packages. */
async function withPlugin(): Promise<void> {
  const [policy, packages] = [runs.folder(), runs.folder()];
  const folder = join(packages, 'sluice-check-all');
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'package.json'),
    '{ "name": "sluice-check-all", "version": "1.2.3", "type": "module", "exports": "./adapter.js" }',
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
  writeFileSync(
    join(policy, 'policy.yaml'),
    `plugins: [sluice-check-all]
handlers: { all: { adapter: check-all, config: {} } }
rules: [{ name: all, check: { handler: all, input: {} } }]
`,
  );
  const container = await runs.container({
    mounts: { '/etc/sluice/policy': policy, '/etc/sluice/node_modules': packages },
  });
  await eventually(() => assert.equal(container.exec(['sluice', 'health']).code, 0, container.printed()), WITHIN_MS);
  const { out } = container.exec(['sluice', 'plugins', '/etc/sluice/policy']);
  assert.match(out, /^check-all +check +.*sluice-check-all/m);
  await runs.drained(container, 12_000);
  ok('a package in /etc/sluice/node_modules is found as a plugin');
}

/** Without its control plane. */
async function asEnvoyGateway(): Promise<void> {
  const certs = runs.folder();
  for (const [name, text] of Object.entries(await runs.issue('envoy-ratelimit')))
    writeFileSync(join(certs, name), text);
  const container = await runs.container({
    command: ['/bin/ratelimit'],
    env: { ...gatewayLimiterEnv(), REDIS_URL: '127.0.0.1:6379', PROMETHEUS_ADDR: ':19001' },
    user: { uid: 65534, gid: 65534 },
    mounts: { '/certs': certs },
    hasTmp: false,
  });
  const redis = container.spawnBeside([await redisServer(), '--bind', '127.0.0.1', '--save', '']);
  try {
    const answers = (url: string): void => assert.equal(container.beside(gets(url)).code, 0, container.printed());
    await eventually(() => answers(`http://${POD_IP}:8080/healthcheck`), WITHIN_MS);
    answers(`http://${POD_IP}:19001/metrics`);
    assert.equal(runs.servedName(container, 8081), 'envoy-ratelimit');
    await runs.drained(container, 15_000);
  } finally {
    await redis.stop();
  }
  ok('as Envoy Gateway starts its limiter (/bin/ratelimit, user 65534, no /tmp): healthy, TLS, metrics');
}
