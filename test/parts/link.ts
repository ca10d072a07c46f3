import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Link {
  readonly port: number;
  /** Forwards new connections to this port; existing ones keep theirs. */
  repoint(port: number): void;
  /** Delays all bytes by this much, in both directions. */
  delay(ms: number): void;
  /** Holds back all bytes and closes, as a network partition does. */
  cut(): void;
  /** Delivers everything held back. */
  mend(): void;
  stop(): Promise<void>;
}

/** A TCP proxy to a local server that can be slow, cut or repointed. */
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
    from.on('data', (bytes) => {
      setTimeout(
        () =>
          pass(() => {
            to.write(bytes);
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
    repoint: (port) => {
      farPort = port;
    },
    delay: (ms) => {
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
