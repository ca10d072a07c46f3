/** Istio's RBAC (v1alpha1): documents that cannot be meant are refused by name, at their line; what has no effect is a warning. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { nativeText } from '../../../src/cli/actions/import-istio.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { engineOf } from '../core/engine-of.ts';

const head = (kind: string, name: string): string =>
  `apiVersion: rbac.istio.io/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name}, namespace: foo }\n`;
const ON = `${head('ClusterRbacConfig', 'default')}spec: { mode: "ON" }\n`;
const BINDING = `${head('ServiceRoleBinding', 'b')}spec: { subjects: [{ user: "*" }], roleRef: { kind: ServiceRole, name: r } }\n`;
const ROLE = `${head('ServiceRole', 'r')}spec: { rules: [{ services: ["*"] }] }\n`;

async function loaded(...documents: readonly string[]): Promise<{ found: string[]; policy: Policy | undefined }> {
  const { findings, policy } = await loadPolicyText(new Map([['p.yaml', documents.join('---\n')]]), {
    adapters: await loadBuiltIns(),
  });
  return {
    policy,
    found: findings.map(({ position: { line, column }, code, message }) => `${line}:${column} ${code} ${message}`),
  };
}

test.each([
  [
    '{ rulez: [] }',
    '3:19 ISTIO_VALUE ServiceRole r needs rules, one at least',
    '4:9 RULES_UNKNOWN_KEY spec has no key rulez; did you mean rules?',
  ],
  [
    '{ rules: [{ methods: [GET] }] }',
    '4:17 RULES_MISSING_KEY an access rule needs services: host names of services, or ["*"] for all of the namespace',
  ],
  ['{ rules: [{ services: [] }] }', '4:29 ISTIO_VALUE services is empty; write ["*"] for all of the namespace'],
  [
    '{ rules: [{ services: ["*"], method: [GET] }] }',
    '4:36 RULES_UNKNOWN_KEY an access rule has no key method; did you mean methods?',
  ],
  ['{ rules: [{ services: ["*"], ports: [http] }] }', '4:44 ISTIO_VALUE "http" is not a port from 0 to 65535'],
  ['{ rules: [{ services: ["*"], ports: [70000] }] }', '4:44 ISTIO_VALUE "70000" is not a port from 0 to 65535'],
  [
    '{ rules: [{ services: ["*"], ports: [1], not_ports: [2] }] }',
    '4:17 ISTIO_VALUE an access rule has ports or notPorts, not both',
  ],
  [
    '{ rules: [{ services: ["*"], notPaths: [/a], not_paths: [/b] }] }',
    '4:63 ISTIO_VALUE not_paths and notPaths are the same field; keep one of the two',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: "destination.label[a]", values: [b] }] }] }',
    '4:57 ISTIO_KEY a constraint has no key destination.label[a]; did you mean destination.labels[NAME]?',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: destination.labels, values: [b] }] }] }',
    '4:57 ISTIO_KEY the key destination.labels is not of the form destination.labels[NAME]',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: source.ip, values: [b] }] }] }',
    '4:57 ISTIO_KEY a constraint has no key source.ip, which is a property of a subject',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: destination.ip, values: [b] }] }] }',
    '4:82 ISTIO_VALUE "b" is not an IP address or a CIDR range such as 10.0.0.0/8',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: destination.user }] }] }',
    '4:50 RULES_MISSING_KEY a constraint needs values: a list of texts',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: destination.user, values: [] }] }] }',
    '4:83 ISTIO_VALUE the constraint on destination.user needs values',
  ],
  [
    '{ rules: [{ services: ["*"], constraints: [{ key: destination.user, values: [a] }, { key: destination.user, values: [b] }] }] }',
    '4:97 ISTIO_VALUE two constraints have the key destination.user; merge their values',
  ],
  [
    '{ rules: [{ services: ["*"], ports: [1], constraints: [{ key: destination.port, values: ["1"] }] }] }',
    '4:69 ISTIO_VALUE the constraint destination.port and the field ports say the same; keep one',
  ],
])('a role with spec %s is refused', async (spec, ...found) => {
  const { found: all, policy } = await loaded(`${head('ServiceRole', 'r')}spec: ${spec}\n`, BINDING, ON);
  expect([all, policy]).toEqual([found, undefined]);
});

const REF = 'roleRef: { kind: ServiceRole, name: r }';
test.each([
  [`{ ${REF} }`, '3:19 ISTIO_VALUE ServiceRoleBinding b needs subjects, one at least'],
  [`{ subjects: [{}], ${REF} }`, '4:20 ISTIO_VALUE a subject is empty; write user: "*" for anybody'],
  [`{ subjects: [{ users: a }], ${REF} }`, '4:22 RULES_UNKNOWN_KEY a subject has no key users; did you mean user?'],
  [
    `{ subjects: [{ names: ["*"] }], ${REF} }`,
    '4:30 ISTIO_VALUE names does not take "*"; write allUsers or allAuthenticatedUsers',
  ],
  [
    `{ subjects: [{ user: "spiffe://td/ns/a/sa/b" }], ${REF} }`,
    '4:28 ISTIO_VALUE "spiffe://td/ns/a/sa/b" never matches: a principal is written without spiffe://',
  ],
  [
    `{ subjects: [{ ips: [a] }], ${REF} }`,
    '4:28 ISTIO_VALUE "a" is not an IP address or a CIDR range such as 10.0.0.0/8',
  ],
  [
    `{ subjects: [{ properties: { source.namespaces: a } }], ${REF} }`,
    '4:36 ISTIO_KEY a property has no key source.namespaces; did you mean source.namespace?',
  ],
  [
    `{ subjects: [{ properties: { destination.port: "80" } }], ${REF} }`,
    '4:36 ISTIO_KEY a property has no key destination.port, which is a constraint of an access rule',
  ],
  [
    `{ subjects: [{ properties: { "request.auth.claims[a][b]": c } }], ${REF} }`,
    '4:36 ISTIO_KEY the key request.auth.claims[a][b] is not of the form request.auth.claims[NAME]',
  ],
  [
    `{ subjects: [{ ips: [10.0.0.1], properties: { source.ip: 10.0.0.2 } }], ${REF} }`,
    '4:53 ISTIO_VALUE the property source.ip and the field ips say the same; keep one',
  ],
  [
    '{ subjects: [{ user: a }] }',
    '3:19 ISTIO_VALUE ServiceRoleBinding b needs one of roleRef, role, actions; it has none',
  ],
  [
    `{ subjects: [{ user: a }], ${REF}, role: r }`,
    '3:19 ISTIO_VALUE ServiceRoleBinding b needs one of roleRef, role, actions; it has roleRef and role',
  ],
  [
    '{ subjects: [{ user: a }], roleRef: { kind: Role, name: r } }',
    '4:51 RULES_VALUE kind is the text "Role"; expected one of ServiceRole',
  ],
  [
    `{ subjects: [{ user: a }], ${REF}, mode: SHADOW }`,
    '4:81 RULES_VALUE mode is the text "SHADOW"; expected one of ENFORCED, PERMISSIVE',
  ],
  ['{ subjects: [{ user: a }], role: / }', '4:40 ISTIO_VALUE role names no ServiceRole; write NAME or /NAME'],
])('a binding with spec %s is refused', async (spec, finding) => {
  const { found, policy } = await loaded(`${head('ServiceRoleBinding', 'b')}spec: ${spec}\n`, ROLE, ON);
  expect([found.filter((one) => !one.includes('ISTIO_NEVER')), policy]).toEqual([[finding], undefined]);
});

test.each([
  [
    'default',
    '{ mode: "NO" }',
    '4:15 RULES_VALUE mode is the text "NO"; expected one of OFF, ON, ON_WITH_INCLUSION, ON_WITH_EXCLUSION',
  ],
  [
    'other',
    '{ mode: "ON" }',
    '3:19 ISTIO_VALUE ClusterRbacConfig other would have no effect; its name must be default',
  ],
  [
    'default',
    '{ mode: ON_WITH_INCLUSION }',
    '3:19 ISTIO_VALUE ON_WITH_INCLUSION needs inclusion; write inclusion: {} for none',
  ],
  [
    'default',
    '{ mode: ON_WITH_EXCLUSION, exclusion: { services: ["*.foo"] } }',
    '4:57 ISTIO_VALUE exclusion.services has "*.foo", but takes no wildcards; write the names',
  ],
  [
    'default',
    '{ mode: "ON", enforcement: PERMISSIVE }',
    '4:21 RULES_UNKNOWN_KEY spec has no key enforcement; known are mode, inclusion, exclusion, enforcement_mode, enforcementMode',
  ],
])('a config named %s with spec %s is refused', async (name, spec, finding) => {
  const { found, policy } = await loaded(`${head('ClusterRbacConfig', name)}spec: ${spec}\n`);
  expect([found.filter((one) => !one.includes('ISTIO_NEVER')), policy]).toEqual([[finding], undefined]);
});

test.each([
  [
    'without a config',
    [ROLE, BINDING],
    '8:19 ISTIO_NEVER no ClusterRbacConfig turns RBAC on, so ServiceRole and ServiceRoleBinding are not in force',
  ],
  [
    'with the mode OFF',
    [ROLE, BINDING, ON.replace('"ON"', '"OFF"')],
    '13:19 ISTIO_NEVER the mode of ClusterRbacConfig is OFF, so ServiceRole and ServiceRoleBinding are not in force',
  ],
  ['of a role that nobody binds', [ON, ROLE], '8:19 ISTIO_NEVER no ServiceRoleBinding binds ServiceRole foo/r'],
  [
    'of a binding without its role',
    [ON, ROLE, BINDING, BINDING.replace('name: b', 'name: c').replace('name: r', 'name: rr')],
    '19:72 ISTIO_NEVER ServiceRoleBinding c allows nothing: there is no ServiceRole foo/rr; did you mean foo/r?',
  ],
  [
    'of a second config',
    [ON, ON.replace('ClusterRbacConfig', 'RbacConfig')],
    '8:19 ISTIO_NEVER RbacConfig has no effect beside ClusterRbacConfig default',
  ],
  [
    'of an inclusion with the mode ON',
    [ON.replace('"ON" }', '"ON", inclusion: {} }')],
    '4:21 ISTIO_NEVER inclusion has no effect with mode ON',
  ],
])('a warning %s', async (what, documents, finding) => {
  const { found } = await loaded(...documents, '{ rules: [{ name: x, deny: {} }] }\n');
  expect(found, what).toEqual([finding]);
});

test('a kind that Istio no longer had is refused, so that nothing in the folder is silently not in force', async () => {
  const { found, policy } = await loaded(`${head('AuthorizationPolicy', 'a')}spec: {}\n`);
  expect([found, policy]).toEqual([
    [
      '2:7 ISTIO_KIND Sluice does not translate AuthorizationPolicy of rbac.istio.io/v1alpha1, so nothing in it would be in force',
    ],
    undefined,
  ]);
});

test('where RBAC is on without a binding, nothing passes', async () => {
  const engine = await engineOf(ON, {});
  expect(await engine.http({ 'request.method': 'GET', 'request.path': '/' })).toMatchObject({
    outcome: 'deny',
    status: 403,
  });
});

test.each([
  ['request.auth.principal', 'https://a/b', { iss: 'https://a', sub: 'b' }, 'allow'],
  ['request.auth.principal', 'https://a/*', { iss: 'https://a', sub: 'b' }, 'allow'],
  ['request.auth.principal', '*/b', { iss: 'https://a', sub: 'b' }, 'allow'],
  ['request.auth.principal', '*', { iss: 'https://a', sub: 'b' }, 'allow'],
  ['request.auth.principal', '*', { iss: 'https://a' }, 'deny'],
  ['request.auth.principal', '*', { iss: 1, sub: 'b' }, 'deny'],
  ['request.auth.principal', 'https://a/c', { iss: 'https://a', sub: 'b' }, 'deny'],
  ['request.auth.audiences', 'shop', { aud: ['bank', 'shop'] }, 'allow'],
  ['request.auth.audiences', 'shop', { aud: 'bank' }, 'deny'],
  ['request.auth.presenter', 'sh*', { azp: 'shop' }, 'allow'],
  ['request.auth.claims[tier]', '*ld', { tier: 'gold' }, 'allow'],
  ['request.auth.claims[tier]', 'gold', { tier: ['silver', 'gold'] }, 'allow'],
  ['request.auth.claims[tier]', 'gold', { tier: 'silver gold' }, 'allow'],
  ['request.auth.claims[tier]', 'gold', {}, 'deny'],
])('the property %s: %s, of a token with %o: %s', async (key, value, claims, outcome) => {
  const binding = BINDING.replace('user: "*"', `properties: { ${JSON.stringify(key)}: ${JSON.stringify(value)} }`);
  const engine = await engineOf([ON, ROLE, binding].join('---\n'), {});
  const call = {
    'request.method': 'GET',
    'request.path': '/',
    'destination.namespace': 'foo',
    'request.auth.claims': claims,
  };
  expect((await engine.http(call)).outcome).toBe(outcome);
});

