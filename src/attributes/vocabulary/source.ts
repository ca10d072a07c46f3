/** `source.*`: the peer of Envoy's connection, and `origin.*`: the client behind it. */
import { originCertificatePart, originIp, originPrincipal, spiffePart } from '../derive.ts';
import { INT, IP, listOf, STRING, STRING_MAP } from '../types.ts';
import { type CarriedBy, onChecks, onLogs, row } from './row.ts';

/** Istio's proxies describe the peer in the filter state, and themselves in the node's metadata. */
const peer = (key: string, ofNode: string) =>
  onLogs(`filter_state_objects["downstream_peer"].${key}; of an outbound proxy node.metadata.${ofNode}`);
const CERTIFICATE = 'tls_properties.peer_certificate_properties';
const SPIFFE = 'derived from connection.uri_sans_peer_certificate';
const PEER_URIS = 'connection.uri_sans_peer_certificate';
const PEER_DNS = 'connection.dns_sans_peer_certificate';
const PEER_SUBJECT = 'connection.subject_peer_certificate';
const PEER_DIGEST = 'connection.sha256_peer_certificate_digest';
const CLIENT_URIS = 'origin.certificate.uri_sans';
const FORWARDED = "header x-forwarded-client-cert, else the peer's certificate";

/** What `source.spiffe` and `origin.spiffe` have in common. */
const spiffeRows = (
  whose: 'source' | 'origin',
  uris: typeof PEER_URIS | typeof CLIENT_URIS,
  of: string,
  carriedBy: CarriedBy,
) =>
  (
    [
      [
        'id',
        `The SPIFFE ID of ${of}, its trust domain by settings.trustDomainAliases. A certificate with several URI SANs has none.`,
      ],
      ['trustDomain', `The trust domain of the SPIFFE ID of ${of}, by settings.trustDomainAliases.`],
      ['path', `The path of the SPIFFE ID of ${of}, with its first slash.`],
      [
        'namespace',
        `The namespace of ${of}, if the path of its SPIFFE ID is /ns/NAMESPACE/sa/ACCOUNT, as Istio writes it.`,
      ],
      ['serviceAccount', `The service account of ${of}, if the path of its SPIFFE ID is /ns/NAMESPACE/sa/ACCOUNT.`],
    ] as const
  ).map(([part, meaning]) =>
    row(`${whose}.spiffe.${part}`, STRING, meaning, carriedBy, { derive: spiffePart(uris, part) }),
  );

