/**
 * Checks of access loggers that send to Sluice.
 * **In**: a list of loggers. **Out**: findings. **Fails**: never.
 */
import { basesOf } from '../otlp-attributes.ts';
import type { Report } from './report.ts';
import { checkCluster, oursOf } from './services.ts';
import type { View } from './view.ts';

type Part = 'log' | 'tcp-log';

const isOtlp = (logger: View): boolean => logger.isOfType('.OpenTelemetryAccessLogConfig');

/** The logger of `owner`, a connection manager or a TCP proxy, that sends to Sluice. */
export function loggerOf(report: Report, owner: View, part: Part): View | undefined {
  const type = part === 'log' ? '.HttpGrpcAccessLogConfig' : '.TcpGrpcAccessLogConfig';
  const found = owner.items('access_log').filter((logger) => logger.isOfType(type) || isOtlp(logger));
  return oursOf(
    report,
    found,
    ({ config }) => config.at('common_config', 'grpc_service') ?? config.at('grpc_service'),
  )[0];
}

export function checkLogger(report: Report, owner: View, logger: View, part: Part): void {
  const { config } = logger;
  const common = config.at('common_config') ?? config;
  checkCluster(report, common.at('grpc_service'), report.needs.why(part));
  checkBuffer(report, common);
  checkInterim(report, owner, part);
  if (isOtlp(logger)) checkOtlp(report, config, part);
  else checkStream(report, config, common, part);
}

const MAX_BUFFER_BYTES = 65_536;
const MAX_INTERVAL_MS = 1000;

function checkBuffer(report: Report, common: View): void {
  const write = 'write buffer_flush_interval: 1s and buffer_size_bytes: 16384';
  const [interval, size] = [common.at('buffer_flush_interval'), common.at('buffer_size_bytes')];
  if (interval === undefined || size === undefined)
    report.warns('ENVOY_LOG_BUFFER', common, 'the buffer of the access log is not set', [], write);
  else if ((size.number() ?? 0) > MAX_BUFFER_BYTES || (interval.durationMs() ?? 0) > MAX_INTERVAL_MS)
    report.warns('ENVOY_LOG_BUFFER', size, 'all of a large buffer is lost when the connection breaks', [], write);
}

function checkInterim(report: Report, owner: View, part: Part): void {
  const why = report.needs.why(`${part} interim`);
  const flags = [
    'flush_access_log_on_new_request',
    'flush_access_log_on_start',
    'flush_access_log_on_connected',
    'access_log_flush_interval',
  ];
  const isSent = flags.some(
    (name) => owner.at('access_log_options', name) !== undefined || owner.at(name) !== undefined,
  );
  if (why.length > 0 && !isSent)
    report.lacks(
      'ENVOY_LOG_INTERIM',
      owner,
      'Envoy logs nothing before the end',
      why,
      `write access_log_options: { ${part === 'log' ? 'flush_access_log_on_new_request' : 'flush_access_log_on_start'}: true, access_log_flush_interval: 5s }`,
    );
}

const LISTS: readonly (readonly [kind: string, field: string, what: string])[] = [
  ['request-header', 'additional_request_headers_to_log', 'request header'],
  ['response-header', 'additional_response_headers_to_log', 'response header'],
  ['response-trailer', 'additional_response_trailers_to_log', 'response trailer'],
];
const TRACE_HEADERS = ['traceparent', 'b3', 'x-b3-traceid'];

