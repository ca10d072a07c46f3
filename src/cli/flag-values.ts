/** Values of flags, read from text. */
import type { Address } from '../transport/index.ts';
import { CliError } from './cli-error.ts';

/** Reads `127.0.0.1:9091`, `[::1]:9091`, `:9091` (this machine only) and, if `unix` is true, `unix:/run/sluice.sock`. Fails with CLI_ADDRESS. */
export function parseAddress(text: string, { unix = false } = {}): Address {
  if (unix && /^unix:[^\0]{1,107}$/.test(text)) return { host: text, port: 0 };
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits ?? Number.NaN);
  if (!(port <= 65_535))
    throw new CliError(
      'CLI_ADDRESS',
      `"${text}" is not an address; expected HOST:PORT${unix ? ' or unix:PATH' : ''}, such as 127.0.0.1:9091`,
    );
  return { host: bracketed ?? (plain === undefined || plain === '' ? '127.0.0.1' : plain), port };
}

/** In milliseconds. Fails with CLI_USAGE. */
export function parseTimeout(text: string): number {
  const timeoutMs = Number(text);
  if (!(timeoutMs > 0)) throw new CliError('CLI_USAGE', `--timeout is "${text}"; expected milliseconds, such as 1000`);
  return timeoutMs;
}
