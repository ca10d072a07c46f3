/** Boards of what is decided: calls, rules, limits. */
import { type Board, OF, latency, rate } from './board.ts';

export const OVERVIEW: Board = {
  title: 'Sluice: overview',
  rows: [
    {
      title: 'Calls',
      panels: [
        { title: 'Calls by kind', unit: 'reqps', queries: [[rate('sluice_calls_total', 'call'), '{{call}}']] },
        {
          title: 'Calls by outcome',
          unit: 'reqps',
          queries: [[rate('sluice_calls_total', 'outcome'), '{{outcome}}']],
        },
        {
          title: 'Share of errors',
          description: "Envoy's failure mode decides these calls.",
          unit: 'percentunit',
          queries: [
            [
              `${rate('sluice_calls_total', 'call', ', outcome="error"')} / ${rate('sluice_calls_total', 'call')}`,
              '{{call}}',
            ],
          ],
        },
        {
          title: 'Duration of calls',
          description: 'From the arrival of a call to its verdict.',
          unit: 's',
          queries: [0.5, 0.9, 0.99].map(
            (quantile) => [latency(quantile, 'call'), `{{call}} ${quantile * 100} %`] as const,
          ),
        },
        {
          title: 'Durations',
          unit: 's',
          kind: 'heatmap',
          queries: [[`sum by (le) (increase(sluice_call_duration_seconds_bucket{${OF}}[$__rate_interval]))`, '{{le}}']],
        },
        {
          title: 'Calls without a policy',
          unit: 'reqps',
          queries: [[rate('sluice_calls_without_policy_total', 'call'), '{{call}}']],
        },
      ],
    },
    {
      title: 'Policy',
      panels: [
        { title: 'Servers', kind: 'stat', queries: [[`sum(up{${OF}})`, 'up']] },
        {
          title: 'Rules in force',
          kind: 'stat',
          queries: [[`max by (instance) (sluice_policy_rules{${OF}})`, '{{instance}}']],
        },
        {
          title: 'Refused policies',
          description: 'Servers that refuse the policy they read last.',
          kind: 'stat',
          queries: [[`count(sluice_policy_last_load_successful{${OF}} == 0) or vector(0)`, 'refused']],
        },
        {
          title: 'Age of the policy',
          unit: 's',
          kind: 'stat',
          queries: [[`time() - max by (instance) (sluice_policy_loaded_timestamp_seconds{${OF}})`, '{{instance}}']],
        },
        {
          title: 'Revisions',
          kind: 'table',
          queries: [[`count by (revision) (sluice_policy_info{${OF}})`, '{{revision}}']],
        },
        {
          title: 'Loads',
          queries: [[`sum by (result) (increase(sluice_policy_reloads_total{${OF}}[$__rate_interval]))`, '{{result}}']],
        },
      ],
    },
  ],
};

export const RULES: Board = {
  title: 'Sluice: rules',
  rows: [
    {
      title: 'Rules',
      panels: [
        {
          title: 'Matches',
          unit: 'reqps',
          queries: [[`topk(20, ${rate('sluice_rule_matched_total', 'rule')})`, '{{rule}}']],
        },
        {
          title: 'Denials',
          unit: 'reqps',
          queries: [[`topk(20, ${rate('sluice_rule_denied_total', 'rule')})`, '{{rule}}']],
        },
        {
          title: 'Shadow rules would refuse',
          unit: 'reqps',
          queries: [[`topk(20, ${rate('sluice_rule_shadow_total', 'rule')})`, '{{rule}}']],
        },
        {
          title: 'Never matched',
          description: 'Rules without a match since their server started.',
          kind: 'table',
          queries: [[`sum by (rule) (sluice_rule_matched_total{${OF}}) == 0`, '{{rule}}']],
        },
      ],
    },
    {
      title: 'Failures',
      panels: [
        { title: 'Failures', unit: 'reqps', queries: [[rate('sluice_rule_failed_total', 'rule'), '{{rule}}']] },
        {
          title: 'Calls answered with an error',
          unit: 'reqps',
          queries: [[rate('sluice_rule_errors_total', 'rule'), '{{rule}}']],
        },
        {
          title: 'Failed texts and fields',
          unit: 'reqps',
          queries: [[rate('sluice_rule_text_failures_total', 'rule'), '{{rule}}']],
        },
        {
          title: 'Failures of by',
          unit: 'reqps',
          queries: [[rate('sluice_rule_by_failures_total', 'rule'), '{{rule}}']],
        },
        {
          title: 'Dropped reports',
          unit: 'reqps',
          queries: [[rate('sluice_rule_dropped_reports_total', 'rule'), '{{rule}}']],
        },
      ],
    },
  ],
};

export const LIMITS: Board = {
  title: 'Sluice: limits',
  rows: [
    {
      title: 'Limits',
      panels: [
        {
          title: 'Rate limit calls by outcome',
          unit: 'reqps',
          queries: [[rate('sluice_calls_total', 'outcome', ', call="limit"'), '{{outcome}}']],
        },
        {
          title: 'Refused by rule',
          unit: 'reqps',
          queries: [[rate('sluice_rule_denied_total', 'rule'), '{{rule}}']],
        },
        {
          title: 'Share of refusals',
          unit: 'percentunit',
          queries: [
            [`${rate('sluice_rule_denied_total', 'rule')} / ${rate('sluice_rule_matched_total', 'rule')}`, '{{rule}}'],
          ],
        },
        {
          title: 'Duration of rate limit calls',
          unit: 's',
          queries: [0.5, 0.99].map(
            (quantile) =>
              [
                `histogram_quantile(${quantile}, sum by (le) (rate(sluice_call_duration_seconds_bucket{${OF}, call="limit"}[$__rate_interval])))`,
                `${quantile * 100} %`,
              ] as const,
          ),
        },
        {
          title: 'Counted locally',
          description: 'Calls counted by each replica while the handler of the rule was unavailable.',
          unit: 'reqps',
          queries: [[rate('sluice_rule_local_total', 'rule'), '{{rule}}']],
        },
        {
          title: 'Counters evicted from memory',
          unit: 'reqps',
          queries: [[rate('sluice_plugin_quota_memory_evicted_total', 'handler'), '{{handler}}']],
        },
      ],
    },
  ],
};
