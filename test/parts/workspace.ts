/** A folder outside of the checkout, with a policy and the plugins that it names. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export type Files = Readonly<Record<string, string | object>>;

export interface Workspace {
  readonly folder: string;
  path(file: string): string;
  write(file: string, text: string | object): string;
  remove(): void;
}

/** Objects are written as JSON. */
export function makeWorkspace(files: Files = {}): Workspace {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-workspace-')));
  const write = (file: string, text: string | object): string => {
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof text === 'string' ? text : JSON.stringify(text));
    return path;
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  return {
    folder,
    write,
    path: (file) => join(folder, file),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The definition of a check that denies `/NAME`, and whose `open` writes a log line. Needs defineAdapter, allow, deny and z. */
export const definition = (name: string): string => `defineAdapter({
  name: '${name}',
  summary: 'Denies the path of its own name.',
  config: z.strictObject({ note: z.string().default('none').describe('Not read.') }),
  serves: { check: { input: { path: 'string' } } },
  selfContained: true,
  open: async (_config, host) => {
    host.log.info('opened ${name}');
    return { check: () => ({ path }) => (path === '/${name}' ? deny(7, 'denied by ${name}') : allow()) };
  },
})`;

const IMPORTS = "import { allow, defineAdapter, deny } from 'sluice/plugin';\nimport { z } from 'zod';\n";

/** A module with the adapters of these names: one, or a list. */
export function esModule(...names: readonly string[]): string {
  const values = names.map(definition);
  return `${IMPORTS}export default ${values.length === 1 ? values[0] : `[${values.join(', ')}]`};\n`;
}

export const commonJsModule = (name: string): string =>
  `const { allow, defineAdapter, deny } = require('sluice/plugin');\nconst { z } = require('zod');\nmodule.exports = ${definition(name)};\n`;

/** As the compiler of TypeScript writes a default export in CommonJS. */
export const compiledModule = (name: string): string =>
  commonJsModule(name).replace(
    'module.exports =',
    "Object.defineProperty(exports, '__esModule', { value: true });\nexports.default =",
  );

/** A policy that asks each of these adapters about each request. */
export const policyOf = (plugins: readonly string[], adapters: readonly string[]): string =>
  [
    `plugins: [${plugins.join(', ')}]`,
    'handlers:',
    ...adapters.map((name) => `  ${name}: { adapter: ${name} }`),
    'rules:',
    ...adapters.flatMap((name) => [
      `  - name: ask-${name}`,
      `    check: { handler: ${name}, input: { path: request.path } }`,
      '    onDeny: { status: 403, body: "${out.reason}" }',
    ]),
    '',
  ].join('\n');
