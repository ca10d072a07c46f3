/**
 * grpc.health.v1.Health: whether this server can be asked now.
 * **In**: a service's name ('' is the server as a whole). **Out**: SERVING or NOT_SERVING.
 * **Fails**: Check with NOT_FOUND for a service that is not served; Watch says SERVICE_UNKNOWN and goes on, as the protocol wants.
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
  /** Asked at each Check, and every {@link HealthOptions.watchEveryMs} for Watch. */
  readonly isServing: (service: string) => boolean;
  /** How soon Watch tells of a change; 250 ms where not given. */
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
    const service = known.has(asked) ? asked : undefined; // of others the name is of no more use
    let said: ServingStatus | undefined;
    for (;;) {
      const isDraining = context.draining.aborted;
      const status = isDraining && service !== undefined ? ServingStatus.NOT_SERVING : watches.now(service);
      if (status !== said) yield answer(status);
      said = status;
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
    throw new GrpcError(Status.INVALID_ARGUMENT, 'the request is no grpc.health.v1.HealthCheckRequest', {
      cause: error,
    });
  }
}

async function firstOf(requests: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const request of requests) return serviceOf(request);
  throw new GrpcError(Status.INVALID_ARGUMENT, 'Watch takes one request; there was none');
}
