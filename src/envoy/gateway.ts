/**
 * Envoy Gateway's objects for a policy: Backend, SecurityPolicy, ClientTrafficPolicy, BackendTrafficPolicy, EnvoyProxy.
 * **In**: needs and options. **Out**: YAML documents. **Fails**: never; what these objects cannot say is in comments.
 */
import { RECEIVED_HEADER } from '../text/received-header.ts';
import { loggedHeaders } from './access-logs.ts';
import { asComment, noted, plainOf, yamlText } from './commented-yaml.ts';
import { bodyBytesOf } from './filters.ts';
import type { DescriptorNeed } from './descriptors.ts';
import type { Needs } from './needs.ts';
import {
  CHECK_TIMEOUT_MS,
  type EnvoyOptions,
  isIp,
  type PolicyParts,
  partsOfPolicy,
  PLACEHOLDER,
  rulesText,
  unknown,
} from './options.ts';
import { otlpAttributes } from './otlp-attributes.ts';

const API = 'gateway.envoyproxy.io/v1alpha1';
const NAME = 'sluice';
const GATEWAY_REF = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: PLACEHOLDER };
const BACKEND_REFS = [{ group: 'gateway.envoyproxy.io', kind: 'Backend', name: NAME }];

export function gatewayObjects(needs: Needs, options: EnvoyOptions): string {
  const parts = partsOfPolicy(needs, options);
  const documents = [
    backend(options),
    parts.http ? securityPolicy(needs, options) : undefined,
    clientTrafficPolicy(needs),
    parts.limit && fixedLimits(needs).length > 0 ? backendTrafficPolicy(needs) : undefined,
    parts.log || parts.tcpLog ? envoyProxy(needs, options, parts) : undefined,
  ].filter((document) => document !== undefined);
  const head = [
    'Written by `sluice envoy --gateway`. Comments name the rules that need a part; docs/envoy.md explains it.',
    unknown(
      `the name of your Gateway, for which ${PLACEHOLDER} stands. The Backend API has to be enabled in the EnvoyGateway configuration.`,
    ),
    ...missing(needs, options, parts),
  ].join('\n');
  return `${asComment(head)}\n\n${documents.map((document) => yamlText(document)).join('---\n')}`;
}

/** Needs for which there is no field. */
function missing(needs: Needs, { isOtlp }: EnvoyOptions, parts: PolicyParts): readonly string[] {
  const lines: string[] = [];
  const say = (what: string, ...kinds: readonly string[]): void => {
    const rules = [...new Set(kinds.flatMap((kind) => needs.why(kind)))];
    if (rules.length > 0)
      lines.push(
        `No object has ${what} (${rulesText(rules)}); an EnvoyPatchPolicy can add it to the generated filter.`,
      );
  };
  say('include_peer_certificate', 'http certificate', 'http certificate-names');
  say('include_tls_session', 'http session');
  say('encode_raw_headers', 'http raw-headers');
  say('pack_as_bytes', 'http raw-body');
  say(`initial_metadata with ${RECEIVED_HEADER}, for sizes of bodies without a length`, 'http size');
  say('metadata_context_namespaces', 'http metadata', 'http metadata-if-any', 'http all-metadata');
  if (!isOtlp)
    say(
      'custom tags of the access log',
      'log custom-tag',
      'log custom-tag-if-any',
      'log trace',
      'tcp-log custom-tag',
      'tcp-log custom-tag-if-any',
      'tcp-log trace',
    );
  if (!isOtlp) say('filter state in the access log', 'log filter-state', 'tcp-log filter-state');
  if (isOtlp)
    say(
      'maps (headers, trailers, metadata) in OTLP attributes',
      'log request-header',
      'log response-header',
      'log response-trailer',
      'log verdict',
      'log limit-verdict',
      'log metadata',
    );
  say('entries of requests that have not ended', 'log interim', 'tcp-log interim');
  if (parts.tcp)
    lines.push(
      `No object checks TCP connections (${rulesText([...needs.why('tcp'), ...needs.why('also-tcp')])}); an EnvoyPatchPolicy can add the network filter.`,
    );
  if (parts.metrics)
    lines.push(
      `${rulesText(needs.why('metrics'))}: Envoy's statistics need a stats_sinks entry of type metrics_service in the bootstrap of the EnvoyProxy (docs/metrics.md).`,
    );
  return lines;
}

