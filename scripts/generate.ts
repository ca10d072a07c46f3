/**
 * `npm run generate`: writes all generated files: message types from protos/, the pages of docs/ that come from tables in the code, and the
 * page of the admin port.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { attributesMarkdown } from '../src/attributes/document.ts';
import { commandsDocument } from '../src/cli/commands-document.ts';
import { COMMANDS } from '../src/cli/program.ts';
import { publishedSchema, schemaText } from '../src/cli/actions/schema.ts';
import { adaptersDocument } from '../src/cli/adapters-document.ts';
import { errorsDocument, errorTables } from '../src/cli/errors-document.ts';
import { builtPage, PAGE_FILE } from './build-page.ts';
import { envoyTypes } from './generate-envoy-types.ts';
import { grafanaBoards } from './grafana/dashboards.ts';
import { settingsDocument } from '../src/ratelimit/settings/document.ts';

const ROOT = resolve(import.meta.dirname, '..');

const PAGES: Readonly<Record<string, () => Promise<string> | string>> = {
  'docs/adapters.md': async () => adaptersDocument(await loadBuiltIns()),
  'docs/attributes.md': attributesMarkdown,
  'docs/commands.md': () => commandsDocument(COMMANDS),
  'docs/errors.md': async () => errorsDocument(await errorTables()),
  'docs/policy.schema.json': async () => schemaText(publishedSchema(await loadBuiltIns())),
  'docs/ratelimit-settings.md': settingsDocument,
  [PAGE_FILE]: builtPage,
};

const { status } = spawnSync(process.execPath, [join(import.meta.dirname, 'generate-protos.ts')], {
  cwd: ROOT,
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
writeFileSync(join(ROOT, 'src/envoy-json/envoy-types.ts'), envoyTypes());
mkdirSync(join(ROOT, 'gen/page'), { recursive: true }); // gen/ was written anew
for (const [file, write] of Object.entries(PAGES)) {
  writeFileSync(join(ROOT, file), await write());
  process.stdout.write(`${file}\n`);
}
for (const [name, text] of grafanaBoards()) {
  const file = join('deploy/grafana', name);
  writeFileSync(join(ROOT, file), text);
  process.stdout.write(`${file}\n`);
}
// Helm reads no file outside of a chart.
const ALERTS = 'deploy/helm/sluice/files/alerts.yaml';
copyFileSync(join(ROOT, 'deploy/prometheus/alerts.yaml'), join(ROOT, ALERTS));
process.stdout.write(`${ALERTS}\n`);
