/** Documents of Istio that cannot be meant are refused by name, at their line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';

const HEAD = 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: a, namespace: foo }\n';

async function loaded(text: string, isLenient = false): Promise<{ found: string[]; policy: Policy | undefined }> {
  const { findings, policy } = await loadPolicyText(new Map([['p.yaml', text]]), {
    adapters: await loadBuiltIns(),
    isLenient,
  });
  return {
    policy,
    found: findings.map(({ position: { line, column }, code, message }) => `${line}:${column} ${code} ${message}`),
  };
}

test.each([
  ['spec: { rulez: [] }', '4:9 RULES_UNKNOWN_KEY spec has no key rulez; did you mean rules?'],
  [
    'spec: { action: LOG, rules: [{}] }',
    '4:17 RULES_VALUE action is the text "LOG"; expected one of ALLOW, DENY, AUDIT, CUSTOM',
  ],
  [
    'spec: { rules: [{ from: [{ source: { ipBlocks: ["10.0.0.0/40"] } }] }] }',
    '4:49 ISTIO_VALUE "10.0.0.0/40" is not an IP address or a CIDR range such as 10.0.0.0/8',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { ports: ["http"] } }] }] }',
    '4:47 ISTIO_VALUE "http" is not a port from 0 to 65535',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { ports: [80] } }] }] }',
    '4:47 RULES_VALUE to.operation.ports must be a list of texts; found the number 80; quote it: "80"',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { paths: ["/a/{**}/{*}"] } }] }] }',
    '4:47 ISTIO_VALUE "/a/{**}/{*}" is not a path template: no {*} and no {**} may stand behind {**}',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { paths: ["/a/{*}/b*"] } }] }] }',
    '4:47 ISTIO_VALUE "/a/{*}/b*" is not a path template: {*} and {**} stand for whole segments, beside which it has no braces and no *',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { paths: ["{*}/a"] } }] }] }',
    '4:47 ISTIO_VALUE "{*}/a" is not a path template: it begins with /, and has no empty segment',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { paths: ["/a//{*}"] } }] }] }',
    '4:47 ISTIO_VALUE "/a//{*}" is not a path template: it begins with /, and has no empty segment',
  ],
  [
    'spec: { action: DENY, rules: [{ to: [{ operation: { paths: ["/a b/{*}"] } }] }] }',
    `4:61 ISTIO_VALUE "/a b/{*}" is not a path template: a path has letters, digits and -._~%!$&'()+,;:@= alone; write others as %20`,
  ],
  [
    'spec: { rules: [{ from: [{ source: { trustDomains: [a/b] } }] }] }',
    '4:53 ISTIO_VALUE "a/b" is not a trust domain, which has no /',
  ],
  [
    'spec: { rules: [{ when: [{ key: source.trustDomain, values: ["a*b"] }] }] }',
    '4:62 ISTIO_VALUE "a*b" is not a pattern of trust domains: one * stands at the beginning or the end',
  ],
  ['spec: { rules: [null] }', '4:17 ISTIO_VALUE a rule is nothing; write {} for a rule that any call meets'],
  [
    'spec: { rules: [{ from: [], to: [{ operation: { paths: [/a] } }] }] }',
    '4:25 ISTIO_VALUE from is empty, which any call meets; name a source, or remove from',
  ],
  [
    'spec: { rules: [{ to: null }] }',
    '4:23 ISTIO_VALUE to is empty, which any call meets; name an operation, or remove to',
  ],
  [
    'spec: { rules: [{ from: [{ source: { serviceAccounts: ["a/*"] } }] }] }',
    '4:56 ISTIO_VALUE "a/*" has a wildcard, which a service account may not have',
  ],
  [
    'spec: { rules: [{ from: [{ source: { principals: ["spiffe://td/ns/a/sa/b"] } }] }] }',
    '4:51 ISTIO_VALUE "spiffe://td/ns/a/sa/b" never matches: a principal is written without spiffe://',
  ],
  [
    'spec: { rules: [{ when: [{ key: "request.header[x]", values: [a] }] }] }',
    '4:33 ISTIO_KEY a condition has no key request.header[x]; did you mean request.headers[NAME]?',
  ],
  [
    'spec: { rules: [{ when: [{ key: request.headers, values: [a] }] }] }',
    '4:33 ISTIO_KEY the key request.headers is not of the form request.headers[NAME]',
  ],
  [
    'spec: { rules: [{ when: [{ key: "destination.labels[app]", values: [a] }] }] }',
    '4:33 ISTIO_KEY a condition has no key destination.labels[app]; spec.selector selects workloads by labels',
  ],
  [
    'spec: { rules: [{ when: [{ key: source.ip }] }] }',
    '4:26 ISTIO_VALUE the condition on source.ip needs values or notValues',
  ],
  [
    'spec: { rules: [{ from: [{ source: {} }] }] }',
    '4:36 ISTIO_VALUE from.source is empty; name a field, or remove it',
  ],
  [
    'spec: { targetRefs: [{ kind: ServiceEntry, name: x }], rules: [{}] }',
    '4:30 ISTIO_UNSUPPORTED a call does not say which ServiceEntry it is for; select workloads by a selector, or target a Gateway or a Service',
  ],
  [
    'spec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }',
    '4:43 ISTIO_PROVIDER no handler and no provider of settings.istio is named opa; declare one that serves check',
  ],
  [
    'spec: { rules: [{ to: [{ operation: { methods: [""] } }] }] }',
    '4:49 RULES_VALUE to.operation.methods must be a list of texts; found empty text',
  ],
])('%s', async (spec, finding) => {
  const { found, policy } = await loaded(`${HEAD}${spec}\n`);
  expect([found, policy]).toEqual([[finding], undefined]);
});

test.each([
  [
    'spec: { jwtRules: [{ jwks: "{}" }] }',
    'RULES_MISSING_KEY an item of jwtRules needs issuer: the iss of its tokens, which may be left out beside jwksUri',
  ],
  [
    'spec: { jwtRules: [{ issuer: a, jwkUri: b }] }',
    'RULES_UNKNOWN_KEY an item of jwtRules has no key jwkUri; did you mean jwksUri?',
  ],
  [
    'spec: { jwtRules: [{ issuer: a, jwksUri: "https://a/k", fromCookies: [t], outputPayloadToHeader: x-p }] }',
    'ISTIO_UNSUPPORTED outputPayloadToHeader takes the payload from the token as it was sent, which rules cannot take from a cookie; use fromHeaders or fromParams',
  ],
])('%s', async (spec, finding) => {
  const { found, policy } = await loaded(`${HEAD.replace('AuthorizationPolicy', 'RequestAuthentication')}${spec}\n`);
  expect([found.map((one) => one.slice(one.indexOf(' ') + 1)).includes(finding), policy]).toEqual([true, undefined]);
});

test('a kind that is not translated is refused, so that nothing in the folder is silently not in force', async () => {
  const { found, policy } = await loaded(HEAD.replace('AuthorizationPolicy', 'PeerAuthorization'));
  expect([found, policy]).toEqual([
    [
      '2:7 ISTIO_KIND Sluice does not translate PeerAuthorization of security.istio.io/v1, so nothing in it would be in force',
    ],
    undefined,
  ]);
});

test('what the control plane of a mesh reads may stand in the folder', async () => {
  const { found, policy } = await loaded(
    [
      `${HEAD}spec: { action: DENY, rules: [{}] }`,
      HEAD.replace('AuthorizationPolicy', 'PeerAuthentication'),
      'apiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: { name: default }\nspec: { peers: [{ mtls: {} }] }',
      'apiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: { name: default }\nspec: {}',
    ].join('\n---\n'),
  );
  expect(found).toEqual([]);
  expect(policy?.rules.some(({ name }) => name.startsWith('ns[foo]-policy[a]'))).toBe(true);
});

test.each([
  ['"True"', 'shadow'],
  ['"1"', 'shadow'],
  ['"f"', 'enforce'],
])('a dry run of %s is in the mode %s', async (value, mode) => {
  const { found, policy } = await loaded(
    `${HEAD.replace('namespace: foo }', `namespace: foo, annotations: { istio.io/dry-run: ${value} } }`)}spec: { action: DENY, rules: [{}] }\n`,
  );
  expect(found).toEqual([]);
  expect(policy?.rules.find(({ name }) => name === 'ns[foo]-policy[a]-rule[0]')?.mode).toEqual({ kind: mode });
});

test('a document that is there twice is refused', async () => {
  const { found } = await loaded(`${HEAD}spec: {}\n---\n${HEAD}spec: {}\n`);
  expect(found).toEqual(['8:19 RULES_DUPLICATE AuthorizationPolicy foo/a is declared twice; remove one of the two']);
});

test('with --lenient, a policy whose provider nobody declares denies, as in Istio', async () => {
  const { found, policy } = await loaded(
    `${HEAD}spec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }\n`,
    true,
  );
  expect(found).toEqual([
    '4:43 ISTIO_PROVIDER no handler and no provider of settings.istio is named opa; calls of a are denied',
  ]);
  expect(policy?.rules.at(-1)).toMatchObject({ name: 'ns[foo]-policy[a]-rule[0]', action: { kind: 'deny' } });
});

test.each([
  [
    'to: [{ operation: { paths: ["/users/*/keys"] } }]',
    '"/users/*/keys" has a * that is a character, not a wildcard; a wildcard stands at the beginning or the end, or write {*} for one segment',
  ],
  [
    'to: [{ operation: { paths: ["/users/{id}"] } }]',
    '"/users/{id}" has braces that are characters; write {*} for one segment, {**} for any',
  ],
  [
    'to: [{ operation: { hosts: ["*.example.int:*"] } }]',
    '"*.example.int:*" has a * that is a character, not a wildcard; a wildcard stands at the beginning or the end',
  ],
  [
    'from: [{ source: { principals: ["*/ns/*/sa/web"] } }]',
    '"*/ns/*/sa/web" has a * that is a character, not a wildcard; a wildcard stands at the beginning or the end',
  ],
  ['to: [{ operation: { paths: ["api/*"] } }]', '"api/*" never matches: a path begins with /'],
  ['to: [{ operation: { notPaths: ["/a?b=1"] } }]', '"/a?b=1" never matches: a path is compared without its query'],
  ['to: [{ operation: { methods: [get] } }]', '"get" never matches: methods have case; write GET'],
  [
    'when: [{ key: "request.headers[x-envoy-external-address]", values: [192.30.252.0/22] }]',
    '"192.30.252.0/22" is compared as text with the header; for a range of addresses write remoteIpBlocks',
  ],
])('a value that no request has, or not as it is meant, is a warning: %s', async (rule, message) => {
  const { found, policy } = await loaded(`${HEAD}spec: { action: DENY, rules: [{ ${rule} }] }\n`);
  expect(found).toEqual([expect.stringMatching(/^4:\d+ ISTIO_NEVER /)]);
  expect(found[0]).toContain(message);
  expect(policy).toBeDefined();
});

