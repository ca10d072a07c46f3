/** Listeners of istiod without what they have to detect protocols, so that the rest of their filter chains can be compared. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

/** ALPN of Istio's sidecars, by which an HTTP port of theirs tells mutual TLS from other TLS. */
const ISTIO_HTTP = 'istio-http/1.1';
const DETECTED_HTTP = '["http/1.1","h2c"]';

interface Chain {
  readonly name?: string;
  readonly filter_chain_match?: JsonObject;
  readonly filters: readonly JsonObject[];
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
  // Only TLS has a server name.
  if (match['server_names'] !== undefined) return { ...chain.filter_chain_match, transport_protocol: 'tls' };
  const isMutual = isHttp(chain) && JSON.stringify(protocols)?.includes(ISTIO_HTTP);
  return isMutual === true || protocols === undefined ? match : { ...match, application_protocols: protocols };
}
