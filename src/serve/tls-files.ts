/**
 * The server certificate.
 * **In**: paths of PEM files. **Out**: their texts, again whenever one changes. **Fails**: at the start with a
 * {@link StartError}; later never: the last good certificate stays.
 */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { stampsOf, startWatching } from '../files/watch.ts';
import type { Log } from '../adapters/contract.ts';
import { messageOf } from '../text/message-of.ts';
import type { TlsOptions } from '../transport/index.ts';
import { logInvalid } from './certificate-validity.ts';
import { StartError } from './errors.ts';

/** How often a certificate that is not valid is logged. */
const INVALID_EVERY_MS = 300_000;

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Callers must present a certificate of this CA. */
  readonly ca?: string;
}

export async function readTls({ cert, key, ca }: TlsFiles): Promise<TlsOptions> {
  const tls = {
    cert: await readPem(cert),
    key: await readPem(key),
    ...(ca === undefined ? {} : { ca: await readPem(ca) }),
  };
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new StartError('CLI_TLS_FILE', `${cert} and ${key} are not a certificate and its key: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return tls;
}

/** Throws a {@link StartError} that names the file. */
export async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new StartError('CLI_TLS_FILE', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** Passes on each renewed certificate, including one written since `served` was read. */
export function watchTls(
  files: TlsFiles,
  served: TlsOptions,
  renew: (tls: TlsOptions) => void | Promise<void>,
  log: Log,
): { close(): void } {
  const paths = [files.cert, files.key, ...(files.ca === undefined ? [] : [files.ca])];
  let last = served;
  const lookAtValidity = (): void => logInvalid(last.cert, files.cert, log);
  lookAtValidity();
  const looking = setInterval(lookAtValidity, INVALID_EVERY_MS).unref();
  const onChange = async (): Promise<void> => {
    try {
      const tls = await readTls(files);
      if (tls.cert === last.cert && tls.key === last.key && tls.ca === last.ca) return;
      await renew(tls);
      last = tls;
      log.info('the certificate was renewed');
      lookAtValidity();
    } catch (error) {
      log.error('the certificate could not be renewed; the last good one stays', { why: messageOf(error) });
    }
  };
  const watching = startWatching({ stamp: () => stampsOf(paths), onChange });
  return {
    close() {
      clearInterval(looking);
      void watching.close();
    },
  };
}
