/** The upstream behind Envoy: an HTTP server that returns the request it got, and a TCP echo server. */
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';

export interface Upstream {
  readonly httpPort: number;
  readonly tcpPort: number;
  stop(): Promise<void>;
}

/** The response: the request as JSON. `?status=503` sets the status, `?ms=50` the delay. */
export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { searchParams } = new URL(request.url ?? '/', 'http://upstream');
  const arrived: Arrived = {
    method: request.method ?? '',
    url: request.url ?? '',
    headers: request.headers,
    body: Buffer.concat(chunks).toString(),
  };
  const send = (): void => {
    response.writeHead(Number(searchParams.get('status') ?? 200), { 'content-type': 'application/json' });
    response.end(JSON.stringify(arrived));
  };
  const delayMs = Number(searchParams.get('ms') ?? 0);
  if (delayMs > 0) setTimeout(send, delayMs);
  else send();
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** `maxHeaderSize`: octets of a head that it takes; Node's default is 16 KiB. */
export async function startUpstream({ maxHeaderSize }: { readonly maxHeaderSize?: number } = {}): Promise<Upstream> {
  // By default Node closes connections that rest for some seconds, also while a request of Envoy is on its way, which is lost then.
  const http = createHttpServer(
    { keepAliveTimeout: 0, ...(maxHeaderSize === undefined ? {} : { maxHeaderSize }) },
    (request, response) => {
      answer(request, response).catch(() => response.destroy());
    },
  );
  const tcp = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  const [httpPort, tcpPort] = [await listening(http), await listening(tcp)];
  return {
    httpPort,
    tcpPort,
    stop: async () => {
      http.closeAllConnections();
      const ended = [once(http, 'close'), once(tcp, 'close')];
      http.close();
      tcp.close();
      await Promise.all(ended);
    },
  };
}
