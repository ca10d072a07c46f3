/** JSON pointers (RFC 6901): `/result/allow`, `/roles/0`; the empty text is the whole document. */
import { z } from 'zod';

export const pointerSchema = z
  .string()
  .regex(/^(\/([^~/]|~[01])*)*$/, 'expected a JSON pointer such as /result/allow; a / in a name is ~1, a ~ is ~0');

/** Finds the value of a document; `undefined` if it has none there. */
export type Pointer = (document: unknown) => unknown;

export function pointerOf(text: string): Pointer {
  const steps = text
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  return (document) => {
    let at = document;
    for (const step of steps) {
      const isThere =
        typeof at === 'object' &&
        at !== null &&
        Object.hasOwn(at, step) &&
        (!Array.isArray(at) || /^(0|[1-9]\d*)$/.test(step));
      if (!isThere) return undefined;
      at = (at as Readonly<Record<string, unknown>>)[step];
    }
    return at;
  };
}
