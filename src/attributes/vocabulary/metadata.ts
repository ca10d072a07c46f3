/** `metadata`: dynamic metadata of Envoy's filters; and `verdict.*`: the check's verdict, read back from it. */
import { limitFact, verdictFact, verdictLatency } from '../derive.ts';
import { DURATION, DYN, INT, listOf, mapOf, STRING, TIMESTAMP } from '../types.ts';
import { type CarriedBy, onChecks, onLogs, row } from './row.ts';

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

const DECIDED: CarriedBy = { decision: 'the verdict' };
const ALSO_DECIDED: CarriedBy = { ...SAID, ...DECIDED };

export const VERDICT = [
  row('verdict.id', STRING, "The id of the check's verdict.", ALSO_DECIDED, { derive: verdictFact('id') }),
  row('verdict.rule', STRING, 'The rule that decided the check; absent if no rule denied.', ALSO_DECIDED, {
    derive: verdictFact('rule'),
  }),
  row(
    'verdict.outcome',
    STRING,
    'allow, deny, failed, or (in a decision) error; absent from an entry whose request no check decided: it was not asked for, or Sluice was away.',
    ALSO_DECIDED,
    { derive: verdictFact('outcome') },
  ),
  row('verdict.call', STRING, 'The kind of call that was decided: http, tcp, authzen or limit.', DECIDED, {
    always: true,
  }),
  row('verdict.time', TIMESTAMP, 'When it was decided.', DECIDED, { always: true }),
  row('verdict.revision', STRING, 'The revision of the policy that decided.', DECIDED, { always: true }),
  row('verdict.at', STRING, 'Where the rule that decided stands: file and line.', DECIDED),
  row('verdict.status', INT, 'The HTTP status of the answer; 200 for allow.', DECIDED, { always: true }),
  row(
    'verdict.reasons',
    listOf(STRING),
    'Why rules refused or failed, each with its rule: `a-rule: a sentence`. Secrets of the request are hidden.',
    DECIDED,
    { always: true },
  ),
  row('verdict.shadow', listOf(STRING), 'Rules in shadow mode that would have refused.', DECIDED, { always: true }),
  row(
    'verdict.attributes',
    mapOf(STRING, DYN),
    'The attributes that were looked at, by name: null if absent, `(secret)` or `(masked)` if hidden.',
    DECIDED,
    { always: true },
  ),
  row(
    'verdict.record',
    mapOf(STRING, DYN),
    'All of the decision in one map, with the fields of an entry of /verdicts (docs/verdicts.md). `sluice why --log` reads it.',
    DECIDED,
    { always: true },
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
