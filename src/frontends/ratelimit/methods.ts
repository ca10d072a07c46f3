/**
 * envoy.service.ratelimit.v3.RateLimitService, answered by rules.
 * **In**: a RateLimitRequest, with attributes for each of its descriptors. **Out**: a RateLimitResponse with a status for each, in order.
 * **Fails**: INVALID_ARGUMENT for a malformed request, one without domain or descriptors, one with too many descriptors or entries, and an
 * override in an unknown unit; UNAVAILABLE for the outcome `error`.
 */
import type { Engine } from '../../core/call.ts';
import { isUnit } from '../../ratelimit/call.ts';
import { GrpcError, Status, type Method } from '../../transport/transport.ts';
import { type FrontendOptions, systemNowMs } from '../frontend-options.ts';
import { RateLimitService } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { DescriptorWire } from './descriptor-wire.ts';
import { limitAnswer } from './limit-answer.ts';
import { LimitScan } from './limit-scan.ts';

/** Per request; Envoy sends one for each list of actions of a route. */
const MAX_DESCRIPTORS = 256;

export function ratelimitMethods(
  engine: Engine,
  { nowMs = systemNowMs }: FrontendOptions = {},
): [path: string, method: Method][] {
  return [
    [
      `/${RateLimitService.typeName}/ShouldRateLimit`,
      {
        kind: 'unary',
        handle: (bytes, context) => {
          const wires = wiresOf(new LimitScan(bytes, MAX_DESCRIPTORS), nowMs);
          const verdict = engine.limit(wires, context);
          return verdict instanceof Promise
            ? verdict.then((late) => limitAnswer(late, wires.length))
            : limitAnswer(verdict, wires.length);
        },
      },
    ],
  ];
}

/** The first two messages are envoyproxy/ratelimit's. */
function wiresOf(request: LimitScan, nowMs: () => number): DescriptorWire[] {
  if (request.domain === '') throw new GrpcError(Status.INVALID_ARGUMENT, 'rate limit domain must not be empty');
  if (request.descriptors.length === 0)
    throw new GrpcError(Status.INVALID_ARGUMENT, 'rate limit descriptor list must not be empty');
  return request.descriptors.map((descriptor) => {
    const { override } = descriptor;
    if (override !== undefined && !isUnit(override.unit)) {
      throw new GrpcError(
        Status.INVALID_ARGUMENT,
        `the limit of a descriptor has the unit ${override.unit}, which is not one of SECOND (1) to WEEK (7)`,
      );
    }
    return new DescriptorWire(request, descriptor, nowMs);
  });
}
