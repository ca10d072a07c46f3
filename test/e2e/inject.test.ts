import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { COMMAND } from '../parts/command-path.ts';
import { startFakeKubeApi } from '../parts/fake-kube-api.ts';
import { ROOT, run } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-inject-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fileOf = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const POD = 'kind: Pod\nmetadata: { labels: { app: shop } }\nspec: { containers: [{ name: app, image: app:1 }] }\n';
const BROKEN = 'kind: Pod\nspec: { containers: 7 }\n';

test('manifests of a file and of stdin are injected alike, and messages go to stderr', async () => {
  const text = `${POD}---\nkind: Service # a service\n---\nkind: Pod\nspec: { hostNetwork: true }\n`;
  const file = await run(['inject', '-f', fileOf('shop.yaml', text)]);
  const stdin = await run(['inject', '-f', '-'], { stdin: text });
  expect(file).toEqual({
    code: 0,
    out: stdin.out,
    err: 'Skipping injection because Pod "" has host networking enabled\n',
  });
  const [pod = '', service, node, end] = file.out.split('---\n');
  expect([service, node, end]).toEqual(['kind: Service # a service\n', 'kind: Pod\nspec:\n  hostNetwork: true\n', '']);
  expect(parse(pod)).toMatchObject({ spec: { containers: [{ name: 'app' }, { name: 'istio-proxy' }] } });
});

test('nothing comes of nothing', async () => {
  expect(await run(['inject', '-f', '-'])).toEqual({ code: 0, out: '', err: '' });
  const closed = spawn('/bin/sh', ['-c', `"${process.execPath}" ${COMMAND} inject -f - <&-`], { cwd: ROOT });
  expect(await once(closed, 'close')).toEqual([0, null]);
});

test('documents before a broken one are on stdout, and its position is on stderr', async () => {
  const { code, out, err } = await run(['inject', '-f', '-'], {
    stdin: `kind: Service\n---\n${BROKEN}---\nkind: Late\n`,
  });
  expect([code, out]).toEqual([1, 'kind: Service\n---\n']);
  expect(err).toContain('<stdin>:3:1 INJECT_OBJECT spec.containers is not a list');
});

test('a file is replaced as a whole, or stays', async () => {
  const path = fileOf('own.yaml', POD);
  expect(await run(['inject', '-f', path, '-o', path])).toMatchObject({ code: 0, out: '' });
  const once = readFileSync(path, 'utf8');
  expect(once).toContain('istio-proxy');
  expect((await run(['inject', '-f', path, '-o', path])).code).toBe(0);
  expect(readFileSync(path, 'utf8')).toBe(once);

  const broken = fileOf('broken.yaml', `${POD}---\n${BROKEN}`);
  expect((await run(['inject', '-f', broken, '-o', path])).code).toBe(1);
  expect(readFileSync(path, 'utf8')).toBe(once);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);

  const nowhere = await run(['inject', '-f', path, '-o', join(folder, 'no/such/file')]);
  expect(nowhere).toMatchObject({ code: 3, err: expect.stringContaining('CLI_FILE') });
  expect(await run(['inject', '-f', join(folder, 'absent')])).toMatchObject({
    code: 3,
    err: expect.stringContaining('ENOENT'),
  });
});

test('a reader that leaves in the middle ends it quietly', async () => {
  const many = fileOf('many.yaml', `${POD}---\n`.repeat(5000));
  const child = spawn(
    '/bin/sh',
    ['-c', `"${process.execPath}" ${COMMAND} inject -f "${many}" | head -n 1; echo "$?"`],
    { cwd: ROOT },
  );
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  await once(child, 'close');
  expect([out, err]).toEqual(['kind: Pod\n0\n', '']);
});

test('a file of 20 MB and 20 000 documents passes through little memory', { timeout: 120_000 }, async () => {
  const document = `kind: Service\n${'# a comment of a service that is long\n'.repeat(26)}`;
  const large = fileOf('large.yaml', `${document}---\n`.repeat(20_000));
  const limited = spawn(process.execPath, ['--max-old-space-size=64', COMMAND, 'inject', '-f', '-'], {
    cwd: ROOT,
  });
  createReadStream(large).pipe(limited.stdin);
  let size = 0;
  limited.stdout.on('data', (chunk: Buffer) => (size += chunk.length));
  expect(await once(limited, 'close')).toEqual([0, null]);
  expect(size).toBe((document.length + 4) * 20_000);
});

