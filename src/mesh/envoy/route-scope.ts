/**
 * What routes may read of a scope, and a record of what they have read: routes that were made once hold in any other scope, of this state
 * of the mesh or of a later one, in which each read finds the same. Whatever routes are made of has to be read through here.
 */
import type { Mesh } from '../model/mesh.ts';
import type { Member } from '../resolve/proxy.ts';
import type { Scope } from '../resolve/scope.ts';

export interface RouteScope extends Pick<Scope, 'destinationRule'> {
  readonly member: Pick<Member, 'namespace' | 'labels'>;
  readonly mesh: {
    /** Not recorded. */
    readonly settings: Mesh['settings'];
    readonly services: Pick<Mesh['services'], 'get'>;
    readonly rules: Pick<Mesh['rules'], 'VirtualService'>;
  };
}

const READS = {
  namespace: ({ member }: RouteScope) => member.namespace,
  labels: ({ member }: RouteScope) => [...member.labels].flat().join('\n'),
  virtualServices: ({ mesh }: RouteScope) => mesh.rules.VirtualService,
  service: ({ mesh }: RouteScope, host: string) => mesh.services.get(host),
  destinationRule: (scope: RouteScope, host: string) => scope.destinationRule(host),
};
type Reads = typeof READS;

/** What was found; objects of a mesh are compared by identity. */
export interface Read {
  readonly of: keyof Reads;
  readonly host: string;
  readonly found: unknown;
}

/** The same scope; what is read of it is added to `reads`. */
export function recording(scope: RouteScope, reads: Read[]): RouteScope {
  const read = <K extends keyof Reads>(of: K, host = ''): ReturnType<Reads[K]> => {
    const found = READS[of](scope, host) as ReturnType<Reads[K]>;
    if (!reads.some((one) => one.of === of && one.host === host)) reads.push({ of, host, found });
    return found;
  };
  return {
    member: {
      get namespace() {
        return read('namespace');
      },
      get labels() {
        read('labels');
        return scope.member.labels;
      },
    },
    mesh: {
      settings: scope.mesh.settings,
      services: { get: (host) => read('service', host) },
      rules: {
        get VirtualService() {
          return read('virtualServices');
        },
      },
    },
    destinationRule: (host) => read('destinationRule', host),
  };
}

export const holds = (reads: readonly Read[], scope: RouteScope): boolean =>
  reads.every(({ of, host, found }) => READS[of](scope, host) === found);
