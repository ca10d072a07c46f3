/** One engine's data for the admin port. */
import { metricsPage } from '../../admin/metrics.ts';
import { ruleCounts } from '../../core/metrics/rule-counts.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { AskedCall } from '../../admin/sources.ts';
import { AttributeError } from '../../attributes/errors.ts';
import type { Wire } from '../../attributes/bag.ts';
import type { ReportQueueState } from '../../core/handlers/report-queue.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';
import type { LettersState } from '../../core/handlers/memory-letters.ts';
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import type { PluginMetrics } from '../../adapters/plugin-metrics.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { whyOf } from '../../explain/why.ts';
import { lineOf } from '../../traffic/write-call.ts';
import { escapedFamily } from '../contain-errors.ts';
import { counter } from '../../core/metrics/family.ts';
import type { Feeds } from './feeds.ts';
import type { TopLimits } from './top-limits.ts';
import type { EngineSources } from './thread.ts';
import { plainRequest } from '../../attributes/plain-request.ts';
import type { RunningEngine } from '../../core/running-engine.ts';

export interface EngineSourcesOptions {
  readonly engine: Pick<
    RunningEngine,
    'handlers' | 'letters' | 'verdicts' | 'kept' | 'logEntry' | 'families' | 'quotas' | 'meters'
  >;
  /** The one in force. */
  readonly policy: () => Policy | undefined;
  /** Further families for the metrics page. */
  readonly families: readonly MetricFamily[];
  readonly refusedEntries: { readonly total: number };
  readonly refused: { readonly family: MetricFamily };
  readonly plugins: PluginMetrics;
  readonly escaped: EscapedErrors | undefined;
  readonly feeds: Feeds;
  readonly topLimits: TopLimits;
}

export function engineSources({
  engine,
  policy,
  families,
  refusedEntries,
  refused,
  plugins,
  escaped,
  feeds,
  topLimits,
}: EngineSourcesOptions): EngineSources {
  const all = [
    ...families,
    ...handlerFamilies(() => engine.handlers()),
    counter(
      'sluice_log_entries_refused_total',
      'Access log entries dropped because they cannot be decoded, and messages without entries.',
      () => refusedEntries.total,
    ),
    refused.family,
    ...engine.families,
    ...(escaped === undefined ? [] : [escapedFamily(escaped)]),
  ];
  const page = metricsPage(all, () => plugins.pieces());
  return {
    handlers: () => engine.handlers(),
    letters: (request) => engine.letters(request),
    ruleCounts() {
      const inForce = policy();
      return inForce === undefined ? undefined : ruleCounts(inForce, engine.meters.read());
    },
    verdicts: (filter) => engine.verdicts(filter),
    async why(id) {
      const found = engine.kept(id);
      return found && whyOf(found, (call, wires) => engine.quotas('inspect', call, wires));
    },
    topLimits: (limit) => topLimits.ask(limit),
    holders: (id, leases) => topLimits.holders(id, leases),
    recorded(id) {
      const decided = engine.kept(id)?.decided;
      return decided && lineOf({ ...decided, bags: [decided.bag], tookMs: 0 }, { timeMs: decided.timeMs });
    },
    logEntry: (id) => engine.logEntry(id),
    feed: (request) => feeds.ask(request),
    async limits(depth, asked, leases) {
      const inForce = policy();
      if (inForce === undefined) return undefined;
      const wires = wiresOf(inForce, asked);
      if ('wrong' in wires) return wires;
      const rules = await engine.quotas(depth, asked.call, wires, leases);
      return rules === undefined ? undefined : { rules };
    },
    metrics: () => page.pieces(),
  };
}

function wiresOf(
  { attributes }: Policy,
  { call, requests, carried }: AskedCall,
): readonly Wire[] | { readonly wrong: string } {
  try {
    return requests.map((values) => plainRequest(attributes, values, call, carried));
  } catch (error) {
    if (error instanceof AttributeError) return { wrong: error.message };
    throw error;
  }
}

