/** Fields, words and kinds of Istio that this control plane does not act on are errors that say what to write instead. */
import { expect, test } from 'vitest';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { object } from '../../parts/mesh/web-sidecar.ts';

test.each([
  ['Sidecar', 'ingress: [{ port: { number: 80, protocol: HTTPS }, tls: { mode: SIMPLE } }]', 'end TLS at a gateway'],
  ['Sidecar', 'egressProxy: { host: a }', 'route calls to hosts outside through a gateway'],
  [
    'ServiceEntry',
    'hosts: ["*.example.com"], resolution: DYNAMIC_DNS, ports: [{ number: 443, name: tls, protocol: TLS }]',
    'support DYNAMIC_DNS; write NONE',
  ],
  [
    'DestinationRule',
    'host: a, trafficPolicy: { tunnel: { targetHost: b, targetPort: 80 } }',
    'ask the proxy for a tunnel themselves',
  ],
  [
    'Gateway',
    'servers: [{ port: { number: 443, protocol: TLS }, hosts: ["*"], tls: { mode: AUTO_PASSTHROUGH } }]',
    'support AUTO_PASSTHROUGH; it joins several networks',
  ],
  [
    'Gateway',
    'servers: [{ port: { number: 443, protocol: TLS }, hosts: ["*"], tls: { mode: NONE } }]',
    'expected one of "PASSTHROUGH"|"SIMPLE"',
  ],
  [
    'Gateway',
    'servers: [{ port: { number: 443, protocol: TLS }, hosts: ["*"], tls: { mode: SIMPLE, credentialName: a, credentialNames: [b] } }]',
    'name one Secret by credentialName',
  ],
])('fields and words: %s %s', async (kind, spec, expected) => {
  const { findings } = await readMesh({ 'mesh.yaml': object(kind, 'a', `{ ${spec} }`) });
  expect(findings).toEqual([expect.stringContaining(expected)]);
});

test.each([
  ['gateway.networking.k8s.io/v1', 'Gateway', 'write a Gateway and a VirtualService of networking.istio.io instead'],
  ['gateway.networking.k8s.io/v1', 'HTTPRoute', 'write a Gateway and a VirtualService of networking.istio.io instead'],
  ['install.istio.io/v1alpha1', 'IstioOperator', 'write its meshConfig into a file for --meshConfigFile'],
])('kinds: %s %s', async (api, kind, expected) => {
  const { findings } = await readMesh({ 'mesh.yaml': object(kind, 'a', '{}').replace('networking.istio.io/v1', api) });
  expect(findings).toEqual([expect.stringContaining(expected)]);
});
