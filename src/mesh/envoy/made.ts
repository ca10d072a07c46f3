/** A resource as it is made: in Envoy's own JSON, with the object that it comes from. */
import { digestOf, encodeEnvoyJson, lendEnvoyJson } from '../../envoy-json/encode.ts';
import type { TimeSlice } from '../../time/time-slice.ts';
import { type Resource, ROUTES } from '../../xds/index.ts';
import { Generations } from '../generations.ts';
import type { Json } from './parts.ts';
import type { RouteScope } from './route-scope.ts';
import { EncodedHosts, type VirtualHost } from './virtual-hosts.ts';

export interface Made {
  readonly typeUrl: string;
  readonly name: string;
  readonly json: Json;
  readonly origin: string | undefined;
  /** Of a sidecar's table of routes, whose JSON is made when it is read: its parts. */
  readonly table?: TableParts;
}

export interface TableParts {
  readonly scope: RouteScope;
  readonly hosts: readonly VirtualHost[];
  /** Its last virtual host, and all other fields but its name. */
  readonly others: Json;
}

/** Endpoints are named by their cluster. */
export function made(typeUrl: string, json: Json, origin?: string): Made {
  const name = json['name'] ?? json['cluster_name'];
  if (typeof name !== 'string') throw new Error(`a resource of ${typeUrl} has no name`);
  return { typeUrl, name, json, origin };
}

/**
 * Encodes resources; equal ones are one value, though each proxy may make its own. Throws an EnvoyJsonError, which is a fault of this
 * program.
 */
export class Encoder {
  /** By type, name, origin and content. */
  readonly #resources = new Generations<Resource>();
  readonly #hosts = new EncodedHosts();

  encode(made: Made): Resource {
    return this.#resourceOf(made, lendEnvoyJson(made.typeUrl, made.json), true);
  }

  /** The same, of a large table in slices. */
  async encodeSliced(made: Made, slice: TimeSlice): Promise<Resource> {
    const { table, name } = made;
    if (table === undefined) return this.encode(made);
    const parts: Uint8Array[] = [encodeEnvoyJson(ROUTES, { name })];
    for (const host of table.hosts) {
      parts.push(this.#hosts.of(host, table.scope));
      if (slice.isOver) await slice.next();
    }
    // The fields in the order of their numbers, as one encoding of all would have them.
    parts.push(encodeEnvoyJson(ROUTES, table.others));
    return this.#resourceOf(made, Buffer.concat(parts), false);
  }

  /** `isLent`: the encoded message is copied. */
  #resourceOf({ typeUrl, name, origin }: Made, value: Uint8Array, isLent: boolean): Resource {
    const version = digestOf(value);
    const key = `${typeUrl} ${name} ${origin ?? ''} ${version}`;
    return (
      this.#resources.get(key) ??
      this.#resources.set(key, { name, version, value: isLent ? new Uint8Array(value) : value, origin })
    );
  }

  /** The mesh has changed: what no proxy has any more is forgotten. */
  next(): void {
    this.#resources.next();
    this.#hosts.next();
  }
}
