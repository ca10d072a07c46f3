/** A resource as it is made: in Envoy's own JSON, with the object that it comes from. */
import { digestOf, encodeEnvoyJson } from '../../envoy-json/encode.ts';
import type { Resource } from '../../xds/index.ts';
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
 * Encodes resources; equal ones once, though each proxy makes its own. Throws an EnvoyJsonError, which is a fault of this program.
 */
export class Encoder {
  /** By type, name and content, of the last generation of the mesh and of this one. */
  #last = new Map<string, Resource>();
  #now = new Map<string, Resource>();

  encode({ typeUrl, name, json, origin }: Made): Resource {
    const key = `${typeUrl} ${name} ${origin ?? ''} ${JSON.stringify(json)}`;
    let resource = this.#now.get(key) ?? this.#last.get(key);
    if (resource === undefined) {
      const value = encodeEnvoyJson(typeUrl, json);
      resource = { name, version: digestOf(value), value, origin };
    }
    this.#now.set(key, resource);
    return resource;
  }

  /** The mesh has changed: what no proxy has any more is forgotten. */
  next(): void {
    this.#last = this.#now;
    this.#now = new Map();
  }
}
