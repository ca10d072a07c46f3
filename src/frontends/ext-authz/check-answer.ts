/**
 * **In**: a verdict. **Out**: a CheckResponse that has the same effect in all versions of Envoy.
 * **Fails**: with a gRPC error for the outcome `error`, so that Envoy's failure mode decides. Status code 0 is sent for `allow` alone.
 */
import type { NetChanges, Verdict } from '../../core/call.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { withGrpcStatus } from '../grpc-status.ts';
import { hasRepeats } from '../header-pairs.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { writeVerdictMetadata } from '../verdict-metadata.ts';
import { DENIED, OK, RESPONSE } from './check-fields.ts';
import type { CheckWire } from './check-wire.ts';
import { formedAnswer } from './formed-answer.ts';
import { hasQueryChanges, spelledChanges } from './query-changes.ts';
import {
  denialHeaders,
  removedHeaders,
  requestHeaders,
  responseHeaders,
  writeHeaderOptions,
  writeOverwrites,
} from './header-options.ts';

/** Shared by all calls: one message must be begun and finished without awaiting. */
const writer = new ProtobufWriter();

/** The encoded response per set of changes. Only the id at its end differs, so it is patched in place. Valid while ids keep this length. */
const allowedAnswers = new WeakMap<NetChanges, { readonly answer: Uint8Array; readonly idLength: number }>();

/** The returned bytes are reused by the next call; copy them to keep them. */
export function checkAnswer(verdict: Verdict, wire: CheckWire): Uint8Array {
  const { id, outcome, changes, shadow } = verdict;
  if (outcome !== 'allow' || shadow.length > 0) return encoded(verdict, wire);
  if (!changes.isConstant) {
    const { form, values } = changes;
    const formed = form === undefined || values === undefined ? undefined : formedAnswer(form, values, verdict);
    return formed ?? encoded(verdict, wire);
  }
  if (changes.request.append.length > 0 || hasQueryChanges(changes.query)) return encoded(verdict, wire);
  const { length } = id;
  const cached = allowedAnswers.get(changes);
  if (cached?.idLength !== length) {
    const answer = new Uint8Array(encoded(verdict, wire));
    allowedAnswers.set(changes, { answer, idLength: length });
    return answer;
  }
  const { answer } = cached;
  const from = answer.length - length;
  for (let at = 0; at < length; at++) answer[from + at] = id.charCodeAt(at);
  return answer;
}

function encoded(verdict: Verdict, wire: CheckWire): Uint8Array {
  const { request } = verdict.changes;
  const sentHeaders = request.append.length === 0 ? undefined : wire.headers();
  writer.start();
  switch (verdict.outcome) {
    case 'allow': {
      writeStatus(Status.OK, '');
      writeOk(verdict, sentHeaders, wire);
      break;
    }
    case 'deny':
      writeDenial(verdict, verdict.code === Status.OK ? Status.PERMISSION_DENIED : verdict.code, verdict.status, wire);
      break;
    case 'failed':
      writeDenial(verdict, Status.UNAVAILABLE, 503, wire);
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

/** `sentHeaders`: the headers of the request, if a rule appends to one. */
function writeOk(
  { changes: { request, response, query } }: Verdict,
  sentHeaders: ReadonlyMap<string, string> | undefined,
  wire: CheckWire,
): void {
  const ok = writer.begin(RESPONSE.ok);
  if (request.append.length === 0 && !hasRepeats(request.set)) writeOverwrites(writer, OK.headers, request.set);
  else writeHeaderOptions(writer, OK.headers, requestHeaders(request, sentHeaders));
  if (request.remove.length > 0) for (const name of removedHeaders(request)) writer.item(OK.headersToRemove, name);
  writeHeaderOptions(writer, OK.responseHeadersToAdd, responseHeaders(response));
  if (hasQueryChanges(query)) writeQuery(query, wire);
  writer.end(ok);
}

function writeQuery(query: NetChanges['query'], wire: CheckWire): void {
  const path = wire.read('request.path');
  const { set, remove } = spelledChanges(query, typeof path === 'string' ? path : '');
  for (const [key, value] of set) {
    const parameter = writer.begin(OK.queryParametersToSet);
    writer.text(1, key);
    writer.text(2, value);
    writer.end(parameter);
  }
  for (const name of remove) writer.item(OK.queryParametersToRemove, name);
}

function writeDenial({ rule, headers, body }: Verdict, code: number, httpStatus: number, wire: CheckWire): void {
  writeStatus(code, rule ?? '');
  const denied = writer.begin(RESPONSE.denied);
  const status = writer.begin(DENIED.status);
  writer.varint(1, httpStatus);
  writer.end(status);
  writeHeaderOptions(
    writer,
    DENIED.headers,
    denialHeaders(withGrpcStatus(headers, code, wire.headers()?.get('content-type'))),
  );
  writer.text(DENIED.body, body);
  writer.end(denied);
}
