/** `npm run parts`: downloads the real servers that tests and the demo run, and prints where they are. */
import { delimiter, dirname } from 'node:path';
import { fetchAll } from '../test/parts/fetch.ts';

for (const [name, place] of Object.entries(await fetchAll())) {
  const [first = '', ...others] = place.split(delimiter);
  console.log(`${name}: ${others.length === 0 ? first : dirname(first)}`);
}
