/**
 * Envoy's filters that ask Sluice, and the settings of the connection manager around them.
 * **In**: needs and options. **Out**: values for YAML, each with the rules that need it. **Fails**: never.
 */
import { RECEIVED_HEADER, RECEIVED_VALUE } from '../text/received-header.ts';
import { noted } from './commented-yaml.ts';
import type { Needs } from './needs.ts';
import {
  because,
  BODY_BYTES,
  checkTimeout,
  type EnvoyOptions,
  limitTimeout,
  PLACEHOLDER,
  rulesText,
  seconds,
  unknown,
} from './options.ts';

export const type = (name: string): { readonly '@type': string } => ({ '@type': `type.googleapis.com/${name}` });

export const EXT_AUTHZ = 'envoy.filters.http.ext_authz';
const RATELIMIT = 'envoy.filters.http.ratelimit';

/** A cluster's name is its authority; one with other characters than a host name needs its own. */
export const grpcService = ({ cluster, host }: EnvoyOptions, timeout?: string): object => ({
  envoy_grpc: { cluster_name: cluster, authority: cluster.includes('|') ? host : undefined },
  timeout,
});

/** Names with the rules that need each, as a commented list. */
export const namedList = (needs: Needs, kind: string, also: readonly string[] = []): readonly unknown[] | undefined => {
  const names = [...new Set([...needs.names(kind), ...also])];
  return names.length === 0 ? undefined : names.map((name) => noted(name, because(needs.why(kind, name))));
};

export const metadataNamespaces = (needs: Needs, part: 'http' | 'tcp'): readonly unknown[] | undefined => {
  const names = needs.anyNames(`${part} metadata`);
  return names.length === 0
    ? undefined
    : names.map((name) => noted(name, because(needs.anyWhy(`${part} metadata`, name))));
};

/** By which a body without a length has its size. */
export const receivedMetadata = (needs: Needs): readonly unknown[] | undefined =>
  needs.has('http size')
    ? [noted({ key: RECEIVED_HEADER, value: RECEIVED_VALUE }, because(needs.why('http size')))]
    : undefined;

export const flag = (needs: Needs, ...kinds: readonly string[]): unknown => {
  const why = [...new Set(kinds.flatMap((kind) => needs.why(kind)))];
  return why.length === 0 ? undefined : noted(true, because(why));
};

/** A finding about the policy itself: Envoy gives up before the handler does. */
function timeoutNote({ slowHandlers }: Needs, options: EnvoyOptions): string | undefined {
  const slowest = slowHandlers.toSorted((a, b) => b.deadlineMs - a.deadlineMs)[0];
  const ms = Number.parseFloat(checkTimeout(options)) * 1000;
  return slowest === undefined || slowest.deadlineMs <= ms
    ? undefined
    : `shorter than the deadline of handler ${slowest.handler} (${seconds(slowest.deadlineMs)}, rule ${slowest.rule}), which is cut to it`;
}

export function bodyBytesOf(needs: Needs): number {
  return Math.max(BODY_BYTES, needs.bodyBytes ?? 0);
}

export function httpCheckFilter(needs: Needs, options: EnvoyOptions): unknown {
  const failOpen = options.failOpen ?? false;
  const body = needs.has('http body')
    ? noted(
        {
          max_request_bytes: noted(
            bodyBytesOf(needs),
            unknown('how long bodies are; Envoy buffers them, and answers 413 to longer ones.'),
            'A route with long bodies sets disable_request_body_buffering; its rules then see no body.',
          ),
          pack_as_bytes: true,
        },
        because(needs.why('http body')),
      )
    : undefined;
  return noted(
    {
      name: EXT_AUTHZ,
      typed_config: {
        ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
        transport_api_version: 'V3',
        grpc_service: noted(
          { ...grpcService(options, checkTimeout(options)), initial_metadata: receivedMetadata(needs) },
          timeoutNote(needs, options),
        ),
        failure_mode_allow: failOpen,
        status_on_error: failOpen ? undefined : { code: 'ServiceUnavailable' },
        with_request_body: body,
        include_peer_certificate: flag(needs, 'http certificate', 'http certificate-names'),
        include_tls_session: flag(needs, 'http session'),
        encode_raw_headers: flag(needs, 'http raw-headers'),
        metadata_context_namespaces: noted(
          metadataNamespaces(needs, 'http') ?? (needs.has('http all-metadata') ? [PLACEHOLDER] : undefined),
          needs.has('http all-metadata')
            ? unknown(
                `which namespaces to send; ${rulesText(needs.why('http all-metadata'))}: the map is read as a whole.`,
              )
            : undefined,
        ),
        route_metadata_context_namespaces: noted(
          namedList(needs, 'http route-metadata') ?? (needs.has('http all-route-metadata') ? [PLACEHOLDER] : undefined),
          needs.has('http all-route-metadata')
            ? unknown(
                `which namespaces to send; ${rulesText(needs.why('http all-route-metadata'))}: the map is read as a whole.`,
              )
            : undefined,
        ),
        bootstrap_metadata_labels_key: needs.has('http labels')
          ? noted(
              'labels',
              because(needs.why('http labels')),
              'node.metadata.labels of the bootstrap; or the context extension destination.labels.',
            )
          : undefined,
        clear_route_cache: clearsRouteCache(needs),
      },
    },
    needs.has('http')
      ? rulesText(needs.why('http'))
      : `${rulesText(needs.why('log verdict'))}: the verdict of the check is read in the access log`,
  );
}

