/**
 * A rate limit service behind gRPC, for those that answer by descriptors alone (src/ratelimit).
 * **In**: a RateLimitRequest. **Out**: a RateLimitResponse. **Fails**: with UNKNOWN and the service's words, as envoyproxy/ratelimit does
 * (Envoy reads any status as failure); INTERNAL for what is no message, INVALID_ARGUMENT for numbers that
 * are not counted exactly.
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

/** The global one is looked up anew, by a getter, each time that it is named. */
const monotonic = performance;

/** Far more than a proxy sends. The work grows with their number, which envoyproxy/ratelimit bounds by the message's size alone. */
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
        handle: (octets) => {
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
            const reply = service.shouldRateLimit(callOf(scanOf(octets)));
            return reply instanceof Promise ? reply.then(answered, failed) : answered(reply);
          } catch (error) {
            return failed(error);
          }
        },
      },
    ],
  ];
}

/** What is no message is INTERNAL, as of any gRPC server in Go. */
function scanOf(octets: ByteRange): LimitScan {
  try {
    return new LimitScan(octets, MAX_DESCRIPTORS);
  } catch (error) {
    throw error instanceof Malformed ? new GrpcError(Status.INTERNAL, error.message, { cause: error }) : error;
  }
}

export function callOf(scan: LimitScan): RateLimitCall {
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

/** Numbers of envoy.service.ratelimit.v3.RateLimitResponse, its DescriptorStatus and its RateLimit. */
const RESPONSE = { overallCode: 1, statuses: 2, responseHeadersToAdd: 3, dynamicMetadata: 6 } as const;
const STATUS = { code: 1, currentLimit: 2, limitRemaining: 3, durationUntilReset: 4 } as const;
const LIMIT = { requestsPerUnit: 1, unit: 2, name: 3 } as const;

/** Used within one turn only. */
const writer = new ProtobufWriter();

function written({ overallCode, statuses, headers, dynamicMetadata }: RateLimitReply): Uint8Array {
  const metadata = dynamicMetadata === undefined ? undefined : toBinary(StructSchema, structOf(dynamicMetadata));
  writer.start();
  writer.varint(RESPONSE.overallCode, overallCode);
  for (const status of statuses) writeStatus(status);
  for (const [name, value] of headers) {
    const header = writer.begin(RESPONSE.responseHeadersToAdd);
    writer.text(1, name);
    writer.text(2, value);
    writer.end(header);
  }
  if (metadata !== undefined) writer.message(RESPONSE.dynamicMetadata, metadata);
  return writer.finish();
}

/** Holds numbers that JSON cannot say, too. */
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

function writeStatus({ code, currentLimit, remaining, resetS }: DescriptorStatus): void {
  const status = writer.begin(RESPONSE.statuses);
  writer.varint(STATUS.code, code);
  if (currentLimit !== undefined) {
    const limit = writer.begin(STATUS.currentLimit);
    writer.varint(LIMIT.requestsPerUnit, currentLimit.requestsPerUnit);
    writer.varint(LIMIT.unit, currentLimit.unit ?? 0);
    writer.text(LIMIT.name, currentLimit.name);
    writer.end(limit);
  }
  writer.varint(STATUS.limitRemaining, remaining);
  if (resetS !== undefined) {
    const until = writer.begin(STATUS.durationUntilReset);
    writer.varint(1, resetS);
    writer.end(until);
  }
  writer.end(status);
}
