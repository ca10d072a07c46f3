/** By which names a port for operators may be called. */
import { isIP } from 'node:net';

/**
 * A page of a browser reads another server's answers where the page's own name points to that server's address (DNS rebinding); the
 * Host header then is that name. `listensAt` is the host that the port was told to listen at. A client of HTTP/1.0 sends none.
 */
export function isOwnHost(header: string | undefined, listensAt: string): boolean {
  if (header === undefined) return true;
  const name = header
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost') || name === listensAt.toLowerCase();
}

export const HOST_REFUSED = {
  error:
    'this port answers to an address or localhost alone: a page of a browser could read it by another name; call it by its address',
} as const;
