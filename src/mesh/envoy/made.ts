/** A resource as it is made: in Envoy's own JSON, with the object that it comes from. */
import { digestOf, encodeEnvoyJson } from '../../envoy-json/encode.ts';
import type { JsonValue } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { TimeSlice } from '../../time/time-slice.ts';
import { type Resource, ROUTES } from '../../xds/index.ts';
import { Generations } from '../generations.ts';
import type { Json } from './parts.ts';

export interface Made {
  readonly typeUrl: string;
  readonly name: string;
  readonly json: Json;
  readonly origin: string | undefined;
}

/** Endpoints are named by their cluster. */
export function made(typeUrl: string, json: Json, origin?: string): Made {
  const name = json['name'] ?? json['cluster_name'];
  if (typeof name !== 'string') throw new Error(`a resource of ${typeUrl} has no name`);
  return { typeUrl, name, json, origin };
}

const VIRTUAL_HOST = 'envoy.config.route.v3.VirtualHost';
const HOSTS_TAG = (2 << 3) | 2;

/**
 * Encodes resources; equal ones once, though each proxy may make its own. Throws an EnvoyJsonError, which is a fault of this program.
 */
export class Encoder {
  /** By type, name, origin and content. */
  readonly #resources = new Generations<Resource>();
  /** Parts of tables of routes, by content: a table has a part for each service, of which a change changes one. */
  readonly #hosts = new Generations<Uint8Array>();

  encode(made: Made): Resource {
    const { typeUrl, json } = made;
    return this.#once(made, digestOf(JSON.stringify(json)), () => encodeEnvoyJson(typeUrl, json));
  }

  /** The same, of a large one in slices. */
  async encodeSliced(made: Made, slice: TimeSlice): Promise<Resource> {
    const { typeUrl, json } = made;
    const { name = '', virtual_hosts: hosts, ...others } = json;
    if (typeUrl !== ROUTES || !Array.isArray(hosts)) return this.encode(made);
    const parts: Uint8Array[] = [];
    for (const host of hosts) {
      const text = JSON.stringify(host);
      const key = digestOf(text);
      parts.push(this.#hosts.get(key) ?? this.#hosts.set(key, hostField(host)));
      if (slice.isOver) await slice.next();
    }
    // The fields in the order of their numbers, as one encoding of all would have them.
    const value = Buffer.concat([encodeEnvoyJson(ROUTES, { name }), ...parts, encodeEnvoyJson(ROUTES, others)]);
    return this.#once(made, digestOf(value), () => value);
  }

  #once({ typeUrl, name, origin }: Made, content: string, encode: () => Uint8Array): Resource {
    const key = `${typeUrl} ${name} ${origin ?? ''} ${content}`;
    const known = this.#resources.get(key);
    if (known !== undefined) return known;
    const value = encode();
    return this.#resources.set(key, { name, version: digestOf(value), value, origin });
  }

  /** The mesh has changed: what no proxy has any more is forgotten. */
  next(): void {
    this.#resources.next();
    this.#hosts.next();
  }
}

const hostField = (host: JsonValue): Uint8Array =>
  new BinaryWriter().uint32(HOSTS_TAG).bytes(encodeEnvoyJson(VIRTUAL_HOST, host)).finish();
