/** `sluice webhook` as a command; `npm run webhook:real` runs it behind a real kube-apiserver. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { program, run } from './command.ts';

let authority: Authority;
let folder: string;
let files: readonly string[];
beforeAll(async () => {
  authority = await makeAuthority();
  const { cert, key } = await authority.issue('webhook', 'IP:127.0.0.1');
  folder = await mkdtemp(join(tmpdir(), 'sluice-webhook-e2e-'));
  files = ['--tls-cert', cert, '--tls-key', key, '--injectConfigFile', join(folder, 'config')];
});
afterAll(async () => {
  await authority.remove();
  await rm(folder, { recursive: true });
});

const ANY = ['--https', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
const TEMPLATE = 'containers: [{ name: istio-proxy, image: proxy }]';

test('a review that has begun is answered after SIGTERM, and the process ends with 0', async () => {
  await writeFile(join(folder, 'config'), JSON.stringify({ policy: 'enabled', template: TEMPLATE }));
  const webhook = await program(['webhook', ...ANY, ...files], /serving .*https=127\.0\.0\.1:\d+/);
  const port = Number(/https="?127\.0\.0\.1:(\d+)/.exec(webhook.err())?.[1]);
  const body = JSON.stringify({
    apiVersion: 'admission.k8s.io/v1beta1',
    kind: 'AdmissionReview',
    request: { uid: 'u', namespace: 'shop', operation: 'CREATE', object: { metadata: { name: 'web' }, spec: {} } },
  });
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const head = `POST /inject HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.write(head + body.slice(0, 20));
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  webhook.signal('SIGTERM');
  await webhook.said(/stopping/);
  socket.write(body.slice(20));
  expect(await webhook.ended).toBe(0);
  expect(text).toContain('"apiVersion":"admission.k8s.io/v1beta1"');
  expect(text).toContain('"patchType":"JSONPatch"');
});

test('a configuration with an error is no start', async () => {
  await writeFile(join(folder, 'config'), JSON.stringify({ policy: 'enabled', template: '[[ if ]]' }));
  const { code, err } = await run(['webhook', ...ANY, ...files]);
  expect(err).toMatch(/CLI_INJECT_CONFIG .*line 1/);
  expect(code).not.toBe(0);
  expect((await run(['webhook', ...ANY])).err).toMatch(/CLI_USAGE --tls-cert is missing/);
});

interface Registration {
  readonly webhooks: readonly { readonly clientConfig: { readonly caBundle: string } }[];
}

test('the registration is printed for a Service or a URL, in both styles', async () => {
  const printed = async (...args: readonly string[]): Promise<Registration> => {
    const { out, err } = await run(['webhook', '--print-config', '--ca', authority.ca, ...args]);
    expect(err).toBe('');
    return parse(out) as Registration;
  };
  const today = await printed('--service', 'sluice-webhook.sluice', '--style', 'today');
  expect(today).toMatchObject({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    webhooks: [
      {
        name: 'namespace.sluice.inject',
        clientConfig: { service: { name: 'sluice-webhook', namespace: 'sluice', path: '/inject', port: 443 } },
        failurePolicy: 'Fail',
        reinvocationPolicy: 'IfNeeded',
        sideEffects: 'None',
        admissionReviewVersions: ['v1', 'v1beta1'],
        namespaceSelector: { matchExpressions: [{ key: 'istio-injection', operator: 'In', values: ['enabled'] }] },
      },
      { name: 'object.sluice.inject' },
    ],
  });
  const ofUrl = await printed('--url', 'https://10.0.0.1:9443/inject', '--style', '1.0', '--all-namespaces');
  expect(ofUrl).toMatchObject({ webhooks: [{ clientConfig: { url: 'https://10.0.0.1:9443/inject' } }] });
  expect(ofUrl.webhooks).toHaveLength(1);
  const [first] = today.webhooks;
  expect(Buffer.from(first?.clientConfig.caBundle ?? '', 'base64').toString()).toContain('BEGIN CERTIFICATE');
  expect((await run(['webhook', '--print-config', '--ca', authority.ca])).err).toMatch(
    /needs either --service .* or --url/,
  );
});
