/**
 * The control plane: the mesh in force, for each proxy as it sees it.
 * **In**: a mesh, again at each change. **Out**: a source of resources for the discovery service. **Fails**: a proxy whose node says not
 * who it is gets INVALID_ARGUMENT.
 */
import { GrpcError, Status } from '../transport/index.ts';
import {
  ENDPOINTS,
  type Proxy,
  type ProxyResources,
  type Resource,
  type ResourceSource,
  ROUTES,
} from '../xds/index.ts';
import { loadAssignment } from './envoy/endpoints.ts';
import { Encoder, made } from './envoy/made.ts';
import { resourcesOf } from './envoy/resources.ts';
import type { Mesh } from './model/mesh.ts';
import { type Member, memberOf } from './resolve/proxy.ts';

export class ControlPlane implements ResourceSource {
  #mesh: Mesh;
  #version: string;
  readonly #encoder = new Encoder();

  constructor(mesh: Mesh, version: string) {
    this.#mesh = mesh;
    this.#version = version;
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

  connect(proxy: Proxy): ReturnType<ResourceSource['connect']> {
    this.#member(proxy);
    let last: { readonly mesh: Mesh; readonly resources: ProxyResources } | undefined;
    return {
      resources: () => {
        if (last?.mesh !== this.#mesh) last = { mesh: this.#mesh, resources: this.#resources(this.#member(proxy)) };
        return last.resources;
      },
      absent: (typeUrl, name) => this.#absent(typeUrl, name),
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
