/** Boards of what decides: handlers and spools, transport and process. */
import { type Board, OF, rate } from './board.ts';

const handlerTime = (quantile: number): string =>
  `histogram_quantile(${quantile}, sum by (handler, le) (rate(sluice_handler_duration_seconds_bucket{${OF}}[$__rate_interval])))`;

export const HANDLERS: Board = {
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
          title: 'Time of calls that are not answered at once',
          unit: 's',
          queries: [0.5, 0.99].map((quantile) => [handlerTime(quantile), `{{handler}} ${quantile * 100} %`] as const),
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
};

export const PROCESS: Board = {
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
          title: 'Old generation of the heap',
          unit: 'bytes',
          queries: [[`sum by (instance) (nodejs_heap_space_size_used_bytes{${OF}, space="old"})`, '{{instance}}']],
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
};
