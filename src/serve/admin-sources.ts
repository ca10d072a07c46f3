/** What the admin port shows of a running server. */
import { metricsPage } from '../admin/metrics.ts';
import type { MetricFamily, MetricSample } from '../core/metrics/families.ts';
import type { AdminSources, AskedCall } from '../admin/sources.ts';
import { AttributeError } from '../attributes/errors.ts';
import type { Wire } from '../attributes/bag.ts';
import type { RunningEngine } from '../core/engine.ts';
import type { EscapedErrors } from '../adapters/escaped-errors.ts';
import type { PluginMetrics } from '../adapters/plugin-metrics.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Loads } from './loads.ts';
import { escapedFamily } from './contain-errors.ts';
import { plainRequest } from '../attributes/plain-request.ts';
import type { HandlerState } from '../core/handlers/live-handler.ts';

/** What is asked of an engine that runs. */
export type EngineView = Pick<RunningEngine, 'handlers' | 'verdicts' | 'families' | 'quotas'>;

export function adminSources({
  engine,
  loads,
  refusedEntries,
  strangers,
  plugins,
  escaped,
  isDraining,
}: {
  readonly engine: EngineView;
  readonly loads: Loads;
  readonly refusedEntries: { readonly total: number };
  readonly strangers: { readonly family: MetricFamily };
  readonly plugins: PluginMetrics;
  readonly escaped?: EscapedErrors | undefined;
  readonly isDraining: () => boolean;
}): AdminSources {
  const families = [
    ...policyFamilies(loads),
    ...handlerFamilies(() => engine.handlers()),
    refusedFamily(refusedEntries),
    strangers.family,
    ...engine.families,
    ...(escaped === undefined ? [] : [escapedFamily(escaped)]),
  ];
  const page = metricsPage(families, () => plugins.render());
  return {
    policy: () => loads.policy,
    loading: () => loads,
    isDraining,
    handlers: () => engine.handlers(),
    verdicts: (filter) => engine.verdicts(filter),
    limits: async (depth, asked) => {
      const { policy } = loads;
      if (policy === undefined) return undefined;
      const wires = wiresOf(policy, asked);
      if ('wrong' in wires) return wires;
      const rules = await engine.quotas(depth, asked.call, wires);
      return rules === undefined ? undefined : { rules };
    },
    metrics: () => page.render(),
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

export function policyFamilies(loads: Loads): MetricFamily[] {
  const one = (value: number): MetricSample[] => [{ labels: {}, value }];
  return [
    {
      kind: 'counter',
      name: 'sluice_policy_reloads_total',
      help: 'Policies loaded since the start, and those refused because they had errors.',
      read: () => [
        { labels: { result: 'loaded' }, value: loads.loadedCount },
        { labels: { result: 'refused' }, value: loads.refusedCount },
      ],
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_info',
      help: 'The policy in force; always 1.',
      read: () => (loads.policy === undefined ? [] : [{ labels: { revision: loads.policy.revision }, value: 1 }]),
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_loaded_timestamp_seconds',
      help: 'When the policy in force was loaded, in seconds since 1970.',
      read: () => one(loads.atMs / 1000),
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_last_load_successful',
      help: 'Whether the policy that was read last is in force: 1, or 0 where it had errors and the one before it still is (/policy says which).',
      read: () => one(Number(loads.refusal === undefined)),
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_rules',
      help: 'Rules in force.',
      read: () => one(loads.policy?.rules.length ?? 0),
    },
  ];
}

const refusedFamily = (refused: { readonly total: number }): MetricFamily => ({
  kind: 'counter',
  name: 'sluice_log_entries_refused_total',
  help: 'Access log entries dropped because they could not be read, and messages that were none.',
  read: () => [{ labels: {}, value: refused.total }],
});

function handlerFamilies(handlers: () => readonly HandlerState[]): MetricFamily[] {
  const gauge = (name: string, help: string, value: (state: HandlerState) => number): MetricFamily => ({
    kind: 'gauge',
    name,
    help,
    read: () => handlers().map((state) => ({ labels: { handler: state.name }, value: value(state) })),
  });
  return [
    gauge('sluice_handler_ready', "Whether the handler's backend can be asked now: 1 or 0.", ({ ready }) =>
      Number(ready),
    ),
    gauge(
      'sluice_handler_breaker_open',
      'Whether the handler is not asked for a while because it failed too often: 1 or 0.',
      ({ breaker }) => Number(breaker === 'open'),
    ),
    gauge('sluice_handler_running', 'Calls to the handler that run now.', ({ running }) => running),
    gauge('sluice_handler_waiting', 'Calls to the handler that wait for their turn.', ({ waiting }) => waiting),
    gauge('sluice_handler_queued_reports', 'Reports that wait to be written by the handler.', ({ queued }) => queued),
  ];
}
