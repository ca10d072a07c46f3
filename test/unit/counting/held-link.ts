import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

export type Way = 'commands' | 'replies';

/** A TCP proxy to a Redis that holds back one way of one connection, as a packet that is sent again does. */
export interface HeldLink {
  readonly port: number;
  /** Connections in the order in which they were made: 0 is that of ioredis, 1 that of the pipe. */
  hold(connection: number, way: Way): void;
  /** Delivers replies octet by octet from now on. */
  splitReplies(): void;
  connections(): number;
  /** Chunks of replies that a connection has delivered. */
  repliesOf(connection: number): number;
  /** Closes both ends of a connection, without what was held. */
  close(connection: number): void;
  /** Delivers in order what was held. */
  release(): void;
  stop(): Promise<void>;
}

export async function startHeldLink(toPort: number): Promise<HeldLink> {
  const sockets: Socket[] = [];
  const held: { readonly connection: number; readonly way: Way }[] = [];
  const waiting: (() => void)[] = [];
  const nearSockets: Socket[] = [];
  const replies: number[] = [];
  let areSplit = false;
  let delivered: Promise<unknown> = Promise.resolve();
  const deliver = (to: Socket, bytes: Buffer): void => {
    delivered = delivered.then(async () => {
      for (const octet of bytes) {
        to.write(Buffer.of(octet));
        await turn(); // it is sent
        await turn(); // and read
      }
    });
  };
  const carry = (from: Socket, to: Socket, connection: number, way: Way): void => {
    sockets.push(from);
    from.on('data', (bytes: Buffer) => {
      const pass = (): void => {
        if (way === 'replies') replies[connection] = (replies[connection] ?? 0) + 1;
        if (areSplit && way === 'replies') deliver(to, bytes);
        else to.write(bytes);
      };
      if (held.some((one) => one.connection === connection && one.way === way)) waiting.push(pass);
      else pass();
    });
    from.on('error', () => {}); // close follows
    from.on('close', () => to.destroy());
  };
  const server = createServer((near) => {
    const far = connect({ port: toPort, host: '127.0.0.1', noDelay: true });
    near.setNoDelay();
    const connection = nearSockets.push(near) - 1;
    carry(near, far, connection, 'commands');
    carry(far, near, connection, 'replies');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    hold: (connection, way) => void held.push({ connection, way }),
    splitReplies() {
      areSplit = true;
    },
    connections: () => nearSockets.length,
    repliesOf: (connection) => replies[connection] ?? 0,
    close: (connection) => void nearSockets[connection]?.destroy(),
    release() {
      held.length = 0;
      for (const pass of waiting.splice(0)) pass();
    },
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
