/** The port that Envoy calls: rate limits, health by the name that envoyproxy/ratelimit has, reflection. */
import { healthMethods, RATELIMIT_SERVICES, reflectionMethods } from '../../frontends/index.ts';
import { rateLimitServiceMethods } from '../../frontends/ratelimit/service-call.ts';
import type { RateLimitService } from '../../ratelimit/call.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { Tracing } from '../../tracing/index.ts';
import { type Address, listen, type TlsOptions, type Transport } from '../../transport/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { REFUSED_CONNECTIONS_GAUGE, Strangers } from '../refused-connections.ts';
import { messageOf } from '../../text/message-of.ts';

export interface GrpcDoorOptions {
  readonly service: RateLimitService;
  readonly metrics: RatelimitMetrics;
  readonly isHealthy: () => boolean;
  readonly settings: Settings;
  readonly address: Address;
  readonly tls: TlsOptions | undefined;
  /** Others listen at the same port. */
  readonly reusePort: boolean;
  readonly tracing: Tracing | undefined;
  readonly log: OwnLog;
}

/** How long calls in flight may take when it is told to stop. */
export const GRACE_MS = 10_000;
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** The name that envoyproxy/ratelimit's health has; '' is always SERVING there. */
const HEALTH_NAME = 'ratelimit';

export const grpcAddress = ({ GRPC_UDS, GRPC_HOST, GRPC_PORT }: Settings): Address =>
  GRPC_UDS === '' ? { host: GRPC_HOST, port: GRPC_PORT } : { host: `unix:${GRPC_UDS}`, port: 0 };

export async function openGrpcDoor({
  service,
  metrics,
  isHealthy,
  settings,
  address,
  tls,
  reusePort,
  tracing,
  log,
}: GrpcDoorOptions): Promise<Transport> {
  const methods = new Map([
    ...rateLimitServiceMethods(tracing?.service(service) ?? service, (tookMs) => metrics.answered(tookMs / 1000)),
    ...healthMethods({ services: [HEALTH_NAME], isServing: (name) => name !== HEALTH_NAME || isHealthy() }),
    ...reflectionMethods(RATELIMIT_SERVICES),
  ]);
  const strangers = new Strangers(log, 'GRPC_SERVER_USE_TLS');
  metrics.gauges.set(REFUSED_CONNECTIONS_GAUGE, () => strangers.total);
  return listen(tracing?.methods(methods) ?? methods, {
    ...address,
    reusePort,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    maxConnectionAgeMs: settings.GRPC_MAX_CONNECTION_AGE,
    ...(tls === undefined ? {} : { tls }),
    onStranger: (stranger) => strangers.take(stranger),
    onFault: (path, error) => log.error('internal error while handling a call', { path, error: messageOf(error) }),
  });
}
