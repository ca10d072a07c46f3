/**
 * `npm run sbom [-- FILE]`: writes a CycloneDX bill of materials of the package, by default to dist/sluice.cdx.json. npm lists what is
 * installed; of the dev dependencies those stay whose code is in `dist`, which is built before. The result is checked by CycloneDX's
 * schema.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import { cycloneDxSchemas } from '../test/parts/fetch-deploy-tools.ts';
import { BUNDLED } from './build-page.ts';

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
  readonly [field: string]: unknown;
}
interface Bill {
  readonly specVersion: string;
  readonly metadata: { readonly component: Component; readonly [field: string]: unknown };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
  readonly [field: string]: unknown;
}

const ROOT = resolve(import.meta.dirname, '..');
/** Of npm. */
const DEVELOPMENT = 'cdx:npm:package:development';
const isOfDevelopment = ({ properties = [] }: Component): boolean =>
  properties.some(({ name }) => name === DEVELOPMENT);

const schemas = await cycloneDxSchemas();
const file = resolve(process.argv[2] ?? join(ROOT, 'dist/sluice.cdx.json'));
const licenses = join(ROOT, 'dist/LICENSES.md');
if (!existsSync(licenses)) throw new Error('dist is missing: npm run build');

const bundled = new Set(BUNDLED.map((name) => `${name}@${versionOf(name)}`));
for (const [, name, version] of readFileSync(licenses, 'utf8').matchAll(/^# (\S+) (\d\S*)/gm))
  bundled.add(`${name}@${version}`);

const all = JSON.parse(
  execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  }),
) as Bill;
const bill = shipped(all);
check(bill);
writeFileSync(file, `${JSON.stringify(bill, null, 2)}\n`);
console.log(
  `${file}: ${bill.components.length} of ${all.components.length} packages are shipped; ${bundled.size} are bundled`,
);

/** Without the packages that only develop Sluice. */
function shipped(from: Bill): Bill {
  const components = from.components
    .filter((component) => !isOfDevelopment(component) || bundled.has(`${component.name}@${component.version}`))
    .map((component) =>
      isOfDevelopment(component)
        ? { ...component, scope: 'required', properties: [{ name: 'sluice:bundled', value: 'true' }] }
        : component,
    );
  const known = new Set([from.metadata.component['bom-ref'], ...components.map((component) => component['bom-ref'])]);
  const missing = [...bundled].filter((one) => !components.some(({ name, version }) => `${name}@${version}` === one));
  if (missing.length > 0) throw new Error(`bundled, and not in package-lock.json: ${missing.join(', ')}`);
  return {
    ...from,
    metadata: { ...from.metadata, component: { ...from.metadata.component, name: 'sluice', type: 'application' } },
    components,
    dependencies: from.dependencies
      .filter(({ ref }) => known.has(ref))
      .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((one) => known.has(one)) })),
  };
}

function check(made: Bill): void {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  for (const name of ['spdx', 'jsf-0.82'])
    ajv.addSchema(schemaOf(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  const validate = ajv.compile(schemaOf(`bom-${made.specVersion}`));
  const isValid: boolean = validate(made as unknown);
  if (!isValid) throw new Error(`not CycloneDX ${made.specVersion}: ${ajv.errorsText(validate.errors)}`);
}

function schemaOf(name: string): object {
  return JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
}

function versionOf(name: string): string {
  const manifest = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
