/** An HTTP service whose answers a test writes, byte by byte if it wants, and that counts its connections. */
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type ServerOptions } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

export interface ArrivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
export type Answering = (request: ArrivedRequest, response: ServerResponse) => void;

export interface HttpService {
  readonly port: number;
  readonly url: string;
  readonly requests: readonly ArrivedRequest[];
  /** Connections that are open now, and all that ever were. */
  readonly connections: { readonly open: number; readonly all: number };
  answer: Answering;
  stop(): Promise<void>;
}

/** With `tls` an https service. `port`: that of one that stopped. */
export async function startHttpService(
  answer: Answering,
  { tls, port = 0 }: { tls?: ServerOptions; port?: number } = {},
): Promise<HttpService> {
  const requests: ArrivedRequest[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = request;
    const arrived = { method, path: url, headers, body: await text(request) };
    requests.push(arrived);
    service.answer(arrived, response);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    take(request, response).catch(() => response.destroy());
  };
  const server: Server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
  const listening = await listen(server, port);
  const service: HttpService = {
    ...listening,
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${listening.port}`,
    requests,
    answer,
  };
  return service;
}

export type TcpService = Pick<HttpService, 'port' | 'url' | 'connections' | 'stop'>;

/** A server that answers with bytes, after it has read some. */
export async function startTcpService(serve: (socket: Socket, connection: number) => void): Promise<TcpService> {
  let connection = 0;
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    serve(socket, connection++);
  });
  const listening = await listen(server, 0);
  return { ...listening, url: `http://127.0.0.1:${listening.port}` };
}

async function listen(server: TcpServer, port: number): Promise<Omit<TcpService, 'url'>> {
  const sockets = new Set<Socket>();
  const connections = { open: 0, all: 0 };
  server.on('connection', (socket) => {
    sockets.add(socket);
    connections.open++;
    connections.all++;
    socket.once('close', () => {
      sockets.delete(socket);
      connections.open--;
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export function json(response: ServerResponse, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}
