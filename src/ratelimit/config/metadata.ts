/** `metadata` of a descriptor, converted as the reference converts it to a google.protobuf.Struct. */
import type { Json, JsonObject } from '../call.ts';
import type { GoMap, GoNode, GoScalar } from './go-yaml.ts';

/** Throws if a Struct cannot represent it; operators see the message. */
export const metadataOf = (map: GoMap): JsonObject | undefined =>
  map.entries.length === 0 ? undefined : objectOf(map, topName);

/** The last value of a repeated name wins. */
function objectOf({ entries }: GoMap, named: (key: GoScalar) => string): JsonObject {
  const last = new Map(entries.map(({ key, value }) => [named(key as GoScalar), value]));
  return Object.fromEntries([...last].map(([name, value]) => [wellFormed(name), jsonOf(value)]));
}

function jsonOf(node: GoNode): Json {
  if (node.kind === 'list') return node.items.map(jsonOf);
  if (node.kind === 'map') return objectOf(node, nameOf);
  const { value } = node;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' ? wellFormed(value) : value;
}

function wellFormed(text: string): string {
  if (!text.isWellFormed()) throw new Error('invalid UTF-8 in a text');
  return text;
}

/** At the top a key is its text as written; below, its value as Go's `%v` prints it. */
const topName = ({ value, text }: GoScalar): string => (value === null ? '' : text);

function nameOf({ value }: GoScalar): string {
  if (value === null) return '<nil>';
  return typeof value === 'number' ? floatText(value) : String(value);
}

/** Go's `%v` of a float64: the shortest digits, with an exponent of at least two digits from 1e+06 and below 1e-04. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  if (Number(exponent) >= -4 && Number(exponent) < 6) return Object.is(value, -0) ? '-0' : String(value);
  return `${digits}e${exponent.startsWith('-') ? '-' : '+'}${exponent.replace(/^[-+]/, '').padStart(2, '0')}`;
}
