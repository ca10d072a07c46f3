/**
 * Resources of istiod in the form of ours: listeners without what they have to detect protocols, endpoints once each, and a virtual host
 * for each host of a gateway.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

/** ALPN of Istio's sidecars, by which an HTTP port of theirs tells mutual TLS from other TLS. */
const ISTIO_HTTP = 'istio-http/1.1';
const DETECTED_HTTP = '["http/1.1","h2c"]';

interface Chain {
  readonly name?: string;
  readonly filter_chain_match?: JsonObject;
  readonly filters: readonly JsonObject[];
  readonly transport_socket?: JsonObject;
}

/** A service with several addresses has each endpoint as often. */
export function endpointsOnce(assignment: JsonObject): JsonObject {
  const { endpoints = [], ...others } = assignment as JsonObject & { readonly endpoints?: readonly JsonObject[] };
  const once = (all: readonly JsonValue[]): JsonValue[] => [
    ...new Map(all.map((one) => [JSON.stringify((one as JsonObject)['endpoint']), one])).values(),
  ];
  return {
    ...others,
    endpoints: endpoints.map((group) => ({
      ...group,
      lb_endpoints: once((group['lb_endpoints'] ?? []) as JsonValue[]),
    })),
  };
}

/** Those of several rules that come to the same are one. */
export function hostsApart(table: JsonObject): JsonObject {
  const { name, virtual_hosts: hosts = [] } = table as unknown as Table;
  const [, port] = /^https?\.(\d+)/.exec(name) ?? [];
  if (port === undefined) return table;
  const apart = hosts.flatMap((host) =>
    host.domains.map((domain) => ({
      ...host,
      name: host.name.startsWith('blackhole:') ? host.name : `${domain}:${port}`,
      domains: [domain],
    })),
  );
  return { ...table, virtual_hosts: apart as unknown as JsonValue };
}

interface Table {
  readonly name: string;
  readonly virtual_hosts?: readonly { readonly name: string; readonly domains: readonly string[] }[];
}

export function withoutDetection(listener: JsonObject): JsonObject {
  const {
    filter_chains: chains = [],
    default_filter_chain: otherwise,
    ...others
  } = listener as JsonObject & { readonly filter_chains?: readonly Chain[] };
  const isDetected = chains.some(isForDetected) && otherwise !== undefined;
  return {
    ...others,
    ...(isDetected || otherwise === undefined ? {} : { default_filter_chain: otherwise }),
    listener_filters: ((others['listener_filters'] ?? []) as JsonObject[]).filter(
      ({ name }) => name !== 'envoy.filters.listener.http_inspector',
    ),
    filter_chains: chains
      .filter((chain) => !isForAnyPort(chain))
      .map((chain) => ({ ...chain, filter_chain_match: aligned(chain, isDetected) }) as unknown as JsonValue),
  };
}

const protocolsOf = ({ filter_chain_match: match }: Chain): string => JSON.stringify(match?.['application_protocols']);
const isForDetected = (chain: Chain): boolean => protocolsOf(chain) === DETECTED_HTTP;

/** HTTP that was detected at a port of no service. */
const isForAnyPort = (chain: Chain): boolean =>
  isHttp(chain) &&
  chain.filter_chain_match?.['destination_port'] === undefined &&
  protocolsOf(chain) !== undefined &&
  (chain.name ?? '').startsWith('virtualInbound');

const isHttp = ({ filters }: Chain): boolean =>
  filters.some(({ name }) => name === 'envoy.filters.network.http_connection_manager');

function aligned(chain: Chain, isDetected: boolean): JsonObject {
  const { application_protocols: protocols, ...match } = chain.filter_chain_match ?? {};
  if (isDetected && isForDetected(chain)) return {};
  // Cleartext fails there, too.
  if (chain.transport_socket !== undefined && Object.keys(match).length === 0) return { transport_protocol: 'tls' };
  // Only TLS has a server name.
  if (match['server_names'] !== undefined) return { ...chain.filter_chain_match, transport_protocol: 'tls' };
  const isMutual = isHttp(chain) && JSON.stringify(protocols)?.includes(ISTIO_HTTP);
  return isMutual === true || protocols === undefined ? match : { ...match, application_protocols: protocols };
}
