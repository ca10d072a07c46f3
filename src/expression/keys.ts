import { STRING } from '../attributes/types.ts';
import type { Plan } from './planned.ts';

/** Header names are lower case on every wire; a constant is lowered when it is read. */
export const HEADER_MAPS: ReadonlySet<string> = new Set(['request.headers', 'response.headers', 'response.trailers']);

export const keyFor = (below: string | undefined, key: string): string => (HEADER_MAPS.has(below ?? '') ? key.toLowerCase() : key);
export function loweredKey(below: string | undefined, key: Plan): Plan {
  if (!HEADER_MAPS.has(below ?? '') || typeof key.constant !== 'string') return key;
  const lower = key.constant.toLowerCase();
  return { type: STRING, run: () => lower, constant: lower };
}
