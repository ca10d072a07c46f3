/**
 * Checks over HTTP: Envoy's `http_service`, and the forward-auth of other proxies ([http.md](../../../docs/http.md)).
 * **In**: a request of a proxy, at the path of a route. **Out**: 200 if the client's request is allowed, else the status of the denial; in
 * the same turn if the engine answers synchronously. **Fails**: 404 without a route, 400 if the proxy does not say what it asks about, 413 for
 * a large body, 503 for the outcome `error`, which alone is our failure.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Engine, Verdict } from '../../core/call.ts';
import { messageOf } from '../../text/message-of.ts';
import { systemNowMs } from '../frontend-options.ts';
import { HeaderLines } from './header-lines.ts';
import { type HttpAnswer, httpAnswer, unavailable } from './http-answer.ts';
import { HttpCaller } from './http-caller.ts';
import { HttpWire, type RunningRoute, runningRoute } from './http-wire.ts';
import { presented } from './presented.ts';
import type { HttpRoute } from './routes.ts';

export interface HttpDoorOptions {
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

export function httpDoor(engine: Engine, options: HttpDoorOptions): RequestListener {
  const routes = options.routes.map(runningRoute);
  const { maxBodyBytes, onRefused, onFault, nowMs = systemNowMs } = options;

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

  return (request, response) => {
    const url = request.url ?? '';
    const route = routes.find(({ prefix }) => url.startsWith(prefix));
    if (route === undefined)
      return refuse(request, response, plain(404, 'no route of --http-route has this path'), 'no route has this path');
    const lines = new HeaderLines(request.rawHeaders);
    const length = lines.map.get('content-length') ?? '0';
    if (length === '0' && !lines.map.has('transfer-encoding')) return ask(route, request, response, lines, undefined);
    const tooLarge = `the body is larger than ${maxBodyBytes} bytes`;
    if (Number(length) > maxBodyBytes) return refuse(request, response, plain(413, tooLarge), tooLarge);
    readBody(request, maxBodyBytes).then(
      (body) =>
        body === undefined
          ? refuse(request, response, plain(413, tooLarge), tooLarge)
          : ask(route, request, response, lines, body),
      (error: unknown) => {
        // The proxy went away; nobody waits for an answer.
        if (!request.destroyed) onFault(shown(url), messageOf(error));
        response.destroy();
      },
    );
  };
}

/** For a log line: without the query, which may hold secrets. */
const shown = (url: string): string => url.slice(0, MOST_SHOWN).replace(/[?#].*/s, '');
const MOST_SHOWN = 200;

/** `undefined` if it is larger. Rejects if it ends early. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    bytes += (part as Buffer).length;
    if (bytes > maxBytes) return undefined;
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts);
}
