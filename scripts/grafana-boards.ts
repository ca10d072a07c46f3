/** The boards of deploy/grafana, made by `npm run generate`: rows of panels, each with its queries. */

interface Panel {
  readonly title: string;
  readonly description?: string;
  /** `[query, legend]`. */
  readonly queries: readonly (readonly [query: string, legend: string])[];
  /** Of Grafana: `reqps`, `s`, `percentunit`; default a plain number. */
  readonly unit?: string;
  readonly kind?: 'timeseries' | 'stat' | 'heatmap' | 'table';
}
interface Board {
  readonly title: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

/** The servers that the viewer has chosen. */
const OF = 'job=~"$job", instance=~"$instance"';
const rate = (metric: string, labels: string, more = ''): string =>
  `sum by (${labels}) (rate(${metric}{${OF}${more}}[$__rate_interval]))`;
const latency = (quantile: number, labels: string): string =>
  `histogram_quantile(${quantile}, sum by (${labels}, le) (rate(sluice_call_duration_seconds_bucket{${OF}}[$__rate_interval])))`;

const BOARDS: Readonly<Record<string, Board>> = {
  overview: {
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
            queries: [
              [`sum by (le) (increase(sluice_call_duration_seconds_bucket{${OF}}[$__rate_interval]))`, '{{le}}'],
            ],
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
            queries: [
              [`sum by (result) (increase(sluice_policy_reloads_total{${OF}}[$__rate_interval]))`, '{{result}}'],
            ],
          },
        ],
      },
    ],
  },
  rules: {
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
  },
  limits: {
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
              [
                `${rate('sluice_rule_denied_total', 'rule')} / ${rate('sluice_rule_matched_total', 'rule')}`,
                '{{rule}}',
              ],
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
  },
  handlers: {
    title: 'Sluice: handlers and spools',
    rows: [
      {
        title: 'Handlers',
        panels: [
          {
            title: 'Ready',
            kind: 'table',
            queries: [[`min by (handler) (sluice_handler_ready{${OF}})`, '{{handler}}']],
          },
          {
            title: 'Open breakers',
            queries: [[`max by (handler) (sluice_handler_breaker_open{${OF}})`, '{{handler}}']],
          },
          { title: 'Calls', unit: 'reqps', queries: [[rate('sluice_handler_calls_total', 'handler'), '{{handler}}']] },
          {
            title: 'Failures by kind',
            unit: 'reqps',
            queries: [[rate('sluice_handler_failures_total', 'handler, kind'), '{{handler}} {{kind}}']],
          },
          {
            title: 'Calls in flight and waiting',
            queries: [
              [`sum by (handler) (sluice_handler_running{${OF}})`, '{{handler}} in flight'],
              [`sum by (handler) (sluice_handler_waiting{${OF}})`, '{{handler}} waiting'],
            ],
          },
          {
            title: 'Answers after their call was abandoned',
            unit: 'reqps',
            queries: [[rate('sluice_handler_abandoned_total', 'handler'), '{{handler}}']],
          },
          {
            title: 'Restarts',
            queries: [
              [`sum by (handler) (increase(sluice_handler_restarts_total{${OF}}[$__rate_interval]))`, '{{handler}}'],
            ],
          },
        ],
      },
      {
        title: 'Caches',
        panels: [
          {
            title: 'Share of hits',
            unit: 'percentunit',
            queries: [
              [
                `${rate('sluice_handler_cache_hits_total', 'handler')} / (${rate('sluice_handler_cache_hits_total', 'handler')} + ${rate('sluice_handler_cache_misses_total', 'handler')})`,
                '{{handler}}',
              ],
            ],
          },
          {
            title: 'Shared answers',
            unit: 'reqps',
            queries: [[rate('sluice_handler_cache_shared_total', 'handler'), '{{handler}}']],
          },
          {
            title: 'Size',
            unit: 'bytes',
            queries: [[`sum by (handler) (sluice_handler_cache_bytes{${OF}})`, '{{handler}}']],
          },
          {
            title: 'Evictions',
            unit: 'reqps',
            queries: [[rate('sluice_handler_cache_evictions_total', 'handler'), '{{handler}}']],
          },
        ],
      },
      {
        title: 'Reports',
        panels: [
          {
            title: 'Written',
            unit: 'reqps',
            queries: [[rate('sluice_handler_reports_written_total', 'handler'), '{{handler}}']],
          },
          { title: 'Waiting', queries: [[`sum by (handler) (sluice_handler_queued_reports{${OF}})`, '{{handler}}']] },
          {
            title: 'Bytes that wait',
            unit: 'bytes',
            queries: [[`sum by (handler) (sluice_handler_queued_bytes{${OF}})`, '{{handler}}']],
          },
          {
            title: 'Age of the oldest',
            unit: 's',
            queries: [[`max by (handler) (sluice_handler_oldest_report_seconds{${OF}})`, '{{handler}}']],
          },
          {
            title: 'Streams not read',
            description: 'Seconds a second in which the queue is full.',
            queries: [[rate('sluice_handler_stopped_seconds_total', 'handler'), '{{handler}}']],
          },
          {
            title: 'Retried, refused and lost',
            unit: 'reqps',
            queries: [
              [rate('sluice_handler_reports_retried_total', 'handler'), '{{handler}} batches retried'],
              [rate('sluice_handler_reports_dead_total', 'handler'), '{{handler}} refused'],
              [rate('sluice_handler_reports_lost_total', 'handler'), '{{handler}} lost'],
            ],
          },
        ],
      },
      {
        title: 'Spools',
        panels: [
          { title: 'Segments', queries: [[`sum by (handler) (sluice_spool_segments{${OF}})`, '{{handler}}']] },
          {
            title: 'Time of an fdatasync',
            unit: 's',
            queries: [
              [
                `${rate('sluice_spool_sync_seconds_total', 'handler')} / ${rate('sluice_spool_syncs_total', 'handler')}`,
                '{{handler}}',
              ],
            ],
          },
          {
            title: 'Dropped and damaged',
            unit: 'reqps',
            queries: [
              [rate('sluice_spool_dropped_by_age_total', 'handler'), '{{handler}} too old'],
              [rate('sluice_spool_dropped_when_full_total', 'handler'), '{{handler}} full'],
              [rate('sluice_spool_damaged_total', 'handler'), '{{handler}} damaged'],
              [rate('sluice_spool_cut_tails_total', 'handler'), '{{handler}} cut tails'],
            ],
          },
          {
            title: 'Errors of the disk',
            unit: 'reqps',
            queries: [[rate('sluice_spool_disk_errors_total', 'handler'), '{{handler}}']],
          },
        ],
      },
    ],
  },
  process: {
    title: 'Sluice: transport and process',
    rows: [
      {
        title: 'Transport',
        panels: [
          {
            title: 'Refused connections',
            unit: 'reqps',
            queries: [[rate('sluice_refused_connections_total', 'kind'), '{{kind}}']],
          },
          {
            title: 'Malformed log entries',
            unit: 'reqps',
            queries: [[rate('sluice_log_entries_refused_total', 'instance'), '{{instance}}']],
          },
          {
            title: 'X-Forwarded-For too short, or no address',
            unit: 'reqps',
            queries: [
              [rate('sluice_forwarded_for_short_total', 'instance'), '{{instance}} too short'],
              [rate('sluice_forwarded_for_unreadable_total', 'instance'), '{{instance}} no address'],
            ],
          },
          {
            title: 'Verdicts not kept for operators',
            unit: 'reqps',
            queries: [[rate('sluice_verdicts_skipped_total', 'instance'), '{{instance}}']],
          },
        ],
      },
      {
        title: 'Process',
        panels: [
          {
            title: 'CPU',
            unit: 'percentunit',
            queries: [[rate('process_cpu_seconds_total', 'instance'), '{{instance}}']],
          },
          {
            title: 'Memory',
            unit: 'bytes',
            queries: [[`sum by (instance) (process_resident_memory_bytes{${OF}})`, '{{instance}}']],
          },
          {
            title: 'Heap',
            unit: 'bytes',
            queries: [[`sum by (instance) (nodejs_heap_size_used_bytes{${OF}})`, '{{instance}}']],
          },
          {
            title: 'Lag of the event loop',
            unit: 's',
            queries: [[`max by (instance) (nodejs_eventloop_lag_p99_seconds{${OF}})`, '{{instance}}']],
          },
          {
            title: 'Garbage collection',
            unit: 'percentunit',
            queries: [[rate('nodejs_gc_duration_seconds_sum', 'instance, kind'), '{{instance}} {{kind}}']],
          },
          { title: 'Open files', queries: [[`sum by (instance) (process_open_fds{${OF}})`, '{{instance}}']] },
          { title: 'Workers', queries: [[`sum by (instance) (sluice_workers{${OF}})`, '{{instance}}']] },
          {
            title: 'Restarts of workers, and errors that nobody caught',
            queries: [
              [
                `sum by (instance) (increase(sluice_worker_restarts_total{${OF}}[$__rate_interval]))`,
                '{{instance}} restarts',
              ],
              [
                `sum by (instance) (increase(sluice_escaped_errors_total{${OF}}[$__rate_interval]))`,
                '{{instance}} errors',
              ],
            ],
          },
        ],
      },
    ],
  },
};

