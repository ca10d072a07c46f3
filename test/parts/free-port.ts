import { once } from 'node:events';
import { createServer, type ListenOptions } from 'node:net';

/** Below the ephemeral ports, which a connection of another process may take between check and use. */
const [FIRST, LAST] = [10_000, 22_000];

/**
 * A free port of 127.0.0.1 whose port + 10 000 is free, too (the bus of a Redis cluster). It belongs to this process
 * until it ends; test files run side by side, and one must not take a port that another has yet to bind.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if ((await claim(port)) && (await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

/**
 * The first three octets of loopback addresses for this process alone; Linux binds any of 127.0.0.0/8. Envoys of two runs at one address
 * would share its connections.
 */
export async function freeNet(): Promise<string> {
  const port = await freePort();
  return `127.${1 + (port >> 8)}.${port & 255}`;
}

/** By an abstract socket, which one process can hold, and which ends with it. */
const claim = async (port: number): Promise<boolean> =>
  (await listen({ path: `\0sluice-test-port-${port}` })) !== undefined &&
  (await listen({ path: `\0sluice-test-port-${port + 10_000}` })) !== undefined;

async function isFree(port: number): Promise<boolean> {
  const server = await listen({ port, host: '127.0.0.1' });
  if (server === undefined) return false;
  server.close();
  await once(server, 'close');
  return true;
}

async function listen(where: ListenOptions): Promise<ReturnType<typeof createServer> | undefined> {
  const server = createServer().unref();
  try {
    server.listen(where);
    await once(server, 'listening');
    return server;
  } catch {
    return undefined;
  }
}
