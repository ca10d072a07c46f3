/** The resources of a proxy by either control plane, in one form: Envoy's JSON, as decoded from the bytes that are sent. */
import { fromBinary, type JsonObject, type Registry } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { DiscoveryResponseSchema } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { decodeEnvoyJson, encodeEnvoyJson, envoyTypes } from '../../src/envoy-json/encode.ts';
import { resourcesOf } from '../../src/mesh/envoy/resources.ts';
import type { Mesh } from '../../src/mesh/model/mesh.ts';
import { memberOf } from '../../src/mesh/resolve/proxy.ts';
import { connectStreams } from '../../src/transport/index.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES } from '../../src/xds/index.ts';
import { AdsClient } from '../../test/parts/ads-client.ts';
import { endpointsOnce, hostsApart, withoutDetection } from './aligned.ts';

export interface ComparedProxy {
  readonly id: string;
  /** That it proves to Sluice; absent: none. */
  readonly identity?: string;
  readonly metadata: JsonObject;
}

export const KINDS = { clusters: CLUSTER, endpoints: ENDPOINTS, listeners: LISTENER, routes: ROUTES } as const;
export type ResourceKind = keyof typeof KINDS;
/** By kind, then by name. */
export type Compared = Readonly<Record<ResourceKind, ReadonlyMap<string, JsonObject>>>;

type Mutable = Record<ResourceKind, Map<string, JsonObject>>;
const none = (): Mutable => ({ clusters: new Map(), endpoints: new Map(), listeners: new Map(), routes: new Map() });

export function ofSluice(mesh: Mesh, { id, metadata, identity }: ComparedProxy): Compared {
  const member = memberOf({ id, metadata, identity }, mesh);
  if ('wrong' in member) throw new Error(member.wrong);
  const all = none();
  for (const [kind, typeUrl] of kinds)
    for (const one of resourcesOf(mesh, member))
      if (one.typeUrl === typeUrl) all[kind].set(one.name, decoded(typeUrl, encodeEnvoyJson(typeUrl, one.json)));
  return all;
}

const ALIGNED: Partial<Record<ResourceKind, (resource: JsonObject) => JsonObject>> = {
  listeners: withoutDetection,
  endpoints: endpointsOnce,
  routes: hostsApart,
};

const kinds = Object.entries(KINDS) as [ResourceKind, string][];

/** As an Envoy gets them. */
export async function ofIstiod(port: number, { id, metadata }: ComparedProxy): Promise<Compared> {
  const client = await connectStreams({ host: '127.0.0.1', port }, { withinMs: 30_000 });
  const all = none();
  const tables: string[] = [];
  let failure: Error | undefined;
  let isListening = false;
  const ads = new AdsClient(client, {
    id,
    metadata,
    isDelta: false,
    routes: tables, // filled when listeners come, before it asks for them
    onOver: (why) => (failure = why),
    onResponse: (typeUrl, bytes) => {
      const kind = kinds.find(([, url]) => url === typeUrl)?.[0];
      if (kind === undefined) return;
      for (const { value } of fromBinary(DiscoveryResponseSchema, bytes).resources) {
        const json = decoded(typeUrl, value);
        const name = json['name'] ?? json['cluster_name'];
        if (typeof name === 'string') all[kind].set(name, ALIGNED[kind]?.(json) ?? json);
      }
      isListening ||= kind === 'listeners';
      if (kind === 'listeners')
        for (const [, name] of JSON.stringify([...all.listeners.values()]).matchAll(/"route_config_name":"([^"]+)"/g))
          if (name !== undefined && !tables.includes(name)) tables.push(name);
    },
  });
  try {
    for (const end = performance.now() + 30_000; !isListening || all.routes.size < tables.length;) {
      if (failure !== undefined || performance.now() > end) throw failure ?? new Error(`istiod sends nothing to ${id}`);
      await new Promise((wake) => {
        setTimeout(wake, 20);
      });
    }
    return all;
  } finally {
    ads.close();
    client.close();
  }
}

const known = envoyTypes();
/** Filters of Istio's own are of types that Envoy lacks, and count by their names alone. */
const registry: Registry = Object.assign(Object.create(known) as Registry, {
  getMessage: (name: string) => known.getMessage(name) ?? { ...EmptySchema, typeName: name },
});

const decoded = (typeUrl: string, bytes: Uint8Array): JsonObject =>
  decodeEnvoyJson(typeUrl, bytes, registry) as JsonObject;
