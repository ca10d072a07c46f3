/**
 * A probe of the kind `grpc`: grpc.health.v1.Health/Check, without TLS, as the kubelet makes it.
 * **In**: the port, the name of the service. **Out**: nothing, if it serves. **Fails**: with an Error in all other cases.
 *
 * Over node:http2, since @grpc/grpc-js cannot choose the address that it connects from.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http2';
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { beginningOf, connected, http2Over, type ProbedPod } from './probe-connection.ts';

/** A flag and the length of the message, before each message. */
const PREFIX_BYTES = 5;
const UNIMPLEMENTED = 12;

export async function grpcProbe(
  { port, service }: { readonly port: number; readonly service: string },
  userAgent: string | undefined,
  pod: ProbedPod,
  signal: AbortSignal,
): Promise<void> {
  using socket = await connected(pod, port, signal);
  using session = http2Over(socket);
  const stream = session.request({
    ':method': 'POST',
    ':path': `/${Health.typeName}/${Health.method.check.name}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(userAgent === undefined ? {} : { 'user-agent': userAgent }),
  });
  stream.on('error', () => undefined); // after the probe as well
  const message = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }));
  const framed = Buffer.alloc(PREFIX_BYTES + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  stream.end(framed);
  let trailers: IncomingHttpHeaders = {};
  stream.on('trailers', (received: IncomingHttpHeaders) => (trailers = received));
  const [headers] = (await once(stream, 'response', { signal })) as [IncomingHttpHeaders];
  const body = await beginningOf(stream);
  checkStatus({ ...headers, ...trailers });
  const { status } = fromBinary(HealthCheckResponseSchema, body.subarray(PREFIX_BYTES));
  if (status !== HealthCheckResponse_ServingStatus.SERVING) throw new Error(`its health is ${nameOf(status)}`);
}

const nameOf = (status: number): string =>
  Object.entries(HealthCheckResponse_ServingStatus).find(([, value]) => value === status)?.[0] ?? String(status);

function checkStatus(fields: IncomingHttpHeaders): void {
  const code = fields['grpc-status'];
  if (code === '0') return;
  if (code === undefined) throw new Error(`no gRPC: it answers with HTTP status ${String(fields[':status'])}`);
  if (Number(code) === UNIMPLEMENTED) throw new Error(`it does not implement ${Health.typeName}`);
  throw new Error(`gRPC status ${String(code)} ${decoded(String(fields['grpc-message'] ?? ''))}`.trim());
}

/** gRPC sends messages percent-encoded. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
