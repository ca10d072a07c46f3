/** What a proxy says about each call: to Sluice, and to a file of its own. */
import type { MeshSettings } from '../model/mesh.ts';
import { any, type Json, seconds } from './parts.ts';

const LOGGERS = 'envoy.extensions.access_loggers';

/** `direction`: the name of the log; the node of the stream says which workload logs. */
export function accessLogs(
  kind: 'Http' | 'Tcp',
  direction: 'inbound' | 'outbound' | 'gateway',
  { sluice, accessLogFile }: MeshSettings,
): Json[] {
  return [
    ...(sluice === undefined ? [] : [toSluice(kind, direction, sluice.cluster)]),
    ...(accessLogFile === undefined ? [] : [toFile(accessLogFile)]),
  ];
}

const toSluice = (kind: 'Http' | 'Tcp', direction: string, cluster: string): Json => ({
  name: `envoy.access_loggers.${kind.toLowerCase()}_grpc`,
  typed_config: any(`${LOGGERS}.grpc.v3.${kind}GrpcAccessLogConfig`, {
    common_config: {
      log_name: direction,
      grpc_service: { envoy_grpc: { cluster_name: cluster } },
      transport_api_version: 'V3',
      buffer_flush_interval: seconds(1000),
    },
  }),
});

/** Fields of Istio's access log, in its order and by its names. */
const FIELDS: readonly (readonly [string, string])[] = [
  ['start_time', '%START_TIME%'],
  ['method', '%REQ(:METHOD)%'],
  ['path', '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%'],
  ['protocol', '%PROTOCOL%'],
  ['response_code', '%RESPONSE_CODE%'],
  ['response_flags', '%RESPONSE_FLAGS%'],
  ['response_code_details', '%RESPONSE_CODE_DETAILS%'],
  ['connection_termination_details', '%CONNECTION_TERMINATION_DETAILS%'],
  ['upstream_transport_failure_reason', '%UPSTREAM_TRANSPORT_FAILURE_REASON%'],
  ['bytes_received', '%BYTES_RECEIVED%'],
  ['bytes_sent', '%BYTES_SENT%'],
  ['duration', '%DURATION%'],
  ['upstream_service_time', '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%'],
  ['x_forwarded_for', '%REQ(X-FORWARDED-FOR)%'],
  ['user_agent', '%REQ(USER-AGENT)%'],
  ['request_id', '%REQ(X-REQUEST-ID)%'],
  ['authority', '%REQ(:AUTHORITY)%'],
  ['upstream_host', '%UPSTREAM_HOST%'],
  ['upstream_cluster', '%UPSTREAM_CLUSTER_RAW%'],
  ['upstream_local_address', '%UPSTREAM_LOCAL_ADDRESS%'],
  ['downstream_local_address', '%DOWNSTREAM_LOCAL_ADDRESS%'],
  ['downstream_remote_address', '%DOWNSTREAM_REMOTE_ADDRESS%'],
  ['requested_server_name', '%REQUESTED_SERVER_NAME%'],
  ['route_name', '%ROUTE_NAME%'],
];

const TEXT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ' +
  '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

/** As a file, an output that is a socket could not be opened. */
const STREAMS: Readonly<Record<string, 'Stdout' | 'Stderr'>> = { '/dev/stdout': 'Stdout', '/dev/stderr': 'Stderr' };

function toFile({ path, isJson }: NonNullable<MeshSettings['accessLogFile']>): Json {
  const log_format = isJson
    ? { json_format: Object.fromEntries(FIELDS) }
    : { text_format_source: { inline_string: TEXT } };
  const stream = Object.hasOwn(STREAMS, path) ? STREAMS[path] : undefined;
  return stream === undefined
    ? { name: 'envoy.access_loggers.file', typed_config: any(`${LOGGERS}.file.v3.FileAccessLog`, { path, log_format }) }
    : {
        name: `envoy.access_loggers.${stream.toLowerCase()}`,
        typed_config: any(`${LOGGERS}.stream.v3.${stream}AccessLog`, { log_format }),
      };
}
