/** A worker of `sluice ratelimit`. */
import { readConfigs } from '../../ratelimit/config/read.ts';
import { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import { ESCAPED_GAUGE } from '../contain-errors.ts';
import { runWorker, sendEvent } from '../crew/worker-main.ts';
import { closeTracing, logOf, startErrorOf, tracingOf } from './from-settings.ts';
import { openRatelimitThread } from './thread.ts';
import type { RatelimitProtocol } from './worker-protocol.ts';

await runWorker<RatelimitProtocol>(
  ({ settings }, { number }) => logOf(settings).with({ worker: number }),
  async ({ data: { settings, shared }, log, escaped }) => {
    const metrics = new RatelimitMetrics();
    metrics.gauges.set(ESCAPED_GAUGE, () => escaped.total);
    const tracing = await tracingOf(settings, log);
    const options = { settings, metrics, log, tracing, shared };
    const engine = await openRatelimitThread(options).catch((error: unknown) => {
      throw startErrorOf(error);
    });
    const flushMetrics = (): void => {
      const gauges = [...metrics.gauges].map(([name, read]) => [name, read()] as const);
      sendEvent<RatelimitProtocol>({ counts: metrics.take(), gauges });
    };
    return {
      async prepare(files) {
        const { domains } = readConfigs(files, {
          mergeDomains: settings.MERGE_DOMAIN_CONFIG,
          calendarMonths: settings.USE_CALENDAR_MONTH_RATE_LIMIT,
        });
        return { commit: () => engine.use(files, domains), abandon() {} };
      },
      listen: (at) => engine.listen(at),
      answers: {
        ...engine.limits,
        health: () => ({ unhealthyWhy: engine.notAnsweringWhy() }),
        json: ({ body, headers }) => engine.answerJson(body, headers),
        flushMetrics,
      },
      async drain() {
        await engine.drain();
        await engine.close();
        flushMetrics();
        if (!(await closeTracing(tracing, log))) process.exit(); // ends this thread
      },
    };
  },
);