test.each([
  ['connection.sni', 'a.example', { 'connection.requested_server_name': 'a.example' }, 'allow'],
  ['connection.sni', '*', {}, 'allow'],
  ['connection.sni', 'a.example', {}, 'deny'],
  ['destination.ip', '10.0.0.0/8', { 'destination.ip': '10.1.2.3' }, 'allow'],
  ['destination.ip', '10.0.0.0/8', {}, 'deny'],
  ['destination.namespace', 'f*', {}, 'allow'],
  ['destination.namespace', 'bar', {}, 'deny'],
  ['destination.user', '*', {}, 'allow'],
  ['destination.labels[v]', '*', { 'destination.labels': { v: '' } }, 'allow'],
  ['destination.labels[v]', '*', { 'destination.labels': { w: 'a' } }, 'deny'],
  ['experimental.envoy.filters.http.lua[k]', 'a*', { metadata: { 'envoy.filters.http.lua': { k: 'abc' } } }, 'allow'],
  ['experimental.envoy.filters.http.lua[k]', 'a*', {}, 'deny'],
])('the constraint %s: %s, of a call with %o: %s', async (key, value, call, outcome) => {
  const role = ROLE.replace(
    '"*"] }',
    `"*"], constraints: [{ key: ${JSON.stringify(key)}, values: [${JSON.stringify(value)}] }] }`,
  );
  const engine = await engineOf([ON, role, BINDING].join('---\n'), {});
  const base = { 'request.method': 'GET', 'request.path': '/', 'destination.namespace': 'foo' };
  expect((await engine.http({ ...base, ...call })).outcome).toBe(outcome);
});