test.each(['/a/*', '*.js', '*', '/a/{*}/b', '/a/{**}', '/a/{**}/b', '/a'])(
  'the path %s is no warning',
  async (path) => {
    const { found } = await loaded(`${HEAD}spec: { rules: [{ to: [{ operation: { paths: ["${path}"] } }] }] }\n`);
    expect(found).toEqual([]);
  },
);

test('a policy that never applies is a warning', async () => {
  const { found, policy } = await loaded(`${HEAD}spec: { action: DENY }\n---\nrules: [{ name: x, deny: {} }]\n`);
  expect(found).toEqual(['3:19 ISTIO_NEVER a has no rules, so this DENY policy never applies']);
  expect(policy).toBeDefined();
});

test('the policies of docs/istio.md load', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/istio.md'), 'utf8');
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  expect(blocks.length).toBeGreaterThan(1);
  for (const text of blocks) expect((await loaded(text)).found).toEqual([]);
});

test('an issuer may be left out beside jwksUri: its rule changes requests with tokens of no other rule', async () => {
  const { found, policy } = await loaded(`apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: a, namespace: foo }
spec:
  jwtRules:
    - { jwksUri: "https://a.example/k", outputClaimToHeaders: [{ header: x-sub, claim: sub }] }
    - { issuer: https://b.example, jwksUri: "https://b.example/k" }
`);
  expect(found).toEqual([]);
  const matches = policy?.rules.map(({ name, match }) => `${name} ${JSON.stringify(match)}`) ?? [];
  expect(matches.find((text) => text.includes('jwt[0]-claim[0]'))).toContain('https://b.example');
});

