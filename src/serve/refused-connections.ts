/**
 * Connections refused because the peer does not speak the protocol of the gRPC port.
 * **In**: each refused connection, from the transport. **Out**: counts by kind, and at most one log line a minute for each kind.
 * **Fails**: never.
 */
import type { MetricFamily } from '../core/metrics/families.ts';
import type { Stranger, StrangerKind } from '../transport/index.ts';
import type { Log } from '../adapters/contract.ts';
import { Throttle } from '../time/throttle.ts';
import { counter } from '../core/metrics/family.ts';

/**
 * The flag or setting that turns TLS on; or the flag of the port beside this one, which speaks TLS if this is cleartext, and the reverse.
 */
export type TlsHint = '--tls-cert and --tls-key' | 'GRPC_SERVER_USE_TLS' | OtherPort | undefined;
type OtherPort = '--xds' | '--secure';
const isOtherPort = (hint: TlsHint): hint is OtherPort => hint === '--xds' || hint === '--secure';

const messages = (hint: TlsHint): Readonly<Record<StrangerKind, string>> => ({
  tls: `a peer speaks TLS, but this port is cleartext; ${hint === undefined ? '' : `${withTls(hint)}, or `}remove the TLS transport_socket from the cluster in Envoy`,
  http1:
    'a peer speaks HTTP/1, but this port speaks HTTP/2 with prior knowledge; ' +
    'set http2_protocol_options on the cluster in Envoy; for pages and probes use the HTTP port',
  unknown: 'a peer did not send the HTTP/2 preface; find out which program connects to the gRPC port from its address',
  cleartext: `a peer speaks cleartext, but this port requires TLS; add a TLS transport_socket to Envoy's cluster, or ${withoutTls(hint)}`,
  handshake:
    'a TLS handshake failed; check that the peer trusts the CA of this certificate, ' +
    'presents its own certificate if one is required, and offers h2 by ALPN',
});

const withTls = (hint: NonNullable<TlsHint>): string => (isOtherPort(hint) ? `use the port of ${hint}` : `set ${hint}`);
const withoutTls = (hint: TlsHint): string =>
  isOtherPort(hint) ? `use the port of ${hint}` : `start without ${hint ?? 'TLS'}`;

interface Tally {
  count: number;
  readonly logThrottle: Throttle;
}

export class RefusedConnections {
  readonly #log: Pick<Log, 'warn'>;
  readonly #messages: Readonly<Record<StrangerKind, string>>;
  readonly #tallies: Readonly<Record<StrangerKind, Tally>>;

  /** `nowMs` is monotonic. */
  constructor(log: Pick<Log, 'warn'>, hint: TlsHint, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#messages = messages(hint);
    const none = (): Tally => ({ count: 0, logThrottle: new Throttle({ nowMs }) });
    this.#tallies = { tls: none(), http1: none(), unknown: none(), cleartext: none(), handshake: none() };
  }

  get total(): number {
    return Object.values(this.#tallies).reduce((sum, { count }) => sum + count, 0);
  }

  take({ kind, peer, why }: Stranger): void {
    const tally = this.#tallies[kind];
    tally.count++;
    const connections = tally.logThrottle.admit();
    if (connections === 0) return;
    this.#log.warn(this.#messages[kind], {
      peer: peer ?? 'unknown',
      ...(why === undefined ? {} : { why }),
      connections,
    });
  }

  readonly family: MetricFamily = counter(
    'sluice_refused_connections_total',
    'Refused connections to the gRPC port: TLS, HTTP/1 or unknown at a cleartext port; cleartext, or a failed handshake, at a TLS port.',
    () => Object.entries(this.#tallies).map(([kind, { count }]) => ({ labels: { kind }, value: count })),
  );
}

/** Their count on the pages of `sluice ratelimit`. */
export const REFUSED_CONNECTIONS_GAUGE = 'ratelimit.service.refused_connections';
