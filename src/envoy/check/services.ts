/** Checks of what filters and loggers have in common: the cluster, and how long Envoy waits. */
import { seconds } from '../options.ts';
import type { Why } from '../needs.ts';
import { clusterOf } from './configuration.ts';
import type { Report } from './report.ts';
import type { View } from './view.ts';

const PROTOCOL_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** `service`: a GrpcService. */
export function checkCluster(report: Report, service: View | undefined, why: Why): void {
  const name = clusterOf(service);
  const { clusters } = report.configuration;
  if (service === undefined || name === undefined || clusters.size === 0) return;
  const at = service.at('envoy_grpc', 'cluster_name') ?? service;
  const cluster = clusters.get(name);
  if (cluster === undefined) {
    report.lacks(
      'ENVOY_CLUSTER',
      at,
      `there is no cluster ${name}`,
      why,
      `add it, with http2_protocol_options and the address of Sluice's gRPC port`,
    );
    return;
  }
  const options = cluster.at('typed_extension_protocol_options', PROTOCOL_OPTIONS);
  const isHttp2 =
    cluster.at('http2_protocol_options') !== undefined ||
    options?.at('explicit_http_config', 'http2_protocol_options') !== undefined ||
    options?.at('auto_config') !== undefined ||
    options?.at('use_downstream_protocol_config') !== undefined;
  if (!isHttp2)
    report.lacks(
      'ENVOY_CLUSTER_HTTP1',
      cluster.at('name') ?? cluster,
      `the cluster ${name} speaks HTTP/1, and gRPC needs HTTP/2`,
      why,
      `write typed_extension_protocol_options: { ${PROTOCOL_OPTIONS}: { explicit_http_config: { http2_protocol_options: {} } } }`,
    );
}

/** Longer than anybody waits for an answer. */
const MAX_TIMEOUT_MS = 10_000;

export function checkTimeouts(
  report: Report,
  filter: View,
  timeout: View | undefined,
  defaultMs: number,
  why: Why,
): void {
  const ms = timeout?.durationMs();
  if (timeout === undefined) {
    report.warns(
      'ENVOY_TIMEOUT',
      filter,
      `no timeout is set, so Envoy waits ${defaultMs} ms`,
      why,
      `write timeout: ${seconds(defaultMs)}, or longer`,
    );
    return;
  }
  if (ms === undefined) return;
  if (ms === 0 || ms > MAX_TIMEOUT_MS) {
    const waits = ms === 0 ? 'without a bound' : `${ms / 1000} s`;
    report.warns(
      'ENVOY_TIMEOUT',
      timeout,
      `requests wait ${waits} for an answer`,
      [],
      `write timeout: ${seconds(defaultMs)}, or as long as a request may wait`,
    );
    return;
  }
  const slowest = report.needs.slowHandlers.toSorted((a, b) => b.deadlineMs - a.deadlineMs)[0];
  if (slowest !== undefined && slowest.deadlineMs > ms)
    report.warns(
      'ENVOY_TIMEOUT',
      timeout,
      `Envoy waits ${ms} ms, and handler ${slowest.handler} has a deadline of ${slowest.deadlineMs} ms`,
      [slowest.rule],
      `write timeout: ${seconds(slowest.deadlineMs)}, or shorten the deadline`,
    );
}

/** Of several filters or loggers of a type, those that send to Sluice: by the name of the cluster, or by the address of its endpoints. */
export function oursOf(
  report: Report,
  found: readonly View[],
  serviceOf: (one: View) => View | undefined,
): readonly View[] {
  if (found.length < 2) return found;
  const { clusters } = report.configuration;
  const { host, port } = report.options;
  const ours = found.filter((one) => {
    const name = clusterOf(serviceOf(one)) ?? '';
    return name.includes('sluice') || endpointsOf(clusters.get(name)).includes(`${host}:${port}`);
  });
  return ours.length === 0 ? found : ours;
}

const endpointsOf = (cluster: View | undefined): readonly string[] =>
  (cluster?.items('load_assignment', 'endpoints') ?? []).flatMap((group) =>
    group.items('lb_endpoints').map((one) => {
      const address = one.at('endpoint', 'address', 'socket_address');
      return `${address?.text('address')}:${address?.text('port_value')}`;
    }),
  );
