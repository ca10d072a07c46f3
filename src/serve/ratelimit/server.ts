/**
 * The server of `sluice ratelimit`: an engine in this thread or in a crew of workers, and its watched files or control plane.
 * **In**: settings. **Out**: a server that answers, reloads and drains. **Fails**: with a {@link StartError}; nothing stays open.
 */
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import type { OwnLog } from '../../log/log.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import type { Mogrifier } from '../../ratelimit/metrics/mogrifiers.ts';
import type { RatelimitEngine } from '../../ratelimit/serve/engine.ts';
import { type RatelimitServer, startRatelimit } from '../../ratelimit/serve/server.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { TlsOptions, Transport } from '../../transport/index.ts';
import { ESCAPED_GAUGE, SUPERVISOR_ESCAPED_GAUGE } from '../contain-errors.ts';
import type { ListenAt } from '../crew/protocol.ts';
import { readTls, watchTls } from '../tls-files.ts';
import { controlPlane } from './control-plane.ts';
import { closeTracing, grpcAddress, startErrorOf, tlsFilesOf, tracingOf } from './from-settings.ts';
import { openRatelimitThread } from './thread.ts';

export interface RatelimitServerOptions {
  readonly settings: Settings;
  /** Rewrites metric names for DogStatsD. */
  readonly mogrifier?: Mogrifier | undefined;
  readonly log: OwnLog;
  /** Counted on the metrics page. */
  readonly escaped?: EscapedErrors;
}

export async function startRatelimitServer(options: RatelimitServerOptions): Promise<RatelimitServer> {
  const { settings, mogrifier, log } = options;
  try {
    return await startRatelimit({
      settings,
      mogrifier,
      log,
      followXds: controlPlane(settings, log),
      openEngine: (metrics) => openServedEngine(options, metrics),
    });
  } catch (error) {
    throw startErrorOf(error);
  }
}

/** An engine with a renewable certificate. */
export interface ServedEngine extends RatelimitEngine {
  renewTls(tls: TlsOptions): void | Promise<void>;
}

async function openServedEngine(
  { settings, log, escaped }: RatelimitServerOptions,
  metrics: RatelimitMetrics,
): Promise<RatelimitEngine> {
  const files = tlsFilesOf(settings);
  const tls = files === undefined ? undefined : await readTls(files);
  const at = { address: grpcAddress(settings), tls };
  const isAlone = settings.SLUICE_WORKERS === 1;
  if (escaped !== undefined)
    metrics.gauges.set(isAlone ? ESCAPED_GAUGE : SUPERVISOR_ESCAPED_GAUGE, () => escaped.total);
  const engine = isAlone
    ? await serveInThread(settings, metrics, log, at)
    : await (await import('./supervisor.ts')).serveByCrew(settings, metrics, log, at);
  if (files === undefined || tls === undefined) return engine;
  const watching = watchTls(files, tls, (renewed) => engine.renewTls(renewed), log);
  return {
    ...engine,
    async drain() {
      watching.close();
      await engine.drain();
    },
  };
}

/** The engine in this thread alone. */
async function serveInThread(
  settings: Settings,
  metrics: RatelimitMetrics,
  log: OwnLog,
  at: ListenAt,
): Promise<ServedEngine> {
  const tracing = await tracingOf(settings, log); // each worker of a crew has its own
  const thread = await openRatelimitThread({ settings, metrics, log, tracing });
  let transport: Transport | undefined;
  return {
    ...thread,
    async listen() {
      transport = await thread.listen(at);
      return transport.port;
    },
    renewTls: (tls) => transport?.renewTls(tls),
    async close() {
      await thread.close();
      await closeTracing(tracing, log);
    },
  };
}
