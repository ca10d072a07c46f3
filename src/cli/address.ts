import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';

export interface Address { readonly host: string; readonly port: number }

/** Reads `127.0.0.1:9091`, `[::1]:9091` and `:9091` (this machine only). Fails with CLI_ADDRESS. */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits ?? Number.NaN);
  if (!(port <= 65_535)) throw new CliError('CLI_ADDRESS', `"${text}" is not an address; HOST:PORT is expected, such as 127.0.0.1:9091`, { exit: EXIT.usage });
  return { host: bracketed ?? (plain === undefined || plain === '' ? '127.0.0.1' : plain), port };
}

export const addressText = ({ host, port }: Address): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
