/** What the four services share: a server, and calls of other services with the headers that a mesh needs. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';

/** Trace headers are passed on, or traces end here; `end-user` lets rules route by user. */
const PASSED_ON = [
  'x-request-id',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'x-ot-span-context',
  'traceparent',
  'tracestate',
  'end-user',
] as const;

export const passedOn = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(PASSED_ON.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])));

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void;

/** At HOST:PORT of the environment, until it is stopped by a signal. */
export function serve(name: string, handle: Handler): void {
  const { HOST = '127.0.0.1', PORT = '9080' } = process.env;
  const server = createServer((incoming, response) => {
    const answer = async (): Promise<void> => handle(incoming, response, new URL(incoming.url ?? '/', 'http://service'));
    answer().catch((error: unknown) => {
      console.error(`${name}: ${incoming.method} ${incoming.url}: ${String(error)}`);
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end('internal error');
    });
  });
  server.listen(Number(PORT), HOST, () => console.log(`${name} serves ${HOST}:${PORT}`));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      server.close(() => process.exit(0));
      server.closeIdleConnections();
    });
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export interface Reply {
  readonly status: number;
  readonly body: string;
}

/**
 * Asks another service: through OUTBOUND (`ADDRESS:PORT` of this workload's proxy), which finds it by its name in Host. Rejects where
 * nobody answers within `timeoutMs`.
 */
export function ask(
  service: string,
  path: string,
  { headers, timeoutMs }: { readonly headers: Readonly<Record<string, string>>; readonly timeoutMs: number },
): Promise<Reply> {
  const [host = '127.0.0.1', port = '9080'] = (process.env['OUTBOUND'] ?? '').split(':');
  return new Promise((resolve, reject) => {
    const call = request(
      { host, port: Number(port), path, headers: { ...headers, host: `${service}:9080` }, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      },
    );
    call.on('error', reject);
    call.end();
  });
}
