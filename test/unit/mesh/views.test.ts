/** Which VirtualServices and services count for the calls of an application whose Sidecar names some: as istiod does. */
import { expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names } from '../../parts/mesh/resources.ts';
import { entry, object, sidecar } from '../../parts/mesh/web-sidecar.ts';

const WEB = 'web.default.svc.cluster.local';
const MESH = entry('web', 'default') + entry('canary', 'far');
const CANARY = 'outbound|80||canary.far.svc.cluster.local';

const toCanary = (hosts: string, namespace: string, more = ''): string =>
  object(
    'VirtualService',
    `to-canary-${namespace}`,
    `{ hosts: ${hosts}, http: [{ route: [{ destination: { host: canary.far.svc.cluster.local } }] }]${more} }`,
    namespace,
  );
const narrow = (egress: string): string => object('Sidecar', 'narrow', `{ egress: [{ hosts: ${egress} }] }`);

interface Host {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly { readonly route?: { readonly cluster: string } }[];
}
const hostsOf = (all: readonly Made[], table = '80'): readonly Host[] =>
  named(all, ROUTES, table)['virtual_hosts'] as unknown as readonly Host[];
/** Of calls to a host of the mesh; `undefined`: it is not served. */
const clusterOf = (all: readonly Made[], host: string, table?: string): string | undefined =>
  hostsOf(all, table).find(({ domains }) => domains.includes(host))?.routes[0]?.route?.cluster;

test.each([
  // The rule is of `far`, the host that it routes of `default`.
  ['["./*"]', false],
  [`["default/${WEB}"]`, false],
  ['["./*", "far/canary.far.svc.cluster.local"]', false],
  ['["./*", "far/*"]', true],
  ['["*/*"]', true],
  [`["*/${WEB}"]`, true],
  [`["./*", "far/${WEB}"]`, true],
  ['["*/*", "~far/*"]', false],
  [`["./*", "far/*", "~far/${WEB}"]`, false],
  ['["*/*", "~far/canary.far.svc.cluster.local"]', true],
])('a rule counts where the egress names its own namespace: %s', async (egress, counts) => {
  const all = await sidecar(MESH + toCanary(`[${WEB}]`, 'far') + narrow(egress));
  expect(clusterOf(all, WEB)).toBe(counts ? CANARY : `outbound|80||${WEB}`);
});

test('a rule that does not count leads to no cluster', async () => {
  const clusters = async (egress: string): Promise<readonly string[]> =>
    names(await sidecar(MESH + toCanary(`[${WEB}]`, 'far') + narrow(egress)), CLUSTER);
  expect(await clusters('["./*"]')).not.toContain(CANARY);
  expect(await clusters(`["./*", "far/${WEB}"]`)).toContain(CANARY);
});

test('a rule with a wildcard counts where a host under it is named, and one for a host under a wildcard that is named', async () => {
  const rule = toCanary('["*.default.svc.cluster.local"]', 'default');
  expect(clusterOf(await sidecar(MESH + rule + narrow(`["./${WEB}"]`)), WEB)).toBe(CANARY);
  expect(clusterOf(await sidecar(MESH + rule + narrow('["./*.default.svc.cluster.local"]')), WEB)).toBe(CANARY);
  expect(clusterOf(await sidecar(MESH + toCanary('[web]', 'default') + narrow('["./*.local"]')), WEB)).toBe(CANARY);
});

test('a rule that is named by one of its hosts counts with all, also for a service that is not named', async () => {
  const rule = toCanary('[shop.example.com, other.example.com, api.far.svc.cluster.local]', 'default');
  const all = await sidecar(MESH + entry('api', 'far') + rule + narrow(`["./${WEB}", "./shop.example.com"]`));
  expect(
    hostsOf(all)
      .slice(1)
      .map(({ domains }) => domains),
  ).toEqual([['shop.example.com'], ['other.example.com'], ['api.far.svc.cluster.local'], ['*']]);
});

