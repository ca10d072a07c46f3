/**
 * A drop-in replacement for the server of envoyproxy/ratelimit: the same files, settings and counters in Redis.
 * **In**: settings, an engine. **Out**: a running service with watched files, and pages for operators and probes.
 * **Fails**: if it cannot listen or a setting is invalid; nothing stays open. Invalid files do not stop it.
 */
import type { RatelimitEngine } from './engine.ts';
import type { Log } from '../../adapters/contract.ts';
import { type FollowXds, LimitSource } from './limit-source.ts';
import { RatelimitMetrics } from '../metrics/metrics.ts';
import type { Mogrifier } from '../metrics/mogrifiers.ts';
import { addDebug, addService, listenHttp } from './pages.ts';
import type { Settings } from '../settings/settings.ts';
import { openSinks } from './sinks.ts';

export interface RatelimitOptions {
  readonly settings: Settings;
  /** Rewrites names for DogStatsD. */
  readonly mogrifier?: Mogrifier | undefined;
  readonly log: Log;
  readonly followXds: FollowXds;
  /** Opens the engine, of this thread or of several workers; it counts into these metrics. */
  readonly openEngine: (metrics: RatelimitMetrics) => Promise<RatelimitEngine>;
}

export interface RatelimitServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly debugPort: number;
  readonly prometheusPort: number | undefined;
  /** Loads the files, changed or not. True if they are now in force. */
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

export async function startRatelimit(options: RatelimitOptions): Promise<RatelimitServer> {
  const { settings, mogrifier, log, followXds } = options;
  const metrics = new RatelimitMetrics();
  // Disposed in reverse order: calls end, sinks flush, leased units are returned.
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
  const prometheusPort = await openSinks({ settings, mogrifier, engine, metrics }, stack);
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
