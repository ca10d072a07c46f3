/** The gRPC port of both commands: counts refused connections and logs internal errors. */
import { messageOf } from '../text/message-of.ts';
import {
  type Address,
  addressText,
  listen,
  listenHttp2,
  type Methods,
  type TlsOptions,
  type Transport,
} from '../transport/index.ts';
import type { Log } from '../adapters/contract.ts';
import { StartError } from './errors.ts';
import type { RefusedConnections } from './refused-connections.ts';

export interface GrpcListenerOptions {
  readonly methods: Methods;
  readonly address: Address;
  /** Absent: cleartext. */
  readonly tls: TlsOptions | undefined;
  /** Sluice's HTTP/2 (the default), or Node's. */
  readonly kind?: 'own' | 'http2';
  readonly maxConnectionAgeMs?: number | undefined;
  readonly maxStreamAgeMs?: number | undefined;
  /** Other workers listen at the same port. */
  readonly reusePort: boolean;
  readonly refused: RefusedConnections;
  readonly log: Log;
}

/** gRPC's own limit; a check contains the request's body if Envoy is configured to send it. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export function listenGrpc({
  methods,
  address,
  tls,
  kind,
  maxConnectionAgeMs,
  maxStreamAgeMs,
  reusePort,
  refused,
  log,
}: GrpcListenerOptions): Promise<Transport> {
  return atAddress(address, (at) =>
    (kind === 'http2' ? listenHttp2 : listen)(methods, {
      ...at,
      ...(tls === undefined ? {} : { tls }),
      ...(maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs }),
      ...(maxStreamAgeMs === undefined ? {} : { maxStreamAgeMs }),
      reusePort,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onStranger: (stranger) => refused.take(stranger),
      onFault: (path, error) => log.error('internal error while handling a call', { path, error: messageOf(error) }),
    }),
  );
}

/** Turns any failure to listen into a {@link StartError}. */
export async function atAddress<T>(address: Address, listenAt: (address: Address) => Promise<T>): Promise<T> {
  try {
    return await listenAt(address);
  } catch (error) {
    throw new StartError('CLI_PORT_TAKEN', `cannot listen at ${addressText(address)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
