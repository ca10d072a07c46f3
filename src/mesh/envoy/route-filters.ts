/** What the rule of a route changes beside its destination: headers, faults, CORS. */
import type { StringMatch } from '../rules/values.ts';
import type { HttpRoute } from '../rules/virtual-service.ts';
import { any, compact, fraction, type Json, seconds } from './parts.ts';

/** In the order of names, since a changed order would be a changed resource. */
export const sortedEntries = <T>(map: Readonly<Record<string, T>>): readonly (readonly [string, T])[] =>
  Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1));

export function stringMatcher({ exact, prefix, regex }: StringMatch): Json {
  if (exact !== undefined) return { exact };
  return prefix === undefined
    ? { safe_regex: { regex: regex === undefined || regex === '*' ? '.*' : regex } }
    : { prefix };
}

type Headers = HttpRoute['headers'];

/** Those of 1.0.2 as well: `appendHeaders`, `removeResponseHeaders`. */
export function headerChanges(
  headers: Headers,
  old?: Pick<HttpRoute, 'appendHeaders' | 'removeResponseHeaders'>,
): Json {
  const added = [...changesOf(headers?.request?.add, true), ...changesOf(old?.appendHeaders, true)];
  return compact({
    request_headers_to_add: [...changesOf(headers?.request?.set, false), ...added],
    request_headers_to_remove: [...(headers?.request?.remove ?? [])],
    response_headers_to_add: [...changesOf(headers?.response?.set, false), ...changesOf(headers?.response?.add, true)],
    response_headers_to_remove: [
      ...(headers?.response?.remove ?? []),
      ...Object.keys(old?.removeResponseHeaders ?? {}),
    ],
  });
}

/** The authority is rewritten by the route; other pseudo headers cannot be set. */
const changesOf = (map: Readonly<Record<string, string>> | undefined, appends: boolean): Json[] =>
  sortedEntries(map ?? {})
    .filter(([name]) => name !== 'host' && !name.startsWith(':'))
    .map(([key, value]) => ({
      header: { key, value },
      append_action: appends ? 'APPEND_IF_EXISTS_OR_ADD' : 'OVERWRITE_IF_EXISTS_OR_ADD',
    }));

const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const CORS = 'envoy.extensions.filters.http.cors.v3.CorsPolicy';

export function filterConfigs({ fault, corsPolicy }: HttpRoute): Json | undefined {
  const configs = compact({
    'envoy.filters.http.fault': fault === undefined ? undefined : faultOf(fault),
    'envoy.filters.http.cors': corsPolicy === undefined ? undefined : corsOf(corsPolicy),
  });
  return Object.keys(configs).length === 0 ? undefined : configs;
}

function faultOf({ delay, abort }: NonNullable<HttpRoute['fault']>): Json {
  return any(
    FAULT,
    compact({
      delay:
        delay === undefined
          ? undefined
          : { fixed_delay: seconds(delay.fixedDelay), percentage: fraction(delay.percentage ?? delay.percent ?? 0) },
      // Without a percentage nothing is delayed or aborted, as in Istio.
      abort:
        abort === undefined
          ? undefined
          : compact({
              http_status: abort.httpStatus,
              grpc_status: abort.grpcStatus,
              percentage: fraction(abort.percentage ?? abort.percent ?? 0),
            }),
    }),
  );
}

function corsOf(policy: NonNullable<HttpRoute['corsPolicy']>): Json {
  const origins =
    policy.allowOrigins ?? (policy.allowOrigin ?? []).map((exact) => (exact === '*' ? { regex: '.*' } : { exact }));
  const joined = (list: readonly string[]): string | undefined => (list.length === 0 ? undefined : list.join(','));
  return any(
    CORS,
    compact({
      allow_origin_string_match: origins.map((test) =>
        stringMatcher({ exact: undefined, prefix: undefined, regex: undefined, ...test }),
      ),
      allow_methods: joined(policy.allowMethods),
      allow_headers: joined(policy.allowHeaders),
      expose_headers: joined(policy.exposeHeaders),
      max_age: policy.maxAge === undefined ? undefined : String(Math.trunc(policy.maxAge / 1000)),
      allow_credentials: policy.allowCredentials,
      forward_not_matching_preflights: policy.unmatchedPreflights === 'IGNORE' ? false : undefined,
    }),
  );
}
