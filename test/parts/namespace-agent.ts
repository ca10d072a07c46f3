/** A process of network-namespace.ts: it becomes the user whose id is its argument, then listens and calls as its parent says. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, request, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';

interface Asked {
  readonly id: number;
  readonly op: 'listen' | 'connect' | 'serve' | 'get';
  readonly host: string;
  readonly port: number;
  readonly name?: string;
  readonly from?: string;
  readonly path?: string;
  readonly service?: string;
  readonly closes?: boolean;
  readonly shows?: readonly string[];
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
}

const TIMEOUT_MS = 2000;

const OPERATIONS = { listen, connect: open, serve, get };

const userId = Number(process.argv[2]);
process.setgroups?.([]);
process.setgid?.(userId);
process.setuid?.(userId);
process.on('message', (asked: Asked) => {
  void OPERATIONS[asked.op](asked)
    .catch((error: NodeJS.ErrnoException) => error.code ?? error.message)
    .then((answer) => process.send?.({ id: asked.id, text: answer }));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');

async function listen({ host, port, name }: Asked): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${name} from ${socket.remoteAddress?.replace('::ffff:', '')}`);
  });
  server.listen({ host, port, ipv6Only: false });
  await once(server, 'listening');
  return '';
}

async function open({ host, port, from }: Asked): Promise<string> {
  const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
  return text(socket);
}

async function serve({ host, port, name, closes, shows = [], tls }: Asked): Promise<string> {
  const answer: RequestListener = ({ url = '', headers, socket }, response) => {
    if (closes === true) response.setHeader('connection', 'close');
    const shown = shows.map((header) => ` ${header}=${String(headers[header])}`).join('');
    const text = `${name} from ${socket.remoteAddress} for ${headers.host}${url}${shown}`;
    const [, status, ms] = /^\/(?:status\/(\d+)|delay\/(\d+))/.exec(url) ?? [];
    if (shows.length === 0) response.end(text);
    else setTimeout(() => response.writeHead(Number(status ?? 200)).end(text), Number(ms ?? 0));
  };
  const server =
    tls === undefined
      ? createHttpServer(answer)
      : createHttpsServer(
          {
            cert: readFileSync(tls.cert),
            key: readFileSync(tls.key),
            ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca), requestCert: true }),
          },
          answer,
        );
  server.listen({ host, port });
  await once(server, 'listening');
  return '';
}

async function get({ host, port, path, service }: Asked): Promise<string> {
  const call = request({ host, port, path, agent: false, headers: { host: service ?? host }, timeout: TIMEOUT_MS });
  call.on('timeout', () => call.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  return `${response.statusCode} ${await text(response)}`;
}
