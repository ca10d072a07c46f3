/** Values of flags, read from text. */
import { parseAddress as addressFrom } from '../text/parse-address.ts';
import type { Address } from '../transport/index.ts';
import { CliError } from './cli-error.ts';

/** Without `unix`, a host and a port only. Fails with CLI_ADDRESS. */
export function parseAddress(text: string, { unix = false } = {}): Address {
  const address = addressFrom(text);
  if (address === undefined || (address.host.startsWith('unix:') && !unix))
    throw new CliError(
      'CLI_ADDRESS',
      `"${text}" is not an address; expected HOST:PORT${unix ? ' or unix:PATH' : ''}, such as 127.0.0.1:9091`,
    );
  return address;
}

/** In milliseconds. Fails with CLI_USAGE. */
export function parseTimeout(text: string): number {
  const timeoutMs = Number(text);
  if (!(timeoutMs > 0)) throw new CliError('CLI_USAGE', `--timeout is "${text}"; expected milliseconds, such as 1000`);
  return timeoutMs;
}
