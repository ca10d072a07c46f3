/** Requests to an API server, over kept connections. */
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { namedBy } from '../text/server-name.ts';
import type { ApiServer } from './api-server.ts';

export interface PostOptions {
  readonly accept: string;
  readonly signal: AbortSignal;
  /** The request fails if its answer has not begun by then; also while connecting. */
  readonly answerWithinMs: number;
  /** The body fails with {@link SilentServer} if nothing arrives for this long. */
  readonly silentAfterMs: number;
}
export interface GetOptions extends PostOptions {
  readonly query: Readonly<Record<string, string>>;
}

/** The body, in order; ends with the response. Rejects if it is cut off or silent. */
export type Body = AsyncIterable<Buffer>;

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_MESSAGE_CHARACTERS = 500;
const TCP_KEEPALIVE_MS = 30_000;

type Method = 'GET' | 'POST' | 'PATCH';

interface RequestBody {
  /** Its content type. */
  readonly type: string;
  readonly text: string;
}

/** An answer other than 200, or an ERROR event. */
export class ApiError extends Error {
  /** HTTP status. */
  readonly status: number;
  /** From Retry-After; 0 without one. */
  readonly retryAfterMs: number;
  constructor(message: string, status: number, retryAfterMs = 0) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Nothing arrived for too long. */
export class SilentServer extends Error {}

/** The server no longer has the requested version. */
export const isExpired = (error: unknown): boolean => error instanceof ApiError && error.status === 410;

export class ApiConnection {
  readonly #server: ApiServer;
  readonly #agent: Agent;

  constructor(server: ApiServer, maxSockets = 1) {
    this.#server = server;
    const { tls } = server;
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      ...(tls.servername === undefined ? {} : namedBy(tls.servername)),
      rejectUnauthorized: tls.rejectUnauthorized !== false,
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Rejects with {@link ApiError} for any answer but 200 and 201. */
  get(path: string, options: GetOptions): Promise<Body> {
    return this.#request('GET', `${path}?${new URLSearchParams(options.query).toString()}`, undefined, options);
  }

  /** Creates an object. Rejects with {@link ApiError} for any answer but 200 and 201. */
  post(path: string, object: object, options: PostOptions): Promise<Body> {
    return this.#request('POST', path, { type: 'application/json', text: JSON.stringify(object) }, options);
  }

  /** Creates an object, or sets the fields of it that are given (server-side apply). Rejects as `post`. */
  apply(path: string, object: object, options: GetOptions): Promise<Body> {
    const sent = { type: 'application/apply-patch+yaml', text: JSON.stringify(object) };
    return this.#request('PATCH', `${path}?${new URLSearchParams(options.query).toString()}`, sent, options);
  }

  async #request(method: Method, path: string, sent: RequestBody | undefined, options: PostOptions): Promise<Body> {
    const idle = new IdleTimer(options.answerWithinMs);
    try {
      const response = await this.#send(method, path, sent, options, idle);
      idle.afterMs = options.silentAfterMs;
      if (response.statusCode !== 200 && response.statusCode !== 201) throw await errorOf(response, idle, method);
      return bodyOf(response, idle);
    } catch (error) {
      idle.end();
      throw idle.error ?? error;
    }
  }

  #send(
    method: Method,
    path: string,
    sent: RequestBody | undefined,
    { accept, signal }: PostOptions,
    idle: IdleTimer,
  ): Promise<IncomingMessage> {
    const { url, token } = this.#server;
    return new Promise((resolve, reject) => {
      const request = httpsRequest(`${url}${path}`, {
        method,
        agent: this.#agent,
        signal,
        headers: {
          accept,
          'user-agent': 'sluice',
          ...(sent === undefined ? {} : { 'content-type': sent.type }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      });
      idle.begin((error) => request.destroy(error));
      request.on('socket', (socket) => socket.setKeepAlive(true, TCP_KEEPALIVE_MS));
      request.on('response', resolve);
      request.on('error', reject);
      request.end(sent?.text);
    });
  }
}

/** Destroys a request when nothing has arrived for a while. */
class IdleTimer {
  afterMs: number;
  error: SilentServer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #destroy: (error: Error) => void = () => undefined;

  constructor(afterMs: number) {
    this.afterMs = afterMs;
  }

  begin(destroy: (error: Error) => void = this.#destroy): void {
    this.#destroy = destroy;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.error = new SilentServer(`the API server is silent: nothing arrived for ${this.afterMs} ms`);
      this.#destroy(this.error);
    }, this.afterMs);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** The timer runs only while the next chunk is awaited: a slow reader is not a silent server. */
async function* bodyOf(response: IncomingMessage, idle: IdleTimer): AsyncGenerator<Buffer> {
  try {
    idle.begin();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      idle.end();
      yield chunk;
      idle.begin();
    }
  } catch (error) {
    throw idle.error ?? error;
  } finally {
    idle.end();
    response.destroy();
  }
}

async function errorOf(response: IncomingMessage, idle: IdleTimer, method: Method): Promise<ApiError> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of bodyOf(response, idle)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ERROR_BYTES) break;
  }
  const retryAfterMs = 1000 * Number(response.headers['retry-after'] ?? 0);
  const hints = { ...HINTS, ...HINTS_OF_WRITES[method] };
  return apiError(response.statusCode ?? 0, statusMessage(Buffer.concat(chunks).toString()), retryAfterMs, hints);
}

export function apiError(status: number, message: string, retryAfterMs = 0, hints = HINTS): ApiError {
  const detail = message === '' ? '' : `: ${message.slice(0, MAX_MESSAGE_CHARACTERS)}`;
  return new ApiError(
    `the API server answers ${status}${detail}${hints[status] ?? ''}`,
    status,
    Number.isFinite(retryAfterMs) && retryAfterMs > 0 ? retryAfterMs : 0,
  );
}

const HINTS: Readonly<Record<number, string>> = {
  401: '; the server rejects the token or client certificate',
  403: '; grant get, list and watch on this resource to this account',
  404: '; the server does not know this resource',
};

const HINTS_OF_WRITES: Readonly<Partial<Record<Method, Readonly<Record<number, string>>>>> = {
  POST: { 403: '; grant create on this resource to this account' },
  PATCH: { 403: '; grant create and patch on this resource to this account', 404: '' },
};

/** The message of a Status object; of another body, such as a proxy's, its beginning. */
function statusMessage(body: string): string {
  try {
    const status = JSON.parse(body) as { message?: unknown } | null;
    return typeof status?.message === 'string' ? status.message : '';
  } catch {
    return body.trim().slice(0, 100);
  }
}
