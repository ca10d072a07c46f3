/**
 * The control plane: the mesh in force, for each proxy as it sees it.
 * **In**: a mesh, again at each change, and the certificates of proxies that have no agent. **Out**: a source of resources for the
 * discovery service, and a call for credentials that a gateway may not have. **Fails**: a proxy whose node does not say who it is gets
 * INVALID_ARGUMENT, one that claims to be another than it has proven PERMISSION_DENIED.
 */
import type { SecretsLease, WorkloadIdentities } from '../identity/workload-identities.ts';
import { GrpcError, Status } from '../transport/index.ts';
import {
  ENDPOINTS,
  LayeredResources,
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
import { ownResources } from './envoy/resources.ts';
import type { Mesh } from './model/mesh.ts';
import { originText } from './model/model.ts';
import { wrongClaim } from './resolve/claims.ts';
import { refusedCredentials, type RefusedCredential } from './resolve/gateways.ts';
import { type Member, memberOf, SYSTEM_ROOTS } from './resolve/proxy.ts';
import { ruleWithoutRoots } from './resolve/system-roots.ts';
import type { MeshObject } from './sources/objects.ts';
import type { Log } from './sources/outage-log.ts';
import { SharedResources } from './shared-resources.ts';

const NONE: Resources = new Map();

export interface ControlPlaneOptions {
  /** Absent: only proxies with an agent have certificates. */
  readonly identities?: WorkloadIdentities | undefined;
  /** Of one stream: when a credential is refused, and again if it was allowed in between. */
  readonly onCredentialsRefused?: (proxy: Proxy, refused: readonly RefusedCredential[]) => void;
  readonly log?: Pick<Log, 'warn'>;
}

export class ControlPlane implements ResourceSource {
  #mesh: Mesh;
  #version: string;
  readonly #options: ControlPlaneOptions;
  readonly #encoder = new Encoder();
  readonly #shared = new SharedResources(this.#encoder);

  constructor(mesh: Mesh, version: string, options: ControlPlaneOptions = {}) {
    this.#mesh = mesh;
    this.#version = version;
    this.#options = options;
  }

  get mesh(): Mesh {
    return this.#mesh;
  }
  get version(): string {
    return this.#version;
  }

  /** The discovery service is to be told that it has changed. */
  use(mesh: Mesh, version: string): void {
    this.#shared.next(this.#mesh, mesh);
    this.#encoder.next();
    this.#mesh = mesh;
    this.#version = version;
  }

  connect(proxy: Proxy, changed: () => void): ReturnType<ResourceSource['connect']> {
    const { identity } = proxy;
    const member = this.#member(proxy);
    const wrong = identity === undefined ? undefined : wrongClaim(proxy, member, identity, this.#mesh.settings);
    if (wrong !== undefined) throw new GrpcError(Status.PERMISSION_DENIED, wrong);
    const lease =
      identity === undefined || member.secrets !== 'ads'
        ? undefined
        : this.#options.identities?.lease(identity, changed);
    const warn = this.#warnings(proxy);
    return {
      resources: () => {
        warn();
        return this.#resources(proxy, lease);
      },
      absent: (typeUrl, name) => this.#absent(typeUrl, name),
      ...(lease === undefined ? {} : { close: () => lease.release() }),
    };
  }

  /** For one stream; to be called for each state of the mesh. Warns of what is refused since the last call. */
  #warnings(proxy: Proxy): () => void {
    let warnedOf: object | undefined;
    let known: ReadonlySet<string> = new Set();
    return () => {
      const of = { mesh: this.#mesh, member: this.#member(proxy) };
      const rule = ruleWithoutRoots(of.mesh, of.member);
      if (rule !== undefined && rule !== warnedOf) this.#warnOfRoots(proxy, rule);
      warnedOf = rule;
      const refused = refusedCredentials(of);
      const newly = refused.filter(({ credential }) => !known.has(credential));
      if (newly.length > 0) this.#options.onCredentialsRefused?.(proxy, newly);
      known = new Set(refused.map(({ credential }) => credential));
    };
  }

  #warnOfRoots({ id }: Proxy, { origin, spec }: MeshObject<'DestinationRule'>): void {
    this.#options.log?.warn(
      "calls of a proxy by TLS are refused, since the rule names no caCertificates, and the proxy no file of its system's CA certificates",
      { proxy: id, host: spec.host, of: originText(origin), fix: `${SYSTEM_ROOTS}: FILE in its node metadata` },
    );
  }

  /** Labels may come from the mesh, so they are looked up for each state of it. */
  #member(proxy: Proxy): Member {
    const member = memberOf(proxy, this.#mesh);
    if ('wrong' in member) throw new GrpcError(Status.INVALID_ARGUMENT, member.wrong);
    return member;
  }

  async #resources(proxy: Proxy, lease: SecretsLease | undefined): Promise<ProxyResources> {
    const [mesh, version] = [this.#mesh, this.#version];
    const member = this.#member(proxy);
    const { scope, byType: shared } = await this.#shared.of(mesh, member);
    const own = new Map<string, Map<string, Resource>>();
    for (const one of ownResources({ ...scope, member })) {
      const known = own.get(one.typeUrl) ?? new Map<string, Resource>();
      own.set(one.typeUrl, known.set(one.name, this.#encoder.encode(one)));
    }
    if (lease !== undefined) own.set(SECRET, new Map([...(own.get(SECRET) ?? []), ...lease.resources()]));
    const byType = new Map<string, Resources>(own);
    for (const [typeUrl, resources] of shared)
      byType.set(typeUrl, new LayeredResources(resources, own.get(typeUrl) ?? NONE));
    return { version, byType };
  }

  /** Nobody, or no route, so that a proxy does not wait for what does not exist. */
  #absent(typeUrl: string, name: string): Resource | undefined {
    if (typeUrl === ENDPOINTS) return this.#encoder.encode(made(ENDPOINTS, loadAssignment(name, [])));
    return typeUrl === ROUTES ? this.#encoder.encode(made(ROUTES, { name, virtual_hosts: [] })) : undefined;
  }
}
