/** `sluice ratelimit`: in the place of envoyproxy/ratelimit. */
import type { RatelimitEngine } from '../../ratelimit/serve/engine.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import { startRatelimit } from '../../ratelimit/serve/server.ts';
import { readSettings } from '../../ratelimit/settings/settings.ts';
import { addressText } from '../../transport/index.ts';
import { StartError } from '../../serve/errors.ts';
import { containFaults, ESCAPED_GAUGE, SUPERVISOR_ESCAPED_GAUGE } from '../../serve/contain-errors.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { RatelimitFlags } from '../program.ts';
import { controlPlane } from '../../serve/ratelimit/control-plane.ts';
import { whyNotStarted } from '../../serve/ratelimit/failure.ts';
import { grpcAddress } from '../../serve/ratelimit/grpc-door.ts';
import { answerInProcess } from '../../serve/ratelimit/in-process.ts';
import { ownLog } from '../../serve/ratelimit/own-log.ts';
import { ownTracing, tracingEnded } from '../../serve/ratelimit/own-tracing.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';

export async function ratelimit({ workers }: RatelimitFlags): Promise<ExitCode> {
  const { settings, mogrifier, problems, warnings } = readSettings(
    workers === undefined ? process.env : { ...process.env, SLUICE_WORKERS: workers },
  );
  const [problem, ...others] = problems;
  if (problem !== undefined) throw new StartError('CLI_SETTING', [problem, ...others].join('\n'));
  const log = ownLog(settings);
  const escaped = containFaults(log);
  for (const warning of warnings) log.warn(warning);
  const isAlone = settings.SLUICE_WORKERS === 1;
  const tracing = isAlone ? await ownTracing(settings, log) : undefined; // each worker has its own
  const openEngine = async (metrics: RatelimitMetrics): Promise<RatelimitEngine> => {
    metrics.gauges.set(isAlone ? ESCAPED_GAUGE : SUPERVISOR_ESCAPED_GAUGE, () => escaped.total);
    if (isAlone) return answerInProcess(settings, metrics, log, tracing);
    const { answerByWorkers } = await import('../../serve/ratelimit/supervisor.ts');
    return answerByWorkers(settings, metrics, log);
  };
  return serveUntilStopped({
    log,
    async start() {
      const server = await startRatelimit({
        settings,
        mogrifier,
        log,
        followXds: controlPlane(settings, log),
        openEngine,
      }).catch((error: unknown) => {
        throw whyNotStarted(error);
      });
      return {
        server,
        reload: () => server.reload(),
        async drain() {
          await server.drain();
          await tracingEnded(tracing, log);
        },
      };
    },
    onServing({ server }) {
      log.info('serving', {
        grpc: addressText({ ...grpcAddress(settings), port: server.grpcPort }),
        http: server.httpPort,
        debug: server.debugPort,
        prometheus: server.prometheusPort ?? null,
      });
    },
  });
}
