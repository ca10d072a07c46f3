/** Calls of Envoy's rate limit service to a running server. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponse_Code as Code,
  RateLimitResponseSchema,
} from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { dialGrpc, type DialTls } from '../../src/transport/index.ts';

export const SHOULD_RATE_LIMIT = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';

export type LimitRequest = MessageInitShape<typeof RateLimitRequestSchema>;

/** A call of domain `shop` with one descriptor of one entry. */
export const shopRequest = (key: string, value: string) =>
  ({ domain: 'shop', descriptors: [{ entries: [{ key, value }] }] }) satisfies LimitRequest;

export const limitRequestBytes = (request: LimitRequest): Uint8Array =>
  toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, request));

/** One connection for many calls. */
export interface RateLimitClient {
  ask(request: LimitRequest, metadata?: Readonly<Record<string, string>>): Promise<RateLimitResponse>;
  close(): void;
}

/** `address`: a port of this machine, `HOST:PORT`, or `unix:PATH`. */
export function rateLimitClient(address: number | string, tls?: DialTls): RateLimitClient {
  const client = dialGrpc(
    typeof address === 'string' ? address : `127.0.0.1:${address}`,
    tls === undefined ? {} : { tls },
  );
  return {
    ask: async (request, metadata = {}) =>
      fromBinary(
        RateLimitResponseSchema,
        await client.unary(SHOULD_RATE_LIMIT, limitRequestBytes(request), { timeoutMs: 20_000, metadata }),
      ),
    close: () => client.close(),
  };
}

/** One call over a connection of its own. */
export async function shouldRateLimit(
  address: number | string,
  request: LimitRequest,
  { metadata, tls }: { readonly metadata?: Readonly<Record<string, string>>; readonly tls?: DialTls } = {},
): Promise<RateLimitResponse> {
  const client = rateLimitClient(address, tls);
  try {
    return await client.ask(request, metadata);
  } finally {
    client.close();
  }
}

/** What is left of the limit of each descriptor. */
export const leftOf = ({ statuses }: RateLimitResponse): (number | 'over')[] =>
  statuses.map(({ code, limitRemaining }) => (code === Code.OVER_LIMIT ? 'over' : limitRemaining));
