/** Which gateways verify tokens for routes by their claims, and with whose keys. */
import { expect, test } from 'vitest';
import { checkTokenRouting } from '../../../src/mesh/check-token-routing.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';
import { entry, object } from '../../parts/mesh/web-sidecar.ts';

const GATEWAY = object(
  'Gateway',
  'shop',
  '{ selector: { istio: gate }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }] }',
);
const routed = (match: string, gateways = 'shop'): string =>
  object(
    'VirtualService',
    'web',
    `{ hosts: [web.example.com], gateways: [${gateways}], http: [{ match: [{ ${match} }], route: [{ destination: { host: web } }] }] }`,
  );
const CLAIM = 'headers: { "@request.auth.claims.groups": { exact: admins } }';
const tokens = (jwtRules: string, more = '', namespace = 'default'): string =>
  object('RequestAuthentication', 'tokens', `{ ${more} jwtRules: [${jwtRules}] }`, namespace).replace(
    'networking.istio.io',
    'security.istio.io',
  );
const INLINE = `{ issuer: a.example, jwks: '{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}' }`;

async function gateway(text: string, metadata: Readonly<Record<string, string>> = {}) {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': entry('web', 'default') + GATEWAY + text });
  expect(findings).toEqual([]);
  const all = resourcesFor(mesh, 'router~10.1.0.9~gate-1.default~default.svc.cluster.local', {
    LABELS: { istio: 'gate' },
    ...metadata,
  });
  return { all, listener: JSON.stringify(named(all, LISTENER, '0.0.0.0_80')) };
}

test('a gateway verifies tokens where a rule of its own routes by claims, and nowhere else', async () => {
  const { all, listener } = await gateway(routed(CLAIM) + tokens(INLINE));
  expect(listener).toContain('envoy.filters.http.jwt_authn');
  expect(await validate(all)).toContain('OK');
  expect((await gateway(routed('uri: { prefix: / }') + tokens(INLINE))).listener).not.toContain('jwt_authn');
  const elsewhere = GATEWAY.replace('name: shop', 'name: other').replace('istio: gate', 'istio: other');
  expect((await gateway(elsewhere + routed(CLAIM, 'other') + tokens(INLINE))).listener).not.toContain('jwt_authn');
});

test.each([
  ['', 'default', true],
  ['selector: { matchLabels: { istio: gate } },', 'default', true],
  ['selector: { matchLabels: { istio: gate, app: other } },', 'default', false],
  ['', 'istio-system', true],
  ['', 'far', false],
  ['targetRefs: [{ kind: Gateway, group: gateway.networking.k8s.io, name: public }],', 'default', true],
  ['targetRefs: [{ kind: Gateway, group: gateway.networking.k8s.io, name: private }],', 'default', false],
])('a RequestAuthentication selects gateways as it selects other workloads: %s in %s', async (more, namespace, is) => {
  const text = routed(CLAIM) + tokens(INLINE, more, namespace);
  const labels = { LABELS: { istio: 'gate', 'gateway.networking.k8s.io/gateway-name': 'public' } } as never;
  const { listener } = await gateway(text, labels);
  expect(listener.includes('jwt_authn')).toBe(is);
});

test('keys are asked for at a service of the mesh, or by a cluster of their own', async () => {
  const from = (uri: string): string => routed(CLAIM) + tokens(`{ issuer: a.example, jwksUri: "${uri}" }`);
  const own = await gateway(from('http://web.default.svc.cluster.local/keys'));
  expect(own.listener).toContain('"cluster":"outbound|80||web.default.svc.cluster.local"');
  expect(names(own.all, CLUSTER).filter((name) => name.startsWith('keys|'))).toEqual([]);

  const far = await gateway(from('https://id.example.com/keys'), { SYSTEM_ROOTS: '/etc/roots.pem' });
  const cluster = named(far.all, CLUSTER, 'keys|443||id.example.com');
  expect(JSON.stringify(cluster)).toContain('"trusted_ca":{"filename":"/etc/roots.pem"}');
  expect(cluster['transport_socket']).toMatchObject({ typed_config: { sni: 'id.example.com' } });
  // Nobody is asked without CA certificates.
  const without = await gateway(from('https://id.example.com/keys'));
  expect(named(without.all, CLUSTER, 'keys|443||id.example.com')).not.toHaveProperty('load_assignment');
  expect(await validate(without.all)).toContain('OK');
});

test('claims keep their case, and headers beside them do not', async () => {
  const { all } = await gateway(
    routed('headers: { "@Request.Auth.Claims[A.b][C]": { exact: a }, X-B: { exact: b } }') + tokens(INLINE),
  );
  const match = JSON.stringify(named(all, ROUTES, 'http.80'));
  expect(match).toContain('"path":[{"key":"payload"},{"key":"A.b"},{"key":"C"}]');
  expect(match).toContain('"headers":[{"name":"x-b"');
});