test('flags of Istio 1.0 that belong in a template need a variable', async () => {
  const flags = ['inject', '-f', '-', '--hub', 'docker.io/istio', '--tag', '1.0.2'];
  expect(await run(flags, { stdin: POD })).toMatchObject({
    code: 2,
    out: '',
    err: expect.stringContaining('--hub is deprecated'),
  });
  const env = { ISTIOCTL_USE_BUILTIN_DEFAULTS: 'true' };
  const { code, out } = await run([...flags, '--coreDump=false', '--includeIPRanges', '10.0.0.0/8'], {
    stdin: POD,
    env,
  });
  expect(code).toBe(0);
  expect(out).toContain('image: docker.io/istio/proxyv2:1.0.2');
  expect(out).toContain('10.0.0.0/8');
  expect(out).not.toContain('enable-core-dump');
  for (const [wrong, message] of [
    [['--hub', 'a'], "hub and tag are both required. got hub: 'a', tag: ''"],
    [['--hub', 'a', '--tag', 'b', '--includeIPRanges', 'bad'], 'includeIPRanges invalid'],
    [['--hub', 'a', '--tag', 'b', '--excludeInboundPorts', '*'], 'excludeInboundPorts invalid'],
    [['--hub', 'a', '--tag', 'b', '--style', 'today'], '--hub is of --style 1.0'],
    [['--debug', '--sidecarProxyUID', '-1', '--hub', 'a', '--tag', 'b'], 'expected the number of a user'],
  ] as const)
    expect(await run(['inject', '-f', '-', ...wrong], { stdin: POD, env })).toMatchObject({
      code: 2,
      err: expect.stringContaining(message),
    });
  expect(await run(['inject', '-f', '-', '--emitTemplate'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('mutually exclusive'),
  });
  expect(await run(['inject'])).toMatchObject({ code: 2, err: expect.stringContaining('filename not specified') });
});

test('the template and the mesh configuration come from files, also as ConfigMaps', async () => {
  const emitted = (await run(['inject', '--emitTemplate', '--style', 'today'])).out;
  const config = fileOf('config.yaml', emitted.replaceAll('sluice-proxy:', 'edited:'));
  const map = { kind: 'ConfigMap', data: { mesh: 'defaultConfig: { drainDuration: 90s }' } };
  const mesh = fileOf('mesh.yaml', JSON.stringify(map));
  const { out, code } = await run(
    ['inject', '-f', '-', '--style', 'today', '--injectConfigFile', config, '--meshConfigFile', mesh],
    { stdin: POD },
  );
  expect(code).toBe(0);
  expect(out).toContain('image: edited:');
  expect(out).toContain('1m30s');

  const wrong = fileOf('wrong.yaml', 'defaultConfig: { drainDuration: soon }');
  expect(await run(['inject', '-f', '-', '--meshConfigFile', wrong], { stdin: POD })).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringMatching(/INJECT_CONFIG .*wrong.yaml: defaultConfig.drainDuration: expected a duration/),
  });
  expect(await run(['inject', '-f', '-', '--injectConfigFile', wrong], { stdin: POD })).toMatchObject({
    code: 1,
    err: expect.stringContaining('has no template'),
  });
});

test('the configurations come from ConfigMaps of a cluster', async () => {
  const api = await startFakeKubeApi();
  try {
    const kubeconfig = fileOf(
      'kubeconfig.yaml',
      JSON.stringify({
        'current-context': 'c',
        contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
        clusters: [
          {
            name: 'c',
            cluster: { server: api.url, 'certificate-authority-data': Buffer.from(api.ca).toString('base64') },
          },
        ],
        users: [{ name: 'u', user: { token: 'secret' } }],
      }),
    );
    const flags = ['inject', '-f', '-', '--kubeconfig', kubeconfig];
    const template =
      'containers: [{ name: istio-proxy, image: x, args: ["[[ formatDuration .ProxyConfig.DrainDuration ]]"] }]';
    for (const data of [
      { config: JSON.stringify({ policy: 'disabled', template }) },
      { mesh: 'defaultConfig: { drainDuration: 90s }' },
    ])
      api.next.push((response) => response.end(JSON.stringify({ kind: 'ConfigMap', data })));
    const { code, out, err } = await run(
      [...flags, '--injectConfigMapName', 'istio-sidecar-injector', '--meshConfigMapName', 'istio', '-i', 'mesh'],
      { stdin: POD },
    );
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('1m30s');
    expect(api.requests.map(({ path }) => path)).toEqual([
      '/api/v1/namespaces/mesh/configmaps/istio-sidecar-injector',
      '/api/v1/namespaces/mesh/configmaps/istio',
    ]);
    api.next.push((response) => response.end('{}'));
    expect(await run([...flags, '--meshConfigMapName', 'istio'], { stdin: POD })).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringContaining('missing configuration map key "mesh"'),
    });
  } finally {
    await api.stop();
  }
});
