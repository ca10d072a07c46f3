/**
 * **In**: a verdict over the descriptors of a request. **Out**: a RateLimitResponse. **Fails**: an `error` is a gRPC
 * error; code 0 (UNKNOWN) is never said, since Envoy lets it pass.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { LimitStatus, LimitVerdict } from '../../core/call.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import {
  RateLimitResponse_Code as Code, type RateLimitResponse_DescriptorStatus, RateLimitResponse_DescriptorStatusSchema,
  type RateLimitResponse_RateLimit_Unit as Unit, RateLimitResponseSchema,
} from '../generated/envoy/service/ratelimit/v3/rls_pb.ts';
import { verdictMetadata } from '../verdict-metadata.ts';
import { unitOfMs } from './units.ts';

const MOST = 0xffff_ffff;
const uint32 = (number: number): number => Math.min(MOST, Math.max(0, Math.floor(number)));

export function limitAnswer(verdict: LimitVerdict, descriptors: number): Uint8Array {
  const { id, outcome, rule, statuses } = verdict;
  if (outcome === 'error') throw new GrpcError(Status.UNAVAILABLE, `${rule ?? 'a rule'} could not be decided (verdict ${id})`);
  if (statuses.length !== descriptors) throw new Error(`a verdict of ${statuses.length} statuses for ${descriptors} descriptors`);
  const over = outcome !== 'allow' || statuses.some((status) => status.over);
  return toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, {
    overallCode: over ? Code.OVER_LIMIT : Code.OK,
    statuses: statuses.map(statusMessage),
    responseHeadersToAdd: headersOf(verdict, over),
    dynamicMetadata: verdictMetadata(verdict),
  }));
}

function statusMessage({ over, rule, limit, perMs, remaining, resetMs }: LimitStatus): RateLimitResponse_DescriptorStatus {
  const code = over ? Code.OVER_LIMIT : Code.OK;
  if (rule === undefined) return create(RateLimitResponse_DescriptorStatusSchema, { code });
  return create(RateLimitResponse_DescriptorStatusSchema, {
    code,
    currentLimit: { requestsPerUnit: uint32(limit), unit: unitOfMs(perMs) as Unit, name: rule },
    limitRemaining: uint32(remaining),
    durationUntilReset: { seconds: BigInt(secondsOf(resetMs)) }, // Envoy reads whole seconds; a part of one is one
  });
}

const secondsOf = (ms: number): number => Math.max(0, Math.ceil(ms / 1000));

/**
 * Envoy makes x-ratelimit-* from the statuses where it is told to (enable_x_ratelimit_headers), so they are not sent twice;
 * it never makes retry-after. The message has no way to say set or remove: what is set is added.
 */
function headersOf({ response, statuses }: LimitVerdict, over: boolean): { key: string; value: string }[] {
  const headers = [...response.set, ...response.append].filter(([name]) => name !== '' && !name.startsWith(':')).map(([key, value]) => ({ key, value }));
  if (!over || headers.some(({ key }) => key.toLowerCase() === 'retry-after')) return headers;
  const wait = Math.max(0, ...statuses.map((status) => (status.over ? secondsOf(status.resetMs) : 0)));
  if (wait > 0) headers.push({ key: 'retry-after', value: String(wait) });
  return headers;
}
