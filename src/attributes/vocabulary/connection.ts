/** `connection.*`: the connection between the client and Envoy. Certificates are the client's (`peer`) and Envoy's own (`local`). */
import { peerIsKnown } from '../derive.ts';
import { BOOL, DURATION, INT, listOf, STRING } from '../types.ts';
import { onChecks, onLogs, row } from './row.ts';

const PEM = 'source.certificate (include_peer_certificate)';
const PEER = 'tls_properties.peer_certificate_properties';
const LOCAL = 'tls_properties.local_certificate_properties';

export const CONNECTION = [
  row(
    'connection.mtls',
    BOOL,
    'Whether the peer presented a certificate.',
    { ...onChecks('source.principal or source.certificate'), ...onLogs(PEER) },
    { always: true, derive: peerIsKnown },
  ),
  row('connection.requested_server_name', STRING, 'The SNI of the TLS handshake.', {
    http: 'tls_session.sni (include_tls_session)',
    tcp: 'tls_session.sni, else destination.service',
    ...onLogs('tls_properties.tls_sni_hostname'),
  }),
  row('connection.id', STRING, 'The id of the stream in Envoy.', onLogs('common_properties.stream_id')),
  row(
    'connection.event',
    STRING,
    'open at the check of a connection and in an entry of its start, continue in later interim entries, close in the last one.',
    { tcp: 'the call itself', 'tcp-log': 'common_properties.access_log_type' },
    { always: true },
  ),
  row(
    'connection.duration',
    DURATION,
    'The time that the connection was open; absent from an entry without a duration.',
    { 'tcp-log': 'common_properties.duration' },
    { always: true },
  ),
  row(
    'connection.received.bytes',
    INT,
    "Bytes received since the connection's previous entry; all of them if only its end is logged.",
    { 'tcp-log': 'connection_properties.received_bytes' },
    { always: true },
  ),
  row(
    'connection.received.bytes_total',
    INT,
    'All bytes received.',
    { 'tcp-log': 'connection_properties.received_bytes' },
    { always: true },
  ),
  row(
    'connection.sent.bytes',
    INT,
    "Bytes sent since the connection's previous entry; all of them if only its end is logged.",
    { 'tcp-log': 'connection_properties.sent_bytes' },
    { always: true },
  ),
  row(
    'connection.sent.bytes_total',
    INT,
    'All bytes sent.',
    { 'tcp-log': 'connection_properties.sent_bytes' },
    { always: true },
  ),
  row(
    'connection.received.wire_bytes',
    INT,
    "Bytes of this request or connection that came from the client, the protocol's own among them.",
    onLogs('common_properties.downstream_wire_bytes_received'),
    { always: true },
  ),
  row(
    'connection.sent.wire_bytes',
    INT,
    "Bytes of this request or connection that went to the client, the protocol's own among them.",
    onLogs('common_properties.downstream_wire_bytes_sent'),
    { always: true },
  ),
  row('connection.tls_version', STRING, 'TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3.', onLogs('tls_properties.tls_version')),
  row(
    'connection.tls_cipher_suite',
    INT,
    'The number of the cipher suite (IANA).',
    onLogs('tls_properties.tls_cipher_suite'),
  ),
  row('connection.tls_session_id', STRING, 'The id of the TLS session.', onLogs('tls_properties.tls_session_id')),
  row(
    'connection.ja3_fingerprint',
    STRING,
    "The JA3 fingerprint of the client's handshake.",
    onLogs('tls_properties.ja3_fingerprint'),
  ),
  row(
    'connection.termination_details',
    STRING,
    'Why Envoy ended the connection.',
    onLogs('common_properties.connection_termination_details'),
  ),
  row(
    'connection.transport_failure_reason',
    STRING,
    'Why the transport to the client failed.',
    onLogs('common_properties.downstream_transport_failure_reason'),
  ),
  row('connection.peer_certificate', STRING, 'The certificate of the peer, as PEM.', onChecks(PEM), { secret: true }),
  row('connection.subject_peer_certificate', STRING, "The subject of the peer's certificate (RFC 2253).", {
    ...onChecks(PEM),
    ...onLogs(`${PEER}.subject`),
  }),
  row('connection.issuer_peer_certificate', STRING, "The issuer of the peer's certificate (RFC 2253).", {
    ...onChecks(PEM),
    ...onLogs(`${PEER}.issuer`),
  }),
  row('connection.uri_san_peer_certificate', STRING, "The first URI SAN of the peer's certificate.", {
    ...onChecks(PEM),
    ...onLogs(`${PEER}.subject_alt_name`),
  }),
  row('connection.dns_san_peer_certificate', STRING, "The first DNS SAN of the peer's certificate.", {
    ...onChecks(PEM),
    ...onLogs(`${PEER}.subject_alt_name`),
  }),
  row(
    'connection.uri_sans_peer_certificate',
    listOf(STRING),
    "All URI SANs of the peer's certificate; of a check without include_peer_certificate, the URI in source.principal.",
    { ...onChecks(`${PEM}, else source.principal`), ...onLogs(`${PEER}.subject_alt_name`) },
  ),
  row('connection.dns_sans_peer_certificate', listOf(STRING), "All DNS SANs of the peer's certificate.", {
    ...onChecks(PEM),
    ...onLogs(`${PEER}.subject_alt_name`),
  }),
  row(
    'connection.sha256_peer_certificate_digest',
    STRING,
    "The SHA-256 of the peer's certificate, in lower-case hex.",
    onChecks(PEM),
  ),
  row(
    'connection.subject_local_certificate',
    STRING,
    "The subject of Envoy's own certificate.",
    onLogs(`${LOCAL}.subject`),
  ),
  row(
    'connection.uri_san_local_certificate',
    STRING,
    "The first URI SAN of Envoy's own certificate.",
    onLogs(`${LOCAL}.subject_alt_name`),
  ),
  row(
    'connection.dns_san_local_certificate',
    STRING,
    "The first DNS SAN of Envoy's own certificate.",
    onLogs(`${LOCAL}.subject_alt_name`),
  ),
];