const fixedLimits = ({ descriptors }: Needs): readonly DescriptorNeed[] =>
  descriptors.filter(({ limit, endsLease }) => limit !== undefined && !endsLease);

/** A gRPC server without TLS is HTTP/2 by prior knowledge. */
const backend = ({ host, port }: EnvoyOptions): object => ({
  apiVersion: API,
  kind: 'Backend',
  metadata: { name: NAME },
  spec: {
    endpoints: [isIp(host) ? { ip: { address: host, port } } : { fqdn: { hostname: host, port } }],
    appProtocols: ['gateway.envoyproxy.io/h2c'],
  },
});

function securityPolicy(needs: Needs, options: EnvoyOptions): object {
  const failOpen = options.failOpen ?? false;
  const extensions = needs.anyNames('http extension');
  return {
    apiVersion: API,
    kind: 'SecurityPolicy',
    metadata: { name: NAME },
    spec: {
      targetRefs: [GATEWAY_REF],
      extAuth: noted(
        {
          grpc: { backendRefs: BACKEND_REFS },
          timeout: `${options.timeoutMs ?? CHECK_TIMEOUT_MS}ms`,
          failOpen,
          statusOnError: failOpen ? undefined : 503,
          bodyToExtAuth: needs.has('http body')
            ? noted(
                { maxRequestBytes: bodyBytesOf(needs) },
                rulesText(needs.why('http body')),
                unknown('how long bodies are; longer ones are answered 413.'),
              )
            : undefined,
          includeRouteMetadata: needs.has('http route-metadata') ? true : undefined,
          contextExtensions:
            extensions.length === 0
              ? undefined
              : extensions.map((name) =>
                  noted(
                    { name, type: 'Value', value: PLACEHOLDER },
                    rulesText(needs.anyWhy('http extension', name)),
                    unknown(`the value of ${name}; a SecurityPolicy of an HTTPRoute has its own.`),
                  ),
                ),
        },
        rulesText(needs.has('http') ? needs.why('http') : needs.why('log verdict')),
      ),
    },
  };
}

function clientTrafficPolicy(needs: Needs): object | undefined {
  const { trustedHops, trustedCertificateHops, path } = needs.settings;
  const hops = trustedHops ?? 0;
  const readsPath = needs.has('path') || needs.has('plain-path');
  const forwarded = needs.why('http forwarded-certificate');
  const spec = {
    targetRefs: [GATEWAY_REF],
    clientIPDetection:
      hops === 0 ? undefined : noted({ xForwardedFor: { numTrustedHops: hops } }, 'settings.trustedHops of the policy'),
    path:
      readsPath && path === 'DECODE_AND_MERGE_SLASHES' ? { escapedSlashesAction: 'UnescapeAndRedirect' } : undefined,
    headers:
      forwarded.length === 0
        ? undefined
        : noted(
            {
              xForwardedClientCert:
                trustedCertificateHops === 0
                  ? { mode: 'ForwardOnly' }
                  : { mode: 'AppendForward', certDetailsToAdd: ['URI'] },
            },
            rulesText(forwarded),
          ),
  };
  return Object.values(spec).filter((value) => value !== undefined).length === 1
    ? undefined
    : { apiVersion: API, kind: 'ClientTrafficPolicy', metadata: { name: NAME }, spec };
}

/**
 * Envoy Gateway makes its own descriptors, which only its limit service knows: the limit itself has to stand here, and `sluice ratelimit`
 * can be that service.
 */
