/** `npm run conformance`: runs cel-spec's tests and writes the results to docs/conformance.md. `--wrong [FILE]` also prints failures. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { conformancePage, conformanceResults } from '../test/unit/expression/conformance.ts';

const results = conformanceResults();
const page = conformancePage(results);
writeFileSync(join(import.meta.dirname, '../docs/conformance.md'), page);
const at = process.argv.indexOf('--wrong');
if (at >= 0) {
  const only = process.argv[at + 1];
  for (const { name, wrong } of results)
    if (only === undefined || only === name) for (const line of wrong) console.log(`${name}: ${line}`);
}
console.log(page);
