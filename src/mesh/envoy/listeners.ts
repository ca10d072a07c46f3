/**
 * The listeners of a proxy, and the tables that they name.
 * **In**: what the proxy sees of the mesh. **Out**: listeners and route tables. **Fails**: never.
 *
 * A sidecar without interception (`INTERCEPTION_MODE: NONE`) opens the ports that its Sidecar names, or one on 127.0.0.1 for each port number
 * of a service. A gateway opens the ports of the Gateways that select it.
 */
import { LISTENER } from '../../xds/index.ts';
import { hasLabels } from '../model/mesh.ts';
import { isHttp, originText, type Service, type ServicePort } from '../model/model.ts';
import { completeHost, covers } from '../resolve/hosts.ts';
import type { Scope } from '../resolve/scope.ts';
import type { GatewayServer, SidecarEgress } from '../rules/gateway.ts';
import type { MeshObject } from '../sources/objects.ts';
import { clusterOf, completeGateway, type RouteContext } from './http-routes.ts';
import { accessLog, askedWith, httpManager } from './http-manager.ts';
import { made, type Made } from './made.ts';
import {
  gatewayRoutes,
  inboundCluster,
  listenerName,
  outboundCluster,
  sidecarRoutes,
  tlsGatewayRoutes,
} from './names.ts';
import { any, compact, type Json, seconds, socketAddress } from './parts.ts';
import { type GatewayPart, gatewayName, gatewayTable, sidecarTable } from './route-tables.ts';

export interface Listening {
  readonly listeners: readonly Made[];
  readonly tables: readonly Made[];
}

export const listenersOf = (scope: Scope): Listening =>
  scope.member.type === 'router' ? gatewayListeners(scope) : sidecarListeners(scope);

const listener = (address: string, port: number, chains: readonly Json[], extra: Json, origin?: string): Made =>
  made(
    LISTENER,
    { name: listenerName(address, port), address: socketAddress(address, port), filter_chains: [...chains], ...extra },
    origin,
  );

const TLS_INSPECTOR = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector';
/** A chain that matches TLS or a name never matches without it. */
const INSPECTED: Json = {
  listener_filters: [{ name: 'envoy.filters.listener.tls_inspector', typed_config: any(TLS_INSPECTOR) }],
};

// ---------------------------------------------------------- sidecars

const LOOPBACK = '127.0.0.1';

function sidecarListeners(scope: Scope): Listening {
  const { sidecar } = scope;
  const listeners: Made[] = [];
  const tables = new Map<number, Made>();
  for (const { port, bind } of sidecar?.spec.ingress ?? []) {
    const isPlain = !isHttpName(port.protocol);
    const chain = isPlain
      ? tcpChain(inboundCluster(port.number), 'inbound', scope)
      : { filters: [inboundManager(port.number, scope)] };
    listeners.push(
      listener(bind ?? scope.member.address, port.number, [chain], { traffic_direction: 'INBOUND' }, originOf(sidecar)),
    );
  }
  const named = (sidecar?.spec.egress ?? []).filter((one) => one.port !== undefined);
  for (const { address, number, isForHttp } of named.length > 0 ? named.map(egressAt) : portsOf(scope)) {
    if (!isForHttp) {
      listeners.push(...plainListeners(address, number, scope));
      continue;
    }
    if (!tables.has(number)) tables.set(number, sidecarTable(scope, number));
    const manager = httpManager({
      statPrefix: `outbound_${listenerName(address, number)}`,
      routes: { table: sidecarRoutes(number) },
      direction: 'outbound',
      scope,
    });
    listeners.push(
      listener(address, number, [{ filters: [manager] }], { traffic_direction: 'OUTBOUND' }, originOf(sidecar)),
    );
  }
  return { listeners: distinct(listeners), tables: [...tables.values()] };
}

const originOf = (sidecar: MeshObject<'Sidecar'> | undefined): string | undefined =>
  sidecar === undefined ? undefined : originText(sidecar.origin);

const isHttpName = (protocol: string): boolean =>
  ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY'].includes(protocol);

