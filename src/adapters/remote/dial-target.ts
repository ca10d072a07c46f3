/** Types of a handler behind an address. They stand alone, since the types of the registry are public, and those of the codec are not. */
import type { Adapter } from '../contract.ts';
import type { AdapterError } from '../errors.ts';

/** Where a plugin listens. */
export interface DialTarget {
  /** `unix:/run/x.sock` or `HOST:PORT`. */
  readonly address: string;
  /** Absent: cleartext. */
  readonly tls?: DialFiles | undefined;
}

/** Paths of PEM files, read again for each connection, so that a renewed certificate is used. */
export interface DialFiles {
  /** Authorities that may have signed the plugin's certificate. Default: those of Node. */
  readonly ca?: string;
  /** Of the host, for a plugin that asks for one. */
  readonly cert?: string;
  readonly key?: string;
  /** The name in the plugin's certificate. Default: the host of the address. */
  readonly serverName?: string;
}

export interface DialledName {
  readonly name: string;
  /** The adapter of this process, if its module is loaded here, too. */
  readonly here: Adapter | undefined;
  readonly target: DialTarget;
}

/** What is known of it, or why nothing is. */
export type DialledAdapter = { readonly adapter: Adapter } | { readonly error: AdapterError };