test('a group that is one word of a text is excluded by not_groups', async () => {
  const binding = BINDING.replace('user: "*"', 'names: [allUsers], not_groups: [staff]');
  const engine = await engineOf([ON, ROLE, binding].join('---\n'), {});
  const outcomes = [];
  for (const groups of ['admin staff', 'admin', ['staff']]) {
    const call = { 'request.method': 'GET', 'request.path': '/', 'destination.namespace': 'foo' };
    outcomes.push((await engine.http({ ...call, 'request.auth.claims': { groups } })).outcome);
  }
  expect(outcomes).toEqual(['deny', 'allow', 'deny']);
});

test('in user and source.principal a trust domain stands for its aliases; in names it does not, as in Istio', async () => {
  const settings =
    'settings: { istio: { trustDomain: new.example }, trustDomainAliases: { old.example: new.example } }\n';
  const subjects = ['user: NAME', 'properties: { source.principal: NAME }', 'names: [NAME]'];
  const outcomes = [];
  for (const subject of subjects) {
    const binding = BINDING.replace('user: "*"', subject.replace('NAME', 'new.example/ns/a/sa/b'));
    const engine = await engineOf([settings, ON, ROLE, binding].join('---\n'), {});
    const call = { 'request.method': 'GET', 'request.path': '/', 'destination.namespace': 'foo' };
    outcomes.push((await engine.http({ ...call, 'source.principal': 'old.example/ns/a/sa/b' })).outcome);
  }
  expect(outcomes).toEqual(['allow', 'allow', 'deny']);
});

