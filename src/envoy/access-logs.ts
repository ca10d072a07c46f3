/**
 * Envoy's access logs to Sluice.
 * **In**: needs and options. **Out**: the loggers of the HTTP connection manager and of the TCP proxy, for YAML. **Fails**: never.
 */
import { noted } from './commented-yaml.ts';
import { grpcService, namedList, type } from './filters.ts';
import type { Needs } from './needs.ts';
import {
  BUFFER_BYTES,
  because,
  type EnvoyOptions,
  FLUSH_INTERVAL_MS,
  PLACEHOLDER,
  rulesText,
  seconds,
  unknown,
} from './options.ts';
import { otlpAttributes } from './otlp-attributes.ts';

/** Larger buffers lose more at once when a connection breaks. */
const BUFFERS = { buffer_flush_interval: seconds(FLUSH_INTERVAL_MS), buffer_size_bytes: BUFFER_BYTES };

const TRACE_HEADER = 'traceparent';
const TRACE_TAGS = [
  { tag: 'trace_id', value: '%TRACE_ID%' },
  { tag: 'span_id', value: '%SPAN_ID%' },
];

export const httpAccessLog = (needs: Needs, options: EnvoyOptions): unknown =>
  options.isOtlp ? otlpLog(needs, 'log', options) : grpcLog(needs, 'log', options);
export const tcpAccessLog = (needs: Needs, options: EnvoyOptions): unknown =>
  options.isOtlp ? otlpLog(needs, 'tcp-log', options) : grpcLog(needs, 'tcp-log', options);

/** Rules of an access log; those that answer HTTP as well only where TCP was asked for. */
const rulesOf = (needs: Needs, part: 'log' | 'tcp-log'): string =>
  rulesText(needs.has(part) ? needs.why(part) : needs.why(`also-${part}`));

function grpcLog(needs: Needs, part: 'log' | 'tcp-log', options: EnvoyOptions): unknown {
  const isHttp = part === 'log';
  const common = {
    log_name: isHttp ? 'http.inbound' : 'tcp.inbound',
    transport_api_version: 'V3',
    grpc_service: grpcService(options),
    ...BUFFERS,
    custom_tags: customTags(needs, part),
    filter_state_objects_to_log: namedList(needs, `${part} filter-state`),
  };
  return noted(
    {
      name: isHttp ? 'envoy.access_loggers.http_grpc' : 'envoy.access_loggers.tcp_grpc',
      typed_config: {
        ...type(`envoy.extensions.access_loggers.grpc.v3.${isHttp ? 'Http' : 'Tcp'}GrpcAccessLogConfig`),
        common_config: common,
        ...(isHttp ? loggedHeaders(needs) : {}),
      },
    },
    rulesOf(needs, part),
  );
}

/** The headers and trailers that entries must have, under the names of Envoy's logger. */
export function loggedHeaders(needs: Needs): Readonly<Record<string, unknown>> {
  const list = (kind: string, of: string): unknown => {
    const names = namedList(
      needs,
      `log ${kind}`,
      kind === 'request-header' && needs.has('log trace-header') ? [TRACE_HEADER] : [],
    );
    const whole = needs.why(`log all-${kind}s`);
    return noted(
      names ?? (whole.length === 0 ? undefined : [PLACEHOLDER]),
      whole.length === 0 ? undefined : unknown(`which ${of} to log; ${rulesText(whole)}: the map is read as a whole.`),
    );
  };
  return {
    additional_request_headers_to_log: list('request-header', 'headers'),
    additional_response_headers_to_log: list('response-header', 'headers'),
    additional_response_trailers_to_log: list('response-trailer', 'trailers'),
  };
}

function customTags(needs: Needs, part: 'log' | 'tcp-log'): readonly unknown[] | undefined {
  const named = needs
    .anyNames(`${part} custom-tag`)
    .map((tag) =>
      noted(
        { tag, value: PLACEHOLDER },
        rulesText(needs.anyWhy(`${part} custom-tag`, tag)),
        unknown(`the value of ${tag}: a literal, or a command such as %ENVIRONMENT(ZONE)%.`),
      ),
    );
  const traced = needs.has(`${part} trace`)
    ? TRACE_TAGS.map((tag, at) =>
        at === 0
          ? noted(
              tag,
              because(needs.why(`${part} trace`)),
              "Without a tracer they are absent, and trace.id is the caller's header.",
            )
          : tag,
      )
    : [];
  return named.length + traced.length === 0 ? undefined : [...named, ...traced];
}

function otlpLog(needs: Needs, part: 'log' | 'tcp-log', options: EnvoyOptions): unknown {
  return noted(
    {
      name: 'envoy.access_loggers.open_telemetry',
      typed_config: {
        ...type('envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig'),
        log_name: part === 'log' ? 'http.inbound' : 'tcp.inbound',
        grpc_service: grpcService(options),
        ...BUFFERS,
        attributes: { values: otlpAttributes(needs, part) },
      },
    },
    rulesOf(needs, part),
  );
}
