/** The port for proxies that ask by HTTP. */
import type { Engine } from '../../core/call.ts';
import { httpCheckHandler, type HttpRoute } from '../../frontends/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import { Throttle } from '../../time/throttle.ts';
import type { Address, TlsOptions } from '../../transport/index.ts';
import { MAX_MESSAGE_BYTES } from '../grpc-listener.ts';
import { type HttpListener, listenHttp } from '../http-listener.ts';

export interface HttpChecks {
  readonly address: Address;
  readonly routes: readonly HttpRoute[];
}

export interface HttpChecksOptions {
  readonly engine: Engine;
  /** Absent: cleartext. */
  readonly tls: TlsOptions | undefined;
  /** Other workers listen at the same port. */
  readonly reusePort: boolean;
  readonly isDraining: () => boolean;
  readonly log: OwnLog;
}

const LIMITS = {
  /** Envoy passes 60 KiB of a client's headers, and adds its own. */
  maxHeaderSize: 80 * 1024,
  /** Longer than proxies keep an idle connection (Envoy: an hour), so that none is closed while a call is on its way. */
  keepAliveTimeout: 3_900_000,
};

export function listenForChecks(
  { address, routes }: HttpChecks,
  { engine, tls, reusePort, isDraining, log }: HttpChecksOptions,
): Promise<HttpListener> {
  const refusals = new Throttle();
  return listenHttp({
    address,
    tls,
    reusePort,
    limits: LIMITS,
    handle: httpCheckHandler(engine, {
      routes,
      isDraining,
      maxBodyBytes: MAX_MESSAGE_BYTES,
      onRefused(path, why) {
        const times = refusals.admit();
        if (times > 0) log.warn('a call over HTTP was refused', { path, why, times });
      },
      onFault: (path, error) => log.error('internal error while handling a call', { path, error: messageOf(error) }),
    }),
  });
}
