/**
 * The common part of HTTP and TCP entries of the access log.
 * **In**: the common properties of an entry, and its origin. **Out**: values of attributes, absent if their part is malformed.
 * **Fails**: never.
 */
import type { Wire } from '../../attributes/bag.ts';
import type { Carrier } from '../../attributes/carrier.ts';
import { jsonAt, type Json, valueOfJson } from '../../attributes/json-value.ts';
import { Duration, type Timestamp, type Value } from '../../attributes/values.ts';
import { numberOf } from '../../attributes/vocabulary.ts';
import { jsonOfAny } from '../any-json.ts';
import type {
  AccessLogCommon,
  TLSProperties_CertificateProperties as CertificateProperties,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { absentWhereMalformed } from '../../protobuf/malformed.ts';
import {
  anyAt,
  durationOf,
  intOf,
  ipOf,
  later,
  metadataAt,
  metadataMap,
  portOf,
  present,
  principalOf,
  timestampOf,
} from '../wire-values.ts';
import { reporterOf, serviceHostOf, servicePartOf } from '../istio-cluster.ts';
import type { LogOrigin } from '../log-origin.ts';
import { NODE_READERS } from '../node-readers.ts';
import { logTypeName, phaseOf } from './log-type.ts';
import { shortFlags } from './response-flags.ts';

export abstract class EntryWire implements Wire {
  /** Entries are not retained. */
  readonly weight = 0;
  readonly common: AccessLogCommon | undefined;
  readonly origin: LogOrigin;
  #tags: Readonly<Record<string, string>> | undefined;
  #reporter: { readonly side: 'inbound' | 'outbound' | undefined } | undefined;
  #peers: { readonly downstream: Json | undefined; readonly upstream: Json | undefined } | undefined;

  constructor(common: AccessLogCommon | undefined, origin: LogOrigin) {
    this.common = common;
    this.origin = origin;
  }

  keep(): void {}

  protected abstract value(number: number): Value | undefined;
  protected abstract header(name: string): string | undefined;

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    try {
      return number === undefined ? undefined : this.value(number);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }

  carried(carrier: Carrier): Value | undefined {
    try {
      return this.#carried(carrier);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }

  #carried(carrier: Carrier): Value | undefined {
    const { common } = this;
    if (common === undefined) return undefined;
    switch (carrier.kind) {
      case 'metadata':
        return metadataAt(common.metadata, carrier);
      case 'customTag': {
        const tags = (this.#tags ??= common.customTags); // decoded each time
        return Object.hasOwn(tags, carrier.name) ? tags[carrier.name] : undefined;
      }
      case 'filterState': {
        const json = jsonOfAny(anyAt(common.filterStateObjects, carrier.name));
        return json === undefined ? undefined : valueOfJson(json);
      }
      case 'header':
        return this.header(carrier.name.toLowerCase());
      case 'contextExtension':
        return undefined;
    }
  }

  /** Whether the proxy is on the side of the destination or the client: by the name of Istio's cluster, else by the log's name. */
  get reporter(): 'inbound' | 'outbound' | undefined {
    return (this.#reporter ??= { side: reporterOf(this.common?.upstreamCluster ?? '', this.origin.logName ?? '') })
      .side;
  }

  /** In Istio: an inbound proxy's data about its peer, or an outbound proxy's about itself. */
  sourceFact(ofPeer: string | undefined, ...ofNode: readonly string[]): Json | undefined {
    if (this.reporter === 'outbound' && !this.origin.isWaypoint) return this.origin.fact(...ofNode);
    return ofPeer === undefined ? undefined : jsonAt(this.#knownPeers().downstream, [ofPeer]);
  }

  /** A waypoint is neither side: both are its peers. */
  destinationFact(ofPeer: string | undefined, ...ofNode: readonly string[]): Json | undefined {
    if (this.reporter !== 'outbound' && !this.origin.isWaypoint) return this.origin.fact(...ofNode);
    return ofPeer === undefined ? undefined : jsonAt(this.#knownPeers().upstream, [ofPeer]);
  }

  upstreamPeer(name: string): Json | undefined {
    return jsonAt(this.#knownPeers().upstream, [name]);
  }

  /** From the first byte of the request to the end; by the last time in the entry if it has no duration (older Envoys). */
  get duration(): Duration | undefined {
    const { common } = this;
    if (common === undefined) return undefined;
    return durationOf(
      common.duration ??
        common.timeToLastDownstreamTxByte ??
        common.timeToFirstDownstreamTxByte ??
        common.timeToLastUpstreamRxByte ??
        common.timeToLastRxByte,
    );
  }

  /** The start, if the entry has no duration. */
  get end(): Timestamp | undefined {
    const start = timestampOf(this.common?.startTime);
    return start === undefined ? undefined : later(start, this.duration ?? NO_TIME);
  }

  #knownPeers(): { readonly downstream: Json | undefined; readonly upstream: Json | undefined } {
    const states = this.common?.filterStateObjects ?? {};
    this.#peers ??= {
      downstream: jsonOfAny(anyAt(states, 'downstream_peer')),
      upstream: jsonOfAny(anyAt(states, 'upstream_peer')),
    };
    return this.#peers;
  }
}

const NO_TIME = new Duration(0, 0);

const TLS_VERSIONS = [undefined, 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/** Absent rather than empty. */
function namesIn(certificate: CertificateProperties | undefined, kind: 'uri' | 'dns'): readonly string[] | undefined {
  const names = certificate?.subjectAltName.flatMap(({ san }) =>
    san.case === kind && san.value !== '' ? [san.value] : [],
  );
  return names === undefined || names.length === 0 ? undefined : names;
}
const nameIn = (certificate: CertificateProperties | undefined, kind: 'uri' | 'dns'): string | undefined =>
  namesIn(certificate, kind)?.[0];
const principalIn = (certificate: CertificateProperties | undefined): string | undefined =>
  principalOf(nameIn(certificate, 'uri') ?? nameIn(certificate, 'dns') ?? certificate?.subject);

const peerOf = ({ common }: EntryWire): CertificateProperties | undefined =>
  common?.tlsProperties?.peerCertificateProperties;
const localOf = ({ common }: EntryWire): CertificateProperties | undefined =>
  common?.tlsProperties?.localCertificateProperties;

const text = (json: Json | undefined): string | undefined => (typeof json === 'string' ? present(json) : undefined);
const textMap = (json: Json | undefined): ReadonlyMap<string, string> | undefined => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  return new Map(Object.entries(json).filter((pair): pair is [string, string] => typeof pair[1] === 'string'));
};

const clusterOf = ({ common }: EntryWire): string => common?.upstreamCluster ?? '';

const span =
  (
    field:
      | 'timeToLastRxByte'
      | 'timeToFirstUpstreamTxByte'
      | 'timeToLastUpstreamTxByte'
      | 'timeToFirstUpstreamRxByte'
      | 'timeToLastUpstreamRxByte'
      | 'timeToFirstDownstreamTxByte'
      | 'timeToLastDownstreamTxByte',
  ): EntryReader =>
  ({ common }) =>
    durationOf(common?.[field]);
const bytes =
  (
    field:
      | 'downstreamWireBytesReceived'
      | 'downstreamWireBytesSent'
      | 'upstreamWireBytesReceived'
      | 'upstreamWireBytesSent',
  ): EntryReader =>
  ({ common }) =>
    intOf(common?.[field] ?? 0n);

const CANONICAL_SERVICE = 'service.istio.io/canonical-name';
const CANONICAL_REVISION = 'service.istio.io/canonical-revision';

type EntryReader = (wire: EntryWire) => Value | undefined;
export const COMMON_READERS: Readonly<Record<string, EntryReader>> = {
  ...NODE_READERS,
  'source.ip': ({ common }) => ipOf(common?.downstreamDirectRemoteAddress),
  'source.port': ({ common }) => portOf(common?.downstreamDirectRemoteAddress),
  'source.principal': (wire) => principalIn(peerOf(wire)),
  'source.namespace': (wire) => text(wire.sourceFact('namespace', 'NAMESPACE')),
  'source.serviceAccount': (wire) => text(wire.sourceFact(undefined, 'SERVICE_ACCOUNT')),
  'source.name': (wire) => text(wire.sourceFact('name', 'NAME')),
  'source.owner': (wire) => text(wire.sourceFact(undefined, 'OWNER')),
  'source.labels': (wire) => textMap(wire.sourceFact('labels', 'LABELS')),
  'source.workload.name': (wire) => text(wire.sourceFact('workload', 'WORKLOAD_NAME')),
  'source.workload.namespace': (wire) => text(wire.sourceFact('namespace', 'NAMESPACE')),
  'source.cluster': (wire) => text(wire.sourceFact('cluster', 'CLUSTER_ID')),
  'source.app': (wire) => text(wire.sourceFact('app', 'LABELS', 'app')),
  'source.version': (wire) => text(wire.sourceFact('version', 'LABELS', 'version')),
  'source.canonical.service': (wire) => text(wire.sourceFact('service', 'LABELS', CANONICAL_SERVICE)),
  'source.canonical.revision': (wire) => text(wire.sourceFact('revision', 'LABELS', CANONICAL_REVISION)),
  'destination.ip': ({ common }) => ipOf(common?.downstreamLocalAddress),
  'destination.port': ({ common }) => portOf(common?.downstreamLocalAddress),
  'destination.principal': (wire) => principalIn(localOf(wire)),
  'destination.labels': (wire) => textMap(wire.destinationFact('labels', 'LABELS')) ?? new Map(),
  'destination.service.host': (wire) => serviceHostOf(clusterOf(wire)),
  'destination.service.name': (wire) => servicePartOf(clusterOf(wire), 1),
  'destination.service.namespace': (wire) => servicePartOf(clusterOf(wire), 2),
  'destination.namespace': (wire) => text(wire.destinationFact('namespace', 'NAMESPACE')),
  'destination.name': (wire) => text(wire.destinationFact('name', 'NAME')),
  'destination.owner': (wire) => text(wire.destinationFact(undefined, 'OWNER')),
  'destination.serviceAccount': (wire) => text(wire.destinationFact(undefined, 'SERVICE_ACCOUNT')),
  'destination.workload.name': (wire) => text(wire.destinationFact('workload', 'WORKLOAD_NAME')),
  'destination.workload.namespace': (wire) => text(wire.destinationFact('namespace', 'NAMESPACE')),
  'destination.cluster': (wire) => text(wire.destinationFact('cluster', 'CLUSTER_ID')),
  'destination.app': (wire) => text(wire.destinationFact('app', 'LABELS', 'app')),
  'destination.version': (wire) => text(wire.destinationFact('version', 'LABELS', 'version')),
  'destination.canonical.service': (wire) => text(wire.destinationFact('service', 'LABELS', CANONICAL_SERVICE)),
  'destination.canonical.revision': (wire) => text(wire.destinationFact('revision', 'LABELS', CANONICAL_REVISION)),
  'destination.identity': (wire) => text(wire.upstreamPeer('identity')),
  'destination.container.name': (wire) => text(wire.destinationFact(undefined, 'APP_CONTAINERS')),
  // Envoy sends the message for any TLS connection, empty if the client showed no certificate.
  'connection.mtls': (wire) => principalIn(peerOf(wire)) !== undefined || present(peerOf(wire)?.issuer) !== undefined,
  'connection.requested_server_name': ({ common }) => present(common?.tlsProperties?.tlsSniHostname),
  'connection.id': ({ common }) => present(common?.streamId),
  'connection.received.wire_bytes': bytes('downstreamWireBytesReceived'),
  'connection.sent.wire_bytes': bytes('downstreamWireBytesSent'),
  'connection.tls_version': ({ common }) => TLS_VERSIONS[common?.tlsProperties?.tlsVersion ?? 0],
  'connection.tls_cipher_suite': ({ common }) => common?.tlsProperties?.tlsCipherSuite,
  'connection.tls_session_id': ({ common }) => present(common?.tlsProperties?.tlsSessionId),
  'connection.ja3_fingerprint': ({ common }) => present(common?.tlsProperties?.ja3Fingerprint),
  'connection.termination_details': ({ common }) => present(common?.connectionTerminationDetails),
  'connection.transport_failure_reason': ({ common }) => present(common?.downstreamTransportFailureReason),
  'connection.subject_peer_certificate': (wire) => present(peerOf(wire)?.subject),
  'connection.issuer_peer_certificate': (wire) => present(peerOf(wire)?.issuer),
  'connection.uri_san_peer_certificate': (wire) => nameIn(peerOf(wire), 'uri'),
  'connection.dns_san_peer_certificate': (wire) => nameIn(peerOf(wire), 'dns'),
  'connection.uri_sans_peer_certificate': (wire) => namesIn(peerOf(wire), 'uri'),
  'connection.dns_sans_peer_certificate': (wire) => namesIn(peerOf(wire), 'dns'),
  'connection.subject_local_certificate': (wire) => present(localOf(wire)?.subject),
  'connection.uri_san_local_certificate': (wire) => nameIn(localOf(wire), 'uri'),
  'connection.dns_san_local_certificate': (wire) => nameIn(localOf(wire), 'dns'),
  'response.flags': ({ common }) => shortFlags(common?.responseFlags),
  'context.time': ({ end }) => end,
  'context.reporter.kind': ({ reporter }) => reporter,
  'context.proxy_error_code': ({ common }) => shortFlags(common?.responseFlags).join(',') || '-',
  'context.auth_failure_reason': ({ common }) =>
    common?.responseFlags?.unauthorizedDetails?.reason === 1 ? 'EXTERNAL_SERVICE' : undefined,
  'context.log_name': ({ origin }) => origin.logName,
  'context.log_type': ({ common }) => logTypeName(common),
  'context.log_phase': ({ common }) => phaseOf(common),
  'context.route_name': ({ common }) => present(common?.routeName),
  'context.stream_id': ({ common }) => present(common?.streamId),
  'context.upstream.cluster': ({ common }) => present(common?.upstreamCluster),
  'context.upstream.ip': ({ common }) => ipOf(common?.upstreamRemoteAddress),
  'context.upstream.port': ({ common }) => portOf(common?.upstreamRemoteAddress),
  'context.upstream.local_ip': ({ common }) => ipOf(common?.upstreamLocalAddress),
  'context.upstream.local_port': ({ common }) => portOf(common?.upstreamLocalAddress),
  'context.upstream.request_attempt_count': ({ common }) => common?.upstreamRequestAttemptCount ?? 0,
  'context.upstream.transport_failure_reason': ({ common }) => present(common?.upstreamTransportFailureReason),
  'context.upstream.received_wire_bytes': bytes('upstreamWireBytesReceived'),
  'context.upstream.sent_wire_bytes': bytes('upstreamWireBytesSent'),
  'context.time_to_last_rx_byte': span('timeToLastRxByte'),
  'context.time_to_first_upstream_tx_byte': span('timeToFirstUpstreamTxByte'),
  'context.time_to_last_upstream_tx_byte': span('timeToLastUpstreamTxByte'),
  'context.time_to_first_upstream_rx_byte': span('timeToFirstUpstreamRxByte'),
  'context.time_to_last_upstream_rx_byte': span('timeToLastUpstreamRxByte'),
  'context.time_to_first_downstream_tx_byte': span('timeToFirstDownstreamTxByte'),
  'context.time_to_last_downstream_tx_byte': span('timeToLastDownstreamTxByte'),
  metadata: ({ common }) => metadataMap(common?.metadata),
};
