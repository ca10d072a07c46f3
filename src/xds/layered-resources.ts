import type { Resource, Resources } from './resource.ts';

/**
 * The resources of one type for one proxy: those that many proxies have, as one map for all of them, and its own, which win. What is found
 * out about the shared map is found out once for all its proxies.
 */
export class LayeredResources implements Resources {
  readonly shared: Resources;
  readonly own: Resources;

  constructor(shared: Resources, own: Resources) {
    this.shared = shared;
    this.own = own;
  }

  get(name: string): Resource | undefined {
    return this.own.get(name) ?? this.shared.get(name);
  }
  has(name: string): boolean {
    return this.own.has(name) || this.shared.has(name);
  }
  get size(): number {
    let size = this.shared.size;
    for (const name of this.own.keys()) if (!this.shared.has(name)) size++;
    return size;
  }
  *entries(): MapIterator<[string, Resource]> {
    for (const entry of this.shared) if (!this.own.has(entry[0])) yield entry;
    yield* this.own;
  }
  *keys(): MapIterator<string> {
    for (const [name] of this.entries()) yield name;
  }
  *values(): MapIterator<Resource> {
    for (const [, resource] of this.entries()) yield resource;
  }
  forEach(call: (resource: Resource, name: string, all: Resources) => void): void {
    for (const [name, resource] of this.entries()) call(resource, name, this);
  }
  [Symbol.iterator](): MapIterator<[string, Resource]> {
    return this.entries();
  }
}

const NONE: Resources = new Map();

/** The layers of any resources; those of a plain map are all shared, since a source may give one map to many. */
export const layersOf = (resources: Resources): { readonly shared: Resources; readonly own: Resources } =>
  resources instanceof LayeredResources ? resources : { shared: resources, own: NONE };
