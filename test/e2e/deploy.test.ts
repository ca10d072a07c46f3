/** deploy/: what needs neither Helm nor a container engine. `npm run deploy:check` and `npm run deploy:image` have the rest. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { COMMANDS } from '../../src/cli/program.ts';
import { CHART, headOfPlain, type Manifest, manifestsOf, PLAIN, WEBHOOK } from '../../scripts/deploy/manifests.ts';
import { RENDERINGS } from '../../scripts/deploy/renderings.ts';
import { makeAuthority } from '../parts/certificates.ts';
import { gatewayLimiterEnv } from '../parts/envoy-gateway-limiter.ts';
import { onPath } from '../parts/fetch.ts';
import { projectFiles } from '../parts/projected-volume.ts';
import { startRateLimit } from '../parts/ratelimits.ts';
import { startRedis } from '../parts/redis.ts';
import { ROOT, run, serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const readYaml = (path: string): Record<string, unknown> => parse(read(path)) as Record<string, unknown>;

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-deploy-test-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

const plain = (): Manifest[] => manifestsOf(readFileSync(PLAIN, 'utf8'));
const ofWebhook = (): Manifest[] => manifestsOf(readFileSync(WEBHOOK, 'utf8'));
interface Container {
  readonly args: readonly string[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[];
}
function container(
  manifests = plain(),
): Container & { readonly terminationSeconds: number; readonly preStopSeconds: number } {
  const deployment = manifests.find(({ kind }) => kind === 'Deployment') as unknown as {
    spec: {
      template: {
        spec: {
          terminationGracePeriodSeconds: number;
          containers: [Container & { lifecycle: { preStop: { sleep: { seconds: number } } } }];
        };
      };
    };
  };
  const { containers, terminationGracePeriodSeconds } = deployment.spec.template.spec;
  const [only] = containers;
  return {
    ...only,
    terminationSeconds: terminationGracePeriodSeconds,
    preStopSeconds: only.lifecycle.preStop.sleep.seconds,
  };
}

describe('the chart and the plain manifests', () => {
  test('the plain manifests are of this chart', () => {
    expect(readFileSync(PLAIN, 'utf8').split('\n')[0]).toBe(headOfPlain().trim());
  });

  test('the alerts of the chart are those of deploy/prometheus', () => {
    expect(readFileSync(join(CHART, 'files/alerts.yaml'), 'utf8')).toBe(read('deploy/prometheus/alerts.yaml'));
  });

  test('the chart is of the version of the package', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(readYaml('deploy/helm/sluice/Chart.yaml')).toMatchObject({ version, appVersion: version });
  });

  test('the rights of enrich-kubernetes are those of the manifest', () => {
    const rulesOf = (text: string): unknown => /^rules:\n(( {2}- .*\n)+)/m.exec(text)?.[1];
    expect(rulesOf(read('deploy/helm/sluice/templates/rbac.yaml'))).toBe(rulesOf(read('deploy/kubernetes/rbac.yaml')));
  });

  test('every flag that a template or a combination passes is one of `sluice serve`', () => {
    const serve = COMMANDS.find(({ name }) => name === 'serve');
    const known = new Set((serve?.flags ?? []).map(({ long }) => long));
    const passed = [
      ...read('deploy/helm/sluice/templates/_pod.tpl').matchAll(/- (--[-a-z]+)=/g),
      ...JSON.stringify(RENDERINGS).matchAll(/"(--[-a-z]+)=/g),
    ].map(([, flag]) => flag);
    expect(passed.length).toBeGreaterThan(10);
    expect(passed.filter((flag) => !known.has(flag))).toEqual([]);
  });

  test('every flag of the webhook is one of `sluice webhook`', () => {
    const webhook = COMMANDS.find(({ name }) => name === 'webhook');
    const known = new Set((webhook?.flags ?? []).map(({ long }) => long));
    const passed = container(ofWebhook()).args.slice(1);
    expect(passed.filter((arg) => !known.has(arg.split('=')[0]))).toEqual([]);
  });

  test.each([plain, ofWebhook])('a pod may take as long to stop as preStop and the drain take: %o', (manifests) => {
    const { args, terminationSeconds, preStopSeconds } = container(manifests());
    const graceSeconds = Number(/^--grace=(\d+)$/m.exec(args.join('\n'))?.[1]);
    expect(terminationSeconds).toBeGreaterThan(preStopSeconds + graceSeconds);
  });
});

describe('a pod of the plain manifests', () => {
  test('loads a changed ConfigMap without a restart, both files at once, and refuses a wrong one', async () => {
    const { args, volumeMounts } = container();
    const mount = volumeMounts.find(({ name }) => name === 'config');
    expect(mount).toEqual({ name: 'config', mountPath: '/etc/sluice/policy', readOnly: true }); // a subPath would never change
    const folder = scratch();
    const deny = (path: string, body: string): string =>
      `rules: [{ name: ${body}, match: request.path == "${path}", deny: { status: 403, body: ${body} } }]\n`;
    const [policy] = plain().filter(({ kind }) => kind === 'ConfigMap');
    projectFiles(folder, {
      'policy.yaml': (policy?.['data'] as Record<string, string> | undefined)?.['policy.yaml'] ?? '',
      'b.yaml': 'rules: []\n',
    });

    const others = args.slice(2).filter((arg) => !/^--(grpc|admin|log-format)=/.test(arg));
    const server = await serving([folder], { args: others });
    ends.push(() => server.stop());
    const client = peerClient(server.grpc);
    ends.push(() => client.close());
    const bodyOf = async (path: string): Promise<string> => (await client.check({ path })).denied_response?.body ?? '';
    expect(await bodyOf('/.git/config')).toBe('not here');

    projectFiles(folder, { 'policy.yaml': deny('/one', 'first'), 'b.yaml': deny('/two', 'second') });
    await server.said(/"msg":"policy loaded"/);
    expect([await bodyOf('/one'), await bodyOf('/two'), await bodyOf('/.git/config')]).toEqual(['first', 'second', '']);
    projectFiles(folder, { 'policy.yaml': deny('/one', 'third'), 'b.yaml': 'rules: [{ name: x, deni: {} }]\n' });
    await server.said(/the policy has errors; the last good one stays in force/);
    expect([await bodyOf('/one'), await bodyOf('/two')]).toEqual(['first', 'second']);
    const pending = (await (await fetch(`http://${server.admin}/policy`)).json()) as {
      pending: { findings: unknown[] };
    };
    expect(JSON.stringify(pending.pending.findings)).toMatch(/b\.yaml:1:.*deni/);
    expect(server.err().match(/"msg":"policy loaded"/g)).toHaveLength(1);
  });
});

describe('the image', () => {
  test('its context has every file of the package', () => {
    const { files, man, bin } = JSON.parse(read('package.json')) as { files: string[]; man: string; bin: object };
    const made = ['dist'];
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(files.filter((file) => !file.startsWith('!') && !made.includes(file) && !allowed.includes(file))).toEqual(
      [],
    );
    expect([man, ...Object.values(bin)].every((path: string) => path.startsWith('./dist/'))).toBe(true);
  });

  test('/bin/ratelimit serves as Envoy Gateway starts it', async () => {
    const [redis, authority, folder] = [await startRedis(), await makeAuthority(), scratch()];
    ends.push(
      () => redis.stop(),
      () => authority.remove(),
    );
    const { cert, key } = await authority.issue('envoy-ratelimit', 'DNS:envoy-ratelimit');
    copyFileSync(cert, join(folder, 'tls.crt'));
    copyFileSync(key, join(folder, 'tls.key'));
    copyFileSync(authority.ca, join(folder, 'ca.crt'));
    const sluice = join(folder, 'sluice');
    writeFileSync(sluice, `#!/bin/sh\nexec node ${join(ROOT, 'src/cli/bin.ts')} "$@"\n`); // the image has a link to the package
    chmodSync(sluice, 0o755);
    const limiter = await startRateLimit('/bin/ratelimit', join(ROOT, 'deploy/docker/ratelimit'), [], {
      PATH: [folder, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter),
      ...gatewayLimiterEnv(folder, '127.0.0.1:1'),
      REDIS_URL: `127.0.0.1:${redis.port}`,
    });
    ends.push(() => limiter.stop());
    expect((await fetch(`http://127.0.0.1:${limiter.prometheusPort}/metrics`)).status).toBe(200);
    expect(limiter.printed()).toMatch(/GRPC_SERVER_TLS_CA_CERT|127\.0\.0\.1:1/);
    await limiter.stop(); // the shell was replaced: SIGTERM reaches the server
    expect(limiter.printed()).toMatch(/stopped/);
  });
});

test('the default policy of the chart has no finding', async () => {
  const { policy } = readYaml('deploy/helm/sluice/values.yaml') as { policy: { files: Record<string, string> } };
  const file = join(scratch(), 'policy.yaml');
  writeFileSync(file, policy.files['policy.yaml'] ?? '');
  expect(await run(['lint', file])).toMatchObject({ code: 0, err: '' });
});

test.skipIf(onPath('systemd-analyze') === undefined)('systemd accepts the unit', () => {
  const folder = scratch();
  const unit = join(folder, 'sluice.service');
  // The program is not installed here.
  writeFileSync(unit, read('deploy/systemd/sluice.service').replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
  const verified = execFileSync('systemd-analyze', ['verify', '--man=no', unit], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(verified).toBe('');
});
