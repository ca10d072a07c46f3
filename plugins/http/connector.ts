/**
 * Connections to the service, with the certificates that are on disk now.
 * **In**: the tls of a config. **Out**: a function that connects. **Fails**: on open if a file cannot be read, or if cert and key do not
 * belong together; later never: the last good ones stay.
 */
import { createSecureContext } from 'node:tls';
import { type Host, namedBy, type WatchedFile, watchedFile } from 'sluice/plugin';
import type { buildConnector } from 'undici';
import type { ServerConfig, TlsConfig } from './config.ts';

type Connector = buildConnector.connector;
const FILES = ['ca', 'cert', 'key'] as const;
type Pems = { readonly [N in (typeof FILES)[number]]?: string };

export async function connectorOf(
  { tls, connectTimeoutMs }: ServerConfig,
  host: Host,
  build: typeof buildConnector,
): Promise<() => Connector> {
  const make = (pems: Pems): Connector =>
    build({
      allowH2: false, // in HTTP/1.1 an aborted request ends its connection, and no other request is on it
      timeout: connectTimeoutMs,
      ...pems,
      ...(tls?.serverName === undefined ? {} : namedBy(tls.serverName)),
    });
  if (tls === undefined) {
    const connector = make({});
    return () => connector;
  }
  const current = await certificatesOf(tls, host);
  let pems = current();
  let connector = make(pems);
  return () => {
    const now = current();
    if (now === pems) return connector;
    pems = now;
    return (connector = make(now));
  };
}

/** The certificates that are on disk now, one object while they stay; the last good ones while cert and key do not belong together. */
export async function certificatesOf(tls: TlsConfig, host: Host): Promise<() => Pems> {
  const files = await watchedPems(tls, host);
  const read = (): Pems => Object.fromEntries(files.map(([name, file]) => [name, file.current]));
  let seen = read();
  const problem = pairProblem(seen);
  if (problem !== undefined) throw new Error(`tls: ${problem}`);
  let good = seen;
  return () => {
    const now = read();
    if (FILES.every((name) => now[name] === seen[name])) return good;
    seen = now;
    const why = pairProblem(now);
    if (why === undefined) good = now;
    else
      host.log.warn('renewed certificate cannot be used; the last good one stays until cert and key belong together', {
        why,
      });
    return good;
  };
}

async function watchedPems(tls: TlsConfig, host: Host): Promise<[name: string, file: WatchedFile<string>][]> {
  const named = FILES.flatMap((name) => (tls[name] === undefined ? [] : [[name, tls[name]] as const]));
  return Promise.all(
    named.map(
      async ([name, path]) => [name, await watchedFile(host, { path, parse: pemOf })] as [string, WatchedFile<string>],
    ),
  );
}

function pemOf(text: string): string {
  if (!text.includes('-----BEGIN ')) throw new Error('it is not in PEM');
  return text;
}

function pairProblem(pems: Pems): string | undefined {
  try {
    createSecureContext(pems);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
