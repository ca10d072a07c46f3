/** A process of network-namespace.ts: it becomes the user whose id is its argument, then listens and connects as its parent says. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';

interface Asked {
  readonly id: number;
  readonly op: 'listen' | 'connect';
  readonly host: string;
  readonly port: number;
  readonly name?: string;
  readonly from?: string;
}

const TIMEOUT_MS = 2000;

const userId = Number(process.argv[2]);
process.setgroups?.([]);
process.setgid?.(userId);
process.setuid?.(userId);
process.on('message', (asked: Asked) => {
  void (asked.op === 'listen' ? listen(asked) : call(asked))
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

async function call({ host, port, from }: Asked): Promise<string> {
  const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
  return text(socket);
}
