/**
 * Maps metric paths to Prometheus names and labels, as statsd_exporter does (PROMETHEUS_MAPPER_YAML; pkg/mapper of
 * prometheus/statsd_exporter).
 * **In**: a mapping in YAML. **Out**: the family and labels of a path, or `dropped`. **Fails**: with the error of the file.
 *
 * Globs are tried before regular expressions, each in file order; a path that none matches keeps its own name. Options of timers
 * (timer_type, buckets, quantiles, ttl) have no effect: response times have the buckets of the reference.
 */
import { RE2JS } from 're2js';
import { parse } from 'yaml';
import { z } from 'zod';
import { messageOf } from '../../text/message-of.ts';

const mapping = z.looseObject({
  match: z.string().min(1),
  match_type: z.enum(['glob', 'regex', '']).default('glob'),
  match_metric_type: z.string().default(''),
  name: z.string().default(''),
  labels: z.record(z.string(), z.string()).default({}),
  action: z.enum(['map', 'drop', '']).default('map'),
});
const file = z.looseObject({
  mappings: z
    .array(mapping)
    .nullish()
    .transform((mappings) => mappings ?? []),
});

export interface Mapped {
  readonly family: string;
  readonly labels: Readonly<Record<string, string>>;
}
/** `undefined`: no mapping matches. */
export type Mapper = (path: string, kind: 'counter' | 'gauge' | 'observer') => Mapped | 'dropped' | undefined;

const KINDS: ReadonlyMap<string, string> = new Map([
  ['counter', 'counter'],
  ['gauge', 'gauge'],
  ['observer', 'observer'],
  ['timer', 'observer'],
  ['histogram', 'observer'],
]);

/** Throws with a message for operators. */
export function readMapper(text: string): Mapper {
  const { data, error } = file.safeParse(parse(text) ?? {});
  if (error !== undefined)
    throw new Error(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const rows = data.mappings.map(({ match, match_type: type, match_metric_type: kind, name, labels, action }, at) => {
    if (action !== 'drop' && name === '') throw new Error(`mappings.${at}: ${match} has no name`);
    const isRegex = type === 'regex';
    const parts = match.split('*').map((part) => RE2JS.quote(part));
    try {
      return {
        isRegex,
        pattern: RE2JS.compile(isRegex ? match : `^${parts.join('([^.]*)')}$`),
        kind: KINDS.get(kind),
        name,
        labels,
        isDropped: action === 'drop',
      };
    } catch (problem) {
      throw new Error(`mappings.${at}: ${match}: ${messageOf(problem)}`, { cause: problem });
    }
  });
  const inOrder = [...rows.filter(({ isRegex }) => !isRegex), ...rows.filter(({ isRegex }) => isRegex)];
  return (path, kind) => {
    for (const row of inOrder) {
      if (row.kind !== undefined && row.kind !== kind) continue;
      const matcher = row.pattern.matcher(path);
      if (!matcher.find()) continue;
      if (row.isDropped) return 'dropped';
      const filled = (template: string): string =>
        template.replaceAll(/\$\{?(\d+)\}?/g, (_, group: string) =>
          Number(group) <= matcher.groupCount() ? (matcher.group(Number(group)) ?? '') : '',
        );
      return {
        family: plainName(filled(row.name)),
        labels: Object.fromEntries(Object.entries(row.labels).map(([name, value]) => [name, filled(value)])),
      };
    }
    return undefined;
  };
}

/** A path as a metric name, escaped as statsd_exporter does. */
export const plainName = (path: string): string => path.replaceAll(/[^a-zA-Z0-9_:]/g, '_').replace(/^\d/, '_$&');

const COUNTERS = ['near_limit', 'over_limit', 'total_hits', 'within_limit', 'shadow_mode'];
/**
 * The reference's mapping (src/stats/prom/default_mapper.yaml): domain, first and second key are labels; deeper keys are summed. Its
 * pattern for two keys has no `$`, so it adds over_limit_with_local_cache to over_limit; this one has.
 */
export const DEFAULT_MAPPER: Mapper = readMapper(
  [
    'mappings:',
    ...COUNTERS.map(
      (name) =>
        `- { match: "ratelimit.service.rate_limit.*.*.${name}", name: ratelimit_service_rate_limit_${name}, labels: { domain: "$1", key1: "$2" } }`,
    ),
    ...COUNTERS.map(
      (name) =>
        `- { match: '^ratelimit\\.service\\.rate_limit\\.([^.]*)\\.([^.]*)\\.([^.]*)(\\..*)?\\.${name}$', match_type: regex, name: ratelimit_service_rate_limit_${name}, labels: { domain: "$1", key1: "$2", key2: "$3" } }`,
    ),
    '- { match: "ratelimit.service.call.should_rate_limit.*", name: ratelimit_service_should_rate_limit_error, match_metric_type: counter, labels: { err_type: "$1" } }',
    '- { match: "ratelimit_server.*.total_requests", name: ratelimit_service_total_requests, match_metric_type: counter, labels: { grpc_method: "$1" } }',
    '- { match: "ratelimit_server.*.response_time", name: ratelimit_service_response_time_seconds, labels: { grpc_method: "$1" } }',
  ].join('\n'),
);
