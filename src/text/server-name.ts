import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';

/**
 * The name of a host in the handshake with it. Node verifies a host without a name by its address, of a cluster each by its own; so nothing
 * here overrules the name that an operator has given.
 */
export const named = (host: string): Pick<ConnectionOptions, 'servername'> => ({
  servername: isIP(host) === 0 ? host : '',
});

/**
 * The name that a TLS server is asked for and verified by. An address is verified alone: it is no name for the handshake (RFC 6066
 * section 3), and Node warns of it (DEP0123).
 */
export function namedBy(name: string): Pick<ConnectionOptions, 'servername' | 'checkServerIdentity'> {
  return isIP(name) === 0
    ? { servername: name }
    : { servername: '', checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate) };
}
