/** `npm run parts`: gets the real parts that the tests and the demo use, and says where they are. */
import { delimiter, dirname } from 'node:path';
import { fetchAll } from '../test/parts/fetch.ts';

for (const [name, place] of Object.entries(await fetchAll())) {
  const [first = '', ...others] = place.split(delimiter);
  console.log(`${name}: ${others.length === 0 ? first : dirname(first)}`);
}
