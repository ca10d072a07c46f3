/**
 * Makes the modules that the package runs from: Node strips no types below node_modules, and starts faster from some large modules than
 * from a thousand small ones (docs/decisions/0021-the-package-is-a-bundle.md).
 * **In**: the checkout. **Out**: `src`, `plugins` and the page, in a folder. **Fails**: with what rolldown reports.
 */
import { cpSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'rolldown';
import { minify } from 'rolldown/utils';
import { builtinsWhenUsed, MODULES_WHEN_USED } from './builtins-in-bundle.ts';
import { librariesWhenUsed } from './libraries-in-bundle.ts';
import { PAGE_FILE } from './build-page.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** The command, what plugins import, the modules that are started as threads or processes, and what is loaded by its path. */
const ENTRY_POINTS = [
  'src/cli/bin.ts',
  'src/adapters/index.ts',
  'src/adapters/testing/index.ts',
  'src/counting/index.ts',
  'src/serve/plugins/serve.ts',
  'src/cli/cases/index.ts',
  'src/adapters/worker/main.ts',
  'src/serve/policy/worker.ts',
  'src/serve/ratelimit/worker.ts',
  ...globSync('plugins/*/adapter.ts', { cwd: ROOT }),
];

/** Runs in old versions of Node too, to say that they are too old. */
const BIN = /\/src\/cli\/bin\.ts$/;

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}
export const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;

/** Bundled, but installed as well: authors of plugins import zod, and OpenTelemetry's packages import their API. */
const BOTH = ['zod', '@opentelemetry/api'];
/** Loaded from node_modules on first use. */
const OUTSIDE = Object.keys(manifestOf(ROOT).dependencies ?? {}).filter((name) => !BOTH.includes(name));
/**
 * What fastify loads in cases that we do not have: compilers for schemas of routes, of which ours have none (`src/admin/http-app.ts`), and
 * the client of its `inject`, for tests.
 */
const NEVER_LOADED = ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request'];
/** What libraries load at once, and use in cases that we do not have: metrics of a cluster, ranges of versions of plugins for fastify. */
const LEFT_OUT = /\/node_modules\/(?:@prometheus-io\/client\/lib\/(?:cluster|worker|pushgateway)|semver\/index)\.js$/;

export async function bundle(folder: string): Promise<void> {
  await build({
    cwd: ROOT,
    input: Object.fromEntries(ENTRY_POINTS.map((file) => [file.replace(/\.ts$/, ''), file])),
    platform: 'node',
    external: (id) => [...OUTSIDE, ...NEVER_LOADED].some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [builtinsWhenUsed(BIN), librariesWhenUsed(isOurs), leftOut, smallDependencies, asciiText, licenses],
    output: {
      dir: folder,
      entryFileNames: '[name].js',
      codeSplitting: { groups: [{ name: 'node-when-used', test: MODULES_WHEN_USED }] },
      chunkFileNames: ({ moduleIds }) => `${chunkFolder(moduleIds)}/chunks/[name]-[hash].js`,
      minify: 'dce-only', // names and lines stay, for stack traces
      comments: false,
      sourcemap: true,
      sourcemapExcludeSources: true,
    },
  });
  cpSync(join(ROOT, PAGE_FILE), join(folder, PAGE_FILE));
}

/** A chunk with modules of one plugin goes into that plugin's folder, since errors are attributed by path. */
function chunkFolder(moduleIds: readonly string[]): string {
  const folders = moduleIds.filter(isOurs).map((id) => /^plugins\/[^/]+/.exec(relative(ROOT, id))?.[0] ?? 'src');
  const [first = 'src', ...others] = new Set(folders);
  return others.length === 0 ? first : 'src';
}

const isOurs = (id: string): boolean => id.startsWith(ROOT) && !id.includes('/node_modules/');

const leftOut: Plugin = {
  name: 'left-out',
  load: { filter: { id: LEFT_OUT }, handler: () => 'module.exports = undefined;\n' },
};

/** Minified, since the text of a loaded module stays in memory. */
const smallDependencies: Plugin = {
  name: 'small-dependencies',
  transform: {
    filter: { id: /\/node_modules\/.*\.[cm]?js$/ },
    async handler(code, id) {
      return { code: (await minify(id, code, { sourcemap: false })).code, map: null };
    },
  },
};

/** A single character outside Latin-1 makes V8 store the text of its chunk with two bytes per character. */
const asciiText: Plugin = {
  name: 'ascii-text',
  generateBundle(_options, chunks) {
    for (const chunk of Object.values(chunks))
      if (chunk.type === 'chunk')
        chunk.code = chunk.code.replaceAll(
          /[^\0-\x7f]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        );
  },
};

/** The licence texts of all bundled packages; for a package without a licence file, the comments at the top of its modules. */
const licenses: Plugin = {
  name: 'licenses',
  generateBundle(_options, chunks) {
    const ids = Object.values(chunks).flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []));
    const packages = Map.groupBy(ids, (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]);
    packages.delete(undefined); // our own
    const texts = [...packages].map(([folder = '', modules]) => {
      const { name, version, license } = manifestOf(folder);
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      const own = file === undefined ? modules.map(headerOf) : [readFileSync(join(folder, file), 'utf8').trim()];
      return `# ${[name, version, license].join(' ')}\n\n${[...new Set(own)].join('\n\n')}\n`;
    });
    this.emitFile({ type: 'asset', fileName: 'LICENSES.md', source: texts.toSorted().join('\n') });
  },
};
const headerOf = (file: string): string => /^(?:\/\/.*\n)*/.exec(readFileSync(file, 'utf8'))?.[0].trim() ?? '';
