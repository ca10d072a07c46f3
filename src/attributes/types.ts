/**
 * The types of attributes and expressions: CEL's, and `ip` and `cidr` of its network extension. `values.ts` has their
 * representation at run time.
 */
export type SimpleKind =
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'
  | 'ip'
  | 'cidr'
  | 'null'
  | 'type'
  | 'dyn';

export type Type =
  | { readonly kind: SimpleKind }
  | { readonly kind: 'list'; readonly of: Type }
  | { readonly kind: 'map'; readonly key: Type; readonly of: Type }
  | { readonly kind: 'optional'; readonly of: Type };

const simple = <K extends SimpleKind>(kind: K): { readonly kind: K } => Object.freeze({ kind });

export const BOOL: Type = simple('bool');
export const INT: Type = simple('int');
export const UINT: Type = simple('uint');
export const DOUBLE: Type = simple('double');
export const STRING: Type = simple('string');
export const BYTES: Type = simple('bytes');
export const TIMESTAMP: Type = simple('timestamp');
export const DURATION: Type = simple('duration');
export const IP: Type = simple('ip');
export const CIDR: Type = simple('cidr');
export const NULL: Type = simple('null');
export const TYPE: Type = simple('type');
export const DYN: Type = simple('dyn');

export const listOf = (of: Type): Type => Object.freeze({ kind: 'list', of });
export const mapOf = (key: Type, of: Type): Type => Object.freeze({ kind: 'map', key, of });
export const optionalOf = (of: Type): Type => Object.freeze({ kind: 'optional', of });

export const STRING_MAP: Type = mapOf(STRING, STRING);

/** Values of these types have a text, so they may stand in templates and in inputs of type string; `dyn`: if its value has. */
export const SCALARS: ReadonlySet<Type['kind']> = new Set([
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'timestamp',
  'duration',
  'ip',
  'cidr',
  'dyn',
]);

/** The type in its written form: `map(string, int)`. */
export function typeText(type: Type): string {
  if (type.kind === 'list' || type.kind === 'optional') return `${type.kind}(${typeText(type.of)})`;
  return type.kind === 'map' ? `map(${typeText(type.key)}, ${typeText(type.of)})` : type.kind;
}

const SIMPLE_KINDS: ReadonlyMap<string, Type> = new Map(
  [BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION, IP, CIDR, NULL, TYPE, DYN].map((type) => [
    type.kind,
    type,
  ]),
);

/** Parses `map(string, list(int))`; `undefined` for text that is not a type. */
export function parseType(text: string): Type | undefined {
  const trimmed = text.trim();
  const known = SIMPLE_KINDS.get(trimmed);
  if (known !== undefined) return known;
  const parts = /^(list|map|optional)\((.*)\)$/s.exec(trimmed);
  if (parts === null) return undefined;
  const [, outer, inner = ''] = parts;
  if (outer !== 'map') {
    const of = parseType(inner);
    if (of === undefined) return undefined;
    return outer === 'list' ? listOf(of) : optionalOf(of);
  }
  const comma = inner.indexOf(',');
  if (comma < 0) return undefined;
  const key = parseType(inner.slice(0, comma));
  const of = parseType(inner.slice(comma + 1));
  return key === undefined || of === undefined ? undefined : mapOf(key, of);
}

export function sameType(a: Type, b: Type): boolean {
  return typeText(a) === typeText(b);
}