interface OutboundAt {
  readonly address: string;
  readonly number: number;
  readonly isForHttp: boolean;
}

const egressAt = ({ port, bind }: SidecarEgress): OutboundAt => ({
  address: bind ?? LOOPBACK,
  number: port?.number ?? 0,
  isForHttp: isHttpName(port?.protocol ?? 'HTTP'),
});

/** One listener for all HTTP services of a port number, told apart by their hosts; of an HTTP and a TCP service the oldest wins. */
function portsOf({ services }: Scope): readonly OutboundAt[] {
  const ports = new Map<number, OutboundAt & { readonly createdMs: number }>();
  for (const { ports: own, origin } of services.values())
    for (const { number, protocol } of own) {
      const known = ports.get(number);
      if (protocol === 'udp' || (known !== undefined && known.createdMs <= origin.createdMs)) continue;
      ports.set(number, { address: LOOPBACK, number, isForHttp: isHttp(protocol), createdMs: origin.createdMs });
    }
  return [...ports.values()].toSorted((a, b) => a.number - b.number);
}

function inboundManager(port: number, scope: Scope): Json {
  const name = inboundCluster(port);
  return httpManager({
    statPrefix: `inbound_${port}`,
    routes: {
      inline: {
        name,
        validate_clusters: false,
        virtual_hosts: [
          compact({
            name: `inbound|http|${port}`,
            domains: ['*'],
            routes: [
              {
                name: 'default',
                match: { prefix: '/' },
                route: {
                  cluster: name,
                  timeout: seconds(0),
                  max_stream_duration: { max_stream_duration: seconds(0), grpc_timeout_header_max: seconds(0) },
                },
              },
            ],
            ...askedWith(scope, port),
          }),
        ],
      },
    },
    direction: 'inbound',
    scope,
  });
}

const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';

function tcpChain(
  to: string | readonly { readonly name: string; readonly weight: number }[],
  direction: 'inbound' | 'outbound' | 'gateway',
  { mesh }: Scope,
  match?: Json,
): Json {
  const { sluice } = mesh.settings;
  return compact({
    filter_chain_match: match,
    filters: [
      {
        name: 'envoy.filters.network.tcp_proxy',
        typed_config: any(
          TCP_PROXY,
          compact({
            stat_prefix: typeof to === 'string' ? to : (to[0]?.name ?? 'none'),
            ...(typeof to === 'string'
              ? { cluster: to }
              : { weighted_clusters: { clusters: to.map((one) => ({ ...one })) } }),
            access_log: sluice === undefined ? [] : [accessLog('Tcp', sluice, direction)],
          }),
        ),
      },
    ],
  });
}

/** A service that is no HTTP has its port to itself; TLS is told apart by its server name. */
function plainListeners(address: string, number: number, scope: Scope): Made[] {
  const services = [...scope.services.values()].flatMap((service) =>
    service.ports.filter((port) => port.number === number && !isHttp(port.protocol)).map((port) => ({ service, port })),
  );
  const [first] = services;
  if (first === undefined) return [];
  const byName = services.filter(({ port }) => port.protocol === 'tls' || port.protocol === 'https');
  const chains = byName.length > 0 ? byName.map(({ service, port }) => tlsChain(service, port, scope)) : [];
  const plain = services.find(({ port }) => port.protocol !== 'tls' && port.protocol !== 'https');
  if (plain !== undefined) chains.push(tcpChain(tcpTarget(plain.service, plain.port, scope), 'outbound', scope));
  return [
    listener(
      address,
      number,
      chains,
      { traffic_direction: 'OUTBOUND', ...(byName.length > 0 ? INSPECTED : {}) },
      originText(first.service.origin),
    ),
  ];
}

const tlsChain = (service: Service, port: ServicePort, scope: Scope): Json =>
  tcpChain(tcpTarget(service, port, scope), 'outbound', scope, {
    server_names: [service.host],
    transport_protocol: 'tls',
  });