test('printed rules load without a finding, and decide as the documents do', async () => {
  const file = readFileSync(join(import.meta.dirname, '../../cases/istio/roles-allow-where-rbac-is-on.yaml'), 'utf8');
  const text = file.slice(0, file.lastIndexOf('---\ncases:'));
  const adapters = await loadBuiltIns();
  const { imported, findings } = await loadPolicyText(new Map([['istio.yaml', text]]), { adapters, env: {} });
  expect(findings).toEqual([]);
  const native = nativeText(imported);
  expect((await loadPolicyText(new Map([['native.yaml', native]]), { adapters, env: {} })).findings).toEqual([]);
  const [one, other] = [await engineOf(text, {}), await engineOf(native, {})];
  const outcomes = new Set<string>();
  for (const path of ['/info', '/ping', '/x/status'])
    for (const method of ['GET', 'DELETE'])
      for (const host of ['httpbin.foo.svc.cluster.local', 'ratings.bar.svc.cluster.local', undefined])
        for (const namespace of ['foo', 'bar', undefined])
          for (const principal of ['cluster.local/ns/default/sa/sleep', 'td/ns/a/sa/guest', undefined]) {
            const request = {
              'request.method': method,
              'request.path': path,
              'request.header_values': { 'x-token': ['admin'] },
              'destination.labels': { version: 'v1' },
              ...(host === undefined ? {} : { 'destination.service.host': host }),
              ...(namespace === undefined ? {} : { 'destination.namespace': namespace }),
              ...(principal === undefined ? {} : { 'source.principal': principal }),
            };
            const [before, after] = [await one.http(request), await other.http(request)];
            expect([after.outcome, after.status], JSON.stringify(request)).toEqual([before.outcome, before.status]);
            outcomes.add(`${before.outcome} ${before.status ?? ''}`.trim());
          }
  expect(outcomes.size).toBe(3);
});

