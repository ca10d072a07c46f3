/**
 * One request and its answer on a connection of the pool.
 * **In**: a request, its bounds. **Out**: the answer, whole. **Fails**: with {@link Rejected} for a body above the bound, unless it
 * may be cut, with {@link CallOver} when the signal aborts, else with {@link ExchangeError}.
 */
import { Rejected, tlsProblem, Unavailable } from 'sluice/plugin';
import type { Pool } from 'undici';
import type { HttpAnswer } from './answer.ts';
import type { HttpRequest } from './request.ts';

export interface Bounds {
  readonly maxBodyBytes: number;
  /** For writes: the status alone says that the request was taken, so a longer body is no failure. The rest of it is not read. */
  readonly cutsBody?: boolean;
  readonly signal: AbortSignal;
}

/** Its name tells equal calls that wait for this one to ask themselves. */
export class CallOver extends Unavailable {
  constructor(cause: unknown) {
    super('the call was over before the answer came', 0, { cause });
    this.name = 'AbortError';
  }
}

type CodedError = Error & { readonly code?: string; readonly errors?: readonly CodedError[] };

export class ExchangeError extends Error {
  /** The connection ended before an answer began; if it was idle, most likely before the request arrived. */
  readonly isLost: boolean;
  constructor(cause: CodedError, hasBegun: boolean) {
    const { code = '', message } = cause.errors?.[0] ?? cause; // an AggregateError of several addresses has no message
    super(TEXTS.get(code) ?? tlsProblem(message) ?? (message || code || 'it cannot be asked'), { cause });
    this.isLost = !hasBegun && ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(code);
  }
}

const TEXTS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connection refused'],
  ['ENOTFOUND', 'its name cannot be resolved (ENOTFOUND)'],
  ['EAI_AGAIN', 'its name cannot be resolved now (EAI_AGAIN)'],
  ['ECONNRESET', 'it reset the connection'],
  ['EPIPE', 'it closed the connection while a request was sent'],
  ['UND_ERR_CONNECT_TIMEOUT', 'no connection within connectTimeoutMs'],
  ['UND_ERR_SOCKET', 'it closed the connection before its answer was whole'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'its answer ends before or after its content-length'],
  ['UND_ERR_HEADERS_OVERFLOW', 'its answer has too many headers'],
]);

/** `leavesQueue`: undici's key for the option by which a request that waits for a connection is taken out of the queue. */
export function exchange(
  pool: Pool,
  leavesQueue: symbol,
  request: HttpRequest,
  { maxBodyBytes, cutsBody = false, signal }: Bounds,
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  if (signal.aborted) {
    reject(new CallOver(signal.reason));
    return promise;
  }
  let abort: ((why: Error) => void) | undefined;
  let isOver = false;
  let hasBegun = false;
  let status = 0;
  let headers: HttpAnswer['headers'] = {};
  const chunks: Buffer[] = [];
  let bytes = 0;
  const end = (): void => {
    isOver = true;
    signal.removeEventListener('abort', giveUp);
  };
  const fail = (error: Error): void => {
    end();
    reject(error);
    abort?.(error); // destroys the connection: what is left of the answer is in it
  };
  function giveUp(): void {
    fail(new CallOver(signal.reason));
  }
  const answerOf = (): HttpAnswer => ({
    status,
    headers,
    body: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks),
  });
  const tooLarge = (): void => {
    const why = new Rejected(`its answer has a body of more than ${maxBodyBytes} bytes (maxBodyBytes)`);
    if (cutsBody) resolve({ ...answerOf(), isCut: true });
    fail(why);
  };
  signal.addEventListener('abort', giveUp, { once: true });
  const options = {
    method: request.method,
    path: request.path,
    headers: [...request.headers],
    body: request.body ?? null,
    [leavesQueue]: (leave: (why: Error) => void) => {
      abort = leave;
    },
  };
  pool.dispatch(options, {
    onRequestStart(controller) {
      abort = (why) => controller.abort(why);
      if (isOver) controller.abort(new CallOver(signal.reason));
    },
    onResponseStart(_, code, fields) {
      hasBegun = true;
      status = code;
      headers = joined(fields);
      if (Number(headers['content-length'] ?? 0) > maxBodyBytes) tooLarge();
    },
    onResponseData(_, chunk) {
      if (isOver) return;
      bytes += chunk.length;
      if (bytes > maxBodyBytes) tooLarge();
      else chunks.push(chunk);
    },
    onResponseEnd() {
      if (isOver) return;
      end();
      resolve(answerOf());
    },
    onResponseError(_, error) {
      if (isOver) return;
      end();
      reject(new ExchangeError(error, hasBegun));
    },
  });
  return promise;
}

function joined(fields: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const headers = Object.create(null) as Record<string, string>; // the service chooses the names
  for (const [name, value] of Object.entries(fields))
    headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
  return headers;
}
