/**
 * grpc.health.v1.Health: whether this server takes calls now.
 * **In**: a service's name ('' is the server as a whole). **Out**: SERVING or NOT_SERVING.
 * **Fails**: Check with NOT_FOUND for a service that is not served; Watch sends SERVICE_UNKNOWN and continues, as
 * the protocol requires.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { viewOf } from '../transport/byte-range.ts';
import { GrpcError, Status, type CallContext, type Method, type UnaryHandler } from '../transport/transport.ts';
import { StatusWatches } from './status-watches.ts';
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
  Health,
} from '../../gen/grpc/health/v1/health_pb.ts';

export interface HealthOptions {
  /** Full names: `envoy.service.auth.v3.Authorization`. */
  readonly services: Iterable<string>;
  /** Called at each Check, and every {@link HealthOptions.watchEveryMs} for watches. */
  readonly isServing: (service: string) => boolean;
  /** How often watches are compared with the state; 250 ms by default. */
  readonly watchEveryMs?: number;
}

export function healthMethods({
  services,
  isServing,
  watchEveryMs = 250,
}: HealthOptions): [path: string, method: Method][] {
  const known = new Set(['', Health.typeName, ...services]);
  const statusOf = (service: string): ServingStatus =>
    isServing(service) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  const check: UnaryHandler = (request) => {
    const service = serviceOf(viewOf(request));
    if (!known.has(service)) throw new GrpcError(Status.NOT_FOUND, `${service} is not served here`);
    return answer(statusOf(service));
  };
  const watches = new StatusWatches(statusOf, watchEveryMs);
  async function* watch(
    requests: AsyncIterable<Uint8Array>,
    context: CallContext,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const asked = await firstOf(requests);
    const service = known.has(asked) ? asked : undefined;
    let sent: ServingStatus | undefined;
    for (;;) {
      const isDraining = context.draining.aborted;
      const status = isDraining && service !== undefined ? ServingStatus.NOT_SERVING : watches.now(service);
      if (status !== sent) yield answer(status);
      sent = status;
      if (isDraining || context.signal.aborted) return;
      await watches.change(service, status, context);
    }
  }
  return [
    [`/${Health.typeName}/Check`, { kind: 'unary', handle: check }],
    [`/${Health.typeName}/Watch`, { kind: 'stream', handle: watch, oneRequest: true }],
  ];
}

const answer = (status: ServingStatus): Uint8Array =>
  toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));

function serviceOf(request: Uint8Array): string {
  try {
    return fromBinary(HealthCheckRequestSchema, request).service;
  } catch (error) {
    throw new GrpcError(Status.INVALID_ARGUMENT, 'the request is not a grpc.health.v1.HealthCheckRequest', {
      cause: error,
    });
  }
}

async function firstOf(requests: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const request of requests) return serviceOf(request);
  throw new GrpcError(Status.INVALID_ARGUMENT, 'Watch takes one request; received none');
}