/** `read`: `undefined` where the state has no such value. */
type StateRow<S> = readonly [
  kind: MetricFamily['kind'],
  name: string,
  help: string,
  read: (state: S) => number | undefined,
];
const HANDLERS: readonly StateRow<HandlerState>[] = [
  ['gauge', 'sluice_handler_ready', "1 if the handler's backend is available.", ({ ready }) => Number(ready)],
  [
    'gauge',
    'sluice_handler_breaker_open',
    '1 from when the breaker opens until a probe is answered: the handler failed too often and is hardly called.',
    ({ breaker }) => Number(breaker !== 'closed'), // between probes of a quiet server it is half-open for most of the time
  ],
  [
    'counter',
    'sluice_handler_restarts_total',
    'Restarts of a handler that runs elsewhere: in a worker, or behind a connection.',
    ({ runs, restarts }) => (runs === 'inline' ? undefined : restarts),
  ],
  ['gauge', 'sluice_handler_running', 'Calls to the handler in flight.', ({ running }) => running],
  ['gauge', 'sluice_handler_waiting', 'Calls to the handler in the queue.', ({ waiting }) => waiting],
  ['gauge', 'sluice_handler_queued_reports', 'Reports in the queue of the handler.', ({ queued }) => queued],
];
/** Of handlers that serve report; `sluice_spool_*` of those that spool on disk. */
const QUEUES: readonly StateRow<ReportQueueState>[] = [
  [
    'gauge',
    'sluice_handler_oldest_report_seconds',
    'Age of the oldest report in the queue of the handler; 0 if none waits.',
    ({ oldestMs }) => (oldestMs === undefined ? 0 : Math.max(0, (Date.now() - oldestMs) / 1000)),
  ],
  [
    'counter',
    'sluice_handler_stopped_seconds_total',
    'Time for which access log streams were not read because the queue of the handler was full.',
    ({ stoppedMs }) => stoppedMs / 1000,
  ],
  [
    'gauge',
    'sluice_handler_queued_bytes',
    'Size of the queue of the handler, in memory or on disk.',
    ({ bytes }) => bytes,
  ],
  ['gauge', 'sluice_spool_segments', 'Files of the log of the handler.', ({ disk }) => disk?.segments],
  [
    'counter',
    'sluice_spool_cut_tails_total',
    'Unfinished writes at the end of a segment, which a crash or a power cut left.',
    ({ disk }) => disk?.cutTails,
  ],
  [
    'counter',
    'sluice_spool_damaged_total',
    'Damaged places inside of a segment that were stepped over.',
    ({ disk }) => disk?.damaged,
  ],
  [
    'counter',
    'sluice_spool_dropped_by_age_total',
    'Reports dropped because they were older than maxAge.',
    ({ disk }) => disk?.droppedByAge,
  ],
  [
    'counter',
    'sluice_spool_dropped_when_full_total',
    'Reports dropped by whenFull: drop-oldest.',
    ({ disk }) => disk?.droppedWhenFull,
  ],
  [
    'counter',
    'sluice_spool_disk_errors_total',
    'Writes and syncs that the disk failed.',
    ({ disk }) => disk?.diskErrors,
  ],
  ['counter', 'sluice_spool_syncs_total', 'Calls of fdatasync.', ({ disk }) => disk?.syncs],
  [
    'counter',
    'sluice_spool_sync_seconds_total',
    'Time spent in fdatasync.',
    ({ disk }) => (disk === undefined ? undefined : disk.syncMs / 1000),
  ],
];

const handlerFamilies = (handlers: () => readonly HandlerState[]): MetricFamily[] => [
  ...familiesOf(HANDLERS, handlers, (handler) => handler),
  ...familiesOf(QUEUES, handlers, ({ reports }) => reports),
  ...familiesOf(LETTERS, handlers, ({ deadLetters }) => deadLetters),
];

/** One series for each handler that has the state. */
const familiesOf = <S>(
  rows: readonly StateRow<S>[],
  handlers: () => readonly HandlerState[],
  stateOf: (handler: HandlerState) => S | undefined,
): MetricFamily[] =>
  rows.map(([kind, name, help, read]) => ({
    kind,
    name,
    help,
    read: () =>
      handlers().flatMap((handler) => {
        const state = stateOf(handler);
        const value = state === undefined ? undefined : read(state);
        return value === undefined ? [] : [{ labels: { handler: handler.name }, value }];
      }),
  }));

/** Of handlers whose reports wait in memory. */
const LETTERS: readonly StateRow<LettersState>[] = [
  [
    'gauge',
    'sluice_handler_dead_letters',
    'Reports that the backend refused and that are kept in memory, to be shown, sent again or dropped.',
    ({ kept }) => kept,
  ],
  [
    'counter',
    'sluice_handler_dead_letters_dropped_total',
    'Reports that the backend refused and that are not kept any more: the oldest make room for later ones.',
    ({ dropped }) => dropped,
  ],
];
