/** TLS that a DestinationRule asks for, to servers with certificates of their own. */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ControlPlane } from '../../../src/mesh/control-plane.ts';
import { CLUSTER } from '../../../src/xds/index.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const API = 'apiVersion: networking.istio.io/v1';
const HOST = 'api.example.com';
const entry = (spec = '', host = HOST, protocol = 'HTTP'): string => `
---
${API}
kind: ServiceEntry
metadata: { name: api }
spec: { hosts: ["${host}"], location: MESH_EXTERNAL, resolution: ${host.startsWith('*') ? 'NONE' : 'DNS'}, ports: [{ number: 443, name: web, protocol: ${protocol} }], ${spec} }
`;
const rule = (tls: string, host = HOST): string => `
---
${API}
kind: DestinationRule
metadata: { name: api }
spec: { host: "${host}", trafficPolicy: { tls: ${tls} } }
`;
const NODE = 'sidecar~10.1.0.1~web-1.default~default.svc.cluster.local';
let authority: Authority;
let roots: string;
let crl: string;
let own: { readonly cert: string; readonly key: string };
beforeAll(async () => {
  authority = await makeAuthority();
  roots = authority.ca;
  own = await authority.issue('own', 'DNS:own.example.com');
  crl = await noneRevoked(authority);
});
afterAll(() => authority.remove());

async function noneRevoked({ folder }: Authority): Promise<string> {
  await writeFile(join(folder, 'index.txt'), '');
  await writeFile(
    join(folder, 'ca.conf'),
    '[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\ndefault_md = sha256\ndefault_crl_days = 2\n',
  );
  const command = 'ca -gencrl -config ca.conf -keyfile ca.key -cert ca.pem -out crl.pem';
  execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'pipe' });
  return join(folder, 'crl.pem');
}

async function clusterOf(text: string, metadata: object = { SYSTEM_ROOTS: roots }, host = HOST) {
  const { mesh } = await readMesh({ 'mesh.yaml': text });
  const all = resourcesFor(mesh, NODE, metadata as never);
  expect(await validate(all)).toContain('OK');
  return named(all, CLUSTER, `outbound|443||${host}`);
}
interface Socket {
  readonly typed_config: { readonly sni?: string; readonly common_tls_context: Readonly<Record<string, unknown>> };
}
const tlsOf = (cluster: Readonly<Record<string, unknown>>) => (cluster['transport_socket'] as Socket).typed_config;
const validationOf = async (tls: string, spec?: string) =>
  tlsOf(await clusterOf(entry(spec) + rule(tls))).common_tls_context['validation_context'];

const names = (...all: readonly string[]) =>
  all.flatMap((exact) => ['URI', 'DNS'].map((san_type) => ({ san_type, matcher: { exact } })));
const signedBy = (filename: string, ...all: readonly string[]) => ({
  trusted_ca: { filename },
  match_typed_subject_alt_names: names(...all),
});

test('a server has a certificate of the host that is called, or of the names that the rule states', async () => {
  expect(await validationOf(`{ mode: SIMPLE, caCertificates: ${own.cert} }`)).toEqual(signedBy(own.cert, HOST));
  expect(await validationOf(`{ mode: SIMPLE, caCertificates: ${own.cert}, sni: web.test }`)).toEqual(
    signedBy(own.cert, 'web.test'),
  );
  expect(await validationOf(`{ mode: SIMPLE, caCertificates: ${own.cert}, subjectAltNames: [other.test] }`)).toEqual(
    signedBy(own.cert, 'other.test'),
  );
  expect(await validationOf(`{ mode: SIMPLE, caCertificates: ${own.cert}, caCrl: ${crl} }`)).toEqual({
    ...signedBy(own.cert, HOST),
    crl: { filename: crl },
  });
});

test('names of a ServiceEntry count where the rule states none', async () => {
  const spec = 'subjectAltNames: [a.example.com, "spiffe://example.com/b"]';
  expect(await validationOf('{ mode: SIMPLE }', spec)).toEqual(
    signedBy(roots, 'a.example.com', 'spiffe://example.com/b'),
  );
  expect(await validationOf('{ mode: SIMPLE, subjectAltNames: [c.example.com] }', spec)).toEqual(
    signedBy(roots, 'c.example.com'),
  );
});

test.for(['SIMPLE', 'MUTUAL'])(
  'mode %s without caCertificates trusts the authorities of the operating system of the proxy',
  async (mode) => {
    const files = `clientCertificate: ${own.cert}, privateKey: ${own.key}`;
    const { common_tls_context: context } = tlsOf(await clusterOf(entry() + rule(`{ mode: ${mode}, ${files} }`)));
    expect(context['validation_context']).toEqual(signedBy(roots, HOST));
    expect(context['tls_certificates'] === undefined).toBe(mode === 'SIMPLE');
  },
);

test('insecureSkipVerify trusts any server', async () => {
  const tls = tlsOf(await clusterOf(entry() + rule('{ mode: SIMPLE, insecureSkipVerify: true }'), {}));
  expect(tls.sni).toBe(HOST);
  expect(Object.keys(tls.common_tls_context)).toEqual(['alpn_protocols', 'tls_params']);
});

test('a proxy that names no file of CA certificates calls nobody, and the log says why once', async () => {
  const text = entry() + rule('{ mode: SIMPLE }');
  const cluster = await clusterOf(text, {});
  expect(cluster).toMatchObject({ type: 'STATIC', metadata: { filter_metadata: { sluice: {} } } });
  expect(cluster).not.toHaveProperty('load_assignment');
  expect(JSON.stringify(cluster['metadata'])).toMatch(
    /no caCertificates, and the node metadata of the proxy no SYSTEM/,
  );
  const { mesh } = await readMesh({ 'mesh.yaml': text });
  const warn = vi.fn();
  const plane = new ControlPlane(mesh, '1', { log: { warn } });
  const connect = (metadata: object) =>
    plane.connect(
      { id: NODE, cluster: 'web', metadata, identity: undefined, locality: undefined } as never,
      () => undefined,
    );
  const connection = connect({});
  await connection.resources();
  await connection.resources();
  await connect({ SYSTEM_ROOTS: roots }).resources();
  expect(warn.mock.calls).toEqual([
    [
      expect.stringMatching(/^calls of a proxy by TLS are refused/),
      {
        proxy: NODE,
        host: HOST,
        of: expect.stringMatching(/^DestinationRule default\/api at /),
        fix: expect.any(String),
      },
    ],
  ]);
});

test('of a host with a wildcard each call of HTTP names its server', async () => {
  const wild = '*.example.com';
  const optionsOf = async (tls: string) => {
    const cluster = await clusterOf(entry('', wild) + rule(tls, wild), undefined, wild);
    expect(tlsOf(cluster).sni).toBe(tls.includes('sni') ? 'a.example.com' : undefined);
    return Object.values(cluster['typed_extension_protocol_options'] as Record<string, Record<string, unknown>>)[0]?.[
      'upstream_http_protocol_options'
    ];
  };
  expect(await optionsOf('{ mode: SIMPLE }')).toEqual({ auto_sni: true, auto_san_validation: true });
  expect(await optionsOf('{ mode: SIMPLE, subjectAltNames: [a.example.com] }')).toEqual({ auto_sni: true });
  expect(await optionsOf('{ mode: SIMPLE, insecureSkipVerify: true }')).toEqual({ auto_sni: true });
  expect(await optionsOf('{ mode: SIMPLE, sni: a.example.com }')).toBeUndefined();
});
