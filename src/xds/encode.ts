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
  const isShared = resources instanceof LayeredResources && !hides(resources);
  return Buffer.concat([
    text(new BinaryWriter(), PLAIN.versionInfo, version).finish(),
    ...(isShared
      ? [sharedPart(typeUrl, resources.shared), ...plainParts(typeUrl, resources.own.values())]
      : plainParts(typeUrl, resources.values())),
    text(text(new BinaryWriter(), PLAIN.typeUrl, typeUrl), PLAIN.nonce, nonce).finish(),
  ]);
}

const hides = ({ shared, own }: LayeredResources): boolean => [...own.keys()].some((name) => shared.has(name));

/** The shared resources of a type are joined once for all proxies. */
const joined = new WeakMap<Resources, Uint8Array>();
function sharedPart(typeUrl: string, shared: Resources): Uint8Array {
  let part = joined.get(shared);
  if (part === undefined) joined.set(shared, (part = Buffer.concat(plainParts(typeUrl, shared.values()))));
  return part;
}

const plainParts = (typeUrl: string, resources: Iterable<Resource>): Uint8Array[] =>
  Array.from(resources, (resource) =>
    once(plain, resource, () => bytes(new BinaryWriter(), PLAIN.resources, anyOf(typeUrl, resource)).finish()),
  );

export function encodeDelta(
  { typeUrl, version, nonce }: ResponseHead,
  resources: readonly Resource[],
  removed: readonly string[],
): Uint8Array {
  const end = text(text(new BinaryWriter(), DELTA.typeUrl, typeUrl), DELTA.nonce, nonce);
  for (const name of removed) text(end, DELTA.removedResources, name);
  return Buffer.concat([
    text(new BinaryWriter(), DELTA.systemVersionInfo, version).finish(),
    ...resources.map((resource) =>
      once(named, resource, () => bytes(new BinaryWriter(), DELTA.resources, partOf(typeUrl, resource)).finish()),
    ),
    end.finish(),
  ]);
}

function partOf(typeUrl: string, resource: Resource): Uint8Array {
  const writer = text(new BinaryWriter(), RESOURCE.version, resource.version);
  bytes(writer, RESOURCE.resource, anyOf(typeUrl, resource));
  return text(writer, RESOURCE.name, resource.name).finish();
}
