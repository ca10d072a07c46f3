/** Attributes of an entry that follow from others, if the record does not have them; as an access log stream derives them. */
import type { LogPhase } from '../../attributes/log-phase.ts';
import { uriOfPrincipal } from '../../attributes/spiffe.ts';
import type { Duration, Value } from '../../attributes/values.ts';
import { byNumber } from '../../attributes/vocabulary.ts';
import type { ByteTotals } from '../connection-bytes.ts';
import { reporterOf, serviceHostOf, servicePartOf } from '../istio-cluster.ts';
import { between, intOf, principalOf } from '../wire-values.ts';
import type { FormattedEntryWire } from './entry-wire.ts';

type Reader = (wire: FormattedEntryWire) => Value | undefined;

const EVENTS: Partial<Readonly<Record<LogPhase, string>>> = {
  start: 'open',
  established: 'continue',
  periodic: 'continue',
};

const PEER_CERTIFICATE = ['uri_san', 'dns_san', 'subject', 'issuer'].map(
  (part) => `connection.${part}_peer_certificate`,
);

const clusterOf = (wire: FormattedEntryWire): string => wire.text('context.upstream.cluster') ?? '';
const flagsOf = (wire: FormattedEntryWire): readonly string[] | undefined =>
  wire.read('response.flags') as readonly string[] | undefined;
const emptyMap: Reader = () => new Map();

/** Envoy joins several names by commas; the first one counts. */
const firstOf = (text: string | undefined): string | undefined => text?.split(',', 1)[0];
const principalIn =
  (side: 'peer' | 'local'): Reader =>
  (wire) =>
    principalOf(
      firstOf(wire.text(`connection.uri_san_${side}_certificate`)) ??
        firstOf(wire.text(`connection.dns_san_${side}_certificate`)) ??
        wire.text(`connection.subject_${side}_certificate`),
    );
/** An entry may name the principal alone. */
const peerUris: Reader = (wire) => {
  const names = namesIn(wire, 'connection.uri_san_peer_certificate');
  if (names !== undefined || !wire.isSent('source.principal')) return names;
  const uri = uriOfPrincipal(wire.text('source.principal') ?? '');
  return uri === undefined ? undefined : [uri];
};
const namesIn = (wire: FormattedEntryWire, name: string): readonly string[] | undefined => wire.text(name)?.split(',');
const sum =
  (one: string, other: string): Reader =>
  (wire) => {
    const [a, b] = [wire.read(one), wire.read(other)];
    return typeof a === 'number' && typeof b === 'number' ? a + b : undefined;
  };
const grpcTrailer =
  (name: string): Reader =>
  (wire) => {
    for (const map of ['response.trailers', 'response.headers']) {
      const value = (wire.read(map) as ReadonlyMap<string, Value> | undefined)?.get(name);
      if (typeof value === 'string' && value !== '') return value;
    }
    return undefined;
  };
const since =
  (total: string, direction: keyof ByteTotals): Reader =>
  (wire) => {
    if (wire.read(total) === undefined) return undefined;
    const bytes = wire.total(total) - wire.before[direction];
    return bytes > 0n ? intOf(bytes) : 0;
  };

/** By number in the vocabulary. */
export const DERIVED = byNumber<Reader>({
  'request.headers': ({ isTcp }) => (isTcp ? undefined : new Map()),
  'response.headers': ({ isTcp }) => (isTcp ? undefined : new Map()),
  'response.trailers': ({ isTcp }) => (isTcp ? undefined : new Map()),
  'request.time': ({ start }) => start,
  'request.total_size': sum('request.headers_bytes', 'request.size'),
  'response.total_size': sum('response.headers_bytes', 'response.size'),
  'response.duration': (wire) => (wire.isTcp ? undefined : wire.read('context.time_to_last_downstream_tx_byte')),
  'response.time': ({ isTcp, end }) => (isTcp ? undefined : end),
  'response.backend_latency': (wire) => {
    const [sent, received] = [
      wire.read('context.time_to_first_upstream_tx_byte'),
      wire.read('context.time_to_last_upstream_rx_byte'),
    ];
    return sent === undefined || received === undefined ? undefined : between(sent as Duration, received as Duration);
  },
  'response.grpc_status': grpcTrailer('grpc-status'),
  'response.grpc_message': grpcTrailer('grpc-message'),
  'source.principal': principalIn('peer'),
  'destination.principal': principalIn('local'),
  'destination.labels': emptyMap,
  'destination.service.host': (wire) => serviceHostOf(clusterOf(wire)),
  'destination.service.name': (wire) => servicePartOf(clusterOf(wire), 1),
  'destination.service.namespace': (wire) => servicePartOf(clusterOf(wire), 2),
  'connection.mtls': (wire) =>
    PEER_CERTIFICATE.some((name) => wire.isSent(name))
      ? wire.read('source.principal') !== undefined || wire.read('connection.issuer_peer_certificate') !== undefined
      : undefined,
  'connection.uri_sans_peer_certificate': peerUris,
  'connection.dns_sans_peer_certificate': (wire) => namesIn(wire, 'connection.dns_san_peer_certificate'),
  'connection.id': (wire) => wire.text('context.stream_id'),
  'connection.event': ({ isTcp, phase }) => (isTcp ? (EVENTS[phase] ?? 'close') : undefined),
  'connection.received.bytes': since('connection.received.bytes_total', 'received'),
  'connection.sent.bytes': since('connection.sent.bytes_total', 'sent'),
  'context.protocol': ({ isTcp }) => (isTcp ? 'tcp' : undefined),
  'context.time': ({ end }) => end,
  'context.log_phase': ({ phase }) => phase,
  'context.reporter.kind': (wire) => reporterOf(clusterOf(wire), wire.text('context.log_name') ?? ''),
  'context.reporter.uid': (wire) => wire.text('context.node.id'),
  'context.proxy_error_code': (wire) => {
    const flags = flagsOf(wire);
    return flags === undefined ? undefined : flags.join(',') || '-';
  },
  'context.auth_failure_reason': (wire) => (flagsOf(wire)?.includes('UAEX') === true ? 'EXTERNAL_SERVICE' : undefined),
  'context.node.metadata': emptyMap,
  metadata: emptyMap,
});
