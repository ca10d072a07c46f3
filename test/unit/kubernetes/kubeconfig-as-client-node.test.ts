/**
 * A second opinion on kubeconfigs: @kubernetes/client-node must come to the same server and credentials, but for the differences listed.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { type ApiServer, fromKubeconfig, inCluster } from '../../../src/kubernetes/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'kube-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
const base64 = (text: string): string => Buffer.from(text).toString('base64');

file('pki/ca.pem', 'CA of a file\n');
file('pki/client.pem', 'CERT of a file\n');
file('pki/client.key', 'KEY of a file\n');
file('token', 'TOKEN of a file\n');
const program = file(
  'credentials.sh',
  `#!/bin/sh
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"TOKEN of a program"}}'
`,
);
chmodSync(program, 0o755);

interface Read {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly servername: string | undefined;
  readonly isVerified: boolean;
  /** Headers beside the token, and a proxy: what only the other client has. */
  readonly more?: string;
}

async function ours(read: () => Promise<ApiServer>): Promise<Read> {
  const { url, token, tls } = await read();
  const { ca, cert, key, servername, rejectUnauthorized } = tls;
  return { url, token, ca, cert, key, servername, isVerified: rejectUnauthorized !== false };
}

async function theirs(config: KubeConfig): Promise<Read> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { Authorization: authorization, ...headers } = (options.headers ?? {}) as Readonly<Record<string, string>>;
  const text = (pem: unknown): string | undefined => (pem as Buffer | undefined)?.toString().trim();
  const more = [
    ...(options.auth === undefined ? [] : [`basic ${String(options.auth)}`]),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(config.getCurrentCluster()?.proxyUrl === undefined ? [] : [`over ${config.getCurrentCluster()?.proxyUrl}`]),
  ];
  return {
    url: config.getCurrentCluster()?.server,
    token: authorization?.replace(/^Bearer /, '').trim(),
    ca: text(options.ca),
    cert: text(options.cert),
    key: text(options.key),
    servername: options.servername,
    isVerified: options.rejectUnauthorized !== false,
    ...(more.length === 0 ? {} : { more: more.join(', ') }),
  };
}

function loaded(path: string, context?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(path);
  if (context !== undefined) config.setCurrentContext(context);
  return config;
}

let files = 0;
const kubeconfig = (cluster: object, user?: object | null, context: object = { user: 'u' }): string =>
  file(
    `config-${files++}`,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      preferences: {},
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'c', ...context } }],
      clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
      users: user === undefined ? null : [{ name: 'u', user }],
    }),
  );

const TOKEN = { token: 'TOKEN' };
const CA = { 'certificate-authority-data': base64('CA') };
const CERT = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };

describe('a kubeconfig comes to the same for both clients', () => {
  for (const [what, path] of [
    ['with a token', kubeconfig(CA, TOKEN)],
    ['with a namespace in its context', kubeconfig(CA, TOKEN, { user: 'u', namespace: 'shop' })],
    ['with a client certificate inline', kubeconfig(CA, CERT)],
    [
      'with a client certificate in files beside it',
      kubeconfig(CA, { 'client-certificate': 'pki/client.pem', 'client-key': 'pki/client.key' }),
    ],
    [
      'with a client certificate in a file, and its key inline',
      kubeconfig(CA, { 'client-certificate': join(folder, 'pki/client.pem'), 'client-key-data': base64('KEY') }),
    ],
    ['with a token and a client certificate', kubeconfig(CA, { ...TOKEN, ...CERT })],
    ['with an authority in a file beside it', kubeconfig({ 'certificate-authority': 'pki/ca.pem' }, TOKEN)],
    ['with no authority', kubeconfig({}, TOKEN)],
    ['with a server that is not verified', kubeconfig({ 'insecure-skip-tls-verify': true }, TOKEN)],
    ['with a name for the certificate', kubeconfig({ ...CA, 'tls-server-name': 'kube' }, TOKEN)],
    ['with a path in the address', kubeconfig({ ...CA, server: 'https://rancher.example/k8s/clusters/x' }, TOKEN)],
    ['with a slash at the end of the address', kubeconfig({ ...CA, server: 'https://kube.example:6443/' }, TOKEN)],
    ['with an address of IPv6', kubeconfig({ ...CA, server: 'https://[fd00::1]:6443' }, TOKEN)],
    ['with no credentials', kubeconfig(CA, {})],
    [
      'with empty fields, as templates leave them',
      kubeconfig({ ...CA, 'certificate-authority': '', 'tls-server-name': '' }, { ...TOKEN, 'client-key': '' }),
    ],
    ['with empty fields of the user alone', kubeconfig(CA, null)],
  ] as const)
    test(what, async () => {
      const other = await theirs(loaded(path));
      expect({ ...other, servername: other.servername === '' ? undefined : other.servername }).toEqual(
        await ours(fromKubeconfig(path)),
      );
    });

  test('with several contexts, whichever is asked for', async () => {
    const path = file(
      'contexts',
      `current-context: b
clusters:
- { name: one, cluster: { server: "https://one", certificate-authority-data: ${base64('CA 1')} } }
- { name: two, cluster: &two { server: "https://two:6443", insecure-skip-tls-verify: true } }
- { name: again, cluster: *two }
users:
- { name: one, user: { token: first } }
- { name: two, user: { client-certificate: pki/client.pem, client-key: pki/client.key } }
contexts:
- { name: a, context: { cluster: one, user: one } }
- { name: b, context: { cluster: two, user: one, namespace: shop } }
- { name: c, context: { cluster: one, user: two } }
- { name: d, context: { cluster: again, user: two } }
`,
    );
    const found = [];
    for (const context of [undefined, 'a', 'b', 'c', 'd']) {
      const read = await ours(fromKubeconfig(path, context));
      expect(read).toEqual(await theirs(loaded(path, context)));
      found.push([read.url, read.token ?? read.cert]);
    }
    expect(found).toEqual([
      ['https://two:6443', 'first'],
      ['https://one', 'first'],
      ['https://two:6443', 'first'],
      ['https://one', 'CERT of a file'],
      ['https://two:6443', 'CERT of a file'],
    ]);
    for (const context of ['e', 'one'])
      await expect(ours(fromKubeconfig(path, context))).rejects.toThrow(`it has no context "${context}"`);
  });

  test('in a cluster, over IPv4 and IPv6', async () => {
    const account = '/cluster/var/run/secrets/kubernetes.io/serviceaccount';
    file(`${account}/token`, 'TOKEN of the pod');
    file(`${account}/ca.crt`, 'CA of the pod\n');
    for (const [host, port] of [
      ['10.96.0.1', '443'],
      ['fd00::1', '6443'],
    ] as const) {
      vi.stubEnv('KUBERNETES_SERVICE_HOST', host);
      vi.stubEnv('KUBERNETES_SERVICE_PORT', port);
      const config = new KubeConfig();
      config.loadFromCluster(join(folder, 'cluster'));
      const other = await theirs(config);
      expect(await ours(inCluster({ folder: join(folder, account) }))).toEqual({
        ...other,
        url: new URL(other.url ?? '').origin, // without the port that https has anyway
      });
      expect(other).toMatchObject({ token: 'TOKEN of the pod', ca: 'CA of the pod' });
    }
  });
});

