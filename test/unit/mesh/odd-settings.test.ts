/** Less common settings, which `npm run istiod:compare` found to differ from istiod's. */
import { expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';
import { entry, object, sidecar } from '../../parts/mesh/web-sidecar.ts';

const WEB = entry('web', 'default');
const rule = (http: string): string => object('VirtualService', 'web', `{ hosts: [web], http: [${http}] }`);
const TO_WEB = 'route: [{ destination: { host: web } }]';
const outbound = (name: string, port: number, subset = '', namespace = 'far'): string =>
  `outbound|${port}|${subset}|${name}.${namespace}.svc.cluster.local`;

interface Host {
  readonly name: string;
  readonly routes?: readonly { readonly route: Record<string, unknown> }[];
  readonly require_tls?: string;
}
const hostsOf = (all: readonly Made[], table: string): readonly Host[] =>
  named(all, ROUTES, table)['virtual_hosts'] as unknown as readonly Host[];

/** Of `far`: `api` with two ports, `one` with one, and `raw`, which no port of a Sidecar names. */
const FAR = `${entry('api', 'far').replace(
  'ports: [',
  'ports: [{ number: 8081, name: grpc, protocol: GRPC }, ',
)}${entry('one', 'far', '', 8081)}${entry('raw', 'far', '', 9000)}`;
async function clustersWith(egress: string, rules = ''): Promise<ReadonlySet<string>> {
  const all = await sidecar(WEB + FAR + rules + object('Sidecar', 'ports', `{ egress: [${egress}] }`));
  return new Set(names(all, CLUSTER).filter((name) => /^outbound.*\.far\./.test(name)));
}

test('a port that a Sidecar names sees that port of its services, and no service without it', async () => {
  const port = (number: number, more = ''): string =>
    `{ port: { number: ${number}, name: p${number}, protocol: HTTP }, hosts: ["far/*"]${more} }`;
  expect(await clustersWith(port(8081))).toEqual(new Set([outbound('api', 8081), outbound('one', 8081)]));
  expect(await clustersWith(`${port(8081)}, ${port(80)}`)).toEqual(
    new Set([outbound('api', 80), outbound('api', 8081), outbound('one', 8081)]),
  );
  expect(await clustersWith(`${port(8081)}, { hosts: ["far/raw.far.svc.cluster.local"] }`)).toEqual(
    new Set([outbound('api', 8081), outbound('one', 8081), outbound('raw', 9000)]),
  );
  // A proxy of HTTP takes calls to any port.
  expect(await clustersWith(port(3128).replace('protocol: HTTP', 'protocol: HTTP_PROXY'))).toHaveProperty('size', 4);
});

test('a port that a Sidecar names has the clusters to which rules of its own services lead', async () => {
  const egress = '{ port: { number: 8081, name: grpc, protocol: GRPC }, hosts: ["far/one.far.svc.cluster.local"] }';
  const leading = (host: string, to: string): string =>
    object('VirtualService', host, `{ hosts: [${host}], http: [{ route: [{ destination: { ${to} } }] }] }`, 'far');
  expect(await clustersWith(egress, leading('one', 'host: api'))).toEqual(
    new Set([outbound('api', 8081), outbound('one', 8081)]),
  );
  expect(await clustersWith(egress, leading('one', 'host: api, port: { number: 80 }'))).toEqual(
    new Set([outbound('api', 80), outbound('one', 8081)]),
  );
  expect(await clustersWith(egress, leading('one', 'host: raw'))).toEqual(
    new Set([outbound('one', 8081), outbound('raw', 9000)]),
  );
  expect(await clustersWith(egress, leading('api', 'host: raw'))).toEqual(new Set([outbound('one', 8081)]));
});

test('a host whose addresses take turns is one of logical DNS, with one name', async () => {
  const text = (endpoints: string): string =>
    object(
      'ServiceEntry',
      'turns',
      `{ hosts: [turns.example.com], resolution: DNS_ROUND_ROBIN, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [${endpoints}] }`,
    );
  const of = async (endpoints: string): Promise<readonly Made[]> => sidecar(text(endpoints));
  for (const endpoints of ['', '{ address: a.example.com }']) {
    const all = await of(endpoints);
    expect(named(all, CLUSTER, 'outbound|80||turns.example.com')['type']).toBe('LOGICAL_DNS');
    expect(await validate(all)).toContain('OK');
  }
  const { findings } = await readMesh({ 'mesh.yaml': text('{ address: a.example.com }, { address: b.example.com }') });
  expect(findings.join()).toContain('takes one endpoint; use resolution DNS for several');
});

test('a subset without the endpoint of such a host is accepted by Envoy', async () => {
  const all = await sidecar(
    `${object(
      'ServiceEntry',
      'turns',
      '{ hosts: [turns.example.com], resolution: DNS_ROUND_ROBIN, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: a.example.com }] }',
    )}${object('DestinationRule', 'turns', '{ host: turns.example.com, subsets: [{ name: v9, labels: { version: v9 } }] }')}`,
  );
  expect(named(all, CLUSTER, 'outbound|80|v9|turns.example.com')['type']).toBe('STRICT_DNS');
  expect(await validate(all)).toContain('OK');
});

test('a port of gRPC-Web takes calls of browsers, outbound, inbound and at a gateway', async () => {
  const web = WEB.replace('name: http, protocol: HTTP', 'name: grpc-web, protocol: GRPC-WEB');
  const all = await sidecar(web);
  for (const name of ['0.0.0.0_80', 'virtualInbound'])
    expect(JSON.stringify(named(all, LISTENER, name)), name).toContain('envoy.filters.http.grpc_web');
  expect(JSON.stringify(named(await sidecar(WEB), LISTENER, '0.0.0.0_80'))).not.toContain('grpc_web');
  expect(await validate(all)).toContain('OK');
  const served = await gateway('{ port: { number: 80, name: web, protocol: GRPC-WEB }, hosts: ["*"] }');
  expect(JSON.stringify(named(served, LISTENER, '0.0.0.0_80'))).toContain('envoy.filters.http.grpc_web');
});

test('an answer to a preflight may be kept for whole seconds, no longer than the rule says', async () => {
  const all = await sidecar(WEB + rule(`{ corsPolicy: { allowOrigins: [{ exact: a }], maxAge: 1900ms }, ${TO_WEB} }`));
  expect(JSON.stringify(hostsOf(all, '80'))).toContain('"max_age":"1"');
});

test('rules without a number of retries have none', async () => {
  const all = await sidecar(WEB + rule(`{ retries: {}, ${TO_WEB} }`));
  expect(JSON.stringify(hostsOf(all, '80')[0])).not.toContain('retry_policy');
});

const hash = (header: string): string => `loadBalancer: { consistentHash: { httpHeaderName: ${header} } }`;
const hashed = object(
  'DestinationRule',
  'web',
  `{ host: web, trafficPolicy: { ${hash('top')} }, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 }, trafficPolicy: { ${hash('subset')} } }] }`,
);
const destination = (subset: string): string => `{ destination: { host: web, subset: ${subset} }, weight: 1 }`;

test.each([
  [destination('v1'), ['top']],
  [destination('v2'), ['subset']],
  [`${destination('v1')}, ${destination('v2')}`, ['top', 'subset']],
])('a route hashes as each of its destinations does: %s', async (route, expected) => {
  const all = await sidecar(WEB + hashed + rule(`{ route: [${route}] }`));
  expect(hostsOf(all, '80')[0]?.routes?.[0]?.route['hash_policy']).toEqual(
    expected.map((header_name) => ({ header: { header_name } })),
  );
});

test('settings of a port say how calls to it hash', async () => {
  const all = await sidecar(
    WEB +
      object(
        'DestinationRule',
        'web',
        `{ host: web, trafficPolicy: { ${hash('top')}, portLevelSettings: [{ port: { number: 80 }, ${hash('port')} }] } }`,
      ),
  );
  expect(JSON.stringify(hostsOf(all, '80')[0])).toContain('{"header_name":"port"}');
});

// ---------------------------------------------------------- gateways

async function gateway(servers: string, others = ''): Promise<readonly Made[]> {
  const { mesh, findings } = await readMesh({
    'mesh.yaml': WEB + object('Gateway', 'shop', `{ servers: [${servers}] }`) + others,
  });
  expect(findings.filter((one) => !one.includes('WARNING'))).toEqual([]);
  return resourcesFor(mesh, 'router~10.1.0.9~gateway-1.default~default.svc.cluster.local', {});
}

test('servers of one port at two addresses have a table each', async () => {
  const server = (bind: string, host: string): string =>
    `{ port: { number: 80, name: http-${host}, protocol: HTTP }, bind: ${bind}, hosts: [${host}.example.com] }`;
  const to = (host: string): string =>
    object('VirtualService', host, `{ hosts: [${host}.example.com], gateways: [shop], http: [{ ${TO_WEB} }] }`);
  const all = await gateway(`${server('127.0.0.2', 'a')}, ${server('127.0.0.3', 'b')}`, to('a') + to('b'));
  for (const [bind, host] of [
    ['127.0.0.2', 'a'],
    ['127.0.0.3', 'b'],
  ]) {
    expect(JSON.stringify(named(all, LISTENER, `${bind}_80`))).toContain(`"route_config_name":"http.80.${bind}"`);
    expect(hostsOf(all, `http.80.${bind}`).map(({ name }) => name)).toEqual([`${host}.example.com:80`, 'blackhole:80']);
  }
});

test('a server redirects to HTTPS without a rule, too', async () => {
  const all = await gateway(
    '{ port: { number: 80, name: http, protocol: HTTP }, hosts: [a.example.com, "default/b.example.com"], tls: { httpsRedirect: true } }',
    object('VirtualService', 'b', `{ hosts: [b.example.com], gateways: [shop], http: [{ ${TO_WEB} }] }`),
  );
  expect(hostsOf(all, 'http.80').map(({ name, require_tls: tls }) => [name, tls])).toEqual([
    ['a.example.com:80', 'ALL'],
    ['b.example.com:80', 'ALL'],
    ['blackhole:80', undefined],
  ]);
  expect(await validate(all)).toContain('OK');
});
