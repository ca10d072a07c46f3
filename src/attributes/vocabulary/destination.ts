/**
 * `destination.*`: where the request is going. `destination.ip` is the local address of the client's connection, at the
 * check and in the log alike; the address that Envoy connected to is under `context.upstream.*`.
 */
import { INT, IP, STRING, STRING_MAP } from '../types.ts';
import { onChecks, onLogs, row } from './row.ts';

const self = (key: string, ofPeer?: string) =>
  onLogs(
    `node.metadata.${key}${ofPeer === undefined ? '' : `; of an outbound proxy filter_state_objects["upstream_peer"].${ofPeer}`}`,
  );
const CLUSTER = "common_properties.upstream_cluster in Istio's form direction|port|subset|host";

export const DESTINATION = [
  row(
    'destination.ip',
    IP,
    "The local address of the client's connection.",
    { ...onChecks('destination.address'), ...onLogs('common_properties.downstream_local_address') },
    { always: true },
  ),
  row(
    'destination.port',
    INT,
    "The local port of the client's connection.",
    { ...onChecks('destination.address'), ...onLogs('common_properties.downstream_local_address') },
    { always: true },
  ),
  row('destination.principal', STRING, "The identity in Envoy's own certificate, without spiffe://.", {
    ...onChecks('destination.principal'),
    ...onLogs('tls_properties.local_certificate_properties.subject_alt_name, else subject'),
  }),
  row(
    'destination.labels',
    STRING_MAP,
    'The labels of the destination: the labels of the proxy (bootstrap_metadata_labels_key), else the context extension ' +
      'destination.labels: app=web,version=v1. In the log, LABELS of the node.',
    { ...onChecks('destination.labels, else context_extensions["destination.labels"]'), ...self('LABELS', 'labels') },
    { always: true },
  ),
  row(
    'destination.service.host',
    STRING,
    'The host name of the requested service. It is not derived from the Host header.',
    onLogs(CLUSTER),
    { extension: true },
  ),
  row('destination.service.name', STRING, 'The name of the requested service.', onLogs(CLUSTER), { extension: true }),
  row('destination.service.namespace', STRING, 'The namespace of the requested service.', onLogs(CLUSTER), {
    extension: true,
  }),
  row('destination.service.uid', STRING, 'The identity of the service on its platform.', {}, { extension: true }),
  row('destination.namespace', STRING, 'The namespace of the requested instance.', self('NAMESPACE', 'namespace'), {
    extension: true,
  }),
  row('destination.name', STRING, 'The name of the requested instance, such as a pod.', self('NAME', 'name'), {
    extension: true,
  }),
  row('destination.uid', STRING, 'The identity of the instance on its platform.', {}, { extension: true }),
  row('destination.owner', STRING, 'The owner of the requested instance.', self('OWNER'), { extension: true }),
  row('destination.serviceAccount', STRING, 'The service account of the requested instance.', self('SERVICE_ACCOUNT'), {
    extension: true,
  }),
  row('destination.workload.name', STRING, 'The name of the requested workload.', self('WORKLOAD_NAME', 'workload'), {
    extension: true,
  }),
  row(
    'destination.workload.namespace',
    STRING,
    'The namespace of the requested workload.',
    self('NAMESPACE', 'namespace'),
    { extension: true },
  ),
  row('destination.cluster', STRING, 'The Kubernetes cluster of the destination.', self('CLUSTER_ID', 'cluster'), {
    extension: true,
  }),
  row('destination.app', STRING, 'The application that the labels name.', self('LABELS.app', 'app'), {
    extension: true,
  }),
  row('destination.version', STRING, 'The version that the labels name.', self('LABELS.version', 'version'), {
    extension: true,
  }),
  row(
    'destination.canonical.service',
    STRING,
    "The canonical service, in Istio's words.",
    self('LABELS["service.istio.io/canonical-name"]', 'service'),
    { extension: true },
  ),
  row(
    'destination.canonical.revision',
    STRING,
    "The canonical revision, in Istio's words.",
    self('LABELS["service.istio.io/canonical-revision"]', 'revision'),
    { extension: true },
  ),
  row(
    'destination.identity',
    STRING,
    'The identity of the destination as Istio tells an outbound proxy or a waypoint.',
    onLogs('filter_state_objects["upstream_peer"].identity'),
    { extension: true },
  ),
  row('destination.workload.uid', STRING, 'The identity of the workload on its platform.', {}, { extension: true }),
  row('destination.container.name', STRING, 'The name of the requested container.', self('APP_CONTAINERS'), {
    extension: true,
  }),
];
