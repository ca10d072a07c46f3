import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ephemeral ports, which a connection of another process may take between check and use. */
const [FIRST, LAST] = [10_000, 22_000];

/** A free port of 127.0.0.1 whose port + 10 000 is free, too (the bus of a Redis cluster). Random, since other processes pick ports as well. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
