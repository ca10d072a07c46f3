/** What answers calls in this thread alone: no other is started. */
import { answerJson } from '../../frontends/ratelimit/service-json.ts';
import { type RatelimitEngine, openEngine } from '../../ratelimit/serve/engine.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { Tracing } from '../../tracing/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { GRACE_MS, grpcAddress, openGrpcDoor } from './grpc-door.ts';
import { followGrpcTls, grpcTls } from './grpc-tls.ts';

export async function answerInProcess(
  settings: Settings,
  metrics: RatelimitMetrics,
  log: OwnLog,
  tracing: Tracing | undefined,
): Promise<RatelimitEngine> {
  const tls = await grpcTls(settings);
  return openEngine({
    settings,
    metrics,
    log,
    aroundRedis: tracing?.store,
    answerJson: tracing?.json(answerJson) ?? answerJson,
    openAlgorithms: async () => (await import('./open-algorithms.ts')).openAlgorithms(settings, log),
    async listenGrpc(service, counting, isHealthy) {
      const transport = await openGrpcDoor({
        service,
        metrics: counting,
        isHealthy,
        settings,
        address: grpcAddress(settings),
        tls,
        reusePort: false,
        tracing,
        log,
      });
      const following =
        tls === undefined ? undefined : followGrpcTls(settings, (renewed) => transport.renewTls(renewed), log);
      return {
        port: transport.port,
        async drain() {
          await following?.close();
          await transport.drain(GRACE_MS);
        },
      };
    },
  });
}