/** By the first tcp or tls rule of its VirtualService, else the service itself. */
function tcpTarget(
  { host }: Service,
  { number }: ServicePort,
  scope: Scope,
): string | readonly { readonly name: string; readonly weight: number }[] {
  const rule = scope.routes.get(host);
  const context: RouteContext = { scope, port: number, gateways: new Set(['mesh']) };
  const fits = (match: {
    readonly port?: number | undefined;
    readonly sourceLabels: Readonly<Record<string, string>>;
  }): boolean =>
    (match.port === undefined || match.port === number) && hasLabels(scope.member.labels, match.sourceLabels);
  const route =
    rule?.spec.tls.find(({ match }) =>
      match.some((one) => fits(one) && one.sniHosts.some((name) => covers(name, host))),
    ) ?? rule?.spec.tcp.find(({ match }) => match === undefined || match.some(fits));
  if (rule === undefined || route === undefined) return outboundCluster(number, undefined, host);
  return targets(route.route, rule.origin.namespace, context);
}

function targets(
  route: readonly { readonly destination: Parameters<typeof clusterOf>[0]; readonly weight?: number | undefined }[],
  namespace: string,
  context: RouteContext,
): string | readonly { readonly name: string; readonly weight: number }[] {
  const weighted = route.length > 1 ? route.filter(({ weight = 0 }) => weight > 0) : route;
  const [only] = weighted;
  if (weighted.length === 1 && only !== undefined) return clusterOf(only.destination, namespace, context);
  return weighted.map(({ destination, weight = 0 }) => ({ name: clusterOf(destination, namespace, context), weight }));
}

/** The first of a name: two listeners at one address would be refused, both of them. */
const distinct = (all: readonly Made[]): readonly Made[] =>
  [...new Map(all.toReversed().map((one) => [one.name, one])).values()].toReversed();

// ---------------------------------------------------------- gateways

interface Served {
  readonly gateway: MeshObject<'Gateway'>;
  readonly server: GatewayServer;
}

function gatewayListeners(scope: Scope): Listening {
  const { mesh, member } = scope;
  const served = mesh.rules.Gateway.filter(({ spec }) => hasLabels(member.labels, spec.selector)).flatMap(
    (gateway): Served[] => gateway.spec.servers.map((server) => ({ gateway, server })),
  );
  const listeners: Made[] = [];
  const tables: Made[] = [];
  const byAddress = Map.groupBy(served, ({ server }) => listenerName(server.bind ?? '0.0.0.0', server.port.number));
  for (const own of byAddress.values()) {
    const [first] = own as [Served];
    const { bind = '0.0.0.0', port } = first.server;
    const plain = own.filter(({ server }) => isHttpName(server.port.protocol) && server.tls?.mode === undefined);
    const chains: Json[] = [];
    for (const one of own.filter((other) => !plain.includes(other))) {
      const { chain, table } = securedChain(one, scope);
      chains.push(...chain);
      if (table !== undefined) tables.push(table);
    }
    if (plain.length > 0) {
      tables.push(gatewayTable(scope, port.number, plain.map(partOf)));
      chains.push({ filters: [gatewayManager(gatewayRoutes(port.number), scope)] });
    }
    if (chains.length === 0) continue;
    const needsInspector = own.length > plain.length;
    listeners.push(
      listener(
        bind,
        port.number,
        chains,
        { traffic_direction: 'OUTBOUND', ...(needsInspector ? INSPECTED : {}) },
        originText(first.gateway.origin),
      ),
    );
  }
  return { listeners, tables };
}

const partOf = ({ gateway, server }: Served): GatewayPart => ({
  gateway,
  hosts: server.hosts,
  redirects: server.tls?.httpsRedirect === true,
});

const gatewayManager = (table: string, scope: Scope): Json =>
  httpManager({ statPrefix: `gateway_${table}`, routes: { table }, direction: 'gateway', scope });

