/**
 * gRPC methods of a rate limit service that answers by descriptors (src/ratelimit).
 * **In**: a RateLimitRequest. **Out**: a RateLimitResponse. **Fails**: with UNKNOWN and the service's message, as envoyproxy/ratelimit does
 * (Envoy reads any status as failure); INTERNAL for bytes that are not a message; INVALID_ARGUMENT for hits beyond 2^53.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ListValueSchema, type Struct, StructSchema, type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import {
  type DescriptorStatus,
  type Json,
  type JsonObject,
  type RateLimitCall,
  type RateLimitReply,
  type RateLimitService as Service,
  ServiceError,
} from '../../ratelimit/call.ts';
import { GrpcError, Status, type Method } from '../../transport/transport.ts';
import { RateLimitService } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import type { ByteRange } from '../../transport/byte-range.ts';
import { Malformed } from '../../protobuf/malformed.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { LimitScan } from './limit-scan.ts';
import { RESPONSE, writeHeader, writeStatus } from './response-fields.ts';

/** `globalThis.performance` is a getter; a local reference is faster on the hot path. */
const monotonic = performance;

/** Far more than a proxy sends; the cost of a request grows with them. envoyproxy/ratelimit only bounds the size of the message. */
const MAX_DESCRIPTORS = 10_000;

export function rateLimitServiceMethods(
  service: Service,
  onAnswered: (tookMs: number) => void,
): [path: string, method: Method][] {
  return [
    [
      `/${RateLimitService.typeName}/ShouldRateLimit`,
      {
        kind: 'unary',
        handle: (bytes) => {
          const beganAtMs = monotonic.now();
          const answered = (reply: RateLimitReply): Uint8Array => {
            onAnswered(monotonic.now() - beganAtMs);
            return written(reply);
          };
          const failed = (error: unknown): never => {
            onAnswered(monotonic.now() - beganAtMs);
            throw error instanceof ServiceError
              ? new GrpcError(Status.UNKNOWN, error.message, { cause: error })
              : error;
          };
          try {
            const reply = service.shouldRateLimit(callOf(scanOf(bytes)));
            return reply instanceof Promise ? reply.then(answered, failed) : answered(reply);
          } catch (error) {
            return failed(error);
          }
        },
      },
    ],
  ];
}

/** Bytes that are not a message are INTERNAL, as in grpc-go. */
function scanOf(bytes: ByteRange): LimitScan {
  try {
    return new LimitScan(bytes, MAX_DESCRIPTORS);
  } catch (error) {
    throw error instanceof Malformed ? new GrpcError(Status.INTERNAL, error.message, { cause: error }) : error;
  }
}

function callOf(scan: LimitScan): RateLimitCall {
  return {
    domain: scan.domain,
    hits: scan.hits,
    descriptors: scan.descriptors.map(({ entries, hits, override }) => {
      if (typeof hits === 'bigint')
        throw new GrpcError(Status.INVALID_ARGUMENT, `hits_addend is ${hits}, which is more than 2^53`);
      const texts: [string, string][] = [];
      for (let at = 0; at < entries.length; at += 4) {
        texts.push([
          scan.text(entries[at] as number, entries[at + 1] as number),
          scan.text(entries[at + 2] as number, entries[at + 3] as number),
        ]);
      }
      return { entries: texts, hits, override };
    }),
  };
}

/** Shared by all calls: one message must be begun and finished without awaiting. */
const writer = new ProtobufWriter();

function written({ overallCode, statuses, headers, dynamicMetadata }: RateLimitReply): Uint8Array {
  const metadata = dynamicMetadata === undefined ? undefined : toBinary(StructSchema, structOf(dynamicMetadata));
  writer.start();
  writer.varint(RESPONSE.overallCode, overallCode);
  for (const status of statuses) writeStatusOf(status);
  for (const [name, value] of headers) writeHeader(writer, name, value);
  if (metadata !== undefined) writer.message(RESPONSE.dynamicMetadata, metadata);
  return writer.finish();
}

/** Not by fromJson, which rejects infinity and NaN. */
const structOf = (object: JsonObject): Struct =>
  create(StructSchema, {
    fields: Object.fromEntries(Object.entries(object).map(([name, value]) => [name, valueOf(value)])),
  });

function valueOf(value: Json): Value {
  const kind = ((): Value['kind'] => {
    switch (typeof value) {
      case 'string':
        return { case: 'stringValue', value };
      case 'number':
        return { case: 'numberValue', value };
      case 'boolean':
        return { case: 'boolValue', value };
      default:
        if (value === null) return { case: 'nullValue', value: 0 };
        return isList(value)
          ? { case: 'listValue', value: create(ListValueSchema, { values: value.map(valueOf) }) }
          : { case: 'structValue', value: structOf(value) };
    }
  })();
  return create(ValueSchema, { kind });
}

const isList = (value: readonly Json[] | JsonObject): value is readonly Json[] => Array.isArray(value);

function writeStatusOf({ code, currentLimit, remaining, resetS }: DescriptorStatus): void {
  if (currentLimit === undefined) return writeStatus(writer, code, undefined, 0, 0, remaining, resetS);
  const { name, requestsPerUnit, unit = 0 } = currentLimit;
  writeStatus(writer, code, name, requestsPerUnit, unit, remaining, resetS);
}
