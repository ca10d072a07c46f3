import { EscapedErrors } from '../adapters/escaped-errors.ts';
import type { Log } from '../adapters/contract.ts';
import type { MetricFamily } from '../core/metrics/families.ts';

/**
 * From now on an error that nobody catches is logged and counted, and this thread goes on: one plugin's forgotten `await` must not
 * end the answers of all others. Called by commands that serve, once, before a plugin is loaded.
 */
export function containErrors(log: Log): EscapedErrors {
  const escaped = new EscapedErrors(log);
  // Rejections come here as well, since no listener of `unhandledRejection` takes them.
  process.on('uncaughtException', (error, origin) =>
    escaped.take(error, origin === 'unhandledRejection' ? 'rejection' : 'throw'),
  );
  return escaped;
}

/** The same number on the pages of `sluice ratelimit`; the supervisor's own errors have another name, since gauges of workers are summed. */
export const ESCAPED_GAUGE = 'ratelimit.service.escaped_errors';
export const SUPERVISOR_ESCAPED_GAUGE = 'ratelimit.supervisor.escaped_errors';

export const escapedFamily = (escaped: EscapedErrors): MetricFamily => ({
  kind: 'counter',
  name: 'sluice_escaped_errors_total',
  help: 'Errors that nobody caught: of a plugin, of Sluice itself, or unattributed.',
  read: () => escaped.counts().map(({ origin, plugin, count }) => ({ labels: { origin, plugin }, value: count })),
});