describe('a kubeconfig differs', () => {
  for (const [what, why, path, ourRead, theirRead] of [
    [
      'with tokenFile',
      'the other client knows it as token-file, which is no field of a kubeconfig; kubectl reads tokenFile before token',
      kubeconfig(CA, { tokenFile: 'token', token: 'old' }),
      { token: 'TOKEN of a file' },
      { token: 'old' },
    ],
    [
      'with an authority inline and in a file',
      'Kubernetes documents that the inline one overrides the file',
      kubeconfig({ ...CA, 'certificate-authority': 'pki/ca.pem' }, TOKEN),
      { ca: 'CA' },
      { ca: 'CA of a file' },
    ],
    [
      'without a user',
      'the other client forgets the authority of the cluster then',
      kubeconfig(CA, undefined, {}),
      { ca: 'CA', token: undefined },
      { ca: undefined, token: undefined },
    ],
    [
      'with an authority beside insecure-skip-tls-verify',
      'kubectl refuses it; the other client verifies nothing',
      kubeconfig({ ...CA, 'insecure-skip-tls-verify': true }, TOKEN),
      /insecure-skip-tls-verify would ignore the certificate authority; remove one/,
      { isVerified: false, ca: 'CA' },
    ],
    [
      'with a program',
      'it would run in the place of a control plane, with its rights',
      kubeconfig(CA, {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: program,
          interactiveMode: 'Never',
        },
      }),
      /programs \(exec\) are not run; use a token/,
      { token: 'TOKEN of a program' },
    ],
    [
      'with a password',
      'Kubernetes removed them in 1.19',
      kubeconfig(CA, { username: 'ann', password: 'x' }),
      /passwords were removed/,
      { more: 'basic ann:x' },
    ],
    [
      'with an auth-provider',
      'Kubernetes has removed those of clouds; programs took their place',
      kubeconfig(CA, {
        'auth-provider': { name: 'azure', config: { 'access-token': 'x', 'expires-on': '9999999999' } },
      }),
      /auth-provider is not supported/,
      { token: 'x' },
    ],
    [
      'with impersonation',
      'a control plane has an account of its own',
      kubeconfig(CA, { ...TOKEN, as: 'ann' }),
      /impersonation \(as\) is not supported/,
      { token: 'TOKEN', more: 'Impersonate-User: ann' },
    ],
    [
      'with impersonation of groups alone',
      'kubectl refuses it as well; the other client ignores it, and acts as more than was meant',
      kubeconfig(CA, { ...TOKEN, 'as-groups': ['viewers'] }),
      /impersonation \(as\) is not supported/,
      { token: 'TOKEN' },
    ],
    [
      'with a proxy',
      'a control plane stands beside its API server',
      kubeconfig({ ...CA, 'proxy-url': 'http://proxy:3128' }, TOKEN),
      /proxy-url is not supported/,
      { more: 'over http://proxy:3128' },
    ],
    [
      'with a certificate without its key',
      'kubectl refuses it; the other client fails at the first connection',
      kubeconfig(CA, { 'client-certificate-data': base64('CERT') }),
      /client-certificate and client-key go together/,
      { cert: 'CERT', key: undefined },
    ],
    [
      'with an address without TLS',
      'the token would go in cleartext',
      kubeconfig({ server: 'http://10.0.0.1:8080', 'insecure-skip-tls-verify': true }, TOKEN),
      /not an https URL/,
      { url: 'http://10.0.0.1:8080', token: 'TOKEN' },
    ],
  ] as const)
    test(`${what}: ${why}`, async () => {
      for (const [read, expected] of [
        [() => ours(fromKubeconfig(path)), ourRead],
        [() => theirs(loaded(path)), theirRead],
      ] as const)
        if (expected instanceof RegExp) await expect(read()).rejects.toThrow(expected);
        else expect(await read()).toMatchObject(expected);
    });
});
