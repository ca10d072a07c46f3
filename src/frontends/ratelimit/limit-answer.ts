/**
 * **In**: a verdict over the descriptors of a request. **Out**: a RateLimitResponse. **Fails**: with a gRPC error for the outcome `error`;
 * code 0 (UNKNOWN) is never sent, since Envoy reads it as OK.
 */
import type { LimitStatus, LimitVerdict } from '../../core/call.ts';
import { secondsOf as secondsOfUnit, Unit } from '../../ratelimit/call.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { RateLimitResponse_Code as Code } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { type HeaderPair, inOneSpelling } from '../header-pairs.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { writeVerdictMetadata } from '../verdict-metadata.ts';
import { RESPONSE, writeHeader, writeStatus } from './response-fields.ts';

const UNIT_OF_MS: ReadonlyMap<number, Unit> = new Map(
  Object.values(Unit).map((unit) => [secondsOfUnit(unit) * 1000, unit]),
);
/** UNKNOWN if the period is not one of Envoy's units. */
const unitOfMs = (ms: number): number => UNIT_OF_MS.get(ms) ?? 0;

/** Shared by all calls: one message must be begun and finished without awaiting. */
const writer = new ProtobufWriter();

const MAX_UINT32 = 0xffff_ffff;
const uint32 = (number: number): number => Math.min(MAX_UINT32, Math.max(0, Math.floor(number)));

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
  for (const status of statuses) writeStatusOf(status);
  for (const [name, value] of headers) writeHeader(writer, name, value);
  writeVerdictMetadata(writer, RESPONSE.dynamicMetadata, verdict);
  return writer.finish();
}

const codeOf = (over: boolean): number => (over ? Code.OVER_LIMIT : Code.OK);

function writeStatusOf({ over, rule, limit, perMs, remaining, resetMs }: LimitStatus): void {
  if (rule === undefined) writeStatus(writer, codeOf(over), undefined, 0, 0, 0, undefined);
  else
    writeStatus(
      writer,
      codeOf(over),
      rule,
      uint32(limit),
      unitOfMs(perMs),
      uint32(remaining),
      uint32(secondsOf(resetMs)),
    );
}

/** Rounded up, since Envoy reads whole seconds. */
const secondsOf = (ms: number): number => Math.max(0, Math.ceil(ms / 1000));

/**
 * Envoy itself derives x-ratelimit-* headers from the statuses (enable_x_ratelimit_headers), but never retry-after. The message can only
 * add headers, so headers to set are added too.
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