function securedChain(
  { gateway, server }: Served,
  scope: Scope,
): { readonly chain: readonly Json[]; readonly table: Made | undefined } {
  const { port, hosts, tls } = server;
  const names = hosts.includes('*') ? [] : hosts;
  const match = compact({ server_names: [...names], transport_protocol: tls === undefined ? undefined : 'tls' });
  const isTerminated = tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL' || tls?.mode === 'OPTIONAL_MUTUAL';
  if (isTerminated && (port.protocol === 'HTTPS' || isHttpName(port.protocol))) {
    const name = tlsGatewayRoutes(port.number, port.name ?? 'https', gateway.origin.name, gateway.origin.namespace);
    return {
      chain: [
        {
          filter_chain_match: match,
          filters: [gatewayManager(name, scope)],
          transport_socket: serverSocket(tls, ['h2', 'http/1.1']),
        },
      ],
      table: gatewayTable(scope, port.number, [partOf({ gateway, server })], name),
    };
  }
  const own = gatewayTargets({ gateway, server }, scope);
  return {
    chain: own.map(({ to, sniHosts }) => ({
      ...tcpChain(
        to,
        'gateway',
        scope,
        compact({ ...match, server_names: sniHosts.length > 0 ? sniHosts : [...names] }),
      ),
      ...(isTerminated ? { transport_socket: serverSocket(tls, []) } : {}),
    })),
    table: undefined,
  };
}

/** By tls rules (passed through, by server name) or tcp rules of the VirtualServices that name the gateway. */
function gatewayTargets(
  { gateway, server }: Served,
  scope: Scope,
): { to: ReturnType<typeof targets>; sniHosts: string[] }[] {
  const { port } = server;
  const context: RouteContext = { scope, port: port.number, gateways: new Set([gatewayName(gateway)]) };
  const found: { to: ReturnType<typeof targets>; sniHosts: string[] }[] = [];
  for (const { origin, spec } of scope.mesh.rules.VirtualService) {
    if (!spec.gateways.some((name) => completeGateway(name, origin.namespace) === gatewayName(gateway))) continue;
    const fits = (match: { readonly port?: number | undefined }): boolean =>
      match.port === undefined || match.port === port.number;
    for (const { match, route } of spec.tls) {
      const sniHosts = match
        .filter(fits)
        .flatMap((one) => one.sniHosts.map((name) => completeHost(name, origin.namespace, scope.mesh.settings.domain)));
      if (sniHosts.length > 0) found.push({ to: targets(route, origin.namespace, context), sniHosts });
    }
    for (const { match, route } of spec.tcp)
      if (match === undefined || match.some(fits))
        found.push({ to: targets(route, origin.namespace, context), sniHosts: [] });
  }
  return found;
}

const DOWNSTREAM = 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';

/** Certificates from files that the proxy reads; `credentialName` needs identities of the mesh. */
function serverSocket(tls: NonNullable<GatewayServer['tls']>, alpn: readonly string[]): Json {
  const { serverCertificate, privateKey, caCertificates, subjectAltNames, mode } = tls;
  const { minProtocolVersion, maxProtocolVersion, cipherSuites } = tls;
  const parameters = compact({
    tls_minimum_protocol_version: minProtocolVersion,
    tls_maximum_protocol_version: maxProtocolVersion,
    cipher_suites: [...cipherSuites],
  });
  const isMutual = mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: any(DOWNSTREAM, {
      common_tls_context: compact({
        alpn_protocols: [...alpn],
        tls_params: Object.keys(parameters).length === 0 ? undefined : parameters,
        tls_certificates:
          serverCertificate === undefined || privateKey === undefined
            ? []
            : [{ certificate_chain: { filename: serverCertificate }, private_key: { filename: privateKey } }],
        validation_context:
          !isMutual || caCertificates === undefined
            ? undefined
            : compact({
                trusted_ca: { filename: caCertificates },
                match_typed_subject_alt_names: subjectAltNames.flatMap((exact) =>
                  ['URI', 'DNS'].map((san) => ({ san_type: san, matcher: { exact } })),
                ),
              }),
      }),
      require_client_certificate: mode === 'MUTUAL',
    }),
  };
}
