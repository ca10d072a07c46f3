/**
 * Checks of the ext_authz filter of a connection manager.
 * **In**: the filter, in its chain. **Out**: findings. **Fails**: never.
 */
import { JWT_NAMESPACE } from '../attribute-needs.ts';
import { RECEIVED_HEADER, RECEIVED_VALUE } from '../../text/received-header.ts';
import { BODY_BYTES, CHECK_TIMEOUT_MS } from '../options.ts';
import { filterName, type HttpChain, perRoute } from './configuration.ts';
import { checkRouteExtensions } from './context-extensions.ts';
import { checkByHttp } from './http-service.ts';
import type { Report } from './report.ts';
import { checkCluster, checkTimeouts, oursOf } from './services.ts';
import type { View } from './view.ts';

/** The filter of this chain that asks Sluice. */
export const checkFilterOf = (report: Report, { filters }: HttpChain): View | undefined =>
  oursOf(
    report,
    filters.filter((filter) => filter.isOfType('.ext_authz.v3.ExtAuthz')),
    ({ config }) => config.at('grpc_service'),
  )[0];

export function checkHttpFilter(report: Report, filter: View, chain: HttpChain): void {
  const { config } = filter;
  const why = report.needs.why('http');
  const byHttp = config.at('http_service');
  if (byHttp === undefined) {
    checkCluster(report, config.at('grpc_service'), why);
    checkTimeouts(
      report,
      config.at('grpc_service') ?? config,
      config.at('grpc_service', 'timeout'),
      CHECK_TIMEOUT_MS,
      why,
    );
    checkCertificates(report, config, 'http');
    checkNamespaces(report, config, 'http');
    checkMetadata(report, filter, chain);
    checkRouteExtensions(report, filter, chain);
    if (report.needs.has('http raw-headers') && !config.isTrue('encode_raw_headers'))
      report.warns(
        'ENVOY_RAW_HEADERS',
        config,
        'encode_raw_headers is not set',
        report.needs.why('http raw-headers'),
        'write encode_raw_headers: true',
      );
    checkSize(report, config.at('grpc_service') ?? config, 'initial_metadata');
  } else {
    checkTimeouts(report, byHttp, byHttp.at('server_uri', 'timeout'), CHECK_TIMEOUT_MS, why);
    checkByHttp(report, byHttp);
    checkSize(report, byHttp, 'headers_to_add');
  }
  checkFailureMode(report, config);
  if (config.isTrue('failure_mode_allow') === false && config.at('status_on_error') === undefined)
    report.warns(
      'ENVOY_STATUS_ON_ERROR',
      config,
      'a request that could not be decided is answered 403, like a refused one',
      [],
      'write status_on_error: { code: ServiceUnavailable }',
    );
  checkBody(report, config);
  checkCoverage(report, filter, chain);
  const verdict = report.needs.why('log verdict');
  if (verdict.length > 0 && config.text('enable_dynamic_metadata_ingestion') === 'false')
    report.lacks(
      'ENVOY_LOG_VERDICT',
      config.at('enable_dynamic_metadata_ingestion') ?? config,
      'Envoy drops the verdict, so that entries of the access log lack it',
      verdict,
      'remove enable_dynamic_metadata_ingestion',
    );
}

/** Of HTTP and of TCP. */
export function checkFailureMode(report: Report, config: View): void {
  const allow = config.at('failure_mode_allow');
  const { failOpen } = report.options;
  if (allow?.isTrue() === true && failOpen !== true)
    report.lacks(
      'ENVOY_FAILURE_MODE',
      allow,
      'requests pass unchecked while Sluice does not answer',
      report.needs.why('http'),
      'write failure_mode_allow: false, or say --fail open if it is meant',
    );
  if (allow?.isTrue() !== true && failOpen === true)
    report.lacks(
      'ENVOY_FAILURE_MODE',
      allow ?? config,
      'requests are refused while Sluice does not answer, and --fail open says that they pass',
      [],
      'write failure_mode_allow: true',
    );
}

function checkBody(report: Report, config: View): void {
  const { needs } = report;
  const why = needs.why('http body');
  if (why.length === 0) return;
  const body = config.at('with_request_body');
  if (body === undefined) {
    report.lacks(
      'ENVOY_BODY',
      config,
      'Envoy does not send the body',
      why,
      `write with_request_body: { max_request_bytes: ${needs.bodyBytes ?? BODY_BYTES}, pack_as_bytes: true }`,
    );
    return;
  }
  const bytes = body.number('max_request_bytes') ?? 0;
  const wanted = needs.bodyBytes ?? 1;
  if (bytes < wanted)
    report.lacks(
      'ENVOY_BODY_TOO_SMALL',
      body.at('max_request_bytes') ?? body,
      bytes === 0
        ? 'max_request_bytes is not set'
        : `Envoy answers 413 to bodies above ${bytes} bytes, and a rule compares their size with ${wanted}`,
      why,
      `write max_request_bytes: ${needs.bodyBytes ?? BODY_BYTES}`,
    );
  if (body.isTrue('allow_partial_message') && !needs.has('http partial-body'))
    report.lacks(
      'ENVOY_BODY_PARTIAL',
      body.at('allow_partial_message') ?? body,
      'rules see no body that is longer than max_request_bytes, and it passes on',
      why,
      'remove allow_partial_message, or deny request.body_is_partial in a rule',
    );
  if (needs.has('http raw-body') && !body.isTrue('pack_as_bytes') && config.at('http_service') === undefined)
    report.warns(
      'ENVOY_BODY_TEXT',
      body,
      'bodies that are not UTF-8 do not arrive',
      needs.why('http raw-body'),
      'write pack_as_bytes: true',
    );
}

