/** Certificates of gateways, from Secrets: every form that they come in, and what is wrong with one. */
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LISTENER, SECRET } from '../../../src/xds/index.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';
import { fixture, type ReadMesh, readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';
import { checkReferences } from '../../../src/mesh/check-references.ts';
import { Findings } from '../../../src/yaml/findings.ts';

let authority: Authority;
let pair: { readonly certificate: string; readonly key: string };
let other: typeof pair;
let ca: string;
beforeAll(async () => {
  authority = await makeAuthority();
  const make = async (name: string): Promise<typeof pair> => {
    const { cert, key } = await authority.issue(name, `DNS:${name}.example.com`);
    return { certificate: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  };
  [pair, other, ca] = [await make('shop'), await make('bank'), await readFile(authority.ca, 'utf8')];
});
afterAll(() => authority.remove());

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const secret = (fields: object, name = 'shop', namespace = 'istio-system'): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, ...fields });
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [shop.example.com], tls: { mode: SIMPLE, credentialName: shop } }
    - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }
`;

/** The workload of the gateway: its identity has the credentials of Gateways that select it. */
const WORKLOAD = `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: gateway, namespace: istio-system }
spec: { address: 127.0.10.9, serviceAccount: gateway, labels: { istio: ingressgateway } }
`;

const meshOf = (...secrets: readonly string[]): Promise<ReadMesh> =>
  readMesh(
    {
      'services.yaml': fixture('services.yaml'),
      'workloads.yaml': WORKLOAD,
      'rules.yaml': [GATEWAY, ...secrets].join('\n---\n'),
    },
    { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } },
  );

const ROUTER = 'router~127.0.10.9~gateway.istio-system~istio-system.svc.cluster.local';
const PROVEN = 'spiffe://cluster.local/ns/istio-system/sa/gateway';
const LABELS = { LABELS: { istio: 'ingressgateway' }, SDS_CLUSTER: 'sds-grpc' };

describe('the credential of a gateway', () => {
  test.for([
    [
      'kubectl create secret tls',
      () => ({ type: 'kubernetes.io/tls', data: { 'tls.crt': base64(pair.certificate), 'tls.key': base64(pair.key) } }),
    ],
    ['text', () => ({ stringData: { 'tls.crt': pair.certificate, 'tls.key': pair.key, 'ca.crt': ca } })],
    [
      "Istio's own keys",
      () => ({ type: 'generic', data: { cert: base64(pair.certificate), key: base64(pair.key), cacert: base64(ca) } }),
    ],
  ] as const)('is read from a Secret as %s writes it', async ([, fields]) => {
    const { mesh } = await meshOf(secret(fields()));
    const credential = mesh.credential('shop', 'istio-system');
    expect([credential?.certificate, credential?.key]).toEqual([pair.certificate, pair.key]);
    expect(mesh.credential('shop', 'default')).toBeUndefined();
  });

  test('has the CA of its own Secret, or of one beside it', async () => {
    const own = { stringData: { 'tls.crt': pair.certificate, 'tls.key': pair.key } };
    const { mesh } = await meshOf(secret(own), secret({ data: { 'ca.crt': base64(ca) } }, 'shop-cacert'));
    expect(mesh.credential('shop', 'istio-system')?.ca).toBe(ca);
    expect((await meshOf(secret(own))).mesh.credential('shop', 'istio-system')?.ca).toBeUndefined();
  });

  test.for([
    ['no key', () => ({ stringData: { 'tls.crt': pair.certificate } }), 'needs tls.crt and tls.key'],
    [
      'data that is not base64',
      () => ({ data: { 'tls.crt': '?', 'tls.key': base64(pair.key) } }),
      'has a tls.crt that is not base64',
    ],
    [
      'a certificate that is none',
      () => ({ stringData: { 'tls.crt': 'a', 'tls.key': pair.key } }),
      'has a tls.crt that is no certificate in PEM',
    ],
    [
      'a key that is none',
      () => ({ stringData: { 'tls.crt': pair.certificate, 'tls.key': `${pair.key.slice(0, 90)}` } }),
      'has a tls.key that is no private key in PEM',
    ],
    [
      'the key of another',
      () => ({ stringData: { 'tls.crt': pair.certificate, 'tls.key': other.key } }),
      'has a tls.key that does not belong to its tls.crt',
    ],
    [
      'a CA that is none',
      () => ({ stringData: { 'tls.crt': pair.certificate, 'tls.key': pair.key, 'ca.crt': 'a' } }),
      'has a ca.crt that is no certificate in PEM',
    ],
    ['values of another type', () => ({ data: { 'tls.crt': 1, 'tls.key': [2] } }), 'needs tls.crt and tls.key'],
  ] as const)('with %s is a warning without its content, and other servers are served', async ([, fields, why]) => {
    const { mesh, findings: errors } = await meshOf(secret(fields()));
    expect(errors).toEqual([]);
    const findings = new Findings();
    checkReferences(mesh, findings);
    const found = findings
      .sorted(['services.yaml', 'rules.yaml'])
      .map(({ code, severity, message, position: { line } }) => [line, severity, code, message]);
    expect(JSON.stringify(findings.sorted([]))).not.toMatch(/PRIVATE KEY|[A-Za-z0-9+/]{48}/);
    expect(found).toEqual([
      [8, 'warning', 'MESH_UNUSED', `the Secret istio-system/shop ${why}; the server is left out`],
      [12, 'warning', 'MESH_SECRET', `the Secret istio-system/shop ${why}`],
    ]);
    const all = resourcesFor(mesh, ROUTER, LABELS, PROVEN);
    expect([names(all, LISTENER), names(all, SECRET)]).toEqual([['0.0.0.0_80'], []]);
  });

  test('goes to proven streams of its namespace alone, and only to gateways', async () => {
    const { mesh } = await meshOf(secret({ stringData: { 'tls.crt': pair.certificate, 'tls.key': pair.key } }));
    const all = resourcesFor(mesh, ROUTER, LABELS, PROVEN);
    expect(names(all, SECRET)).toEqual(['kubernetes://shop']);
    expect(named(all, SECRET, 'kubernetes://shop')).toMatchObject({
      tls_certificate: { private_key: { inline_string: pair.key } },
    });
    expect(JSON.stringify(named(all, LISTENER, '0.0.0.0_443'))).toContain(
      '"tls_certificate_sds_secret_configs":[{"name":"kubernetes://shop","sds_config":{"ads":{}',
    );
    expect(JSON.stringify(all.filter(({ typeUrl }) => typeUrl !== SECRET))).not.toContain('PRIVATE KEY');
    expect(await validate(all.filter(({ typeUrl }) => typeUrl !== SECRET))).toContain('OK');
    const others = [
      resourcesFor(mesh, ROUTER, LABELS),
      resourcesFor(
        mesh,
        ROUTER.replaceAll('istio-system', 'default'),
        LABELS,
        PROVEN.replace('istio-system', 'default'),
      ),
      resourcesFor(mesh, ROUTER.replace('router', 'sidecar'), LABELS, PROVEN),
      resourcesFor(mesh, ROUTER, LABELS, PROVEN.replace('gateway', 'reviews')),
    ];
    for (const one of others) {
      expect(names(one, SECRET)).toEqual([]);
      expect(JSON.stringify(one.map(({ json, origin }) => [json, origin]))).not.toMatch(/PRIVATE KEY|kubernetes:/);
    }
  });

  test('of a Gateway without a selector is a warning, since its whole namespace may have the key', async () => {
    const own = secret({ stringData: { 'tls.crt': pair.certificate, 'tls.key': pair.key } });
    const rules = GATEWAY.replace('  selector: { istio: ingressgateway }\n', '');
    const { mesh } = await readMesh(
      { 'a.yaml': [WORKLOAD, rules, own].join('---\n') },
      { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } },
    );
    const findings = new Findings();
    checkReferences(mesh, findings);
    expect(findings.sorted(['a.yaml']).map(({ code, severity, message }) => [code, severity, message])).toEqual([
      [
        'MESH_RULE',
        'warning',
        'without a selector every workload of the namespace istio-system may have the key of shop; select the gateway by its labels',
      ],
    ]);
    expect(names(resourcesFor(mesh, ROUTER, LABELS, PROVEN), SECRET)).toEqual(['kubernetes://shop']);
  });

  test('of a server that verifies clients needs their CA', async () => {
    const mutual = async (fields: object): Promise<readonly string[]> => {
      const rules = GATEWAY.replace('SIMPLE', 'MUTUAL');
      const { mesh } = await readMesh({ 'a.yaml': [WORKLOAD, rules, secret(fields)].join('---\n') });
      return names(resourcesFor(mesh, ROUTER, LABELS, PROVEN), SECRET).concat(
        names(resourcesFor(mesh, ROUTER, LABELS, PROVEN), LISTENER),
      );
    };
    const own = { 'tls.crt': pair.certificate, 'tls.key': pair.key };
    expect(await mutual({ stringData: { ...own, 'ca.crt': ca } })).toEqual([
      'kubernetes://shop',
      'kubernetes://shop-cacert',
      '0.0.0.0_443',
      '0.0.0.0_80',
    ]);
    expect(await mutual({ stringData: own })).toEqual(['kubernetes://shop', '0.0.0.0_80']);
  });

  test('with a key that Envoy refuses is of no use', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    expect(privateKey.asymmetricKeyDetails?.modulusLength).toBe(1024);
    const weak = await authority.issueFor(
      privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      'weak',
      'DNS:weak.example.com',
    );
    const { mesh } = await meshOf(
      secret({ stringData: { 'tls.crt': weak, 'tls.key': privateKey.export({ type: 'pkcs8', format: 'pem' }) } }),
    );
    expect(mesh.credential('shop', 'istio-system')).toBeUndefined();
  });
});
