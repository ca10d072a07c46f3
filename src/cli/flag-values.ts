/** Values of flags, read from text. */
import { parseAddress as addressFrom } from '../text/parse-address.ts';
import type { Address } from '../transport/index.ts';
import { durationMs } from '../time/duration.ts';
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

/** In milliseconds. Fails with CLI_USAGE. */
export function parseSeconds(flag: string, text: string, least = 0): number {
  const seconds = Number(text);
  if (seconds >= least) return seconds * 1000;
  const bound = least === 0 ? '' : `, at least ${least}`;
  throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a number of seconds${bound}`);
}

/** In milliseconds. Fails with CLI_USAGE. */
export function parseDuration(flag: string, text: string): number {
  const ms = durationMs(text);
  if (ms === undefined || ms <= 0) throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a time such as 10m`);
  return ms;
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Fails with CLI_USAGE. */
export function parseBytes(flag: string, text: string): number {
  const [, amount = '', unit = ''] = /^(\d+)(KiB|MiB|GiB)?$/.exec(text) ?? [];
  const bytes = Number(amount) * (UNIT_BYTES[unit] ?? 1);
  if (!(bytes > 0)) throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a size such as 64MiB`);
  return bytes;
}

/** `10%` or `10`. Fails with CLI_USAGE. */
export function parsePercent(flag: string, text: string): number {
  const percent = Number(text.replace(/%$/, ''));
  if (!(percent > 0 && percent <= 100))
    throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a percentage above 0, up to 100%`);
  return percent;
}