export const SOURCE = [
  row(
    'source.ip',
    IP,
    "The address of the peer of Envoy's connection.",
    { ...onChecks('source.address'), ...onLogs('common_properties.downstream_direct_remote_address') },
    { always: true },
  ),
  row(
    'source.port',
    INT,
    "The port of the peer of Envoy's connection.",
    { ...onChecks('source.address'), ...onLogs('common_properties.downstream_direct_remote_address') },
    { always: true },
  ),
  row(
    'source.principal',
    STRING,
    "The identity in the peer's certificate: the first URI SAN without spiffe://, else DNS SAN (checks only), else subject.",
    { ...onChecks('source.principal'), ...onLogs(`${CERTIFICATE}.subject_alt_name, else subject`) },
  ),
  row(
    'source.trustDomain',
    STRING,
    'The trust domain of a SPIFFE principal.',
    { ...onChecks(SPIFFE), ...onLogs(SPIFFE) },
    { derive: spiffePart(PEER_URIS, 'trustDomain'), extension: true },
  ),
  row(
    'source.namespace',
    STRING,
    'The Kubernetes namespace of the peer.',
    { ...onChecks(SPIFFE), ...peer('namespace', 'NAMESPACE') },
    { derive: spiffePart(PEER_URIS, 'namespace'), extension: true },
  ),
  row(
    'source.serviceAccount',
    STRING,
    'The Kubernetes service account of the peer.',
    { ...onChecks(SPIFFE), ...onLogs(`${SPIFFE}; of an outbound proxy node.metadata.SERVICE_ACCOUNT`) },
    { derive: spiffePart(PEER_URIS, 'serviceAccount'), extension: true },
  ),
  ...spiffeRows('source', PEER_URIS, 'the peer', { ...onChecks(SPIFFE), ...onLogs(SPIFFE) }),
  row(
    'source.cluster',
    STRING,
    'For checks, the cluster that the calling Envoy names as its own (header x-envoy-downstream-service-cluster); in the log, the Kubernetes cluster of the peer.',
    { http: 'source.service', ...peer('cluster', 'CLUSTER_ID') },
    { extension: true },
  ),
  row('source.app', STRING, "The application that the peer's labels name.", peer('app', 'LABELS.app'), {
    extension: true,
  }),
  row('source.version', STRING, "The version that the peer's labels name.", peer('version', 'LABELS.version'), {
    extension: true,
  }),
  row(
    'source.canonical.service',
    STRING,
    "The canonical service of the peer, in Istio's words.",
    peer('service', 'LABELS["service.istio.io/canonical-name"]'),
    { extension: true },
  ),
  row(
    'source.canonical.revision',
    STRING,
    "The canonical revision of the peer, in Istio's words.",
    peer('revision', 'LABELS["service.istio.io/canonical-revision"]'),
    { extension: true },
  ),
  row('source.uid', STRING, "The peer's identity on its platform.", {}, { extension: true }),
  row('source.name', STRING, "The name of the peer's instance, such as a pod's.", peer('name', 'NAME'), {
    extension: true,
  }),
  row(
    'source.owner',
    STRING,
    "The owner of the peer's instance, such as a deployment.",
    onLogs('of an outbound proxy node.metadata.OWNER'),
    { extension: true },
  ),
  row('source.services', STRING, 'The services that the peer is part of.', {}, { extension: true }),
  row('source.labels', STRING_MAP, 'The labels of the peer.', peer('labels', 'LABELS')),
  row('source.workload.name', STRING, "The name of the peer's workload.", peer('workload', 'WORKLOAD_NAME'), {
    extension: true,
  }),
  row('source.workload.namespace', STRING, "The namespace of the peer's workload.", peer('namespace', 'NAMESPACE'), {
    extension: true,
  }),
  row('source.workload.uid', STRING, "The identity of the peer's workload on its platform.", {}, { extension: true }),
];

export const ORIGIN = [
  row(
    'origin.ip',
    IP,
    'The address of the client: by settings.trustedHops from x-forwarded-for, else source.ip.',
    {
      http: 'header x-forwarded-for, else source.address',
      tcp: 'source.address',
      log: 'request.forwarded_for, else downstream_direct_remote_address',
      'tcp-log': 'common_properties.downstream_remote_address',
    },
    { always: true, derive: originIp },
  ),
  row(
    'origin.principal',
    STRING,
    "The identity in the client's certificate: by settings.trustedCertificateHops from x-forwarded-client-cert, and absent if that has " +
      'none; without the setting, source.principal.',
    { http: FORWARDED, tcp: 'source.principal', log: FORWARDED, 'tcp-log': 'source.principal' },
    { derive: originPrincipal },
  ),
  ...spiffeRows('origin', CLIENT_URIS, 'the client', {
    http: FORWARDED,
    tcp: SPIFFE,
    log: FORWARDED,
    'tcp-log': SPIFFE,
  }),
  row(
    CLIENT_URIS,
    listOf(STRING),
    "All URI SANs of the client's certificate.",
    { http: FORWARDED, tcp: PEER_URIS, log: FORWARDED, 'tcp-log': PEER_URIS },
    { derive: originCertificatePart('uris') },
  ),
  row(
    'origin.certificate.dns_sans',
    listOf(STRING),
    "All DNS SANs of the client's certificate.",
    { http: FORWARDED, tcp: PEER_DNS, log: FORWARDED, 'tcp-log': PEER_DNS },
    { derive: originCertificatePart('dns') },
  ),
  row(
    'origin.certificate.subject',
    STRING,
    "The subject of the client's certificate (RFC 2253).",
    { http: FORWARDED, tcp: PEER_SUBJECT, log: FORWARDED, 'tcp-log': PEER_SUBJECT },
    { derive: originCertificatePart('subject') },
  ),
  row(
    'origin.certificate.sha256',
    STRING,
    "The SHA-256 of the client's certificate, in lower-case hex.",
    { http: FORWARDED, tcp: PEER_DIGEST, log: FORWARDED },
    { derive: originCertificatePart('sha256') },
  ),
  row('origin.uid', STRING, "Istio's identity of the client; Envoy never sends it.", {}),
  row('origin.user', STRING, "Istio's user name of the client; Envoy never sends it.", {}),
];
