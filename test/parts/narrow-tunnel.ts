import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const TURN_MS = 50;

/**
 * A TCP proxy to a local server, whose connections share a queue from the server, emptied at so many bytes a second; as `ssh -L` over
 * a slow network, where a small answer waits behind a large one.
 */
export async function startNarrowTunnel(
  toPort: number,
  bytesPerSecond: number,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const queue: { readonly to: Socket; bytes: Buffer }[] = [];
  const sockets = new Set<Socket>();
  const timer = setInterval(() => {
    for (let room = (bytesPerSecond * TURN_MS) / 1000; room > 0 && queue.length > 0;) {
      const [first] = queue as [(typeof queue)[0]];
      first.to.write(first.bytes.subarray(0, room));
      const left = first.bytes.subarray(room);
      room -= first.bytes.length;
      if (left.length === 0) queue.shift();
      else first.bytes = left;
    }
  }, TURN_MS);
  const server = createServer((near) => {
    const far = connect({ port: toPort, host: '127.0.0.1' });
    near.on('data', (bytes) => void far.write(bytes));
    far.on('data', (bytes) => void queue.push({ to: near, bytes }));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {}); // close follows
      one.on('close', () => void (sockets.delete(one), other.destroy()));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