test('a port that a Sidecar names sees what its own egress names, and others what egress without a port does', async () => {
  const tcp = (name: string, namespace: string): string =>
    entry(name, namespace, '', 9000).replace('name: http, protocol: HTTP', 'name: raw, protocol: TCP');
  const raw = object(
    'VirtualService',
    'raw',
    '{ hosts: [raw.default.svc.cluster.local], tcp: [{ route: [{ destination: { host: canary.far.svc.cluster.local, port: { number: 80 } } }] }] }',
    'far',
  );
  const text = [MESH, entry('api', 'far', '', 8080), entry('api', 'default', '', 8080), tcp('raw', 'default')].join('');
  const rules = toCanary(`[${WEB}, api.default.svc.cluster.local]`, 'far') + raw;
  const served = async (egress: string): Promise<readonly Made[]> =>
    sidecar(text + rules + object('Sidecar', 'narrow', `{ egress: ${egress} }`));

  const byPort = await served(
    '[{ port: { number: 8080, protocol: HTTP, name: a }, hosts: ["far/*"] }, { port: { number: 9000, protocol: TCP, name: b }, hosts: ["./*"] }, { hosts: ["./*"] }]',
  );
  expect(clusterOf(byPort, WEB)).toBe(`outbound|80||${WEB}`);
  expect(hostsOf(byPort, '8080').map(({ name }) => name)).toEqual(['api.far.svc.cluster.local:8080', 'allow_any']);
  const chains = JSON.stringify(byPort.filter(({ typeUrl, name }) => typeUrl === LISTENER && name.endsWith('_9000')));
  expect(chains).toContain('outbound|9000||raw.default');

  const allThere = await served(
    '[{ port: { number: 8080, protocol: HTTP, name: a }, hosts: ["*/*"] }, { port: { number: 9000, protocol: TCP, name: b }, hosts: ["*/*"] }, { hosts: ["./*"] }]',
  );
  expect(clusterOf(allThere, WEB)).toBe(`outbound|80||${WEB}`);
  expect(clusterOf(allThere, 'api.default.svc.cluster.local', '8080')).toBe(CANARY);
  const ruled = JSON.stringify(allThere.filter(({ typeUrl, name }) => typeUrl === LISTENER && name.endsWith('_9000')));
  expect(ruled).toContain(CANARY);
});

test('of several rules for a host, one that its namespace keeps to itself goes before one for all', async () => {
  const rule = (name: string, exportTo: string, created: string, to: string): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: default, creationTimestamp: "${created}" }
spec: { hosts: [web], http: [{ route: [{ destination: { host: ${to} } }] }], exportTo: ${exportTo} }
`;
  const older = rule('public', '["*"]', '2020-01-01T00:00:00Z', 'web');
  const newer = (exportTo: string): string =>
    rule('own', exportTo, '2021-01-01T00:00:00Z', 'canary.far.svc.cluster.local');
  const cluster = async (exportTo: string): Promise<string | undefined> =>
    clusterOf(await sidecar(MESH + older + newer(exportTo)), WEB);
  expect(await cluster('["*"]')).toBe(`outbound|80||${WEB}`);
  expect(await cluster('["."]')).toBe(CANARY);
  expect(await cluster('[default, far]')).toBe(CANARY);
});

test('what is exported to nobody is in no view, whoever stands beside ~', async () => {
  const hidden = (exportTo: string): string => `
---
apiVersion: v1
kind: Service
metadata: { name: hidden, namespace: far, annotations: { networking.istio.io/exportTo: "${exportTo}" } }
spec: { clusterIP: 10.0.0.9, ports: [{ name: http, port: 80 }] }
`;
  const isServed = async (exportTo: string): Promise<boolean> =>
    names(await sidecar(entry('web', 'default') + hidden(exportTo)), CLUSTER).includes(
      'outbound|80||hidden.far.svc.cluster.local',
    );
  expect(await isServed('default')).toBe(true);
  expect(await isServed('~')).toBe(false);
  expect(await isServed('default,~')).toBe(false);
  expect(await isServed('~,*')).toBe(true);
  // Istio's webhook refuses it in its own kinds.
  const { findings } = await readMesh({ 'mesh.yaml': entry('hidden', 'far', 'exportTo: [default, "~"]') });
  expect(findings.join()).toContain('expected * (all namespaces) or ~ (none) alone');
});