function checkStream(report: Report, config: View, common: View, part: Part): void {
  const { needs } = report;
  const tags = new Set(common.items('custom_tags').map((tag) => tag.text('tag')));
  if (part === 'log')
    for (const [kind, field, what] of LISTS) {
      const logged = new Set(config.items(field).map((one) => one.text()?.toLowerCase()));
      const lacking = needs.names(`log ${kind}`).filter((name) => !logged.has(name));
      const why = [...new Set(lacking.flatMap((name) => needs.why(`log ${kind}`, name)))];
      if (lacking.length > 0)
        report.lacks(
          'ENVOY_LOG_HEADERS',
          config.at(field) ?? config,
          `entries lack the ${what}${lacking.length === 1 ? '' : 's'} ${lacking.join(', ')}`,
          why,
          `write ${field}: [${lacking.join(', ')}]`,
        );
      if (
        kind === 'request-header' &&
        needs.has('log trace-header') &&
        !tags.has('trace_id') &&
        !TRACE_HEADERS.some((name) => logged.has(name))
      )
        report.warns(
          'ENVOY_LOG_FIELDS',
          config,
          'entries have no trace',
          needs.why('log trace-header'),
          'write custom_tags: [{ tag: trace_id, value: "%TRACE_ID%" }, { tag: span_id, value: "%SPAN_ID%" }], or log traceparent',
        );
    }
  for (const tag of needs.anyNames(`${part} custom-tag`))
    if (!tags.has(tag))
      report[needs.has(`${part} custom-tag`, tag) ? 'lacks' : 'warns'](
        'ENVOY_LOG_FIELDS',
        common.at('custom_tags') ?? common,
        `entries lack the custom tag ${tag}`,
        needs.anyWhy(`${part} custom-tag`, tag),
        `write custom_tags: [{ tag: ${tag}, value: VALUE }]`,
      );
  const states = new Set(common.items('filter_state_objects_to_log').map((one) => one.text()));
  for (const state of needs.names(`${part} filter-state`))
    if (!states.has(state))
      report.warns(
        'ENVOY_LOG_FIELDS',
        common,
        `entries lack the filter state ${state}`,
        needs.why(`${part} filter-state`, state),
        `write filter_state_objects_to_log: [${state}]`,
      );
}

/** A logger of OpenTelemetry sends the listed attributes alone. */
function checkOtlp(report: Report, config: View, part: Part): void {
  const { needs } = report;
  const pairs = config.items('attributes', 'values');
  const keys = new Set(pairs.map((pair) => pair.text('key')));
  const inMap = (map: string): ReadonlySet<string | undefined> =>
    new Set(
      pairs
        .filter((pair) => pair.text('key') === map)
        .flatMap((pair) => pair.items('value', 'kvlist_value', 'values').map((one) => one.text('key')?.toLowerCase())),
    );
  const at = config.at('attributes') ?? config;
  const say = (name: string, why: readonly string[]): void =>
    report.lacks(
      'ENVOY_LOG_FIELDS',
      at,
      `entries lack ${name}`,
      why,
      'add it to attributes (docs/envoy.md lists the command of each)',
    );
  if (!keys.has('sluice.call')) say('sluice.call', needs.why(part));
  for (const name of needs.names(`${part} attribute`)) {
    const lacking = basesOf(name, part).filter((base) => !keys.has(base));
    if (lacking.length > 0) say(lacking.join(', '), needs.why(`${part} attribute`, name));
  }
  for (const tag of needs.names(`${part} custom-tag`))
    if (!keys.has(tag)) say(tag, needs.why(`${part} custom-tag`, tag));
  for (const [kind, , what] of part === 'log' ? LISTS : []) {
    const map =
      kind === 'request-header'
        ? 'request.headers'
        : kind === 'response-header'
          ? 'response.headers'
          : 'response.trailers';
    const logged = inMap(map);
    for (const name of needs.names(`log ${kind}`))
      if (!logged.has(name))
        report.lacks(
          'ENVOY_LOG_HEADERS',
          at,
          `entries lack the ${what} ${name}`,
          needs.why(`log ${kind}`, name),
          `add it to ${map} in attributes`,
        );
  }
  const metadata = inMap('metadata');
  const filter = part === 'log' ? 'http' : 'network';
  const namespaces: readonly (readonly [name: string, kind: string])[] = [
    [`envoy.filters.${filter}.ext_authz`, 'verdict'],
    ['envoy.filters.http.ratelimit', 'limit-verdict'],
    ...needs.names(`${part} metadata`).map((name) => [name, 'metadata'] as const),
  ];
  for (const [name, kind] of namespaces)
    if (needs.has(`${part} ${kind}`) && !metadata.has(name.toLowerCase()))
      say(`the metadata of ${name}`, needs.why(`${part} ${kind}`));
}
