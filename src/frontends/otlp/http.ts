/**
 * OTLP/HTTP: POST /v1/logs, in protobuf or JSON, plain or gzip.
 * **In**: requests of Node's HTTP server. **Out**: as the gRPC method; an ExportLogsServiceResponse in the encoding of the request.
 * **Fails**: with the status of the specification and a google.rpc.Status; 429 with Retry-After while a queue is full.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { create, type DescMessage, type MessageShape, toBinary, toJsonString } from '@bufbuild/protobuf';
import type { Engine } from '../../core/call.ts';
import { Malformed } from '../../protobuf/malformed.ts';
import { messageOf } from '../../text/message-of.ts';
import { rangeOf } from '../../transport/byte-range.ts';
import { requestBody } from '../../transport/index.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import type { FrontendOptions } from '../frontend-options.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { ExportLogsServiceResponseSchema } from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import { logExporter, QueuesFull, RETRY_AFTER_S } from './export.ts';
import { requestOfJson } from './json.ts';
import { responseOf } from './methods.ts';

export const LOGS_PATH = '/v1/logs';
const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** Of all bodies that are being received or read; above it requests are refused. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';
type Encoding = typeof PROTOBUF | typeof JSON_TYPE;

/** Answered with this HTTP status. */
class Refusal extends Error {
  readonly status: number;
  readonly code: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, code: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}
const RETRY = { 'retry-after': String(RETRY_AFTER_S) };
const tooLarge = (): Refusal =>
  new Refusal(413, Status.RESOURCE_EXHAUSTED, `a request may have ${MAX_BODY_BYTES} bytes; send fewer records in each`);

export interface OtlpHttpOptions extends FrontendOptions {
  /** Called with every internal error, for the log. */
  readonly onFault: (error: unknown) => void;
}

export type HttpHandler = (request: IncomingMessage, response: ServerResponse, ending: AbortSignal) => void;

export function otlpHttpHandler(engine: Engine, options: OtlpHttpOptions): HttpHandler {
  const take = logExporter(engine, options);
  let heldBytes = 0;

  async function answer(request: IncomingMessage, response: ServerResponse, ending: AbortSignal): Promise<void> {
    const encoding = encodingOf(request);
    let held = 0;
    const hold = (bytes: number): void => {
      held += bytes;
      heldBytes += bytes;
      if (heldBytes > MAX_HELD_BYTES)
        throw new Refusal(429, Status.RESOURCE_EXHAUSTED, 'requests hold too much memory; send it again', RETRY);
    };
    try {
      const body = await bodyOf(request, hold);
      const bytes = encoding === JSON_TYPE ? await requestOfJson(body.toString('utf8')) : body;
      const exported = await take(rangeOf(bytes), { ending });
      reply(response, encoding, 200, ExportLogsServiceResponseSchema, responseOf(exported));
    } catch (error) {
      if (request.errored !== null) return; // the client is gone
      const { status, code, message, headers } = refusalOf(error);
      if (status === 500) options.onFault(error);
      reply(response, encoding, status, StatusSchema, create(StatusSchema, { code, message }), headers);
    } finally {
      heldBytes -= held;
    }
  }

  return (request, response, ending) => {
    const refusal = refusalOfHead(request);
    if (refusal === undefined) return void answer(request, response, ending);
    const { status, code, message, headers } = refusal;
    reply(response, encodingOf(request), status, StatusSchema, create(StatusSchema, { code, message }), headers);
  };
}

/** JSON if it is neither. */
const encodingOf = ({ headers }: IncomingMessage): Encoding =>
  mediaTypeOf(headers['content-type']) === PROTOBUF ? PROTOBUF : JSON_TYPE;

const mediaTypeOf = (type = ''): string => (type.split(';', 1)[0] ?? '').trim().toLowerCase();

function refusalOfHead({ method, url = '', headers }: IncomingMessage): Refusal | undefined {
  if (url.split('?', 1)[0] !== LOGS_PATH)
    return new Refusal(
      404,
      Status.UNIMPLEMENTED,
      `this port has the path ${LOGS_PATH}; metrics and traces are not taken`,
    );
  if (method !== 'POST') return new Refusal(405, Status.UNIMPLEMENTED, 'send logs by POST', { allow: 'POST' });
  const type = mediaTypeOf(headers['content-type']);
  if (type !== PROTOBUF && type !== JSON_TYPE)
    return new Refusal(415, Status.INVALID_ARGUMENT, `content-type must be ${PROTOBUF} or ${JSON_TYPE}`);
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding !== 'gzip' && coding !== 'identity')
    return new Refusal(415, Status.INVALID_ARGUMENT, 'content-encoding must be gzip or identity', {
      'accept-encoding': 'gzip, identity',
    });
  return Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES ? tooLarge() : undefined;
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof QueuesFull) return new Refusal(429, error.code, error.message, RETRY);
  if (error instanceof Malformed) return new Refusal(400, error.code, error.message);
  if (error instanceof GrpcError) return new Refusal(503, error.code, error.message, RETRY);
  return new Refusal(500, Status.INTERNAL, 'internal error; see the log of the server');
}

/** `hold` counts memory, and throws if there is too much. */
async function bodyOf(request: IncomingMessage, hold: (bytes: number) => void): Promise<Buffer> {
  const body = await requestBody(request, { maxBytes: MAX_BODY_BYTES, tooLarge, hold });
  if (request.headers['content-encoding'] !== 'gzip') return body;
  const plain = await inflated(body);
  hold(plain.length);
  return plain;
}

const gunzipOf = promisify<Buffer, { readonly maxOutputLength: number }, Buffer>(gunzip);

async function inflated(body: Buffer): Promise<Buffer> {
  try {
    return await gunzipOf(body, { maxOutputLength: MAX_BODY_BYTES });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw new Malformed(`the body is not gzip: ${messageOf(error)}`, { cause: error });
  }
}

/** After a refusal the rest of the body is not read. */
function reply<D extends DescMessage>(
  response: ServerResponse,
  encoding: Encoding,
  status: number,
  schema: D,
  message: MessageShape<D>,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.destroyed || response.headersSent) return;
  const body = encoding === PROTOBUF ? toBinary(schema, message) : Buffer.from(toJsonString(schema, message));
  response
    .writeHead(status, {
      'content-type': encoding,
      'content-length': String(body.length),
      ...(response.req.complete ? {} : { connection: 'close' }),
      ...headers,
    })
    .end(body);
}
