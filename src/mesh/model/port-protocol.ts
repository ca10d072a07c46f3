import { type Protocol, PROTOCOLS } from './model.ts';

/** Names that Kubernetes registers for `appProtocol`. */
const APP_PROTOCOLS: Readonly<Record<string, Protocol>> = {
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'https',
};
const ALIASES: Readonly<Record<string, Protocol>> = { http_proxy: 'http' };

const known = (text: string): Protocol | undefined =>
  Object.hasOwn(ALIASES, text) ? ALIASES[text] : PROTOCOLS.find((one) => one === text);

/**
 * The protocol of a service port: `appProtocol`, else the beginning of its name up to a hyphen (`http-web`), else TCP. Istio of today
 * detects the protocol of an unnamed port from its first octets; here such a port is TCP, as in 1.0.2.
 */
export function protocolOf(port: {
  readonly name: string;
  readonly appProtocol?: string | undefined;
  /** `UDP`, `SCTP` or `TCP` of Kubernetes; of a ServiceEntry the protocol itself. */
  readonly protocol?: string | undefined;
}): Protocol {
  const { name, appProtocol, protocol = 'TCP' } = port;
  if (protocol.toUpperCase() === 'UDP') return 'udp';
  const stated = appProtocol ?? (protocol.toUpperCase() === 'TCP' ? undefined : protocol);
  if (stated !== undefined) {
    const lowered = stated.toLowerCase();
    const meant = Object.hasOwn(APP_PROTOCOLS, lowered) ? APP_PROTOCOLS[lowered] : known(lowered);
    if (meant !== undefined) return meant;
  }
  const lowered = name.toLowerCase();
  return (
    known(lowered) ?? known(/^grpc-web(?:-|$)/.test(lowered) ? 'grpc-web' : (lowered.split('-')[0] ?? '')) ?? 'tcp'
  );
}
