/** Flags of commands that serve. */
import { Option } from 'commander';
import type { LogFormat, LogLevel } from '../log/log.ts';
import type { TlsFiles } from '../serve/tls-files.ts';
import { CliError } from './cli-error.ts';

export interface LogFlags {
  readonly logFormat: LogFormat;
  readonly logLevel: LogLevel;
}

export const logOptions = (level = "of the server's own log"): Option[] => [
  new Option('--log-format <format>', "of the server's own log, on stderr").choices(['text', 'json']).default('text'),
  new Option('--log-level <level>', level).choices(['debug', 'info', 'warn', 'error']).default('info'),
];

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
}

/** `callers`: who connects. */
export const tlsOptions = (callers: string): Option[] => [
  new Option(
    '--tls-cert <file>',
    'PEM; with --tls-key, serve over TLS; a file renewed on disk applies to new connections',
  ),
  new Option('--tls-key <file>', 'PEM'),
  new Option('--tls-client-ca <file>', `PEM; ${callers} must present a certificate of this CA`),
];

/** `undefined`: cleartext. Fails with CLI_USAGE. */
export function tlsFilesOf({ tlsCert, tlsKey, tlsClientCa }: TlsFlags): TlsFiles | undefined {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new CliError('CLI_USAGE', 'TLS needs both --tls-cert and --tls-key');
  return { cert: tlsCert, key: tlsKey, ...(tlsClientCa === undefined ? {} : { ca: tlsClientCa }) };
}
