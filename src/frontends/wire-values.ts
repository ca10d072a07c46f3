/** Decoded protobuf values -> values of attributes. An empty field is an absent attribute. */
import type { Any, Duration as WireDuration, Timestamp as WireTimestamp } from '@bufbuild/protobuf/wkt';
import type { Carrier } from '../attributes/carrier.ts';
import { jsonAt, type Json, mapOfJson, valueOfJson } from '../attributes/json-value.ts';
import { type Ip, parseIp } from '../attributes/network.ts';
import { Duration, Timestamp, type Value } from '../attributes/values.ts';
import { lowerAscii } from '../protobuf/header-map.ts';
import { jsonOfAny } from './any-json.ts';
import { absentWhereMalformed } from '../protobuf/malformed.ts';
import type { Address } from '../../gen/envoy/config/core/v3/address_pb.ts';
import type { Metadata } from '../../gen/envoy/config/core/v3/base_pb.ts';

export const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

/** Principals are named without their scheme (docs/rules.md, section 3). */
export function principalOf(text: string | undefined): string | undefined {
  return present(text?.startsWith('spiffe://') === true ? text.slice('spiffe://'.length) : text);
}

/** The canonical form of an int: a bigint only beyond 54 bits. */
export const intOf = (wide: bigint): number | bigint => (BigInt.asIntN(54, wide) === wide ? Number(wide) : wide);

export function ipOf(address: Address | undefined): Ip | undefined {
  return address?.address.case === 'socketAddress' ? parseIp(address.address.value.address) : undefined;
}

export function portOf(address: Address | undefined): number | undefined {
  const socket = address?.address.case === 'socketAddress' ? address.address.value : undefined;
  return socket?.portSpecifier.case === 'portValue' ? socket.portSpecifier.value : undefined;
}

export const timestampOf = (wire: WireTimestamp | undefined): Timestamp | undefined =>
  wire === undefined ? undefined : new Timestamp(Number(wire.seconds), wire.nanos);

export const durationOf = (wire: WireDuration | undefined): Duration | undefined =>
  wire === undefined ? undefined : new Duration(Number(wire.seconds), wire.nanos);

export function later(time: Timestamp, span: Duration): Timestamp {
  const nanos = time.nanos + span.nanos;
  return new Timestamp(time.seconds + span.seconds + Math.floor(nanos / 1e9), ((nanos % 1e9) + 1e9) % 1e9);
}

export function between(from: Duration, to: Duration): Duration {
  const nanos = (to.seconds - from.seconds) * 1e9 + (to.nanos - from.nanos);
  return new Duration(Math.trunc(nanos / 1e9), nanos % 1e9);
}

export function stringMap(object: Readonly<Record<string, string>>): Map<string, string> {
  const map = new Map<string, string>();
  for (const name of Object.keys(object)) map.set(name, object[name] ?? '');
  return map;
}

export function headerMap(object: Readonly<Record<string, string>>): Map<string, string> {
  const map = new Map<string, string>();
  for (const name of Object.keys(object)) map.set(lowerAscii(name), object[name] ?? '');
  return map;
}

/** Every decodable namespace; a typed one counts if its type is known and no plain one has its name. */
export function metadataMap(metadata: Metadata | undefined): ReadonlyMap<string, Value> {
  const map = new Map<string, Value>();
  if (metadata === undefined) return map;
  const { filterMetadata, typedFilterMetadata } = metadata;
  for (const namespace of Object.keys(filterMetadata)) {
    const json = ifWellFormed(() => filterMetadata[namespace] ?? {});
    if (json !== undefined) map.set(namespace, mapOfJson(json));
  }
  for (const namespace of Object.keys(typedFilterMetadata)) {
    const json = Object.hasOwn(filterMetadata, namespace)
      ? undefined
      : ifWellFormed(() => jsonOfAny(typedFilterMetadata[namespace]));
    if (json !== undefined) map.set(namespace, valueOfJson(json));
  }
  return map;
}

/** `undefined` if it is malformed, so that its neighbours can be read. */
export function ifWellFormed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return absentWhereMalformed(error);
  }
}

export function metadataAt(
  metadata: Metadata | undefined,
  { namespace, path }: Extract<Carrier, { kind: 'metadata' }>,
): Value | undefined {
  if (metadata === undefined) return undefined;
  const plain = Object.hasOwn(metadata.filterMetadata, namespace)
    ? (metadata.filterMetadata[namespace] as Json | undefined)
    : undefined;
  const json = jsonAt(plain ?? jsonOfAny(anyAt(metadata.typedFilterMetadata, namespace)), path);
  return json === undefined ? undefined : valueOfJson(json);
}

export const anyAt = (anys: Readonly<Record<string, Any>>, name: string): Any | undefined =>
  Object.hasOwn(anys, name) ? anys[name] : undefined;

/**
 * Whether a body may follow headers that state no length, as over HTTP/2 and in chunks. GET, HEAD and OPTIONS count as bare, since
 * clients hardly ever send a body with them and a rule on the size would refuse them all; only `x-sluice-received` shows such a body.
 */
export const mayHaveBody = (method: string | undefined): boolean => !/^(?:GET|HEAD|OPTIONS)$/.test(method ?? '');
