import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that a system gives to connections of its own accord: one of those may be taken between the look and the use. */
const [FIRST, LAST] = [10_000, 22_000];

/** A port of 127.0.0.1 that is free now, and so is that 10 000 above it (the bus of a Redis cluster). At random: other processes look, too. */
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