function backendTrafficPolicy(needs: Needs): object {
  return {
    apiVersion: API,
    kind: 'BackendTrafficPolicy',
    metadata: { name: NAME },
    spec: {
      targetRefs: [GATEWAY_REF],
      rateLimit: noted(
        {
          type: 'Global',
          global: { rules: fixedLimits(needs).map(limitRule) },
        },
        'Envoy Gateway makes domain and descriptors itself, so the rules of the policy do not apply to them: its limits stand here.',
        'They are counted by its rate limit service, which `sluice ratelimit` can be (docs/ratelimit.md).',
      ),
    },
  };
}

function limitRule({ entries, rules, limit }: DescriptorNeed): unknown {
  const headers = entries.map(({ key, value }) => {
    const name =
      HEADER_OF[key] ??
      (key.toLowerCase().startsWith('x-')
        ? key.toLowerCase()
        : `x-${key.toLowerCase().replaceAll(/[^a-z0-9-]+/g, '-')}`);
    return value === undefined ? { name, type: 'Distinct' } : { name, type: 'Exact', value };
  });
  const byAddress = entries.some(({ key }) => key === 'remote_address' || key === 'masked_remote_address');
  const selectors = headers.filter((_, at) => !/^(?:masked_)?remote_address$/.test(entries[at]?.key ?? ''));
  const selector = {
    headers: selectors.length === 0 ? undefined : selectors,
    sourceCIDR: byAddress ? { value: '0.0.0.0/0', type: 'Distinct' } : undefined,
  };
  return noted(
    {
      clientSelectors:
        selectors.length === 0 && !byAddress
          ? undefined
          : [noted(selector, unknown('where these entries come from; as written, headers of these names.'))],
      limit,
    },
    rulesText(rules),
  );
}

const HEADER_OF: Readonly<Record<string, string>> = {
  path: ':path',
  method: ':method',
  host: ':authority',
  authority: ':authority',
};

function envoyProxy(needs: Needs, options: EnvoyOptions, parts: PolicyParts): object {
  const settings = options.isOtlp
    ? [...(parts.log ? [otlpSetting(needs, 'log')] : []), ...(parts.tcpLog ? [otlpSetting(needs, 'tcp-log')] : [])]
    : [{ sinks: [...(parts.log ? [httpSink(needs)] : []), ...(parts.tcpLog ? [tcpSink(needs)] : [])] }];
  return {
    apiVersion: API,
    kind: 'EnvoyProxy',
    metadata: { name: NAME },
    spec: noted(
      { telemetry: { accessLog: { settings } } },
      'Name it in infrastructure.parametersRef of the Gateway, or in parametersRef of the GatewayClass.',
    ),
  };
}

function httpSink(needs: Needs): unknown {
  const { additional_request_headers_to_log, additional_response_headers_to_log, additional_response_trailers_to_log } =
    loggedHeaders(needs);
  const http = {
    requestHeaders: additional_request_headers_to_log,
    responseHeaders: additional_response_headers_to_log,
    responseTrailers: additional_response_trailers_to_log,
  };
  return noted(
    {
      type: 'ALS',
      als: {
        backendRefs: BACKEND_REFS,
        logName: 'http.inbound',
        type: 'HTTP',
        http: Object.values(http).every((list) => list === undefined) ? undefined : http,
      },
    },
    rulesText(needs.why('log')),
  );
}

const tcpSink = (needs: Needs): unknown =>
  noted(
    { type: 'ALS', als: { backendRefs: BACKEND_REFS, logName: 'tcp.inbound', type: 'TCP' } },
    rulesText([...needs.why('tcp-log'), ...needs.why('also-tcp-log')]),
  );

function otlpSetting(needs: Needs, part: 'log' | 'tcp-log'): object {
  const pairs = plainOf(otlpAttributes(needs, part)) as readonly { key: string; value: { string_value?: string } }[];
  const json = Object.fromEntries(
    pairs.flatMap(({ key, value }) => (value.string_value === undefined ? [] : [[key, value.string_value]])),
  );
  return {
    format: { type: 'JSON', json },
    sinks: [{ type: 'OpenTelemetry', openTelemetry: { backendRefs: BACKEND_REFS } }],
  };
}
