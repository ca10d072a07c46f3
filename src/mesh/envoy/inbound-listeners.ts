/**
 * How calls reach the application of a sidecar.
 * **In**: what a proxy sees of the mesh. **Out**: its inbound listeners, and the filter chains of one inbound port. **Fails**: never.
 */
import { originText } from '../model/model.ts';
import type { Scope } from '../resolve/scope.ts';
import { askedWith, httpManager } from './http-manager.ts';
import { isHttpName, listener, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { inboundCluster } from './names.ts';
import { compact, type Json, withTimeout } from './parts.ts';

/** A port of the application, as clients of the mesh know it. */
export interface InboundPort {
  readonly number: number;
  readonly isForHttp: boolean;
}

/** The ports that its Sidecar names, bound. */
export function inboundListeners(scope: Scope): readonly Made[] {
  const { sidecar } = scope;
  return (sidecar?.spec.ingress ?? []).map(({ port: { number, protocol }, bind }) =>
    listener(
      bind ?? scope.member.address,
      number,
      inboundChains({ number, isForHttp: isHttpName(protocol) }, scope),
      { traffic_direction: 'INBOUND' },
      sidecar === undefined ? undefined : originText(sidecar.origin),
    ),
  );
}

/** All filter chains for calls to one port of the application. */
export const inboundChains = ({ number, isForHttp }: InboundPort, scope: Scope): Json[] => [
  isForHttp ? { filters: [inboundManager(number, scope)] } : tcpChain(inboundCluster(number), 'inbound', scope),
];

function inboundManager(port: number, scope: Scope): Json {
  const name = inboundCluster(port);
  return httpManager({
    statPrefix: `inbound_${port}`,
    routes: {
      inline: {
        name,
        validate_clusters: false,
        virtual_hosts: [
          compact({
            name: `inbound|http|${port}`,
            domains: ['*'],
            routes: [
              {
                name: 'default',
                match: { prefix: '/' },
                route: { cluster: name, ...withTimeout(0) },
              },
            ],
            ...askedWith(scope, port),
          }),
        ],
      },
    },
    direction: 'inbound',
    scope,
  });
}
