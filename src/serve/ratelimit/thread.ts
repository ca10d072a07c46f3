/**
 * The rate-limit engine of one thread, with its gRPC port: rate limits, health under envoyproxy/ratelimit's name, reflection.
 * **In**: settings. **Out**: an engine, and its listener. **Fails**: as {@link openEngine}; nothing stays open.
 */
import { healthMethods, RATELIMIT_SERVICES, reflectionMethods } from '../../frontends/index.ts';
import { rateLimitServiceMethods } from '../../frontends/ratelimit/service-call.ts';
import { answerJson } from '../../frontends/ratelimit/service-json.ts';
import type { OwnLog } from '../../log/log.ts';
import type { SharedCounts } from '../../ratelimit/charge/open-stores.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import { openEngine, type ThreadEngine } from '../../ratelimit/serve/engine.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { Tracing } from '../../tracing/index.ts';
import type { Transport } from '../../transport/index.ts';
import type { ListenAt } from '../crew/protocol.ts';
import { listenGrpc } from '../grpc-listener.ts';
import { REFUSED_CONNECTIONS_GAUGE, RefusedConnections } from '../refused-connections.ts';
import { GRACE_MS } from './from-settings.ts';

export interface RatelimitThreadOptions {
  readonly settings: Settings;
  readonly metrics: RatelimitMetrics;
  readonly log: OwnLog;
  readonly tracing: Tracing | undefined;
  /** Absent: the only thread that serves. */
  readonly worker?: { readonly counts: SharedCounts };
}

export interface RatelimitThread {
  readonly engine: ThreadEngine;
  listen(at: ListenAt): Promise<Transport>;
}

/** The name in envoyproxy/ratelimit's health service, where '' is always SERVING. */
const HEALTH_NAME = 'ratelimit';

export async function openRatelimitThread(options: RatelimitThreadOptions): Promise<RatelimitThread> {
  const { settings, metrics, log, tracing, worker } = options;
  const listening = Promise.withResolvers<Transport>();
  const refused = new RefusedConnections(log, 'GRPC_SERVER_USE_TLS');
  let listenAt: ListenAt | undefined;
  const engine = await openEngine({
    settings,
    metrics,
    log,
    ...(worker === undefined ? {} : { shared: worker.counts }),
    aroundRedis: tracing?.store,
    answerJson: tracing?.json(answerJson) ?? answerJson,
    async listenGrpc(service, counting, isHealthy) {
      if (listenAt === undefined) throw new Error('an address is missing');
      const methods = new Map([
        ...rateLimitServiceMethods(tracing?.service(service) ?? service, (tookMs) => counting.answered(tookMs)),
        ...healthMethods({ services: [HEALTH_NAME], isServing: (name) => name !== HEALTH_NAME || isHealthy() }),
        ...reflectionMethods(RATELIMIT_SERVICES),
      ]);
      counting.gauges.set(REFUSED_CONNECTIONS_GAUGE, () => refused.total);
      const transport = await listenGrpc({
        methods: tracing?.methods(methods) ?? methods,
        ...listenAt,
        maxConnectionAgeMs: settings.GRPC_MAX_CONNECTION_AGE,
        reusePort: worker !== undefined,
        refused,
        log,
      });
      listening.resolve(transport);
      return { port: transport.port, drain: () => transport.drain(GRACE_MS) };
    },
  });
  return {
    engine,
    async listen(at) {
      listenAt = at;
      await engine.listen();
      return listening.promise;
    },
  };
}