/** Envoy has chosen the route before the check. */
function clearsRouteCache(needs: Needs): unknown {
  const why = [...new Set([...needs.why('http request-change'), ...needs.why('http query-change')])];
  return why.length === 0
    ? undefined
    : noted(false, unknown(`whether routes depend on the changes of ${rulesText(why)}; true chooses the route again.`));
}

/** Per route or virtual host. */
export function contextExtensions(needs: Needs): object | undefined {
  const names = needs.anyNames('http extension');
  if (names.length === 0) return undefined;
  return {
    [EXT_AUTHZ]: {
      ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'),
      check_settings: {
        context_extensions: Object.fromEntries(
          names.map((name) => [
            name,
            noted(
              PLACEHOLDER,
              rulesText(needs.anyWhy('http extension', name)),
              unknown(`the value of ${name} for each virtual host or route.`),
            ),
          ]),
        ),
      },
    },
  };
}

/** Settings of the connection manager that decide how requests are read. */
export function connectionManagerSettings(needs: Needs): Readonly<Record<string, unknown>> {
  const { trustedHops, trustedCertificateHops, path } = needs.settings;
  const forwarded = needs.why('http forwarded-certificate');
  const readsPath = needs.has('path') || needs.has('plain-path');
  const level = PATH_LEVELS.indexOf(path);
  return {
    use_remote_address: noted(
      true,
      needs.has('hops') || needs.has('peer-ip')
        ? because([...needs.why('hops'), ...needs.why('peer-ip')])
        : "Envoy appends its peer to x-forwarded-for; by default the header is the client's own.",
      needs.has('peer-ip')
        ? 'The policy has no settings.trustedHops: origin.ip is the peer of Envoy, also behind a proxy.'
        : undefined,
    ),
    xff_num_trusted_hops: noted(
      trustedHops ?? 0,
      trustedHops === undefined
        ? unknown('how many proxies of yours are in front of Envoy.')
        : 'settings.trustedHops of the policy',
    ),
    forward_client_cert_details:
      forwarded.length === 0
        ? undefined
        : noted(
            trustedCertificateHops === 0 ? 'FORWARD_ONLY' : 'APPEND_FORWARD',
            rulesText(forwarded),
            unknown(
              'which proxy in front ends TLS. It must replace x-forwarded-client-cert, and clients must not bypass it.',
            ),
            'It speaks mutual TLS to this Envoy; without it, only ALWAYS_FORWARD_ONLY keeps the header.',
          ),
    set_current_client_cert_details: forwarded.length === 0 || trustedCertificateHops === 0 ? undefined : { uri: true },
    normalize_path:
      readsPath && level >= 1
        ? noted(true, because([...needs.why('path'), ...needs.why('plain-path')].slice(0, 8)))
        : undefined,
    merge_slashes: readsPath && level >= 2 ? true : undefined,
    path_with_escaped_slashes_action: readsPath && level >= 3 ? 'UNESCAPE_AND_REDIRECT' : undefined,
    common_http_protocol_options: needs.has('http request-change')
      ? noted(
          { headers_with_underscores_action: 'REJECT_REQUEST' },
          because(needs.why('http request-change')),
          'Some services read x_user as x-user; a header of the client must not pass for one that a rule sets.',
        )
      : undefined,
    access_log_options: needs.has('log interim')
      ? noted(
          { flush_access_log_on_new_request: true, access_log_flush_interval: '5s' },
          rulesText(needs.why('log interim')),
        )
      : undefined,
  };
}

const PATH_LEVELS = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'];

export function limitFilters(
  needs: Needs,
  options: EnvoyOptions,
  domains: readonly (string | undefined)[],
): readonly unknown[] {
  return domains.map((domain, stage) =>
    noted(
      {
        name: stage === 0 ? RATELIMIT : `${RATELIMIT}.${stage}`,
        typed_config: {
          ...type('envoy.extensions.filters.http.ratelimit.v3.RateLimit'),
          domain: domain ?? noted('sluice', unknown('the domain; no rule names one.')),
          stage: stage === 0 ? undefined : stage,
          timeout: limitTimeout(options),
          failure_mode_deny: options.failOpen === false,
          enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
          rate_limited_as_resource_exhausted: true,
          rate_limit_service: { transport_api_version: 'V3', grpc_service: grpcService(options) },
        },
      },
      domains.length === 1 ? rulesText(needs.why('limit')) : undefined,
    ),
  );
}

/** A filter that counts gRPC messages for the access log. */
export function grpcStatsFilter(needs: Needs): unknown {
  return needs.has('log grpc-stats')
    ? noted(
        {
          name: 'envoy.filters.http.grpc_stats',
          typed_config: {
            ...type('envoy.extensions.filters.http.grpc_stats.v3.FilterConfig'),
            emit_filter_state: true,
          },
        },
        rulesText(needs.why('log grpc-stats')),
      )
    : undefined;
}

export const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: type('envoy.extensions.filters.http.router.v3.Router'),
};
