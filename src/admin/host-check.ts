/** Checks the Host header of requests to an operators' port. */
import { isIP } from 'node:net';

/**
 * Protects against DNS rebinding: a web page whose name resolves to this server's address could read its answers, but its requests
 * have that name as Host. `listensAt` is the host that the port listens at. HTTP/1.0 clients send no Host.
 */
export function isAllowedHost(header: string | undefined, listensAt: string): boolean {
  if (header === undefined) return true;
  const name = header
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost') || name === listensAt.toLowerCase();
}

export const HOST_REFUSED = {
  error: 'this port accepts only an IP address or localhost as Host, to prevent DNS rebinding; call it by its address',
} as const;
