/**
 * The services that Envoy calls. **In**: messages of its protocols. **Out**: attributes for the engine, and its verdicts as responses;
 * nothing is decided here. **Fails**: with a gRPC status, never with an empty response, which Envoy reads as *allow*.
 */
import type { DescService } from '@bufbuild/protobuf';
import type { Engine } from '../core/call.ts';
import type { Method } from '../transport/transport.ts';
import { accessLogMethods } from './access-log/methods.ts';
import { extAuthzMethods } from './ext-authz/methods.ts';
import type { FrontendOptions } from './frontend-options.ts';
import { metricsMethods } from './metrics/methods.ts';
import { otlpMethods } from './otlp/methods.ts';
import { AccessLogService } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { MetricsService } from '../../gen/envoy/service/metrics/v3/metrics_service_pb.ts';
import { LogsService } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import { RateLimitService } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { ratelimitMethods } from './ratelimit/methods.ts';

export { accessLogMethods, extAuthzMethods, metricsMethods, otlpMethods, ratelimitMethods };
export { RefusedEntries } from './refused-entries.ts';
export { LOGS_PATH, otlpHttpHandler } from './otlp/http.ts';
export { httpCheckHandler } from './http/request-handler.ts';
export { DEFAULT_ROUTES, DIALECTS, type HttpRoute, routesProblem, TRUSTABLE, type Trustable } from './http/routes.ts';
export { healthMethods } from './health.ts';
export { reflectionMethods } from './reflection.ts';
export type { FrontendOptions } from './frontend-options.ts';

/** The services of `sluice ratelimit`. */
export const RATELIMIT_SERVICES: readonly DescService[] = [RateLimitService];

/** For server reflection. */
export const FRONTEND_SERVICES: readonly DescService[] = [
  Authorization,
  RateLimitService,
  AccessLogService,
  LogsService,
  MetricsService,
];

/** For the health service: `envoy.service.auth.v3.Authorization` and so on. */
export const FRONTEND_SERVICE_NAMES: readonly string[] = FRONTEND_SERVICES.map(({ typeName }) => typeName);

/** All methods that Envoy calls, by full path. */
export function frontendMethods(engine: Engine, options: FrontendOptions = {}): [path: string, method: Method][] {
  return [
    ...extAuthzMethods(engine, options),
    ...ratelimitMethods(engine, options),
    ...accessLogMethods(engine, options),
    ...otlpMethods(engine, options),
    ...metricsMethods(engine, options),
  ];
}
