import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fromKubeconfig, inCluster } from '../../../src/kubernetes/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'kube-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const config = (cluster: object, user: object, more: object = {}): string =>
  JSON.stringify({
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
    ...more,
  });
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('in a cluster', () => {
  const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('address, token and authority are found, and the token is read again when it is rotated', async () => {
    file('token', 'one\n');
    file('ca.crt', 'PEM\n');
    const read = inCluster({ folder, environment });
    expect(await read()).toEqual({ url: 'https://10.96.0.1', token: 'one', tls: { ca: 'PEM' } });
    file('token', 'two');
    expect((await read()).token).toBe('two');
  });

  test('an IPv6 address is put into brackets, and a server of the options comes first', async () => {
    const url = async (options: object) => (await inCluster({ folder, ...options })()).url;
    expect(await url({ environment: { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' } })).toBe(
      'https://[fd00::1]:6443',
    );
    expect(await url({ environment, server: 'https://kube.example:1234' })).toBe('https://kube.example:1234');
  });

  test('outside of one, or without a token, the error says what to do', async () => {
    expect(() => inCluster({ folder, environment: {} })).toThrow(/KUBERNETES_SERVICE_HOST is not set.*kubeconfig/);
    expect(() => inCluster({ folder, server: 'http://10.0.0.1' })).toThrow(/not an https URL/);
    await expect(inCluster({ folder: '/no/such', environment })()).rejects.toThrow(
      'the token /no/such/token cannot be read: ENOENT',
    );
    file('token', '');
    await expect(inCluster({ folder, environment })()).rejects.toThrow(/token is empty/);
  });
});

describe('a kubeconfig', () => {
  test('gives server, authority, client certificate and token, inline or from files beside it', async () => {
    const inline = file(
      'inline',
      config(
        { 'certificate-authority-data': base64('CA'), 'tls-server-name': 'kube' },
        { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') },
      ),
    );
    expect(await fromKubeconfig(inline)()).toEqual({
      url: 'https://10.0.0.1:6443',
      token: undefined,
      tls: { ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'kube', rejectUnauthorized: true },
    });
    file('ca.pem', 'CA of a file');
    file('rotated', 'of a file');
    const files = file('files', config({ 'certificate-authority': 'ca.pem' }, { tokenFile: 'rotated', token: 'old' }));
    expect(await fromKubeconfig(files)()).toMatchObject({ token: 'of a file', tls: { ca: 'CA of a file' } });
    file('rotated', 'again');
    expect((await fromKubeconfig(files)()).token).toBe('again');
  });

  test('may be YAML, have other contexts, and no user', async () => {
    const path = file(
      'yaml',
      `# made by hand
current-context: a
contexts:
- { name: a, context: { cluster: one } }
- { name: b, context: { cluster: two, user: "" } }
clusters:
- { name: one, cluster: { server: "https://one" } }
- { name: two, cluster: { server: "https://two:6443/k8s/clusters/x", insecure-skip-tls-verify: true } }
`,
    );
    expect((await fromKubeconfig(path)()).url).toBe('https://one');
    expect(await fromKubeconfig(path, 'b')()).toMatchObject({
      url: 'https://two:6443/k8s/clusters/x',
      tls: { rejectUnauthorized: false },
    });
    await expect(fromKubeconfig(path, 'c')()).rejects.toThrow(/it has no context "c"; it has a, b$/);
  });

  const secret = 'hunter2';
  for (const [what, text, says] of [
    ['a program to run', config({}, { exec: { command: 'aws', args: [secret] } }), /exec.*are not run; use a token/],
    ['an auth-provider', config({}, { 'auth-provider': { name: secret } }), /auth-provider is not supported/],
    ['a password', config({}, { username: 'ann', password: secret }), /passwords were removed/],
    ['impersonation', config({}, { as: secret }), /impersonation/],
    ['a proxy', config({ 'proxy-url': `http://a:${secret}@b` }, {}), /proxy-url is not supported/],
    ['a server without TLS', config({ server: `http://a:${secret}@10.0.0.1` }, {}), /not an https URL/],
    ['a certificate without key', config({}, { 'client-certificate-data': 'YQ==' }), /go together/],
    ['no current context', config({}, {}, { 'current-context': '' }), /no current-context/],
    ['a missing user', config({}, {}, { users: [] }), /it has no user "u"; it has none/],
    ['a token that is no text', config({}, { token: { secret } }), /users\.0\.user\.token/],
    ['a list', `[${secret}]`, /expected object/],
    ['broken YAML', `users:\n- { token: "${secret}\n`, /line \d+: not YAML \(/],
    ['nothing', ' ', /is empty/],
  ] as const)
    test(`with ${what} is refused, and the error shows none of its secrets`, async () => {
      const path = file('bad', text);
      const error = await fromKubeconfig(path)().catch((thrown: unknown) => thrown);
      expect(String(error)).toMatch(says);
      expect(String(error)).toContain(path);
      expect(JSON.stringify([String(error), (error as Error).stack])).not.toContain(secret);
    });
});