test('a second rule without issuer is refused at its place; in an object of its own it holds', async () => {
  const object = (name: string, ...keys: readonly string[]): string => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: ${name}, namespace: foo }
spec:
  jwtRules:
${keys.map((key, at) => `    - { ${key}: "https://${name}${at}.example/k" }\n`).join('')}`;
  for (const key of ['jwksUri', 'jwks_uri']) {
    expect((await loaded(object('a', key, key))).found).toEqual([
      '7:7 ISTIO_UNSUPPORTED this is a second rule without issuer; write it in a RequestAuthentication of its own',
    ]);
    expect((await loaded(`${object('a', key)}---\n${object('b', key)}`)).found).toEqual([]);
  }
});

test('the items of a List of kubectl are read one by one; anything else in it is refused at its place', async () => {
  const deployment = '  - { apiVersion: apps/v1, kind: Deployment, metadata: { name: x } }';
  const policy =
    '  - { apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: { name: a }, spec: { rulez: [] } }';
  expect((await loaded(`apiVersion: v1\nkind: List\nitems:\n${deployment}\n${policy}\n`)).found).toEqual([
    "4:7 RULES_DOCUMENT this is the Kubernetes Deployment x (apps/v1), not a policy; move it out of the policy's folder",
    '5:99 RULES_UNKNOWN_KEY spec has no key rulez; did you mean rules?',
  ]);
  expect((await loaded(`apiVersion: v1\nkind: List\nitems:\n  - { rules: [] }\n${policy}\n  - 7\n`)).found).toEqual([
    '4:5 RULES_DOCUMENT an item of a List of Kubernetes must be an object with apiVersion and kind; found a map; remove it, or put a policy into a document of its own',
    '5:99 RULES_UNKNOWN_KEY spec has no key rulez; did you mean rules?',
    '6:5 RULES_DOCUMENT an item of a List of Kubernetes must be an object with apiVersion and kind; found the number 7; remove it, or put a policy into a document of its own',
  ]);
  expect((await loaded('apiVersion: v1\nkind: List\nitems: [{ rules: [] }]\n')).found).toHaveLength(1);
  expect((await loaded('apiVersion: v1\nkind: List\nitems: 7\n')).found).toEqual([
    "1:1 RULES_DOCUMENT this is the Kubernetes List (v1), not a policy; move it out of the policy's folder",
  ]);
});

test('keys that cannot be used are reported at their place in the document', async () => {
  const { found } = await loaded(`apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: a, namespace: foo }
spec:
  jwtRules:
    - { issuer: https://a.example, jwks: nonsense }
    - { issuer: https://b.example, jwksUri: "ftp://b.example/k" }
`);
  expect(found).toEqual([
    '6:42 RULES_CONFIG config of jwt, issuers.0.keys: it is neither JSON nor PEM',
    '7:45 RULES_CONFIG config of jwt, issuers.1.url: expected http://HOST:PORT/PATH or https://HOST:PORT/PATH',
  ]);
});
