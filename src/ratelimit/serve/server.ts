/**
 * A server that behaves as envoyproxy/ratelimit's: its files, its settings, its counts in Redis.
 * **In**: settings, what answers. **Out**: a service that answers, its files watched; pages for people and probes.
 * **Fails**: with one sentence where it cannot listen or a setting is wrong, and with nothing left open. Bad files never end it.
 */
import type { RatelimitEngine } from './engine.ts';
import { type FollowXds, LimitSource, type RatelimitLog } from './limit-source.ts';
import { RatelimitMetrics } from '../metrics/metrics.ts';
import type { Mogrifier } from '../metrics/mogrifiers.ts';
import { addDebug, addService, listenHttp } from './pages.ts';
import type { Settings } from '../settings/settings.ts';
import { openSinks } from './sinks.ts';

export interface RatelimitOptions {
  readonly settings: Settings;
  /** Of names that DogStatsD is told. */
  readonly mogrifier?: Mogrifier | undefined;
  readonly log: RatelimitLog;
  readonly followXds: FollowXds;
  /** In this thread, or in several; what it counts goes into these metrics. */
  readonly openEngine: (metrics: RatelimitMetrics) => Promise<RatelimitEngine>;
}

export interface RatelimitServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly debugPort: number;
  readonly prometheusPort: number | undefined;
  /** True where the files as they are now are in force afterwards. */
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

export async function startRatelimit(options: RatelimitOptions): Promise<RatelimitServer> {
  const { settings, mogrifier, log, followXds } = options;
  const metrics = new RatelimitMetrics();
  // Taken down in the opposite order: calls end first, sinks are told the last, what is held is given back.
  await using stack = new AsyncDisposableStack();
  const engine = await options.openEngine(metrics);
  stack.defer(() => engine.close());
  const source = new LimitSource({
    settings,
    log,
    metrics,
    followXds,
    use: (files, domains) => engine.use(files, domains),
  });
  await source.follow(stack);
  const { prometheusPort } = await openSinks({ settings, mogrifier, engine, metrics }, stack);
  const httpPort = await listenHttp(settings.HOST, settings.PORT, stack, (app) => addService(app, engine));
  const debugPort = await listenHttp(settings.DEBUG_HOST, settings.DEBUG_PORT, stack, (app) =>
    addDebug(app, engine, metrics, () => source.domains),
  );
  stack.defer(() => engine.drain());
  const grpcPort = await engine.listen();

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpcPort,
    httpPort,
    debugPort,
    prometheusPort,
    reload: () => source.reload(),
    drain: () => (drained ??= open.disposeAsync()),
  };
}
