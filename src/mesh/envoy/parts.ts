/** Parts of Envoy's JSON that several resources share. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { configPath, type Origin } from '../model/model.ts';

export type Json = JsonObject;

const PREFIX = 'type.googleapis.com/';
export const any = (type: string, fields: Json = {}): Json => ({ '@type': `${PREFIX}${type}`, ...fields });

/** One constant for all: a changed source of a secret would start a provider that never gets it. */
export const FROM_ADS: Json = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };

/** Until a connection to an endpoint is open; Istio's default. */
export const CONNECT_MS = 10_000;

/** A secret by its name, from the stream of all else or from a static cluster; the same bytes wherever it is named. */
export const secretFrom = (from: { readonly cluster: string } | 'ads', name: string): Json => ({
  name,
  sds_config:
    from === 'ads'
      ? FROM_ADS
      : {
          api_config_source: {
            api_type: 'GRPC',
            transport_api_version: 'V3',
            set_node_on_first_message_only: true,
            grpc_services: [{ envoy_grpc: { cluster_name: from.cluster } }],
          },
          resource_api_version: 'V3',
          initial_fetch_timeout: '0s',
        },
});

export const seconds = (ms: number): string => `${ms / 1000}s`;

/**
 * Of a route, from the end of the request; 0 is none, and then the deadline of a gRPC client counts. Beside a timeout it cannot: Envoy
 * takes `max_stream_duration` in place of the timeout, and would cut slow uploads.
 */
export const withTimeout = (ms: number): Json => ({
  timeout: seconds(ms),
  ...(ms === 0
    ? { max_stream_duration: { max_stream_duration: seconds(0), grpc_timeout_header_max: seconds(0) } }
    : {}),
});

export const socketAddress = (address: string, port: number): Json => ({
  socket_address: { address, port_value: port },
});

/** Without the fields that are undefined, and without empty lists. */
export function compact(fields: Readonly<Record<string, JsonValue | undefined>>): Json {
  const kept: Record<string, JsonValue> = {};
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) kept[name] = value;
  }
  return kept;
}

/** A share of all calls in percent, exact to a ten-thousandth. */
export const fraction = (percent: number): Json =>
  Number.isInteger(percent)
    ? { numerator: percent, denominator: 'HUNDRED' }
    : { numerator: Math.round(percent * 10_000), denominator: 'MILLION' };

/**
 * For dumps: which object a resource was made of, as Istio says it, so that a resource is equal wherever its objects stand.
 * `rule`: a part of the object, such as `http[2]`.
 */
export const madeOf = (origin: Origin, rule?: string): Json => ({
  filter_metadata: { istio: { config: configPath(origin) }, ...(rule === undefined ? {} : { sluice: { rule } }) },
});

/** Calls go to the address that they were for. */
export const ORIGINAL_DESTINATION: Json = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' };

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
export const httpOptions = (fields: Json): Json => ({ [HTTP_OPTIONS]: any(HTTP_OPTIONS, fields) });
/** In the protocol that the client speaks. */
export const ANY_HTTP: Json = httpOptions({
  use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
});
