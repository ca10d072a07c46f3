/**
 * Label values as one string that no two lists share, whatever they contain.
 *
 * They are joined by NUL. If a value has a NUL itself, each is preceded by its length instead; such a key begins with two NULs, where
 * another has at most one, unless its first two values are empty, which the longer form is used for as well.
 */
const SEPARATOR = '\0';
const BY_LENGTH = '\0\0';

export const hasSeparator = (value: string): boolean => value.includes(SEPARATOR);

/** `isPlain`: no value has a separator. */
export function keyOf(values: readonly string[], isPlain = !values.some(hasSeparator)): string {
  if (isPlain && (values[0] !== '' || values[1] !== '')) return values.join(SEPARATOR);
  let key = BY_LENGTH;
  for (const value of values) key += `${value.length}:${value}`;
  return key;
}

/** The values of a key. */
export function valuesOf(key: string): string[] {
  if (!key.startsWith(BY_LENGTH)) return key.split(SEPARATOR);
  const values: string[] = [];
  for (let at = BY_LENGTH.length; at < key.length;) {
    const from = key.indexOf(':', at) + 1;
    at = from + Number(key.slice(at, from - 1));
    values.push(key.slice(from, at));
  }
  return values;
}
