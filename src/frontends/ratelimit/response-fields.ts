/** The fields of envoy.service.ratelimit.v3.RateLimitResponse, for both services that answer with one. */
import type { ProtobufWriter } from '../../protobuf/writer.ts';

export const RESPONSE = { overallCode: 1, statuses: 2, responseHeadersToAdd: 3, dynamicMetadata: 6 } as const;
const STATUS = { code: 1, currentLimit: 2, limitRemaining: 3, durationUntilReset: 4 } as const;
const LIMIT = { requestsPerUnit: 1, unit: 2, name: 3 } as const;
const HEADER = { key: 1, value: 2 } as const;
const DURATION = { seconds: 1 } as const;

/** Without `name` no limit is sent, without `resetS` no duration, which Envoy reads in whole seconds. */
export function writeStatus(
  writer: ProtobufWriter,
  code: number,
  name: string | undefined,
  requestsPerUnit: number,
  unit: number,
  remaining: number,
  resetS: number | undefined,
): void {
  const status = writer.begin(RESPONSE.statuses);
  writer.varint(STATUS.code, code);
  if (name !== undefined) {
    const limit = writer.begin(STATUS.currentLimit);
    writer.varint(LIMIT.requestsPerUnit, requestsPerUnit);
    writer.varint(LIMIT.unit, unit);
    writer.text(LIMIT.name, name);
    writer.end(limit);
  }
  writer.varint(STATUS.limitRemaining, remaining);
  if (resetS !== undefined) {
    const until = writer.begin(STATUS.durationUntilReset);
    writer.varint(DURATION.seconds, resetS);
    writer.end(until);
  }
  writer.end(status);
}

export function writeHeader(writer: ProtobufWriter, name: string, value: string): void {
  const header = writer.begin(RESPONSE.responseHeadersToAdd);
  writer.text(HEADER.key, name);
  writer.text(HEADER.value, value);
  writer.end(header);
}
