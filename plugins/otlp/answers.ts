/** What an answer of a collector means, by the OTLP specification. */
import type { HttpAnswer } from '../http/answer.ts';
import { notTaken, type NotTaken, shortOf } from '../http/write-answer.ts';
import { fieldsOf } from './wire.ts';

export type Answer =
  /** `refused` entries of the request were not taken, and the collector does not say which. */
  | {
      readonly kind: 'taken';
      readonly refused: number;
      readonly message: string;
      /** It was too long to be read: it may say that records were refused. */
      readonly isCut?: true;
    }
  | NotTaken;

/** The body of an answer of 2xx: Export...ServiceResponse. A body that cannot be read does not undo that the request was taken. */
export function takenAnswer(body: Buffer): Answer {
  let refused = 0;
  let message = '';
  try {
    for (const { field, bytes } of fieldsOf(body))
      if (field === 1)
        for (const inner of fieldsOf(bytes))
          if (inner.field === 1) refused = Number(inner.value);
          else if (inner.field === 2) message = inner.bytes.toString();
  } catch {
    message = 'its answer cannot be read';
  }
  return { kind: 'taken', refused: Math.max(0, refused), message: shortOf(message) };
}

export const httpAnswer = (answer: HttpAnswer, nowMs: number): Answer =>
  notTaken(answer, nowMs, (body) => statusOf(body).message) ??
  (answer.isCut === true ? { kind: 'taken', refused: 0, message: '', isCut: true } : takenAnswer(answer.body));

const [CANCELLED, DEADLINE_EXCEEDED, PERMISSION_DENIED, RESOURCE_EXHAUSTED] = [1, 4, 7, 8];
const [ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED] = [10, 11, 12, 14, 15, 16];
const RETRIED_CODES = new Set([
  CANCELLED,
  DEADLINE_EXCEEDED,
  RESOURCE_EXHAUSTED,
  ABORTED,
  OUT_OF_RANGE,
  UNAVAILABLE,
  DATA_LOSS,
]);
const MENDABLE_CODES = new Set([PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED]);

/** How the servers of grpc-go, gRPC in C++ and Java, grpc-js, .NET and tonic (OUT_OF_RANGE) refuse a message by its size. */
const ABOUT_SIZE = /larger than max|exceeds (the )?max|(too|is) large/i;

/** `status`: the trailer grpc-status-details-bin, an encoded google.rpc.Status. */
export function grpcFailure(code: number, details: string, status: Buffer | undefined): Answer {
  const why = `it answered with the gRPC status ${code}${details === '' ? '' : `: ${shortOf(details)}`}`;
  const retryMs = status === undefined ? undefined : statusOf(status).retryMs;
  const isFinal = retryMs === undefined && (code === RESOURCE_EXHAUSTED || code === OUT_OF_RANGE);
  if (isFinal && ABOUT_SIZE.test(details)) return { kind: 'too-large', why };
  // Halves of it would be more requests to a server that has no room for one.
  if (isFinal && code === RESOURCE_EXHAUSTED) return { kind: 'rejected', why };
  if (RETRIED_CODES.has(code)) return { kind: 'later', why, retryAfterMs: retryMs ?? 0 };
  if (MENDABLE_CODES.has(code))
    return { kind: 'later', why: `${why}; check url and headers of the handler`, retryAfterMs: 0 };
  return { kind: 'rejected', why };
}

/** google.rpc.Status: message = 2, details = 3 (Any: type_url = 1, value = 2); RetryInfo.retry_delay = 1 (seconds = 1, nanos = 2). */
function statusOf(bytes: Buffer): { readonly message: string; readonly retryMs: number | undefined } {
  let message = '';
  let retryMs: number | undefined;
  try {
    for (const part of fieldsOf(bytes)) {
      if (part.field === 2) message = part.bytes.toString();
      if (part.field !== 3) continue;
      const any = [...fieldsOf(part.bytes)];
      if (
        any
          .find(({ field }) => field === 1)
          ?.bytes.toString()
          .endsWith('/google.rpc.RetryInfo') !== true
      )
        continue;
      retryMs = 0;
      for (const delay of fieldsOf(any.find(({ field }) => field === 2)?.bytes ?? Buffer.alloc(0)))
        if (delay.field === 1)
          for (const { field, value } of fieldsOf(delay.bytes))
            retryMs += field === 1 ? Number(value) * 1000 : field === 2 ? Number(value) / 1e6 : 0;
    }
  } catch {
    // Not a Status; its code says enough.
  }
  return { message, retryMs: retryMs === undefined ? undefined : Math.max(0, retryMs) };
}
