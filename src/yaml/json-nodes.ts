import type { MapEntry, Node, Place } from './nodes.ts';

/** Nodes of a JSON value that came without a text: all have one place, which names the object. */
export function jsonNodes(value: unknown, place: Place): Node {
  if (Array.isArray(value)) return { kind: 'list', place, items: value.map((item) => jsonNodes(item, place)) };
  if (typeof value === 'object' && value !== null) {
    const entries = new Map<string, MapEntry>();
    for (const [key, item] of Object.entries(value))
      entries.set(key, { key, keyPlace: place, value: jsonNodes(item, place) });
    return { kind: 'map', place, entries };
  }
  const isText = typeof value === 'string';
  const known = isText || typeof value === 'number' || typeof value === 'boolean' ? value : null;
  return { kind: 'scalar', place, value: known, written: String(known ?? ''), style: isText ? 'double' : 'plain' };
}
