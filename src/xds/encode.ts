/** Encodes responses. */
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

/** All of an Any but its value, which ends it. */
function anyHead(writer: BinaryWriter, field: number, typeUrl: string, { value }: Resource): BinaryWriter {
  const type = text(new BinaryWriter(), ANY.typeUrl, typeUrl).finish();
  const valueHead = new BinaryWriter().tag(ANY.value, WireType.LengthDelimited).uint32(value.length).finish();
  return writer
    .tag(field, WireType.LengthDelimited)
    .uint32(type.length + valueHead.length + value.length)
    .raw(type)
    .raw(valueHead);
}

/** What stands before the value of a resource in a response; values are copied into each response, and nowhere else. */
const plainHeads = new WeakMap<Resource, Uint8Array>();
const deltaEnds = new WeakMap<Resource, readonly [head: Uint8Array, name: Uint8Array]>();

function once<T>(cache: WeakMap<Resource, T>, resource: Resource, encode: () => T): T {
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
  [...resources].flatMap((resource) => [
    once(plainHeads, resource, () => anyHead(new BinaryWriter(), PLAIN.resources, typeUrl, resource).finish()),
    resource.value,
  ]);

export function encodeDelta(
  { typeUrl, version, nonce }: ResponseHead,
  resources: readonly Resource[],
  removed: readonly string[],
): Uint8Array {
  const end = text(text(new BinaryWriter(), DELTA.typeUrl, typeUrl), DELTA.nonce, nonce);
  for (const name of removed) text(end, DELTA.removedResources, name);
  return Buffer.concat([
    text(new BinaryWriter(), DELTA.systemVersionInfo, version).finish(),
    ...resources.flatMap((resource) => {
      const [head, name] = once(deltaEnds, resource, () => endsOf(typeUrl, resource));
      return [head, resource.value, name];
    }),
    end.finish(),
  ]);
}

/** What stands before and after the value. */
function endsOf(typeUrl: string, resource: Resource): readonly [head: Uint8Array, name: Uint8Array] {
  const name = text(new BinaryWriter(), RESOURCE.name, resource.name).finish();
  const version = text(new BinaryWriter(), RESOURCE.version, resource.version);
  const fields = anyHead(version, RESOURCE.resource, typeUrl, resource).finish();
  const head = new BinaryWriter()
    .tag(DELTA.resources, WireType.LengthDelimited)
    .uint32(fields.length + resource.value.length + name.length)
    .raw(fields)
    .finish();
  return [head, name];
}
