/** `metadata`: dynamic metadata of Envoy's filters; and `verdict.*`: the check's verdict, read back from it. */
import { limitFact, verdictFact, verdictLatency } from '../derive.ts';
import { DURATION, DYN, mapOf, STRING } from '../types.ts';
import { onChecks, onLogs, row } from './row.ts';

const SAID = onLogs(
  'common_properties.metadata, namespace envoy.filters.http.ext_authz or envoy.filters.network.ext_authz',
);

export const METADATA = [
  row(
    'metadata',
    mapOf(STRING, DYN),
    'Dynamic metadata by namespace of the filter; for a check, the namespaces that the filter is configured to send.',
    { ...onChecks('metadata_context.filter_metadata'), ...onLogs('common_properties.metadata.filter_metadata') },
    { always: true },
  ),
];

const LIMIT_SAID = { log: 'common_properties.metadata, namespace envoy.filters.http.ratelimit' };

export const VERDICT = [
  row('verdict.id', STRING, "The id of the check's verdict.", SAID, { derive: verdictFact('id') }),
  row('verdict.rule', STRING, 'The rule that decided the check; absent if no rule denied.', SAID, {
    derive: verdictFact('rule'),
  }),
  row(
    'verdict.outcome',
    STRING,
    'allow, deny or failed; absent from an entry whose request no check decided: it was not asked for, or Sluice was away.',
    SAID,
    { derive: verdictFact('outcome') },
  ),
  row('verdict.limit_id', STRING, 'The id of the verdict of the rate limit call.', LIMIT_SAID, {
    derive: limitFact('id'),
  }),
  row(
    'verdict.limit_rule',
    STRING,
    'The rule that decided the rate limit call; absent if no limit was over.',
    LIMIT_SAID,
    {
      derive: limitFact('rule'),
    },
  ),
  row('verdict.limit_outcome', STRING, 'allow, deny or failed, of the rate limit call.', LIMIT_SAID, {
    derive: limitFact('outcome'),
  }),
  row('verdict.latency', DURATION, 'The time that Envoy waited for the check; present for allowed requests.', SAID, {
    derive: verdictLatency,
  }),
];