/** `service`: how the filter asks. */
function checkSize(report: Report, service: View, list: 'initial_metadata' | 'headers_to_add'): void {
  const why = report.needs.why('http size');
  const place = list === 'initial_metadata' ? service : (service.at('authorization_request') ?? service);
  const sent = place.items(list).find((one) => one.text('key')?.toLowerCase() === RECEIVED_HEADER);
  if (why.length === 0 || sent?.text('value') === RECEIVED_VALUE) return;
  const route = list === 'headers_to_add' ? `, and received=${RECEIVED_HEADER} in the --http-route of this filter` : '';
  report.warns(
    'ENVOY_SIZE',
    sent?.at('value') ?? sent ?? service,
    sent === undefined
      ? `the header ${RECEIVED_HEADER} is not sent`
      : `the header ${RECEIVED_HEADER} has another value, so a body without a length has no size`,
    why,
    `write ${list}: [{ key: ${RECEIVED_HEADER}, value: "${RECEIVED_VALUE}" }]${route}`,
  );
}

export function checkCertificates(report: Report, config: View, part: 'http' | 'tcp'): void {
  const { needs } = report;
  const hasCertificate = config.isTrue('include_peer_certificate');
  const why = needs.why(`${part} certificate`);
  if (!hasCertificate && why.length > 0)
    report.lacks(
      'ENVOY_CERTIFICATE',
      config,
      "Envoy does not send the peer's certificate",
      why,
      'write include_peer_certificate: true',
    );
  const names = needs.why(`${part} certificate-names`);
  if (!hasCertificate && why.length === 0 && names.length > 0)
    report.warns(
      'ENVOY_CERTIFICATE',
      config,
      "Envoy sends one name of the peer's certificate, and not all of them",
      names,
      'write include_peer_certificate: true',
    );
  const session = needs.why(`${part} session`);
  if (session.length > 0 && !config.isTrue('include_tls_session'))
    report.lacks(
      'ENVOY_TLS_SESSION',
      config,
      'Envoy does not send the SNI',
      session,
      'write include_tls_session: true',
    );
}

export function checkNamespaces(report: Report, config: View, part: 'http' | 'tcp'): void {
  const { needs } = report;
  const check = (field: string, kind: string): void => {
    const sent = new Set(config.items(field).map((one) => one.text()));
    for (const name of needs.anyNames(kind)) {
      if (sent.has(name)) continue;
      const isGuarded = !needs.has(kind, name);
      const at = config.at(field) ?? config;
      report[isGuarded ? 'warns' : 'lacks'](
        'ENVOY_METADATA',
        at,
        `Envoy does not send the namespace ${name}`,
        needs.anyWhy(kind, name),
        `write ${field}: [${name}]`,
      );
    }
  };
  check('metadata_context_namespaces', `${part} metadata`);
  if (part === 'http') check('route_metadata_context_namespaces', 'http route-metadata');
}

/** A filter fills metadata before the check, or the check does not see it. */
function checkMetadata(report: Report, filter: View, { filters }: HttpChain): void {
  const { needs } = report;
  const why = needs.anyWhy('http metadata', JWT_NAMESPACE);
  if (why.length === 0) return;
  const jwt = filters.findIndex((one) => one.isOfType('.jwt_authn.v3.JwtAuthentication'));
  const say = needs.has('http metadata', JWT_NAMESPACE) ? 'lacks' : 'warns';
  if (jwt < 0)
    report[say](
      'ENVOY_METADATA',
      filter,
      `no filter fills ${JWT_NAMESPACE}`,
      why,
      'add the jwt_authn filter before ext_authz',
    );
  else if (jwt > filters.indexOf(filter))
    report[say](
      'ENVOY_FILTER_ORDER',
      filter,
      'the check runs before jwt_authn, which fills its metadata',
      why,
      'move jwt_authn before ext_authz',
    );
}

function checkCoverage(report: Report, filter: View, { routes }: HttpChain): void {
  const why = report.needs.why('http');
  const ofRoutes = perRoute(routes, filterName(filter));
  // A filter that is off by itself, and has settings for routes, is on for these: control planes write it so.
  for (const one of [...(ofRoutes.length === 0 ? [filter] : []), ...ofRoutes])
    if (one.isTrue('disabled'))
      report.warns(
        'ENVOY_ROUTE_UNCHECKED',
        one.at('disabled') ?? one,
        'these requests are not checked',
        why,
        'remove disabled',
      );
  const share = filter.config.at('filter_enabled', 'default_value');
  const percent = share?.number('numerator');
  if (
    share !== undefined &&
    percent !== undefined &&
    percent < (DENOMINATORS[share.text('denominator') ?? 'HUNDRED'] ?? 100)
  )
    report.warns(
      'ENVOY_ROUTE_UNCHECKED',
      share,
      'only a part of the requests is checked',
      why,
      'remove filter_enabled',
    );
}

const DENOMINATORS: Readonly<Record<string, number>> = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 };
