/**
 * The same service behind HTTP, as /json of envoyproxy/ratelimit (src/server/server_impl.go), with JSON as protojson maps it.
 * **In**: a body. **Out**: 200 for OK, 429 for OVER_LIMIT. **Fails**: 400 for a body that is not a request and for an error of the service,
 * with the cause if that is Redis; 500 for metadata that JSON cannot represent.
 */
import { fromBinary, fromJsonString, type JsonObject, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { type JsonAnswer, type RateLimitService, ServiceError } from '../../ratelimit/call.ts';
import { rangeOf } from '../../transport/byte-range.ts';
import { GrpcError } from '../../transport/transport.ts';
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code as Code,
  RateLimitResponseSchema,
} from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { rateLimitServiceMethods } from './service-call.ts';

const BAD_REQUEST: JsonAnswer = { status: 400, contentType: 'text/plain; charset=utf-8', body: 'Bad Request\n' };

const SERVER_ERROR: JsonAnswer = {
  status: 500,
  contentType: 'text/plain; charset=utf-8',
  body: 'Internal Server Error\n',
};

/** Metadata of a rule may contain infinity or NaN, which JSON lacks. */
function isJson(metadata: JsonObject | undefined): boolean {
  const holds = (value: JsonValue): boolean =>
    typeof value === 'number'
      ? Number.isFinite(value)
      : typeof value !== 'object' || value === null || Object.values(value).every(holds);
  return metadata === undefined || holds(metadata);
}

export async function answerJson(service: RateLimitService, body: string): Promise<JsonAnswer> {
  let bytes: Uint8Array;
  try {
    bytes = toBinary(RateLimitRequestSchema, fromJsonString(RateLimitRequestSchema, body));
  } catch {
    return BAD_REQUEST;
  }
  const [[, method] = []] = rateLimitServiceMethods(service, () => undefined);
  if (method?.kind !== 'unary') throw new Error('a rate limit service has one unary method');
  try {
    const response = fromBinary(
      RateLimitResponseSchema,
      await method.handle(rangeOf(bytes), { ...NO_CONTEXT, arrivedAtMs: performance.now() }),
    );
    if (!isJson(response.dynamicMetadata)) return SERVER_ERROR;
    return {
      status: response.overallCode === Code.OVER_LIMIT ? 429 : 200,
      contentType: 'application/json',
      body: JSON.stringify(toJson(RateLimitResponseSchema, response)),
    };
  } catch (error) {
    const cause = error instanceof GrpcError ? error.cause : error;
    if (cause instanceof ServiceError && cause.kind === 'redis_error')
      return { ...BAD_REQUEST, body: `Bad Request: ${cause.message}\n` };
    if (error instanceof GrpcError || cause instanceof ServiceError) return BAD_REQUEST;
    throw error;
  }
}

const NEVER = new AbortController().signal;
const NO_CONTEXT = {
  remainingMs: undefined,
  signal: NEVER,
  draining: NEVER,
  ending: NEVER,
  metadata: () => undefined,
  peer: 'http',
};
