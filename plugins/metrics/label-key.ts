/** Label values as one string: each of several is preceded by its length, so that no two lists share a key, whatever they contain. */

export function keyOf(values: readonly string[]): string {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return only;
  let key = '';
  for (const value of values) key += `${value.length}:${value}`;
  return key;
}

/** The `count` values of a key. */
export function valuesOf(key: string, count: number): string[] {
  if (count === 1) return [key];
  const values: string[] = [];
  for (let at = 0; at < key.length;) {
    const from = key.indexOf(':', at) + 1;
    at = from + Number(key.slice(at, from - 1));
    values.push(key.slice(from, at));
  }
  return values;
}
