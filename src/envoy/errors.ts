/** Codes of `sluice envoy --check`; docs/errors.md is generated from this table. */
export const ENVOY_ERRORS = {
  ENVOY_FILE: {
    means: 'The file is not a configuration of Envoy: it has no listeners.',
    fix: 'Give a bootstrap with static_resources, or the answer of /config_dump.',
  },
  ENVOY_NO_CHECK: {
    means: 'No listener has the ext_authz filter, so Sluice is never asked.',
    fix: 'Add the filter that `sluice envoy POLICY` prints.',
  },
  ENVOY_LISTENER_UNCHECKED: {
    means: 'A warning: one listener has no ext_authz filter, though another one has.',
    fix: 'Add the filter, unless requests of this listener need no check.',
  },
  ENVOY_ROUTE_UNCHECKED: {
    means: 'A warning: the filter is off for a route, a virtual host, or a part of the requests.',
    fix: 'Remove `disabled`, unless these requests need no check. An access log rule sees them without `verdict.outcome`.',
  },
  ENVOY_FILTER_ORDER: {
    means:
      'Filters run in the wrong order: a filter reads what a later one writes, or requests are limited before they are checked.',
    fix: 'Order them: filters that fill metadata, ext_authz, ratelimit, router.',
  },
  ENVOY_CLUSTER: {
    means: 'A filter or logger names a cluster that the configuration does not have.',
    fix: 'Add the cluster, or correct the name.',
  },
  ENVOY_CLUSTER_HTTP1: {
    means: 'The cluster of a gRPC service speaks HTTP/1, the default; every call fails.',
    fix: 'Add `http2_protocol_options` by `typed_extension_protocol_options` (docs/envoy.md).',
  },
  ENVOY_FAILURE_MODE: {
    means: 'While Sluice does not answer, requests pass that should not, or the other way round.',
    fix: 'Set `failure_mode_allow` of ext_authz, or `failure_mode_deny` of ratelimit; or say with --fail what is meant.',
  },
  ENVOY_STATUS_ON_ERROR: {
    means: 'A warning: a request that could not be decided is answered 403, as a refused one.',
    fix: 'Set `status_on_error: { code: ServiceUnavailable }`.',
  },
  ENVOY_TIMEOUT: {
    means:
      'A warning: Envoy waits without a bound, for very long, by an unwritten default, or for less time than a handler may take.',
    fix: 'Set the timeout of the filter above the deadlines of the handlers that its calls ask.',
  },
  ENVOY_BODY: {
    means: 'Rules read the body, and Envoy does not send it.',
    fix: 'Add `with_request_body`.',
  },
  ENVOY_BODY_TOO_SMALL: {
    means:
      'Rules compare the size of bodies with a number above `max_request_bytes`; Envoy answers such requests 413 itself.',
    fix: 'Raise `max_request_bytes`.',
  },
  ENVOY_BODY_PARTIAL: {
    means: 'Envoy sends the beginning of a long body, and rules do not see the rest.',
    fix: 'Remove `allow_partial_message`, or deny `request.body_is_partial` in a rule.',
  },
  ENVOY_BODY_TEXT: {
    means: 'A warning: rules read the bytes of the body, and Envoy sends only bodies that are UTF-8.',
    fix: 'Set `pack_as_bytes: true`.',
  },
  ENVOY_SIZE: {
    means:
      'A warning: rules read the size of bodies, and Envoy does not say what it has received. Of a request without a length, size is absent, and a rule on it fails; of GET, HEAD and OPTIONS it is 0, also where a body follows.',
    fix: 'Send the header `x-sluice-received` with each call (docs/envoy.md#sizes).',
  },
  ENVOY_CERTIFICATE: {
    means: 'Rules read the certificate of the peer, and Envoy sends one name only.',
    fix: 'Set `include_peer_certificate: true`.',
  },
  ENVOY_TLS_SESSION: {
    means: 'Rules read the SNI, and Envoy does not send it.',
    fix: 'Set `include_tls_session: true`.',
  },
  ENVOY_RAW_HEADERS: {
    means: 'A warning: rules read each value of a repeated header, and Envoy joins them by a comma.',
    fix: 'Set `encode_raw_headers: true`.',
  },
  ENVOY_METADATA: {
    means:
      'Rules read dynamic metadata, or metadata of the route, of a namespace that Envoy does not send, or that no filter fills.',
    fix: 'Name it in `metadata_context_namespaces` or `route_metadata_context_namespaces`, and put the filter that fills it before ext_authz.',
  },
  ENVOY_CONTEXT_EXTENSION: {
    means:
      'Rules read a context extension that no virtual host or route sets, or, of a connection, not the header `x-sluice-context`; or that header is malformed.',
    fix: 'Set it in `check_settings.context_extensions`, for connections in `initial_metadata` (docs/envoy.md#tcp-listeners).',
  },
  ENVOY_BY_HTTP: {
    means: 'The filter asks by HTTP, which cannot carry what rules read or change.',
    fix: 'Use `grpc_service`, or see docs/http.md.',
  },
  ENVOY_HOPS: {
    means:
      'Policy and Envoy count trusted proxies differently, so `origin.ip` is a wrong address, or one that clients choose.',
    fix: 'Set `use_remote_address: true`, and `xff_num_trusted_hops` to `settings.trustedHops`.',
  },
  ENVOY_FORWARDED_CERTIFICATE: {
    means: 'The policy trusts x-forwarded-client-cert, and Envoy removes the header.',
    fix: 'Set `forward_client_cert_details` (docs/envoy.md).',
  },
  ENVOY_PATH: {
    means:
      'A warning: rules compare normalised paths, and the service gets paths as sent, which it may read in another way.',
    fix: 'Set `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action`, or deny `!request.path_is_plain`.',
  },
  ENVOY_NO_LIMIT: {
    means: 'Rules answer rate limit calls, and no listener has the ratelimit filter.',
    fix: 'Add the filter that `sluice envoy POLICY` prints.',
  },
  ENVOY_DOMAIN: {
    means: 'Rules apply to a domain that no ratelimit filter has.',
    fix: 'Add a filter for the domain, with a stage of its own.',
  },
  ENVOY_ACTIONS: {
    means: 'Rules apply to a descriptor that no virtual host or route sends.',
    fix: 'Add the `rate_limits` that `sluice envoy POLICY` prints.',
  },
  ENVOY_NO_LOG: {
    means: 'Rules answer access log entries, and no listener sends them.',
    fix: 'Add the logger that `sluice envoy POLICY` prints.',
  },
  ENVOY_LOG_HEADERS: {
    means: 'Rules read headers or trailers of entries that Envoy does not log.',
    fix: 'Name them in `additional_request_headers_to_log`, `additional_response_headers_to_log` or `additional_response_trailers_to_log`.',
  },
  ENVOY_LOG_FIELDS: {
    means: 'Rules read a custom tag, filter state, metadata or an attribute that the logger does not send.',
    fix: 'Add it to `custom_tags`, `filter_state_objects_to_log`, or the `attributes` of the OpenTelemetry logger.',
  },
  ENVOY_LOG_BUFFER: {
    means: 'A warning: the buffer of the logger is not set, or so large that much is lost at once.',
    fix: 'Set `buffer_flush_interval` to 0.2s to 1s, and `buffer_size_bytes` to 16384 to 65536.',
  },
  ENVOY_LOG_INTERIM: {
    means: 'Rules read entries of requests or connections that have not ended, and Envoy sends none.',
    fix: 'Set `access_log_options`.',
  },
  ENVOY_LOG_VERDICT: {
    means: 'Rules read the verdict in the access log, and Envoy does not keep it.',
    fix: 'Remove `enable_dynamic_metadata_ingestion: false`.',
  },
  ENVOY_NO_METRICS: {
    means: "Rules read Envoy's statistics, and no metrics service is configured.",
    fix: 'Add the stats sink of docs/metrics.md.',
  },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly fix: string }>>;

export type EnvoyErrorCode = keyof typeof ENVOY_ERRORS;