test('a claim of no token, and keys that nobody can find, are warnings', async () => {
  const warnings = async (text: string): Promise<readonly string[]> => {
    const { mesh } = await readMesh({ 'mesh.yaml': GATEWAY + text });
    const findings = new Findings();
    checkTokenRouting(mesh, findings);
    return findings.sorted(['mesh.yaml']).map(({ message }) => message);
  };
  const missing = [
    'no RequestAuthentication selects its gateways, so @request.auth.claims.groups is in no token there',
  ];
  expect(await warnings(routed(CLAIM))).toEqual(missing);
  expect(await warnings(routed(CLAIM) + tokens(INLINE, 'selector: { matchLabels: { istio: other } },'))).toEqual(
    missing,
  );
  expect(await warnings(routed(CLAIM) + tokens(INLINE, 'selector: { matchLabels: { app: gate } },'))).toEqual([]);
  expect(await warnings(routed(CLAIM) + tokens('{ issuer: a.example }'))).toEqual([
    'gateways look for no keys at the issuer, so nothing is routed by the claims of its tokens; write jwksUri or jwks',
  ]);
  expect(await warnings(tokens('{ issuer: a.example }'))).toEqual([]);
});

test.each(['@request.auth.claims', '@request.auth.claims.', '@request.auth.claims[]', '@request.auth.claimsx'])(
  'a name without a claim is an error: %s',
  async (name) => {
    const { findings } = await readMesh({ 'mesh.yaml': routed(`headers: { "${name}": { exact: a } }`) });
    expect(findings.join()).toContain('expected the name of a claim, as in @request.auth.claims.groups');
  },
);

const KEYS = `jwks: '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'`;
test.each([
  ['jwksUri: "https://a.example/k", timeout: 10s', '"timeout":"10s"'],
  ['jwks_uri: "https://a.example/k"', '"uri":"https://a.example/k"'],
  [
    'audiences: [shop], forwardOriginalToken: true, outputPayloadToHeader: x-payload, jwksUri: "https://a.example/k"',
    '"audiences":["shop"]',
  ],
])('a rule of tokens may say: %s', async (rule, expected) => {
  expect((await gateway(routed(CLAIM) + tokens(`{ issuer: a.example, ${rule} }`))).listener).toContain(expected);
});

// As istiod refuses them.
test.each([
  ["jwks: 'none'", 'jwtRules.0.jwks: expected a JSON Web Key Set: {"keys": [...]}; this is no JSON'],
  ["jwks: '[]'", 'jwtRules.0.jwks: expected a JSON Web Key Set: {"keys": [...]}'],
  [`jwks: '{"keys":[]}'`, 'jwtRules.0.jwks: the key set has no keys'],
  [`jwks: '{"keys":[{"kid":"a"}]}'`, 'jwtRules.0.jwks: keys[0] of the key set is no key: it has no kty'],
  [`${KEYS}, jwksUri: "https://a.example/k"`, 'jwtRules.0.jwks: a rule has jwksUri or jwks, not both'],
  ['jwks_uri: "https://a.example/k", jwksUri: "https://a.example/k"', 'jwksUri and jwks_uri are the same field'],
  [`${KEYS}, audiences: [""]`, 'jwtRules.0.audiences.0: expected a text that is not empty'],
  [`${KEYS}, outputClaimToHeaders: [{ header: "x-a b", claim: b }]`, 'expected the name of a header for a claim'],
  [`${KEYS}, outputClaimToHeaders: [{ header: x-a, claim: "" }]`, 'claim: expected a text that is not empty'],
  ['jwksUri: "https://a.example/k", timeout: 0s', 'jwtRules.0.timeout: expected a duration of at least 1ms'],
  [`${KEYS}, fromHeader: [{ name: x }]`, 'jwtRules.0.fromHeader: unknown key; did you mean fromHeaders?'],
])('a rule of tokens that says %s is an error', async (rule, expected) => {
  const { findings } = await readMesh({ 'mesh.yaml': tokens(`{ issuer: a.example, ${rule} }`) });
  expect(findings).toEqual([expect.stringContaining(expected)]);
});

test.each([
  [`{ ${KEYS} }`, '', 'jwtRules.0.issuer: it is missing; expected the iss of its tokens'],
  [
    INLINE,
    'selector: {}, targetRefs: [{ kind: Service, name: a }],',
    'expected one of selector, targetRef and targetRefs',
  ],
  [INLINE, 'targetRefs: [{ kind: Gateway, name: a }],', 'expected a kind of /Service, core/Service'],
  [INLINE, 'targetRefs: [{ kind: Service, name: a, namespace: b }],', 'a target is in the namespace of its rule'],
])('a RequestAuthentication of %s and %s is an error', async (rule, more, expected) => {
  const { findings } = await readMesh({ 'mesh.yaml': tokens(rule, more) });
  expect(findings).toEqual([expect.stringContaining(expected)]);
});
