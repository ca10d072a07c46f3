/**
 * **In**: the input of a rule, as its plugin gets it. **Out**: one canonical text: equal for equal inputs, different for different ones,
 * since text carries its length and every other value its type. **Fails**: never; `undefined` for a value that has no text.
 */
export function inputKey(input: Readonly<Record<string, unknown>>): string | undefined {
  let text = '';
  for (const name in input) {
    const value = input[name];
    const part = typeof value === 'string' ? `${value.length}:${value}` : partOf(value, 0);
    if (part === undefined) return undefined;
    text += `${name.length}:${name}=${part};`; // names of fields may be any text
  }
  return text;
}

/** Lists and objects of `any` inputs come from requests. */
const DEEPEST = 32;

function partOf(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
      return `${value.length}:${value}`;
    case 'number':
      return Object.is(value, -0) ? 'n-0' : `n${value}`;
    case 'boolean':
      return value ? 't' : 'f';
    case 'undefined':
      return '-';
    case 'object':
      break;
    default:
      return undefined;
  }
  if (value === null) return 'z';
  if (value instanceof Uint8Array)
    return `x${Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')}`;
  if (value instanceof Date) return `T${value.getTime()}`;
  if (depth >= DEEPEST) return undefined;
  const parts: string[] = [];
  const entries = Array.isArray(value) ? value.entries() : Object.entries(value).toSorted(byName);
  for (const [name, one] of entries) {
    const part = partOf(one, depth + 1);
    if (part === undefined) return undefined;
    parts.push(typeof name === 'string' ? `${name.length}:${name}=${part}` : part);
  }
  return Array.isArray(value) ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : a > b ? 1 : 0;
