/** How connections that are no HTTP are told apart, by sidecars and gateways. */
import { expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { LISTENER } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const API = 'apiVersion: networking.istio.io/v1';
const entry = (name: string, protocol: string): string => `
---
${API}
kind: ServiceEntry
metadata: { name: ${name} }
spec: { hosts: [${name}.example.com], addresses: [10.96.0.0/16], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 9000, name: port, protocol: ${protocol} }], endpoints: [{ address: 10.1.0.1 }] }
`;
const rule = (name: string, spec: string, gateways = 'mesh'): string => `
---
${API}
kind: VirtualService
metadata: { name: ${name} }
spec: { hosts: [${name}.example.com], gateways: [${gateways}], ${spec} }
`;
const to = (host: string): string => `route: [{ destination: { host: ${host}.example.com, port: { number: 9000 } } }]`;
const gateway = (servers: string, name = 'front'): string => `
---
${API}
kind: Gateway
metadata: { name: ${name} }
spec: { servers: [${servers}] }
`;

/** The cluster of each chain, by what it matches in short: destinations, server names, and clients. */
async function chainsOf(
  text: string,
  { id = 'sidecar~10.1.0.9~web-1.default~default.svc.cluster.local', listener = '0.0.0.0_9000' } = {},
): Promise<Readonly<Record<string, string>>> {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': text });
  expect(findings).toEqual([]);
  const all: readonly Made[] = resourcesFor(mesh, id, { LABELS: { app: 'web' } });
  expect(await validate(all)).toContain('OK');
  interface Range {
    readonly address_prefix: string;
    readonly prefix_len: number;
  }
  const rangesOf = (ranges: readonly Range[] = []): string =>
    ranges.map((one) => `${one.address_prefix}/${one.prefix_len}`).join(' ');
  const chains = named(all, LISTENER, listener)['filter_chains'] as unknown as {
    filter_chain_match?: {
      prefix_ranges?: Range[];
      server_names?: string[];
      source_prefix_ranges?: Range[];
      source_type?: string;
    };
    filters: { typed_config: { cluster: string } }[];
  }[];
  return Object.fromEntries(
    chains
      .filter(({ filter_chain_match: match }) => match?.source_type === undefined)
      .map(({ filter_chain_match: match = {}, filters: [filter] }) => [
        [
          rangesOf(match.prefix_ranges) || 'any',
          ...(match.server_names ?? []),
          'from',
          rangesOf(match.source_prefix_ranges) || 'any',
        ].join(' '),
        filter?.typed_config.cluster.split('|').at(-1)?.split('.')[0] ?? '',
      ]),
  );
}

const SERVICES = ['own', 'a', 'b', 'c'].map((name) => entry(name, 'TCP')).join('');
const tcpRule = (routes: string): string => entry('own', 'TCP') + rule('own', `tcp: [${routes}]`);

test('tcp routes of a range of clients go before those of any, and each destination has them', async () => {
  const chains = await chainsOf(
    tcpRule(`
      { match: [{ sourceSubnet: 10.2.0.0/16 }], ${to('a')} },
      { match: [{ destinationSubnets: [10.96.1.0/24], sourceSubnet: 10.3.0.1 }], ${to('b')} },
      { match: [{ destinationSubnets: [10.96.2.0/24] }], ${to('c')} }`),
  );
  expect(chains).toEqual({
    '10.96.0.0/16 from 10.2.0.0/16': 'a',
    '10.96.0.0/16 from any': 'own',
    '10.96.1.0/24 from 10.2.0.0/16': 'a',
    '10.96.1.0/24 from 10.3.0.1/32': 'b',
    '10.96.1.0/24 from any': 'own',
    '10.96.2.0/24 from 10.2.0.0/16': 'a',
    '10.96.2.0/24 from any': 'c',
  });
});

test('the first tcp route that takes a client has it, though a later one names a narrower range', async () => {
  const chains = await chainsOf(
    tcpRule(`
      { match: [{ sourceSubnet: 10.0.0.0/8 }], ${to('a')} },
      { match: [{ sourceSubnet: 10.2.0.0/16 }, { sourceSubnet: "2001:db8::/32" }], ${to('b')} },
      { ${to('c')} },
      { match: [{ sourceSubnet: 192.168.0.0/16 }], ${to('a')} }`),
  );
  expect(chains).toEqual({
    '10.96.0.0/16 from 10.0.0.0/8': 'a',
    '10.96.0.0/16 from 2001:db8::/32': 'b',
    '10.96.0.0/16 from any': 'c',
  });
});

test('tls routes may be of a range of clients', async () => {
  const chains = await chainsOf(
    entry('own', 'TLS') +
      rule(
        'own',
        `tls: [{ match: [{ sniHosts: [own.example.com], sourceSubnet: 10.2.0.0/16 }], ${to('a')} }, { match: [{ sniHosts: [own.example.com] }], ${to('b')} }]`,
      ),
  );
  expect(chains).toEqual({
    '10.96.0.0/16 own.example.com from 10.2.0.0/16': 'a',
    '10.96.0.0/16 own.example.com from any': 'b',
  });
});

const ROUTER = { id: 'router~10.1.0.9~front-1.default~default.svc.cluster.local' };

test('a gateway has the first tcp route of its port that takes any client, after those of ranges', async () => {
  const chains = await chainsOf(
    SERVICES +
      gateway('{ port: { number: 9000, name: tcp, protocol: TCP }, hosts: [own.example.com] }') +
      rule('b', `tcp: [{ ${to('b')} }]`, 'front') +
      rule(
        'own',
        `tcp: [
          { match: [{ gateways: [default/other] }], ${to('c')} },
          { match: [{ port: 9001 }], ${to('c')} },
          { match: [{ sourceSubnet: 10.2.0.0/16, gateways: [front] }], ${to('a')} },
          { match: [{ port: 9000 }], ${to('own')} },
          { ${to('c')} }]`,
        'front, other',
      ),
    ROUTER,
  );
  expect(chains).toEqual({ 'any from 10.2.0.0/16': 'a', 'any from any': 'own' });
});

test('a gateway passes TLS on by server name, each name once', async () => {
  const wide = (rules: string): string => rules.replaceAll(/hosts: \[\w\.example\.com\]/g, 'hosts: ["*.example.com"]');
  const chains = await chainsOf(
    SERVICES +
      gateway(
        '{ port: { number: 9000, name: tls, protocol: TLS }, hosts: ["*.example.com"], tls: { mode: PASSTHROUGH } }',
      ) +
      wide(
        rule(
          'a',
          `tls: [{ match: [{ sniHosts: [a.example.com] }, { sniHosts: [c.example.com], gateways: [mesh] }], ${to('a')} }]`,
          'front',
        ) +
          rule('b', `tls: [{ match: [{ sniHosts: [a.example.com, b.example.com] }], ${to('b')} }]`, 'front') +
          rule(
            'c',
            `tls: [{ match: [{ sniHosts: [a.example.com], sourceSubnet: 10.2.0.0/16 }], ${to('c')} }]`,
            'front',
          ),
      ),
    ROUTER,
  );
  expect(chains).toEqual({ 'any a.example.com from any': 'a' });
});

test('a server of a gateway may name the namespace whose rules serve it', async () => {
  const host = (text: string): string =>
    SERVICES +
    gateway(`{ port: { number: 9000, name: tcp, protocol: TCP }, hosts: ["${text}"] }`) +
    rule('own', `tcp: [{ ${to('a')} }]`, 'front');
  for (const own of ['./*', '*/*', 'default/own.example.com', 'own.example.com'])
    expect(await chainsOf(host(own), ROUTER)).toEqual({ 'any from any': 'a' });
  await expect(chainsOf(host('other/*'), ROUTER)).rejects.toThrow('no 0.0.0.0_9000');
});
