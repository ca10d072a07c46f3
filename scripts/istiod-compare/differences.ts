/** Where two resources differ: lists whose members have names, or match connections, are compared by these, others by position. */
import type { JsonValue } from '@bufbuild/protobuf';

export interface Difference {
  /** `virtual_hosts[reviews:9080].routes[0].route.timeout` */
  readonly path: string;
  /** `undefined`: absent. */
  readonly theirs: JsonValue | undefined;
  readonly ours: JsonValue | undefined;
}

export function differences(theirs: JsonValue | undefined, ours: JsonValue | undefined, path = ''): Difference[] {
  if (Array.isArray(theirs) || Array.isArray(ours)) {
    const [a, b] = [byKey(theirs), byKey(ours)];
    if (a !== undefined && b !== undefined) return ofMaps(a, b, (key) => `${path}[${key}]`);
  } else if (isObject(theirs) && isObject(ours))
    return ofMaps(new Map(Object.entries(theirs)), new Map(Object.entries(ours)), (key) =>
      path === '' ? key : `${path}.${key}`,
    );
  return JSON.stringify(theirs) === JSON.stringify(ours) ? [] : [{ path, theirs, ours }];
}

type JsonObjectLike = { readonly [key: string]: JsonValue };
const isObject = (value: JsonValue | undefined): value is JsonObjectLike =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function ofMaps(
  a: ReadonlyMap<string, JsonValue>,
  b: ReadonlyMap<string, JsonValue>,
  pathOf: (key: string) => string,
): Difference[] {
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((key) => differences(a.get(key), b.get(key), pathOf(key)));
}

/** `undefined`: to be compared as a whole, in any order. */
function byKey(list: JsonValue | undefined): ReadonlyMap<string, JsonValue> | undefined {
  if (list === undefined) return new Map();
  if (!Array.isArray(list)) return undefined;
  if (list.some((one) => !isObject(one)))
    return new Map(list.map((one) => [typeof one === 'string' ? one : JSON.stringify(one), one]));
  const members = list as unknown as JsonObjectLike[];
  const keys = members.map(keyOf);
  const isKeyed = keys.every((key) => key !== undefined) && new Set(keys).size === keys.length;
  return new Map(members.map((one, at) => [isKeyed ? String(keys[at]) : String(at), one]));
}

function keyOf(member: JsonObjectLike): string | undefined {
  if ('filters' in member) return chainKey(member['filter_chain_match'] as JsonObjectLike | undefined);
  // Routes are tried in their order.
  if ('match' in member && !('transport_socket' in member)) return undefined;
  const { name, header, endpoint } = member;
  if (typeof name === 'string') return name;
  if (isObject(header)) return JSON.stringify(header['key']);
  return endpoint === undefined ? undefined : JSON.stringify(isObject(endpoint) ? endpoint['address'] : endpoint);
}

const sorted = (value: JsonValue | undefined): JsonValue | undefined =>
  Array.isArray(value) && value.every((one) => typeof one === 'string') ? value.toSorted() : value;

const chainKey = (match: JsonObjectLike = {}): string =>
  Object.entries(match)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(sorted(value))}`)
    .join(' ');
