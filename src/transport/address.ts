import type { AddressInfo, Server } from 'node:net';
import type { TransportOptions } from './transport.ts';

interface Address { readonly host: string; readonly port: number }

export const addressText = ({ host, port }: Address): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

/** One sentence for people. */
function whyNotListening(at: Address, cause: string): string {
  const address = addressText(at);
  if (cause.includes('EADDRINUSE')) return `${address} is taken by another process: stop it, or choose another port`;
  if (cause.includes('EADDRNOTAVAIL')) return `${address} is no address of this machine: listen at 127.0.0.1, 0.0.0.0 or one that it has`;
  if (cause.includes('EACCES')) return `${address} is not allowed to this user: choose a port above 1023`;
  return `cannot listen at ${address}: ${cause}`;
}

/** Rejects with one sentence for people where the address cannot be had. */
export function listening(server: Server, { host, port, reusePort = false }: TransportOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(whyNotListening({ host, port }, error.message), { cause: error })));
    server.listen({ host, port, reusePort, backlog: 1024 }, resolve);
  });
}

/** Where it listens: the port is known only now where any was asked for. */
export const bound = (server: Server, { host }: Address): Address => ({ host, port: (server.address() as AddressInfo).port });