test('roles of one name, of a namespace and of the root, have rules of their own, enforced or tried out', async () => {
  const root = ROLE.replace('namespace: foo', 'namespace: istio-system').replace('"*"', 'a.foo');
  const ofRoot = BINDING.replace('name: b', 'name: c').replace('roleRef: { kind: ServiceRole, name: r }', 'role: /r');
  for (const mode of ['ENFORCED', 'PERMISSIVE']) {
    const bindings = [BINDING, ofRoot].map((one) => one.replace('spec: {', `spec: { mode: ${mode},`));
    const { found, policy } = await loaded(ON, ROLE, root, ...bindings);
    expect(found).toEqual([]);
    const names = policy?.rules.map(({ name }) => name).filter((name) => name.startsWith('ns['));
    expect(names).toEqual([
      ...(mode === 'PERMISSIVE' ? ['ns[foo]-role[r]-permissive', 'ns[foo]-role[/r]-permissive'] : []),
      'ns[foo]-role[r]-binding[b]',
      'ns[foo]-role[/r]-binding[c]',
    ]);
  }
});

test('an AuthorizationPolicy for all workloads leaves nothing to RBAC', async () => {
  const policy =
    'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: all, namespace: istio-system }\nspec: { rules: [{}] }\n';
  const engine = await engineOf([ON, policy].join('---\n'), {});
  expect((await engine.http({ 'request.method': 'GET', 'request.path': '/' })).outcome).toBe('allow');
});

test('the service of a server needs its namespace, which says whose roles apply', async () => {
  const { found, policy } = await loaded('settings: { istio: { service: web.foo.svc.cluster.local } }\n', ON);
  expect([found, policy]).toEqual([
    [
      '1:20 RULES_MISSING_KEY settings.istio.service needs settings.istio.namespace, the namespace of the same workload',
    ],
    undefined,
  ]);
});
