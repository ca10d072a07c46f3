/** `npm run parts`: gets the real parts that the tests and the demo use, and says where they are. */
import { fetchAll } from '../test/parts/fetch.ts';

for (const [name, place] of Object.entries(await fetchAll())) console.log(`${name}: ${place.split(':')[0]}`);
