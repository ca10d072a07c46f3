/**
 * **In**: a verdict over the descriptors of a request. **Out**: a RateLimitResponse. **Fails**: an `error` is a gRPC
 * error; code 0 (UNKNOWN) is never said, since Envoy lets it pass.
 */
import type { LimitStatus, LimitVerdict } from '../../core/call.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { RateLimitResponse_Code as Code } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { type HeaderPair, inOneSpelling } from '../header-pairs.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { writeVerdictMetadata } from '../verdict-metadata.ts';
import { unitOfMs } from './units.ts';

/** Numbers of envoy.service.ratelimit.v3.RateLimitResponse, its DescriptorStatus and its RateLimit. */
const RESPONSE = { overallCode: 1, statuses: 2, responseHeadersToAdd: 3, dynamicMetadata: 6 } as const;
const STATUS = { code: 1, currentLimit: 2, limitRemaining: 3, durationUntilReset: 4 } as const;
const LIMIT = { requestsPerUnit: 1, unit: 2, name: 3 } as const;

/** Used within one turn only. */
const writer = new ProtobufWriter();

const MOST = 0xffff_ffff;
const uint32 = (number: number): number => Math.min(MOST, Math.max(0, Math.floor(number)));

export function limitAnswer(verdict: LimitVerdict, descriptors: number): Uint8Array {
  const { id, outcome, rule, statuses } = verdict;
  if (outcome === 'error')
    throw new GrpcError(Status.UNAVAILABLE, `${rule ?? 'a rule'} could not be decided (verdict ${id})`);
  if (statuses.length !== descriptors)
    throw new Error(`a verdict of ${statuses.length} statuses for ${descriptors} descriptors`);
  const over = outcome !== 'allow' || statuses.some((status) => status.over);
  const headers = headersOf(verdict, over);
  writer.start();
  writer.varint(RESPONSE.overallCode, codeOf(over));
  for (const status of statuses) writeStatus(status);
  for (const [name, value] of headers) {
    const header = writer.begin(RESPONSE.responseHeadersToAdd);
    writer.text(1, name);
    writer.text(2, value);
    writer.end(header);
  }
  writeVerdictMetadata(writer, RESPONSE.dynamicMetadata, verdict);
  return writer.finish();
}

const codeOf = (over: boolean): number => (over ? Code.OVER_LIMIT : Code.OK);

function writeStatus({ over, rule, limit, perMs, remaining, resetMs }: LimitStatus): void {
  const status = writer.begin(RESPONSE.statuses);
  writer.varint(STATUS.code, codeOf(over));
  if (rule !== undefined) {
    const current = writer.begin(STATUS.currentLimit);
    writer.varint(LIMIT.requestsPerUnit, uint32(limit));
    writer.varint(LIMIT.unit, unitOfMs(perMs));
    writer.text(LIMIT.name, rule);
    writer.end(current);
    writer.varint(STATUS.limitRemaining, uint32(remaining));
    const until = writer.begin(STATUS.durationUntilReset);
    writer.varint(1, uint32(secondsOf(resetMs))); // Envoy reads whole seconds; a part of one is one
    writer.end(until);
  }
  writer.end(status);
}

const secondsOf = (ms: number): number => Math.max(0, Math.ceil(ms / 1000));

/**
 * Envoy makes x-ratelimit-* from the statuses where it is told to (enable_x_ratelimit_headers), so they are not sent twice;
 * it never makes retry-after. The message has no way to say set or remove: what is set is added.
 */
function headersOf({ response, statuses }: LimitVerdict, over: boolean): HeaderPair[] {
  const headers = [...inOneSpelling(response.set), ...response.append].filter(
    ([name]) => name !== '' && !name.startsWith(':'),
  );
  if (!over || headers.some(([name]) => name.toLowerCase() === 'retry-after')) return headers;
  const wait = Math.max(0, ...statuses.map((status) => (status.over ? secondsOf(status.resetMs) : 0)));
  if (wait > 0) headers.push(['retry-after', String(wait)]);
  return headers;
}
