/** The listeners of gateways: at the target ports of their service, with the rules of namespaces that export them. */
import { expect, test } from 'vitest';
import { LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';
import { entry, object } from '../../parts/mesh/web-sidecar.ts';

const service = (metadata = '{ name: gate }', ports = '{ name: http, port: 80, targetPort: 8080 }'): string => `
---
apiVersion: v1
kind: Service
metadata: ${metadata}
spec: { selector: { istio: gate }, ports: [${ports}, { name: tcp, port: 31400 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: gate-1, labels: { istio: gate } }
spec: { containers: [{ ports: [{ name: web, containerPort: 8081 }] }] }
status: { podIP: 10.1.0.9 }
`;
const RULES =
  entry('web', 'default') +
  object(
    'Gateway',
    'shop',
    `{ selector: { istio: gate }, servers: [
  { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] },
  { port: { number: 8000, name: other, protocol: HTTP }, hosts: ["*"] },
  { port: { number: 31400, name: tcp, protocol: TCP }, hosts: ["*"] }] }`,
  ) +
  object(
    'VirtualService',
    'web',
    `{ hosts: ["*"], gateways: [shop], http: [{ match: [{ port: 80 }], route: [{ destination: { host: web } }] }],
  tcp: [{ match: [{ port: 31400 }], route: [{ destination: { host: web } }] }] }`,
  );

async function gateway(text: string) {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': RULES + text }, { sluice: SLUICE });
  expect(findings).toEqual([]);
  return resourcesFor(mesh, 'router~10.1.0.9~gate-1.default~default.svc.cluster.local', { LABELS: { istio: 'gate' } });
}
const SLUICE = { cluster: 'sluice', checkTimeoutMs: 200, limitTimeoutMs: 20, failOpen: true, limitDomain: 'mesh' };
const LISTENERS = ['0.0.0.0_31400', '0.0.0.0_8000'];

test.each([
  ['a number', service(), 8080],
  ['the name of a port of the container', service(undefined, '{ name: http, port: 80, targetPort: web }'), 8081],
  ['nothing', service(undefined, '{ name: http, port: 80 }'), 80],
  [
    'a number, with a label that leaves ports as they are',
    service('{ name: gate, labels: { experimental.istio.io/disable-gateway-port-translation: "true" } }'),
    80,
  ],
  ['no service', '', 80],
])('the target port is %s', async (_, text, port) => {
  const all = await gateway(text);
  expect(names(all, LISTENER).toSorted()).toEqual([...LISTENERS, `0.0.0.0_${port}`].toSorted());
  const table = JSON.stringify(named(all, ROUTES, `http.${port}`));
  // Rules name the port of the service.
  expect(table).toContain('outbound|80||web.default.svc.cluster.local');
  expect(table.includes('"destination.service.host":"gate.default.svc.cluster.local"')).toBe(
    text !== '' && !text.includes('disable'),
  );
  expect(await validate(all)).toContain('OK');
});

test.each([
  ['["*"]', true],
  ['["."]', false],
  ['[default]', true],
  ['[shop]', false],
])('a gateway serves rules that are exported to its namespace: %s', async (to, isServed) => {
  const rules = RULES.replace(/(kind: VirtualService\nmetadata: \{ name: web, namespace: )default/, '$1far')
    .replace('gateways: [shop]', `exportTo: ${to}, gateways: [default/shop]`)
    .replaceAll('host: web }', 'host: web.default.svc.cluster.local }');
  const { mesh } = await readMesh({ 'mesh.yaml': rules + service() });
  const all = resourcesFor(mesh, 'router~10.1.0.9~gate-1.default~default.svc.cluster.local', {
    LABELS: { istio: 'gate' },
  });
  expect(JSON.stringify(named(all, ROUTES, 'http.8080')).includes('outbound|80||web')).toBe(isServed);
  expect(names(all, LISTENER).includes('0.0.0.0_31400')).toBe(isServed);
});
