import { rm } from 'node:fs/promises';
import { type AddressInfo, connect, type ListenOptions, type Server } from 'node:net';

/** A host and a port, or a unix socket: `unix:/run/sluice.sock` as host (gRPC's naming), and no port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const UNIX = 'unix:';

/** The path of a unix socket; `undefined` for a host. */
export const socketPath = ({ host }: Address): string | undefined =>
  host.startsWith(UNIX) ? host.slice(UNIX.length) : undefined;

export function addressText({ host, port }: Address): string {
  if (host.startsWith(UNIX)) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function whyNotListening(at: Address, cause: string): string {
  const address = addressText(at);
  if (cause.includes('EADDRINUSE'))
    return `${address} is in use by another process; stop it, or choose another ${socketPath(at) === undefined ? 'port' : 'path'}`;
  if (cause.includes('EADDRNOTAVAIL'))
    return `${address} is not an address of this machine; listen at 127.0.0.1, 0.0.0.0 or one of its addresses`;
  if (cause.includes('EACCES'))
    return `permission denied to listen at ${address}; choose ${socketPath(at) === undefined ? 'a port above 1023' : 'a folder that this user may write to'}`;
  return `cannot listen at ${address}: ${cause}`;
}

/** Rejects with the cause and the fix if the address cannot be bound. */
export async function listening(server: Server, at: Address & { readonly reusePort?: boolean }): Promise<void> {
  const path = socketPath(at);
  if (path !== undefined) await removeStale(path);
  const options: ListenOptions =
    path === undefined ? { host: at.host, port: at.port, reusePort: at.reusePort === true } : { path };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new Error(whyNotListening(at, error.message), { cause: error })));
    server.listen({ ...options, backlog: 1024 }, resolve);
  });
}

/** Removes the socket file that a killed process left behind; it refuses connections. */
async function removeStale(path: string): Promise<void> {
  const isStale = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => resolve(false));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
    socket.once('connect', () => socket.destroy());
  });
  if (isStale) await rm(path, { force: true });
}

/** The address in use, with the port that the system chose for port 0. */
export const bound = (server: Server, at: Address): Address => ({
  host: at.host,
  port: socketPath(at) === undefined ? (server.address() as AddressInfo).port : 0,
});
