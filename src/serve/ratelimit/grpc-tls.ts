/** The certificate that Envoy is shown: files that the settings name, and those that follow them on disk. */
import { readFile } from 'node:fs/promises';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { TlsOptions } from '../../transport/index.ts';
import { StartError } from '../errors.ts';
import type { OwnLog } from '../../log/log.ts';
import { stampOf, watchFiles } from '../../files/watch.ts';
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
): { close(): void } {
  const paths = [settings.GRPC_SERVER_TLS_CERT, settings.GRPC_SERVER_TLS_KEY, settings.GRPC_CLIENT_TLS_CACERT].filter(
    (path) => path !== '',
  );
  const stamp = async (): Promise<string> => (await Promise.all(paths.map(stampOf))).join('\n');
  const over = new AbortController();
  const onChange = async (): Promise<void> => {
    try {
      const tls = await grpcTls(settings);
      if (tls !== undefined) await renew(tls);
      log.info('the certificate is renewed');
    } catch (error) {
      log.error('the certificate cannot be renewed; the last good one stays', { why: messageOf(error) });
    }
  };
  void stamp().then((known) => watchFiles({ stamp, known, onChange, signal: over.signal }));
  return { close: () => over.abort() };
}
