/** Encodes responses; the part of a resource is encoded once for all proxies. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
  ResourceSchema,
} from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { LayeredResources } from './layered-resources.ts';
import type { Resource, Resources } from './resource.ts';

const ANY = { typeUrl: AnySchema.field.typeUrl.number, value: AnySchema.field.value.number };
const PLAIN = fieldsOf(DiscoveryResponseSchema.field);
const DELTA = fieldsOf(DeltaDiscoveryResponseSchema.field);
const RESOURCE = fieldsOf(ResourceSchema.field);

function fieldsOf<K extends string>(
  fields: Readonly<Record<K, { readonly number: number }>>,
): Readonly<Record<K, number>> {
  return Object.fromEntries(
    Object.entries<{ readonly number: number }>(fields).map(([name, { number }]) => [name, number]),
  ) as Record<K, number>;
}

const text = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
  writer.tag(field, WireType.LengthDelimited).string(value);
const bytes = (writer: BinaryWriter, field: number, value: Uint8Array): BinaryWriter =>
  writer.tag(field, WireType.LengthDelimited).bytes(value);

const anyOf = (typeUrl: string, { value }: Resource): Uint8Array =>
  bytes(text(new BinaryWriter(), ANY.typeUrl, typeUrl), ANY.value, value).finish();

const plain = new WeakMap<Resource, Uint8Array>();
const named = new WeakMap<Resource, Uint8Array>();

function once(cache: WeakMap<Resource, Uint8Array>, resource: Resource, encode: () => Uint8Array): Uint8Array {
  let part = cache.get(resource);
  if (part === undefined) cache.set(resource, (part = encode()));
  return part;
}

export interface ResponseHead {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
}

/** `resources`: some, or all of a type. */
export function encodePlain(
  { typeUrl, version, nonce }: ResponseHead,
  resources: readonly Resource[] | Resources,
): Uint8Array {
  const writer = text(new BinaryWriter(), PLAIN.versionInfo, version);
  if (resources instanceof LayeredResources && !hides(resources))
    writer.raw(sharedPart(typeUrl, resources.shared)).raw(partsOf(typeUrl, resources.own.values()));
  else writer.raw(partsOf(typeUrl, resources.values()));
  return text(text(writer, PLAIN.typeUrl, typeUrl), PLAIN.nonce, nonce).finish();
}

const hides = ({ shared, own }: LayeredResources): boolean => [...own.keys()].some((name) => shared.has(name));

/** The shared resources of a type are joined once for all proxies. */
const joined = new WeakMap<Resources, Uint8Array>();
function sharedPart(typeUrl: string, shared: Resources): Uint8Array {
  let part = joined.get(shared);
  if (part === undefined) joined.set(shared, (part = partsOf(typeUrl, shared.values())));
  return part;
}

function partsOf(typeUrl: string, resources: Iterable<Resource>): Uint8Array {
  const writer = new BinaryWriter();
  for (const resource of resources)
    writer.raw(
      once(plain, resource, () => bytes(new BinaryWriter(), PLAIN.resources, anyOf(typeUrl, resource)).finish()),
    );
  return writer.finish();
}

export function encodeDelta(
  { typeUrl, version, nonce }: ResponseHead,
  resources: readonly Resource[],
  removed: readonly string[],
): Uint8Array {
  const writer = text(new BinaryWriter(), DELTA.systemVersionInfo, version);
  for (const resource of resources)
    writer.raw(
      once(named, resource, () => bytes(new BinaryWriter(), DELTA.resources, partOf(typeUrl, resource)).finish()),
    );
  text(text(writer, DELTA.typeUrl, typeUrl), DELTA.nonce, nonce);
  for (const name of removed) text(writer, DELTA.removedResources, name);
  return writer.finish();
}

function partOf(typeUrl: string, resource: Resource): Uint8Array {
  const writer = text(new BinaryWriter(), RESOURCE.version, resource.version);
  bytes(writer, RESOURCE.resource, anyOf(typeUrl, resource));
  return text(writer, RESOURCE.name, resource.name).finish();
}
