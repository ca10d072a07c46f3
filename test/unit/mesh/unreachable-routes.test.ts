/** VirtualServices that read as if they routed calls, and do not. */
import { expect, test } from 'vitest';
import { checkReferences } from '../../../src/mesh/check-references.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { entry, object } from '../../parts/mesh/web-sidecar.ts';

/** Errors and warnings. */
async function foundIn(...rules: readonly string[]): Promise<readonly string[]> {
  const { mesh, findings: errors } = await readMesh({ 'mesh.yaml': entry('web', 'default') + rules.join('') });
  const findings = new Findings();
  checkReferences(mesh, findings);
  return [...errors, ...findings.sorted(['mesh.yaml']).map(({ code, message }) => `${code} ${message}`)];
}

const TO_WEB = 'route: [{ destination: { host: web } }]';
const rule = (http: string, more = '', hosts = 'web'): string =>
  object('VirtualService', 'web', `{ hosts: [${hosts}], ${more} http: [${http}] }`);
const gateway = (hosts: string, namespace = 'default'): string =>
  object(
    'Gateway',
    'front',
    `{ selector: { istio: gate }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [${hosts}] }] }`,
    namespace,
  );

test('a route behind one that takes every call', async () => {
  const later = `{ match: [{ uri: { prefix: /a } }], ${TO_WEB} }`;
  const warning =
    'MESH_UNUSED no call comes so far: http[0] before it takes every one; put the route without a match last';
  expect(await foundIn(rule(`{ ${TO_WEB} }, ${later}`))).toEqual([warning]);
  expect(await foundIn(rule(`{ match: [{ uri: { prefix: / } }], ${TO_WEB} }, ${later}`))).toEqual([warning]);
  for (const match of [
    'port: 80',
    'sourceLabels: { app: a }',
    'sourceNamespace: b',
    'gateways: [mesh]',
    'method: { exact: GET }',
  ])
    expect(await foundIn(rule(`{ match: [{ ${match} }], ${TO_WEB} }, ${later}`))).toEqual([]);
  expect(await foundIn(rule(`${later}, { ${TO_WEB} }`))).toEqual([]);
  const tcp = object(
    'VirtualService',
    'web',
    `{ hosts: [web], tcp: [{ ${TO_WEB} }, { match: [{ port: 80 }], ${TO_WEB} }] }`,
  );
  expect(await foundIn(tcp)).toEqual([warning.replace('http', 'tcp')]);
  expect(await foundIn(tcp.replace('[{ route', '[{ match: [{ port: 81 }], route'))).toEqual([]);
});

test('a path that no call has', async () => {
  const warning = 'MESH_UNUSED no call has such a path, since paths begin with /; write "/shop"';
  expect(await foundIn(rule(`{ match: [{ uri: { prefix: shop } }], ${TO_WEB} }`))).toEqual([warning]);
  expect(await foundIn(rule(`{ match: [{ uri: { exact: shop } }], ${TO_WEB} }`))).toEqual([warning]);
  expect(await foundIn(rule(`{ match: [{ uri: { exact: "*" } }, { uri: { prefix: /shop } }], ${TO_WEB} }`))).toEqual(
    [],
  );
});

test('a host that no server of its gateways takes', async () => {
  const routed = rule(`{ ${TO_WEB} }`, 'gateways: [front],', 'shop.example.com');
  const warning =
    'MESH_UNUSED no server of default/front takes calls to shop.example.com from the rules of default; they are answered with 404';
  expect(await foundIn(gateway('other.example.com'), routed)).toEqual([warning]);
  expect(await foundIn(gateway('bank/shop.example.com'), routed)).toEqual([warning]);
  for (const hosts of ['"*"', '"*.example.com"', './shop.example.com', 'other.example.com, default/shop.example.com'])
    expect(await foundIn(gateway(hosts), routed)).toEqual([]);
});

test('a server name that is none of its hosts, which a gateway may leave to the rules of others', async () => {
  const tls = (hosts: string, names: string): string =>
    object(
      'VirtualService',
      'web',
      `{ hosts: [${hosts}], gateways: [front], tls: [{ match: [{ port: 443, sniHosts: [${names}] }], ${TO_WEB} }] }`,
    );
  const passes = gateway('shop.example.com, bank/bank.example.com')
    .replace('protocol: HTTP', 'protocol: TLS')
    .replace('number: 80', 'number: 443')
    .replace('hosts:', 'tls: { mode: PASSTHROUGH }, hosts:');
  const stolen = await foundIn(passes, tls('shop.example.com', 'shop.example.com, bank.example.com'));
  expect(stolen.join('\n')).toContain('tls.0.match.0.sniHosts.1: the name is none of hosts');
  expect(await foundIn(passes, tls('shop.example.com', 'Shop.example.com'))).toEqual([]);
  expect((await foundIn(passes, tls('shop.example.com', '"*.example.com"'))).join('\n')).toContain('none of hosts');
  expect(await foundIn(passes, tls('"*.example.com"', 'shop.example.com'))).toEqual([]);
});
