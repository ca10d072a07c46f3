/**
 * The same AuthorizationPolicy, or roles of RBAC v1alpha1, on TCP: by Envoy's RBAC network filter, and by Sluice behind the network filter
 * ext_authz.
 * **In**: a seed, numbers of workloads and connections. **Out**: how many connections passed, and those on which the two differ.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type TcpNetConnectOpts } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { stringify } from 'yaml';
import { serveSluice, type ServedSluice } from '../../e2e/sluice.ts';
import { makeAuthority } from '../certificates.ts';
import { startEnvoy } from '../envoy.ts';
import { freePort } from '../free-port.ts';
import { Random } from '../random.ts';
import { address, serverTls, type, withSluice } from './envoy-parts.ts';
import type { PolicyDocument } from './policy.ts';
import { CERTIFICATES, type Certificate, randomPolicies, randomRequest } from './random.ts';
import { LABELS, RBAC_ON, randomRbac, type RbacWorkload, serviceOf } from './random-rbac.ts';
import { rbacFilters, tcpPolicies } from './rbac-config.ts';

/** The addresses of the two listeners of each port. */
const RBAC = '127.0.0.1';
const EXT_AUTHZ = '127.0.0.2';

interface Connection {
  readonly certificate: Certificate;
  readonly sni: string;
  readonly from: string;
}
export interface TcpDifference {
  readonly connection: Connection;
  readonly rbac: boolean;
  readonly sluice: boolean;
  readonly policies: string;
}

/** There is no dynamic metadata on TCP, so conditions on it are left out. */
const withoutMetadata = (policies: readonly PolicyDocument[]): PolicyDocument[] =>
  policies.map((policy) => ({
    ...policy,
    spec: {
      ...policy.spec,
      ...(policy.spec.rules === undefined
        ? {}
        : {
            rules: policy.spec.rules.map((rule) => ({
              ...rule,
              ...(rule.when === undefined
                ? {}
                : { when: rule.when.filter(({ key }) => !key.startsWith('experimental.')) }),
            })),
          }),
    },
  }));

export async function compareWithNetworkRbac(options: {
  seed: number;
  workloads: number;
  connections: number;
  kind?: 'AuthorizationPolicy' | 'ServiceRole';
}): Promise<{
  readonly policies: number;
  readonly passed: number;
  readonly differences: readonly TcpDifference[];
}> {
  const random = new Random(options.seed);
  const ports: number[] = [];
  for (let at = 0; at < options.workloads; at++) ports.push(await freePort());
  const isRbac = options.kind === 'ServiceRole';
  const made = ports.map((port, at): RbacWorkload => {
    const names = [String(port), '80'];
    if (isRbac) return randomRbac(random, `case-${at}`, names);
    const policies = withoutMetadata(randomPolicies(random, `case-${at}`, names));
    return { documents: policies, policies };
  });
  const documents = made.flatMap((one) => one.documents);
  const authority = await makeAuthority();
  const echo = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  let sluice: ServedSluice | undefined;
  let envoy: Awaited<ReturnType<typeof startEnvoy>> | undefined;
  try {
    const server = await authority.issue('server', 'DNS:localhost');
    const clients = new Map<Certificate, { cert: string; key: string }>();
    for (const [name, san] of Object.entries(CERTIFICATES) as [Certificate, string | undefined][])
      if (san !== undefined) {
        const { cert, key } = await authority.issue(name, san);
        clients.set(name, { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') });
      }
    sluice = await serveSluice([...(isRbac ? [RBAC_ON] : []), ...documents].map((one) => stringify(one)).join('---\n'));
    const adminPort = await freePort();
    const upstream = (echo.address() as AddressInfo).port;
    const config = withSluice(
      adminPort,
      sluice.grpcPort,
      made.flatMap(({ policies }, at) => {
        const { deny, allow } = rbacFilters(tcpPolicies(policies));
        const rbac = [deny, allow].map((rules, place) => ({
          name: `rbac-${place}`,
          typed_config: { ...type('envoy.extensions.filters.network.rbac.v3.RBAC'), stat_prefix: 'rbac', ...rules },
        }));
        const port = ports[at] ?? 0;
        return [
          listener(RBAC, port, rbac, server, authority.ca),
          listener(EXT_AUTHZ, port, [networkCheck(`case-${at}`)], server, authority.ca),
        ];
      }),
      [
        {
          name: 'echo',
          type: 'STATIC',
          load_assignment: {
            cluster_name: 'echo',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address('127.0.0.1', upstream) } }] }],
          },
        },
      ],
    );
    envoy = await startEnvoy({ adminPort, config });

    const passes = async (host: string, port: number, { certificate, sni, from }: Connection): Promise<boolean> =>
      new Promise((resolve) => {
        const options: ConnectionOptions & TcpNetConnectOpts = {
          host,
          port,
          servername: sni,
          localAddress: from,
          rejectUnauthorized: false,
          ...clients.get(certificate),
        };
        const socket = connect(options);
        let isOpen = false;
        socket.once('secureConnect', () => socket.write('hello'));
        socket.once('data', () => {
          isOpen = true;
          socket.end();
        });
        socket.on('error', () => undefined);
        socket.once('close', () => resolve(isOpen));
      });
    const differences: TcpDifference[] = [];
    let passed = 0;
    for (const [at, { documents: own }] of made.entries()) {
      const port = ports[at] ?? 0;
      const pending = Array.from({ length: options.connections / made.length }, (): Connection => {
        const { certificate, sni, from } = randomRequest(random);
        return { certificate, sni, from };
      });
      const work = async (): Promise<void> => {
        for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
          const [rbac, ours] = await Promise.all([passes(RBAC, port, one), passes(EXT_AUTHZ, port, one)]);
          if (rbac) passed++;
          if (rbac !== ours) differences.push({ connection: one, rbac, sluice: ours, policies: stringify(own) });
        }
      };
      await Promise.all(Array.from({ length: 8 }, work));
    }
    return { policies: documents.length, passed, differences };
  } finally {
    await envoy?.stop();
    await sluice?.stop();
    echo.close();
    await authority.remove();
  }
}

/** Tells Sluice the workload. */
const networkCheck = (namespace: string): object => ({
  name: 'ext-authz',
  typed_config: {
    ...type('envoy.extensions.filters.network.ext_authz.v3.ExtAuthz'),
    stat_prefix: 'ext-authz',
    transport_api_version: 'V3',
    include_peer_certificate: true,
    include_tls_session: true,
    grpc_service: {
      envoy_grpc: { cluster_name: 'sluice' },
      timeout: '10s',
      initial_metadata: [
        {
          key: 'x-sluice-context',
          value: JSON.stringify({
            'destination.namespace': namespace,
            'destination.service.host': serviceOf(namespace),
            'destination.labels': Object.entries(LABELS)
              .map((label) => label.join('='))
              .join(','),
          }),
        },
      ],
    },
  },
});

const listener = (
  host: string,
  port: number,
  checks: readonly object[],
  server: { readonly cert: string; readonly key: string },
  ca: string,
): object => ({
  name: `${host}:${port}`,
  address: address(host, port),
  listener_filters: [
    { name: 'tls', typed_config: type('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector') },
  ],
  filter_chains: [
    {
      transport_socket: serverTls(server, ca),
      filters: [
        ...checks,
        {
          name: 'tcp',
          typed_config: {
            ...type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
            stat_prefix: 'tcp',
            cluster: 'echo',
          },
        },
      ],
    },
  ],
});
