/**
 * The control plane: the mesh in force, for each proxy as it sees it.
 * **In**: a mesh, again at each change, and who makes certificates for proxies that have no agent. **Out**: a source of resources for the
 * discovery service. **Fails**: a proxy whose node does not say who it is gets INVALID_ARGUMENT, one that claims to be another than it has
 * proven PERMISSION_DENIED.
 */
import type { WorkloadIdentities } from '../identity/workload-identities.ts';
import { GrpcError, Status } from '../transport/index.ts';
import {
  ENDPOINTS,
  type Proxy,
  type ProxyResources,
  type Resource,
  type Resources,
  type ResourceSource,
  ROUTES,
  SECRET,
} from '../xds/index.ts';
import { loadAssignment } from './envoy/endpoints.ts';
import { Encoder, made } from './envoy/made.ts';
import { resourcesOf } from './envoy/resources.ts';
import type { Mesh } from './model/mesh.ts';
import { wrongClaim } from './resolve/claims.ts';
import { type Member, memberOf } from './resolve/proxy.ts';

export class ControlPlane implements ResourceSource {
  #mesh: Mesh;
  #version: string;
  readonly #identities: WorkloadIdentities | undefined;
  readonly #encoder = new Encoder();

  constructor(mesh: Mesh, version: string, identities?: WorkloadIdentities) {
    this.#mesh = mesh;
    this.#version = version;
    this.#identities = identities;
  }

  get mesh(): Mesh {
    return this.#mesh;
  }
  get version(): string {
    return this.#version;
  }

  /** The discovery service is to be told that it has changed. */
  use(mesh: Mesh, version: string): void {
    this.#mesh = mesh;
    this.#version = version;
    this.#encoder.next();
  }

  connect(proxy: Proxy, changed: () => void): ReturnType<ResourceSource['connect']> {
    const { identity } = proxy;
    const member = this.#member(proxy);
    const wrong = identity === undefined ? undefined : wrongClaim(proxy, member, identity, this.#mesh.settings);
    if (wrong !== undefined) throw new GrpcError(Status.PERMISSION_DENIED, wrong);
    const lease =
      identity === undefined || member.secrets !== 'ads' ? undefined : this.#identities?.lease(identity, changed);
    let last: { readonly mesh: Mesh; readonly resources: ProxyResources } | undefined;
    let joined: Joined | undefined;
    return {
      resources: () => {
        if (last?.mesh !== this.#mesh) last = { mesh: this.#mesh, resources: this.#resources(this.#member(proxy)) };
        if (lease === undefined) return last.resources;
        joined = withSecrets(last.resources, lease.resources(), joined);
        return joined.resources;
      },
      absent: (typeUrl, name) => this.#absent(typeUrl, name),
      ...(lease === undefined ? {} : { close: () => lease.release() }),
    };
  }

  /** Labels may come from the mesh, so they are looked up for each state of it. */
  #member(proxy: Proxy): Member {
    const member = memberOf(proxy, this.#mesh);
    if ('wrong' in member) throw new GrpcError(Status.INVALID_ARGUMENT, member.wrong);
    return member;
  }

  #resources(member: Member): ProxyResources {
    const byType = new Map<string, Map<string, Resource>>();
    for (const one of resourcesOf(this.#mesh, member)) {
      const known = byType.get(one.typeUrl) ?? new Map<string, Resource>();
      byType.set(one.typeUrl, known.set(one.name, this.#encoder.encode(one)));
    }
    return { version: this.#version, byType };
  }

  /** Nobody, or no route, so that a proxy does not wait for what does not exist. */
  #absent(typeUrl: string, name: string): Resource | undefined {
    if (typeUrl === ENDPOINTS) return this.#encoder.encode(made(ENDPOINTS, loadAssignment(name, [])));
    return typeUrl === ROUTES ? this.#encoder.encode(made(ROUTES, { name, virtual_hosts: [] })) : undefined;
  }
}

/** Made again when one of its parts has changed. */
interface Joined {
  readonly of: ProxyResources;
  readonly own: Resources;
  readonly resources: ProxyResources;
}

function withSecrets(of: ProxyResources, own: Resources, last: Joined | undefined): Joined {
  if (last?.of === of && last.own === own) return last;
  const secrets = new Map([...(of.byType.get(SECRET) ?? []), ...own]);
  return { of, own, resources: { ...of, byType: new Map([...of.byType, [SECRET, secrets]]) } };
}
