/**
 * How calls reach the application of a sidecar.
 * **In**: what a proxy sees of the mesh. **Out**: its inbound listeners, and the filter chains of one inbound port. **Fails**: never.
 *
 * Rules of today's Istio bring intercepted calls to `virtualInbound`, which tells ports apart by its filter chains. Those of Istio 1.0 bring
 * them to `virtualOutbound`, which hands them to the listener of the address that they were for; so each port has one of these, too.
 */
import { isHttp, originText } from '../model/model.ts';
import { type InboundPort, inboundPorts } from '../resolve/inbound-ports.ts';
import { CAPTURE_PORTS, isIntercepted, wildcardOf } from '../resolve/interception.ts';
import type { Scope } from '../resolve/scope.ts';
import { askedWith, httpManager } from './http-manager.ts';
import { oldInboundCluster } from './inbound-clusters.ts';
import { listener, refusePort, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { INBOUND_PASSTHROUGH, inboundCluster, VIRTUAL_INBOUND } from './names.ts';
import { any, compact, type Json, withTimeout } from './parts.ts';

export function inboundListeners(scope: Scope): readonly Made[] {
  const { member } = scope;
  const ports = inboundPorts(scope);
  const bound = ports
    .filter(({ isBound }) => isBound)
    .map((port) => portListener(port, inboundCluster(port.number), INBOUND, scope));
  if (!isIntercepted(member)) return bound;
  const captured = ports.filter(({ isBound }) => !isBound);
  return [
    virtualInbound(captured, scope),
    ...bound,
    ...captured.map((port) =>
      portListener(port, oldInboundCluster(port, member), { ...INBOUND, bind_to_port: false }, scope),
    ),
  ];
}

const INBOUND: Json = { traffic_direction: 'INBOUND' };

const portListener = (port: InboundPort, cluster: string, extra: Json, scope: Scope): Made =>
  listener(
    port.bind ?? scope.member.address,
    port.number,
    inboundChains({ number: port.number, isForHttp: isHttp(port.protocol), cluster, isShared: false }, scope),
    extra,
    originText(port.origin),
  );

const ORIGINAL_DST = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst';
const ORIGINAL_SRC = 'envoy.extensions.filters.listener.original_src.v3.OriginalSrc';
/** Of connections whose answers the kernel routes back to Envoy, though their source is the client; Istio's. */
const MARK = 1337;

/** For all ports; those that no service has get the connection as it comes. */
function virtualInbound(ports: readonly InboundPort[], scope: Scope): Made {
  const isTransparent = scope.member.interception === 'TPROXY';
  const chains = ports.flatMap(({ number, protocol }) =>
    inboundChains({ number, isForHttp: isHttp(protocol), cluster: inboundCluster(number), isShared: true }, scope),
  );
  return listener(
    wildcardOf(scope.member),
    CAPTURE_PORTS.inbound,
    [refusePort(CAPTURE_PORTS.inbound, 'inbound', scope), ...chains, tcpChain(INBOUND_PASSTHROUGH, 'inbound', scope)],
    compact({
      name: VIRTUAL_INBOUND,
      ...INBOUND,
      transparent: isTransparent ? true : undefined,
      listener_filters: [
        { name: 'envoy.filters.listener.original_dst', typed_config: any(ORIGINAL_DST) },
        ...(isTransparent
          ? [{ name: 'envoy.filters.listener.original_src', typed_config: any(ORIGINAL_SRC, { mark: MARK }) }]
          : []),
      ],
      continue_on_listener_filters_timeout: true,
    }),
  );
}

/** A port of the application, as a listener sends calls to it. */
export interface ServedPort {
  readonly number: number;
  readonly isForHttp: boolean;
  readonly cluster: string;
  /** Its listener has other ports, too. */
  readonly isShared: boolean;
}

/** All filter chains for calls to one port of the application. */
export function inboundChains(port: ServedPort, scope: Scope): Json[] {
  const match = port.isShared ? { destination_port: port.number } : undefined;
  return [
    port.isForHttp
      ? compact({ filter_chain_match: match, filters: [inboundManager(port, scope)] })
      : tcpChain(port.cluster, 'inbound', scope, match),
  ];
}

function inboundManager({ number, cluster }: ServedPort, scope: Scope): Json {
  return httpManager({
    statPrefix: `inbound_${number}`,
    routes: {
      inline: {
        name: cluster,
        validate_clusters: false,
        virtual_hosts: [
          compact({
            name: `inbound|http|${number}`,
            domains: ['*'],
            routes: [
              {
                name: 'default',
                match: { prefix: '/' },
                route: { cluster, ...withTimeout(0) },
              },
            ],
            ...askedWith(scope, number),
          }),
        ],
      },
    },
    direction: 'inbound',
    scope,
  });
}
