/** A resource as it is made: in Envoy's own JSON, with the object that it comes from. */
import { digestOf, encodeEnvoyJson, lendEnvoyJson } from '../../envoy-json/encode.ts';
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

/**
 * Encodes resources; equal ones are one value, though each proxy may make its own. Throws an EnvoyJsonError, which is a fault of this program.
 */
export class Encoder {
  /** By type, name, origin and content. */
  readonly #resources = new Generations<Resource>();

  encode(made: Made): Resource {
    return this.#resourceOf(made, lendEnvoyJson(made.typeUrl, made.json));
  }

  /** The same, of a large one in slices. */
  async encodeSliced(made: Made, slice: TimeSlice): Promise<Resource> {
    const { name = '', virtual_hosts: hosts, ...others } = made.json;
    if (made.typeUrl !== ROUTES || !Array.isArray(hosts)) return this.encode(made);
    const parts: Uint8Array[] = [];
    for (const host of hosts) {
      parts.push(encodeEnvoyJson(ROUTES, { virtual_hosts: [host] }));
      if (slice.isOver) await slice.next();
    }
    // The fields in the order of their numbers, as one encoding of all would have them.
    const all = [encodeEnvoyJson(ROUTES, { name }), ...parts, encodeEnvoyJson(ROUTES, others)];
    return this.#resourceOf(made, Buffer.concat(all));
  }

  /** Of an encoded message, which is copied. */
  #resourceOf({ typeUrl, name, origin }: Made, value: Uint8Array): Resource {
    const version = digestOf(value);
    const key = `${typeUrl} ${name} ${origin ?? ''} ${version}`;
    return (
      this.#resources.get(key) ?? this.#resources.set(key, { name, version, value: new Uint8Array(value), origin })
    );
  }

  /** The mesh has changed: what no proxy has any more is forgotten. */
  next(): void {
    this.#resources.next();
  }
}
