/**
 * How calls reach the application of a sidecar.
 * **In**: what a proxy sees of the mesh. **Out**: its inbound listeners, and the filter chains of one inbound port. **Fails**: never.
 *
 * Rules of today's Istio bring intercepted calls to `virtualInbound`, which tells ports apart by its filter chains. Those of Istio 1.0
 * bring them to `virtualOutbound`, which hands them to the listener of the address that they were for; so each port has one of these, too.
 */
import { isHttp, originText, type Protocol } from '../model/model.ts';
import { type InboundPort, inboundPorts } from '../resolve/inbound-ports.ts';
import { CAPTURE_PORTS, isIntercepted, wildcardOf } from '../resolve/interception.ts';
import { portsWithMode } from '../resolve/mutual-tls.ts';
import type { Scope } from '../resolve/scope.ts';
import { checkedChain } from './connection-check.ts';
import { askedWith, httpManager } from './http-manager.ts';
import { oldInboundCluster } from './inbound-clusters.ts';
import { listener, refusePort, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { inboundTls } from './mutual-tls.ts';
import { BLACK_HOLE, INBOUND_PASSTHROUGH, inboundCluster, VIRTUAL_INBOUND } from './names.ts';
import { any, compact, type Json, seconds, withTimeout } from './parts.ts';

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
      portListener(port, oldInboundCluster(port, scope), { ...INBOUND, bind_to_port: false }, scope),
    ),
  ];
}

const INBOUND: Json = { traffic_direction: 'INBOUND' };

function portListener(port: InboundPort, cluster: string, extra: Json, scope: Scope): Made {
  const { number, protocol, bind, origin } = port;
  const chains = inboundChains({ number, protocol, cluster, isShared: false }, scope);
  const takesBoth = chains.length > 1 && !isHttp(protocol);
  return listener(
    bind ?? scope.member.address,
    number,
    chains,
    { ...extra, ...(takesBoth ? SERVER_MAY_SPEAK_FIRST : {}) },
    originText(origin),
  );
}

/** A client that has sent nothing by then uses no TLS: it waits for the server. */
const SERVER_MAY_SPEAK_FIRST: Json = {
  listener_filters_timeout: seconds(5000),
  continue_on_listener_filters_timeout: true,
};

const ORIGINAL_DST = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst';
const ORIGINAL_SRC = 'envoy.extensions.filters.listener.original_src.v3.OriginalSrc';
/** Of connections whose answers the kernel routes back to Envoy, though their source is the client; Istio's. */
const MARK = 1337;

/** For all ports; those that no service has get the connection as it comes, in the mode of the workload. */
function virtualInbound(ports: readonly InboundPort[], scope: Scope): Made {
  const isTransparent = scope.member.interception === 'TPROXY';
  const chains = ports.flatMap(({ number, protocol }) =>
    inboundChains({ number, protocol, cluster: inboundCluster(number), isShared: true }, scope),
  );
  const served = new Set(ports.map(({ number }) => number));
  const unserved = portsWithMode(scope.mesh, scope.member).filter((number) => !served.has(number));
  return listener(
    wildcardOf(scope.member),
    CAPTURE_PORTS.inbound,
    [
      refusePort(CAPTURE_PORTS.inbound, 'inbound', scope),
      ...chains,
      ...[...unserved, 0].flatMap((number) =>
        inboundChains({ number, protocol: 'tcp', cluster: INBOUND_PASSTHROUGH, isShared: number !== 0 }, scope),
      ),
    ],
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
      ...SERVER_MAY_SPEAK_FIRST,
    }),
  );
}

/** A port of the application, as a listener sends calls to it. */
export interface ServedPort {
  /** 0: any that has no chains of its own. */
  readonly number: number;
  readonly protocol: Protocol;
  readonly cluster: string;
  /** Its listener has other ports, too. */
  readonly isShared: boolean;
}

/** All filter chains for calls to one port of the application. */
export function inboundChains(port: ServedPort, scope: Scope): Json[] {
  const { number, protocol, cluster, isShared } = port;
  const isForHttp = isHttp(protocol);
  return inboundTls(number, isForHttp, scope).map(({ match: own, transport_socket, isRefused = false }) => {
    const match = { ...(isShared ? { destination_port: number } : {}), ...own };
    return compact({
      ...(isRefused
        ? tcpChain(BLACK_HOLE, 'inbound', scope)
        : isForHttp
          ? { filters: [inboundManager(port, scope)] }
          : checkedChain(tcpChain(cluster, 'inbound', scope), number, 'inbound', scope)),
      filter_chain_match: Object.keys(match).length === 0 ? undefined : match,
      transport_socket,
    });
  });
}

/** The application may close a connection that rests when a request comes; streams are not kept for a second try. */
const ONCE_MORE: Json = { retry_policy: { retry_on: 'reset-before-request', num_retries: 2 } };

function inboundManager({ number, protocol, cluster }: ServedPort, scope: Scope): Json {
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
                route: {
                  cluster,
                  ...withTimeout(0),
                  ...(protocol === 'grpc' || protocol === 'grpc-web' ? {} : ONCE_MORE),
                },
              },
            ],
            ...askedWith(scope, number),
          }),
        ],
      },
    },
    direction: 'inbound',
    isGrpcWeb: protocol === 'grpc-web',
    scope,
  });
}
