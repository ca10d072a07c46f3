/**
 * The virtual hosts of sidecars' route tables. A table has one for each service; a changed rule changes one of them, and namespaces differ
 * in the short names of their own services alone.
 * **In**: a host with its rule, and what a proxy sees of the mesh. **Out**: its JSON, or its bytes, which are kept for all tables and
 * states of the mesh in which it is the same. **Fails**: with an EnvoyJsonError, which is a fault of this program.
 */
import { encodeEnvoyJson } from '../../envoy-json/encode.ts';
import { ROUTES } from '../../xds/index.ts';
import { Generations } from '../generations.ts';
import { idOf } from '../revisions.ts';
import { MESH_GATEWAY } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { hashPolicy } from './hash-policy.ts';
import { routesOf } from './http-routes.ts';
import { retryPolicy } from './retry-policy.ts';
import { outboundCluster } from './names.ts';
import { compact, type Json, withTimeout } from './parts.ts';
import { holds, type Read, recording, type RouteScope } from './route-scope.ts';

export interface VirtualHost {
  readonly host: string;
  readonly port: number;
  readonly domains: readonly string[];
  /** Equal for equal domains. */
  readonly domainsKey: string | number;
  readonly rule: MeshObject<'VirtualService'> | undefined;
}

const MESH: ReadonlySet<string> = new Set([MESH_GATEWAY]);

/** An application sees by `x-envoy-attempt-count` that a call is a retry. */
export const ATTEMPTS: Json = { include_request_attempt_count: true };

export const virtualHostJson = ({ host, port, domains, rule }: VirtualHost, scope: RouteScope): Json => ({
  name: `${host}:${port}`,
  domains: [...domains],
  ...ATTEMPTS,
  routes:
    rule === undefined || rule.spec.http.length === 0
      ? [defaultRoute(scope, host, port)]
      : [...routesOf(rule, { scope, port, gateways: MESH })],
});

const defaultRoute = (scope: RouteScope, host: string, port: number): Json => ({
  name: 'default',
  match: { prefix: '/' },
  decorator: { operation: `${host}:${port}/*` },
  route: compact({
    cluster: outboundCluster(port, undefined, host),
    ...withTimeout(0),
    retry_policy: retryPolicy(undefined, scope),
    hash_policy: hashPolicy(scope, host, port),
    cluster_not_found_response_code: 'SERVICE_UNAVAILABLE',
  }),
});

/** Of one host, rule and settings; several differ in what they have read. */
interface Variant {
  readonly reads: readonly Read[];
  readonly bytes: Uint8Array;
  /** The last generation of the mesh that it was used in. */
  usedIn: number;
}

export class EncodedHosts {
  readonly #variants = new Generations<readonly Variant[]>();
  #generation = 0;

  /** The bytes of a table that has this host alone: its field, which tables are joined of. */
  of(virtualHost: VirtualHost, scope: RouteScope): Uint8Array {
    const { host, port, domainsKey, rule } = virtualHost;
    const key = `${idOf(rule)} ${idOf(scope.mesh.settings)} ${port} ${host} ${domainsKey}`;
    const variants = this.#variants.get(key) ?? [];
    for (const variant of variants)
      if (holds(variant.reads, scope)) {
        variant.usedIn = this.#generation;
        return variant.bytes;
      }
    const reads: Read[] = [];
    const json = virtualHostJson(virtualHost, recording(scope, reads));
    const bytes = encodeEnvoyJson(ROUTES, { virtual_hosts: [json] });
    const recent = variants.filter(({ usedIn }) => usedIn >= this.#generation - 1);
    this.#variants.set(key, [...recent, { reads, bytes, usedIn: this.#generation }]);
    return bytes;
  }

  /** The mesh has changed. */
  next(): void {
    this.#generation++;
    this.#variants.next();
  }
}
