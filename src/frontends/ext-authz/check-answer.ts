/**
 * **In**: a verdict. **Out**: the CheckResponse that says it to Envoys of all versions.
 * **Fails**: an `error` is a gRPC error, so that Envoy's own failure mode decides; status code 0 is said of `allow` alone.
 */
import type { NetChanges, Verdict } from '../../core/call.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { hasRepeats } from '../header-pairs.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { writeVerdictMetadata } from '../verdict-metadata.ts';
import type { CheckWire } from './check-wire.ts';
import {
  denialHeaders,
  removedHeaders,
  requestHeaders,
  responseHeaders,
  writeHeaderOptions,
  writeSettings,
} from './header-options.ts';

/** Numbers of envoy.service.auth.v3: CheckResponse, OkHttpResponse, DeniedHttpResponse. */
const RESPONSE = { status: 1, denied: 2, ok: 3, dynamicMetadata: 4 } as const;
const OK = {
  headers: 2,
  headersToRemove: 5,
  responseHeadersToAdd: 6,
  queryParametersToSet: 7,
  queryParametersToRemove: 8,
} as const;
const DENIED = { status: 1, headers: 2, body: 3 } as const;

/** Used within one turn only. */
const writer = new ProtobufWriter();

/** The answer to allowed calls that change the same: all but the id, which stands at its end. As long as ids are so long. */
const known = new WeakMap<NetChanges, { readonly answer: Uint8Array; readonly idLength: number }>();

/** Lent: the next call may write its own answer over it. */
export function checkAnswer(verdict: Verdict, wire: CheckWire): Uint8Array {
  const { id, outcome, changes, shadow } = verdict;
  if (outcome !== 'allow' || !changes.isConstant || changes.request.append.length > 0 || shadow.length > 0)
    return written(verdict, wire);
  const { length } = id;
  const same = known.get(changes);
  if (same?.idLength !== length) {
    const answer = new Uint8Array(written(verdict, wire));
    known.set(changes, { answer, idLength: length });
    return answer;
  }
  const { answer } = same;
  const from = answer.length - length;
  for (let at = 0; at < length; at++) answer[from + at] = id.charCodeAt(at);
  return answer;
}

function written(verdict: Verdict, wire: CheckWire): Uint8Array {
  const { request } = verdict.changes;
  const seen = request.append.length === 0 ? undefined : wire.headers();
  writer.start();
  switch (verdict.outcome) {
    case 'allow': {
      writeStatus(Status.OK, '');
      writeOk(verdict, seen);
      break;
    }
    case 'deny':
      writeDenial(verdict, verdict.code === Status.OK ? Status.PERMISSION_DENIED : verdict.code, verdict.status);
      break;
    case 'failed':
      writeDenial(verdict, Status.UNAVAILABLE, 503);
      break;
    case 'error':
      throw new GrpcError(
        Status.UNAVAILABLE,
        `${verdict.rule ?? 'a rule'} could not be decided (verdict ${verdict.id})`,
      );
  }
  writeVerdictMetadata(writer, RESPONSE.dynamicMetadata, verdict, verdict.changes.metadata);
  return writer.lend();
}

/** google.rpc.Status. */
function writeStatus(code: number, message: string): void {
  const status = writer.begin(RESPONSE.status);
  writer.varint(1, code);
  writer.text(2, message);
  writer.end(status);
}

/** `seen`: the headers of the request, where a rule appends to one. */
function writeOk(
  { changes: { request, response, query } }: Verdict,
  seen: ReadonlyMap<string, string> | undefined,
): void {
  const ok = writer.begin(RESPONSE.ok);
  if (request.append.length === 0 && !hasRepeats(request.set)) writeSettings(writer, OK.headers, request.set);
  else writeHeaderOptions(writer, OK.headers, requestHeaders(request, seen));
  if (request.remove.length > 0) for (const name of removedHeaders(request)) writer.item(OK.headersToRemove, name);
  writeHeaderOptions(writer, OK.responseHeadersToAdd, responseHeaders(response));
  for (const [key, value] of query.set) {
    const parameter = writer.begin(OK.queryParametersToSet);
    writer.text(1, key);
    writer.text(2, value);
    writer.end(parameter);
  }
  for (const name of query.remove) writer.item(OK.queryParametersToRemove, name);
  writer.end(ok);
}

function writeDenial({ rule, headers, body }: Verdict, code: number, httpStatus: number): void {
  writeStatus(code, rule ?? '');
  const denied = writer.begin(RESPONSE.denied);
  const status = writer.begin(DENIED.status);
  writer.varint(1, httpStatus);
  writer.end(status);
  writeHeaderOptions(writer, DENIED.headers, denialHeaders(headers));
  writer.text(DENIED.body, body);
  writer.end(denied);
}
