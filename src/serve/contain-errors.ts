import { EscapedErrors } from '../adapters/escaped-errors.ts';
import type { Log } from '../adapters/contract.ts';
import { watchOpened } from '../adapters/opened-by.ts';
import { guardProcess } from '../adapters/process-guards.ts';
import type { MetricFamily } from '../core/metrics/families.ts';
import { counter } from '../core/metrics/family.ts';

/**
 * From now on an uncaught error is logged and counted, and this thread continues: a forgotten `await` in one plugin must not stop
 * all calls. Called once by each thread that serves, before a plugin is loaded.
 */
export function containErrors(log: Log): EscapedErrors {
  const escaped = new EscapedErrors(log);
  process.on('uncaughtException', (error) => escaped.take(error, 'throw'));
  // Without it, a listener that a plugin adds would be the only one to know.
  process.on('unhandledRejection', (error) => escaped.take(error, 'rejection'));
  guardProcess(log);
  watchOpened();
  return escaped;
}

/** Their count on the pages of `sluice ratelimit`. The supervisor's has another name, since gauges of workers are summed. */
export const ESCAPED_GAUGE = 'ratelimit.service.escaped_errors';
export const SUPERVISOR_ESCAPED_GAUGE = 'ratelimit.supervisor.escaped_errors';

export const escapedFamily = (escaped: EscapedErrors): MetricFamily =>
  counter('sluice_escaped_errors_total', 'Uncaught errors: of a plugin, of Sluice itself, or unattributed.', () =>
    escaped.counts().map(({ origin, plugin, count }) => ({ labels: { origin, plugin }, value: count })),
  );
