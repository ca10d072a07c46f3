/** `source.*`: the peer of Envoy's connection, and `origin.*`: the client behind it. */
import { originIp, spiffeNamespace, spiffeServiceAccount, spiffeTrustDomain } from '../derive.ts';
import { INT, IP, STRING, STRING_MAP } from '../types.ts';
import { onChecks, onLogs, row } from './row.ts';

/** Istio's proxies describe the peer in the filter state, and themselves in the node's metadata. */
const peer = (key: string, ofNode: string) =>
  onLogs(`filter_state_objects["downstream_peer"].${key}; of an outbound proxy node.metadata.${ofNode}`);
const CERTIFICATE = 'tls_properties.peer_certificate_properties';
const SPIFFE = 'derived from source.principal';

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
    { derive: spiffeTrustDomain, extension: true },
  ),
  row(
    'source.namespace',
    STRING,
    'The Kubernetes namespace of the peer.',
    { ...onChecks(SPIFFE), ...peer('namespace', 'NAMESPACE') },
    { derive: spiffeNamespace, extension: true },
  ),
  row(
    'source.serviceAccount',
    STRING,
    'The Kubernetes service account of the peer.',
    { ...onChecks(SPIFFE), ...onLogs(`${SPIFFE}; of an outbound proxy node.metadata.SERVICE_ACCOUNT`) },
    { derive: spiffeServiceAccount, extension: true },
  ),
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
  row('origin.uid', STRING, "Istio's identity of the client; Envoy never sends it.", {}),
  row('origin.user', STRING, "Istio's user name of the client; Envoy never sends it.", {}),
];
