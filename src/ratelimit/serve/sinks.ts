/**
 * Exports metrics to statsd or DogStatsD, or as a page for Prometheus.
 * **In**: settings, metrics. **Out**: the port of the page, if any. **Fails**: with a SettingError, or if it cannot listen.
 */
import { readFile } from 'node:fs/promises';
import type { RatelimitEngine } from './engine.ts';
import { type Mapper, readMapper } from '../metrics/metric-mapper.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import type { Mogrifier } from '../metrics/mogrifiers.ts';
import { listenHttp, answerNotFound } from './pages.ts';
import { PrometheusPage } from '../metrics/prometheus-page.ts';
import { namedValues, SettingError } from '../settings/setting.ts';
import type { Settings } from '../settings/settings.ts';
import { StatsdClient } from '../metrics/statsd.ts';
import { messageOf } from '../../text/message-of.ts';

export interface SinksOptions {
  readonly settings: Settings;
  /** Rewrites names for DogStatsD. */
  readonly mogrifier: Mogrifier | undefined;
  readonly engine: RatelimitEngine;
  readonly metrics: RatelimitMetrics;
}

export async function openSinks(
  { settings, mogrifier, engine, metrics }: SinksOptions,
  stack: AsyncDisposableStack,
): Promise<number | undefined> {
  if (settings.DISABLE_STATS) return undefined;
  const statsd = (kind: 'statsd' | 'dogstatsd'): void => {
    const sink = new StatsdClient(metrics, {
      host: settings.STATSD_HOST,
      port: settings.STATSD_PORT,
      kind,
      everyMs: settings.STATS_FLUSH_INTERVAL,
      tags: namedValues(settings.EXTRA_TAGS, ':'),
      mogrifier,
    });
    stack.defer(() => sink.close());
  };
  if (settings.USE_DOG_STATSD) statsd('dogstatsd');
  else if (settings.USE_STATSD && !settings.USE_PROMETHEUS) statsd('statsd');
  if (!settings.USE_PROMETHEUS) return undefined;
  const mapper = settings.PROMETHEUS_MAPPER_YAML === '' ? undefined : await mapperOf(settings.PROMETHEUS_MAPPER_YAML);
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(settings.PROMETHEUS_ADDR) ?? [];
  if (host === undefined || port === undefined)
    throw new SettingError(`PROMETHEUS_ADDR is "${settings.PROMETHEUS_ADDR}"; expected HOST:PORT or :PORT`);
  const page = new PrometheusPage(metrics, mapper);
  return listenHttp(host === '' ? '0.0.0.0' : host, Number(port), stack, (app) => {
    answerNotFound(app);
    app.get(settings.PROMETHEUS_PATH, async (_request, reply) => {
      await engine.flushMetrics();
      return reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await page.text());
    });
  });
}

async function mapperOf(path: string): Promise<Mapper> {
  try {
    return readMapper(await readFile(path, 'utf8'));
  } catch (error) {
    throw new SettingError(`PROMETHEUS_MAPPER_YAML: ${path}: ${messageOf(error)}`, { cause: error });
  }
}
