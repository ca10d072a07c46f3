import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Link {
  readonly port: number;
  /** New connections go there; those that stand stay where they are. */
  leadTo(port: number): void;
  /** Each octet takes so much longer, in both directions. */
  slow(ms: number): void;
  /** Nothing comes through, ends of connections neither; what is sent waits, as TCP's does. */
  cut(): void;
  /** All that waits comes through. */
  mend(): void;
  stop(): Promise<void>;
}

/** The way to a server on this machine, which can be slow or cut. */
export async function startLink(toPort: number): Promise<Link> {
  let delayMs = 0;
  let isCut = false;
  let farPort = toPort;
  const waiting: (() => void)[] = [];
  const sockets = new Set<Socket>();
  const pass = (step: () => void): void => {
    if (isCut) waiting.push(step);
    else step();
  };
  const carry = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('data', (octets) => {
      setTimeout(
        () =>
          pass(() => {
            to.write(octets);
          }),
        delayMs,
      );
    });
    from.on('error', () => {}); // close follows
    from.on('close', () => {
      setTimeout(
        () =>
          pass(() => {
            to.destroy();
          }),
        delayMs,
      );
    });
  };
  const server = createServer((near) => {
    const far = connect({ port: farPort, host: '127.0.0.1' });
    carry(near, far);
    carry(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    leadTo: (port) => {
      farPort = port;
    },
    slow: (ms) => {
      delayMs = ms;
    },
    cut: () => {
      isCut = true;
    },
    mend: () => {
      isCut = false;
      for (const step of waiting.splice(0)) step();
    },
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
