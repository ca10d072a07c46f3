import { STRING } from '../attributes/types.ts';
import type { Plan } from './planned.ts';

/** Header names are lower case on every wire: a constant is lowered when the policy loads, a name that is worked out when it is looked up. */
export const HEADER_MAPS: ReadonlySet<string> = new Set(['request.headers', 'response.headers', 'response.trailers']);

export const keyFor = (below: string | undefined, key: string): string =>
  HEADER_MAPS.has(below ?? '') ? key.toLowerCase() : key;
export function loweredKey(below: string | undefined, key: Plan): Plan {
  if (!HEADER_MAPS.has(below ?? '')) return key;
  if (typeof key.constant === 'string') {
    const lower = key.constant.toLowerCase();
    return { type: STRING, run: () => lower, constant: lower };
  }
  if (key.type.kind !== 'string' && key.type.kind !== 'dyn') return key;
  const { run } = key;
  return {
    type: key.type,
    run: (bag) => {
      const name = run(bag);
      return typeof name === 'string' ? name.toLowerCase() : name;
    },
  };
}
