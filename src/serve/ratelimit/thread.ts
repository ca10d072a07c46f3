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
  readonly shared?: SharedCounts;
}

export interface RatelimitThread extends ThreadEngine {
  listen(at: ListenAt): Promise<Transport>;
  unhealthyWhy(): string | undefined;
  /** Reports unhealthy from now on; resolves when calls in flight have ended. */
  drain(): Promise<void>;
}

/** The name in envoyproxy/ratelimit's health service, where '' is always SERVING. */
const HEALTH_NAME = 'ratelimit';

export async function openRatelimitThread(options: RatelimitThreadOptions): Promise<RatelimitThread> {
  const { settings, metrics, log, tracing, shared } = options;
  const engine = await openEngine({
    settings,
    metrics,
    log,
    shared,
    aroundRedis: tracing?.store,
    answerJson: tracing?.json(answerJson) ?? answerJson,
  });
  const { service, notAnsweringWhy } = engine;
  const refused = new RefusedConnections(log, 'GRPC_SERVER_USE_TLS');
  let transport: Transport | undefined;
  return {
    ...engine,
    async listen(at) {
      const methods = new Map([
        ...rateLimitServiceMethods(tracing?.service(service) ?? service, (tookMs) => metrics.answered(tookMs)),
        ...healthMethods({
          services: [HEALTH_NAME],
          isServing: (name) => name !== HEALTH_NAME || notAnsweringWhy() === undefined,
        }),
        ...reflectionMethods(RATELIMIT_SERVICES),
      ]);
      metrics.gauges.set(REFUSED_CONNECTIONS_GAUGE, () => refused.total);
      transport = await listenGrpc({
        methods: tracing?.methods(methods) ?? methods,
        ...at,
        maxConnectionAgeMs: settings.GRPC_MAX_CONNECTION_AGE,
        reusePort: shared !== undefined,
        refused,
        log,
      });
      return transport;
    },
    unhealthyWhy: () => (transport === undefined ? 'it does not listen yet' : notAnsweringWhy()),
    async drain() {
      engine.stop();
      await transport?.drain(GRACE_MS);
    },
  };
}
