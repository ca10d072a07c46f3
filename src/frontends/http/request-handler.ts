/**
 * Checks over HTTP: Envoy's `http_service`, the forward-auth of other proxies, and AuthZEN ([http.md](../../../docs/http.md)).
 * **In**: a request of a proxy, at the path of a route. **Out**: 200 if the client's request is allowed, else the status of the denial; in
 * the same turn if the engine answers synchronously. **Fails**: 404 without a route, 400 if the proxy does not say what it asks about, 413
 * for a large body, 503 for the outcome `error`, which alone is our failure.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Engine, Verdict } from '../../core/call.ts';
import { systemNowMs } from '../frontend-options.ts';
import { type AuthzenEndpoint, authzenEndpoints, failure } from './authzen/endpoints.ts';
import { HeaderLines } from './header-lines.ts';
import { bytesOf, type HttpAnswer, httpAnswer, unavailable } from './http-answer.ts';
import { HttpCaller } from './http-caller.ts';
import { HttpWire, type RunningRoute, runningRoute } from './http-wire.ts';
import { presented } from './presented.ts';
import type { HttpRoute } from './routes.ts';

export interface HttpCheckOptions {
  readonly routes: readonly HttpRoute[];
  readonly isDraining: () => boolean;
  /** A request that the engine was not asked about: its path and the reason. */
  readonly onRefused: (path: string, why: string) => void;
  readonly onFault: (path: string, error: unknown) => void;
  /** As gRPC's. */
  readonly maxBodyBytes: number;
  /** For `context.time`; the system's clock by default. */
  readonly nowMs?: () => number;
}

const plain = (status: number, body: string): HttpAnswer => ({
  status,
  headers: ['content-type', 'text/plain'],
  body: `${body}\n`,
});

/** Of bodies that are not complete, over all connections. */
const MAX_HELD_BYTES = 256 * 1024 * 1024;

export function httpCheckHandler(engine: Engine, options: HttpCheckOptions): RequestListener {
  const routes = options.routes.flatMap((route) => runningRoute(route) ?? []);
  const ofAuthzen = new Map(
    options.routes
      .filter(({ dialect }) => dialect === 'authzen')
      .flatMap((route) => authzenEndpoints(engine, route, options.nowMs ?? systemNowMs)),
  );
  const { maxBodyBytes, onRefused, onFault, nowMs = systemNowMs } = options;

  let held = 0;

  function refuse(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer, why: string): void {
    onRefused(shown(request.url ?? ''), why);
    send(response, answer, true);
  }

  function send(response: ServerResponse, { status, headers, body }: HttpAnswer, ends = options.isDraining()): void {
    if (response.headersSent || response.destroyed) return;
    if (ends) response.shouldKeepAlive = false;
    // With a body that is a string, node:http would encode the headers again, as UTF-8.
    const bytes = Buffer.from(body);
    headers.push('content-length', String(bytes.length));
    response.writeHead(status, headers).end(bytes);
  }

  /** A rule's texts may be no header value; an answer that cannot be written is our failure. */
  function answer(path: string, response: ServerResponse, verdict: Verdict, wire: HttpWire): void {
    try {
      const made = httpAnswer(verdict, wire);
      if (made.status === 503 && verdict.outcome === 'allow') onRefused(shown(path), made.body);
      send(response, made);
    } catch (error) {
      onFault(shown(path), error);
      send(response, unavailable('internal error; the log has the reason'));
    }
  }

  function ask(
    route: RunningRoute,
    request: IncomingMessage,
    response: ServerResponse,
    lines: HeaderLines,
    body: Buffer | undefined,
  ): void {
    const url = request.url ?? '';
    const asked = presented(route, request.method ?? '', url, lines);
    if (typeof asked === 'string') return refuse(request, response, plain(400, asked), asked);
    const wire = new HttpWire(route, asked, lines, body, nowMs);
    const caller = new HttpCaller(lines.map, route.dialect);
    const verdict = engine.check('http', wire, caller);
    if (!(verdict instanceof Promise)) return answer(url, response, verdict, wire);
    caller.wait(response, () => send(response, unavailable('the deadline has passed')));
    // The engine never rejects.
    void verdict.then((late) => answer(url, response, late, wire));
  }

  function askAuthzen(
    endpoint: AuthzenEndpoint,
    request: IncomingMessage,
    response: ServerResponse,
    lines: HeaderLines,
    body: Buffer,
  ): void {
    const id = lines.map.get('x-request-id');
    const finish = (made: HttpAnswer): void => {
      if (id !== undefined) made.headers.push('x-request-id', bytesOf(id));
      send(response, made);
    };
    const fault = (error: unknown): void => {
      onFault(shown(request.url ?? ''), error);
      finish(failure(500, 'internal error; the log has the reason'));
    };
    const caller = new HttpCaller(lines.map, undefined);
    try {
      const made = endpoint({ method: request.method ?? '', headers: lines.map, body, caller });
      if (!(made instanceof Promise)) return finish(made);
      caller.wait(response, () => finish(failure(500, 'the deadline has passed')));
      made.then(finish, fault);
    } catch (error) {
      fault(error);
    }
  }

  /** Reads the body, unless it is too large, or bodies of all calls hold too much. */
  function withBody(
    request: IncomingMessage,
    response: ServerResponse,
    lines: HeaderLines,
    then: (body: Buffer | undefined) => void,
  ): void {
    const length = lines.map.get('content-length') ?? '0';
    if (length === '0' && !lines.map.has('transfer-encoding')) return then(undefined);
    const tooLarge = `the body is larger than ${maxBodyBytes} bytes`;
    if (Number(length) > maxBodyBytes) return refuse(request, response, plain(413, tooLarge), tooLarge);
    let bytes = 0;
    const parts: Buffer[] = [];
    const end = (): void => {
      held -= bytes;
      bytes = 0;
      request.off('data', take).off('end', whole);
    };
    const take = (part: Buffer): void => {
      bytes += part.length;
      held += part.length;
      parts.push(part);
      const isFull = held > MAX_HELD_BYTES;
      if (bytes <= maxBodyBytes && !isFull) return;
      end();
      request.resume();
      if (isFull)
        refuse(request, response, unavailable('bodies of calls hold too much memory'), 'bodies hold too much memory');
      else refuse(request, response, plain(413, tooLarge), tooLarge);
    };
    const whole = (): void => {
      end();
      then(Buffer.concat(parts));
    };
    request.on('data', take).once('end', whole).once('close', end).on('error', noOneWaits);
  }

  return (request, response) => {
    const url = request.url ?? '';
    const endpoint = ofAuthzen.get(url.split('?', 1)[0] ?? '');
    const route = routes.find(({ prefix }) => url.startsWith(prefix));
    if (endpoint === undefined && route === undefined)
      return refuse(request, response, plain(404, 'no route of --http-route has this path'), 'no route has this path');
    const lines = new HeaderLines(request.rawHeaders);
    withBody(request, response, lines, (body) => {
      if (endpoint !== undefined) askAuthzen(endpoint, request, response, lines, body ?? NOTHING);
      else if (route !== undefined) ask(route, request, response, lines, body);
    });
  };
}

const NOTHING = Buffer.alloc(0);

/** The proxy went away while it sent the body. */
const noOneWaits = (): void => {};

/** For a log line: without the query, which may hold secrets. */
const shown = (url: string): string => url.slice(0, MAX_SHOWN).replace(/[?#].*/s, '');
const MAX_SHOWN = 200;
