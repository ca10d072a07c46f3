/** Flags of commands that connect to a server over TLS. */
import { Option } from 'commander';
import type { DialTls } from '../transport/index.ts';
import { readPem } from '../serve/tls-files.ts';
import { CliError } from './cli-error.ts';

export interface DialFlags {
  readonly tls?: true;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsServerName?: string;
}

/** Paths of PEM files, by what they are. */
export interface DialPaths {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** `server`: whom the command connects to, such as "plugin". */
export const dialOptions = (server: string): Option[] => [
  new Option('--tls', 'connect over TLS; implied by the following'),
  new Option('--tls-ca <file>', `PEM; the CA of the ${server}'s certificate; default: those of Node`),
  new Option('--tls-cert <file>', `PEM; a client certificate, if the ${server} asks for one`),
  new Option('--tls-key <file>', 'PEM; the key of --tls-cert'),
  new Option('--tls-server-name <name>', `the name in the ${server}'s certificate; default: the host of the address`),
];

/** `undefined`: cleartext. */
export function dialPaths({ tls, tlsCa, tlsCert, tlsKey, tlsServerName }: DialFlags): DialPaths | undefined {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new CliError('CLI_USAGE', 'a client certificate needs both --tls-cert and --tls-key');
  const paths: DialPaths = {
    ...(tlsCa === undefined ? {} : { ca: tlsCa }),
    ...(tlsCert === undefined ? {} : { cert: tlsCert }),
    ...(tlsKey === undefined ? {} : { key: tlsKey }),
    ...(tlsServerName === undefined ? {} : { serverName: tlsServerName }),
  };
  return tls === true || Object.keys(paths).length > 0 ? paths : undefined;
}

/** Reads the files that the flags name. Throws a StartError for one that cannot be read. */
export async function dialTls(flags: DialFlags): Promise<{ readonly tls?: DialTls }> {
  const paths = dialPaths(flags);
  if (paths === undefined) return {};
  const { ca, cert, key, serverName } = paths;
  return {
    tls: {
      ...(ca === undefined ? {} : { ca: Buffer.from(await readPem(ca)) }),
      ...(cert === undefined ? {} : { cert: Buffer.from(await readPem(cert)) }),
      ...(key === undefined ? {} : { key: Buffer.from(await readPem(key)) }),
      ...(serverName === undefined ? {} : { serverName }),
    },
  };
}