const WIDTH = 8;
const HEIGHT = 8;
const COLUMNS = 3;
const SOURCE = { type: 'prometheus', uid: '${datasource}' };

/** Files of deploy/grafana with their text. */
export const grafanaBoards = (): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(BOARDS).map(([name, board]) => [
      `sluice-${name}.json`,
      `${JSON.stringify(dashboard(name, board), null, 1)}\n`,
    ]),
  );

function dashboard(name: string, { title, rows }: Board): object {
  let id = 0;
  let y = 0;
  const panels = rows.flatMap((row) => {
    const header = {
      id: ++id,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { h: 1, w: 24, x: 0, y: y++ },
      panels: [],
    };
    const own = row.panels.map((panel, at) =>
      panelOf(panel, ++id, {
        h: HEIGHT,
        w: WIDTH,
        x: (at % COLUMNS) * WIDTH,
        y: y + Math.floor(at / COLUMNS) * HEIGHT,
      }),
    );
    y += Math.ceil(row.panels.length / COLUMNS) * HEIGHT;
    return [header, ...own];
  });
  return {
    uid: `sluice-${name}`,
    title,
    tags: ['sluice'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    links: [
      { type: 'dashboards', tags: ['sluice'], title: 'Sluice', asDropdown: true, keepTime: true, includeVars: true },
    ],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        variable('job', 'Job', 'label_values(sluice_policy_rules, job)'),
        variable('instance', 'Instance', 'label_values(sluice_policy_rules{job=~"$job"}, instance)'),
      ],
    },
    panels,
  };
}

const variable = (name: string, label: string, query: string): object => ({
  name,
  label,
  type: 'query',
  datasource: SOURCE,
  query: { query, refId: name },
  definition: query,
  refresh: 2,
  multi: true,
  includeAll: true,
  current: { text: ['All'], value: ['$__all'] },
});

function panelOf(
  { title, description, queries, unit = 'short', kind = 'timeseries' }: Panel,
  id: number,
  gridPos: object,
): object {
  const isInstant = kind === 'table' || kind === 'stat';
  return {
    id,
    type: kind,
    title,
    ...(description === undefined ? {} : { description }),
    datasource: SOURCE,
    gridPos,
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + at),
      datasource: SOURCE,
      expr,
      legendFormat,
      ...(isInstant ? { instant: true } : { range: true }),
      ...(kind === 'table' || kind === 'heatmap' ? { format: kind } : {}),
    })),
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options:
      kind === 'timeseries'
        ? {
            legend: { showLegend: true, displayMode: 'list', placement: 'bottom' },
            tooltip: { mode: 'multi', sort: 'desc' },
          }
        : {},
  };
}
