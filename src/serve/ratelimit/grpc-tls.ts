/** The certificate that Envoy is shown: files that the settings name, and those that follow them on disk. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { TlsOptions } from '../../transport/index.ts';
import { StartError } from '../errors.ts';
import type { OwnLog } from '../../log/log.ts';
import { type FileWatch, watchFiles } from '../watch.ts';
import { messageOf } from '../../text/message-of.ts';

/** `undefined`: cleartext. */
export async function grpcTls({
  GRPC_SERVER_USE_TLS,
  GRPC_SERVER_TLS_CERT,
  GRPC_SERVER_TLS_KEY,
  GRPC_CLIENT_TLS_CACERT,
}: Settings): Promise<TlsOptions | undefined> {
  if (!GRPC_SERVER_USE_TLS) return undefined;
  try {
    const [cert, key, ca] = await Promise.all(
      [
        GRPC_SERVER_TLS_CERT,
        GRPC_SERVER_TLS_KEY,
        ...(GRPC_CLIENT_TLS_CACERT === '' ? [] : [GRPC_CLIENT_TLS_CACERT]),
      ].map((path) => readFile(path, 'utf8')),
    );
    if (cert === undefined || key === undefined) throw new Error('a certificate and its key are needed');
    return { cert, key, ...(ca === undefined ? {} : { ca }) };
  } catch (error) {
    throw new StartError('CLI_TLS_FILE', messageOf(error), { cause: error });
  }
}

/** A certificate that is renewed on disk serves new connections; one that is bad is said, and the last good one stays. */
export function followGrpcTls(
  settings: Settings,
  renew: (tls: TlsOptions) => void | Promise<void>,
  log: OwnLog,
): FileWatch {
  const renewed = async (): Promise<void> => {
    const tls = await grpcTls(settings);
    if (tls !== undefined) await renew(tls);
  };
  const watch = watchFiles(
    () => {
      renewed().then(
        () => log.info('the certificate is renewed'),
        (error: unknown) =>
          log.error('the certificate cannot be renewed; the last good one stays', { why: messageOf(error) }),
      );
    },
    (error) => log.warn('watching the certificate failed', { error: messageOf(error) }),
  );
  watch.watchOnly(
    [settings.GRPC_SERVER_TLS_CERT, settings.GRPC_SERVER_TLS_KEY, settings.GRPC_CLIENT_TLS_CACERT]
      .filter((path) => path !== '')
      .map((path) => resolve(path)),
  );
  return watch;
}
