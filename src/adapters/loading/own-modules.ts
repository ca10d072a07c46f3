/**
 * How the imports of plugins are resolved, in this thread.
 * **In**: specifiers. **Out**: URLs: as Node resolves them, but `sluice/plugin` and its neighbours are found for any plugin, and a plugin
 * that is loaded again gets its own files anew. **Fails**: as Node does.
 */
import { createRequire, registerHooks, type ResolveFnOutput } from 'node:module';
import { pathToFileURL } from 'node:url';
import { moduleUrl, RUNS_FROM_SOURCE, SOURCE_FOLDER } from '../../files/program.ts';
import { RELOAD } from './reload-url.ts';

const OWN: ReadonlyMap<string, string> = new Map([
  ['sluice/plugin', moduleUrl('adapters/index').href],
  ['sluice/counting', moduleUrl('counting/index').href],
  ['sluice/cases', moduleUrl('cli/cases/index').href],
  ['sluice/plugin/serve', moduleUrl('serve/plugins/serve').href],
  ['sluice/plugin/testing', moduleUrl('adapters/testing/index').href],
  // For built-in plugins only: in the package it is bundled into them.
  ...(RUNS_FROM_SOURCE ? ([['sluice/kubernetes', moduleUrl('kubernetes/index').href]] as const) : []),
]);
const OWN_FORMAT = RUNS_FROM_SOURCE ? 'module-typescript' : 'module';
/** The checkout, or the installed package. */
const OWN_PACKAGE = pathToFileURL(SOURCE_FOLDER.replace(/(?:dist\/)?src\/$/, '')).href;
/** As `import` resolves a package; `createRequire` alone would look for what `require` may load. */
const IMPORT_CONDITIONS = ['node', 'import', 'module-sync', 'node-addons'];

let isInstalled = false;
let isImport = false;

/** Call it once per thread, before the first plugin is imported. Runners with their own resolver (vitest) use an alias. */
export function resolveOwnModules(): void {
  if (isInstalled) return;
  isInstalled = true;
  registerHooks({
    resolve(specifier, context, next) {
      if (isImport) return next(specifier, { ...context, conditions: IMPORT_CONDITIONS });
      const own = OWN.get(specifier);
      if (own !== undefined) return installedCopy(() => next(specifier, context)) ?? ownModule(own);
      if (specifier === 'zod') return zodFor(() => next(specifier, context));
      const found = next(specifier, context);
      const reload = RELOAD.exec(context.parentURL ?? '')?.[0];
      return reload !== undefined && specifier.startsWith('.') && found.url.startsWith('file:')
        ? { ...found, url: `${found.url}${reload}` }
        : found;
    },
  });
}

/** The path of a module, as `import` in a file `from` finds it; links are resolved. Throws Node's error. */
export function resolveModule(specifier: string, from: string): string {
  resolveOwnModules();
  isImport = true;
  try {
    return createRequire(from).resolve(specifier);
  } finally {
    isImport = false;
  }
}

const ownModule = (url: string): ResolveFnOutput => ({ url, format: OWN_FORMAT, shortCircuit: true });

/** The copy of Sluice that a plugin depends on; `undefined` if there is none, or if it is the one that runs. */
function installedCopy(resolve: () => ResolveFnOutput): ResolveFnOutput | undefined {
  try {
    const found = resolve();
    return found.url.startsWith(OWN_PACKAGE) ? undefined : found;
  } catch {
    return undefined;
  }
}

/** A plugin that is a file beside its policy has no node_modules; it gets the zod that Sluice depends on. */
function zodFor(resolve: () => ResolveFnOutput): ResolveFnOutput {
  try {
    return resolve();
  } catch (error) {
    if (isImport) throw error; // there is none with Sluice, either
    return { url: pathToFileURL(resolveModule('zod', SOURCE_FOLDER)).href, format: 'module', shortCircuit: true };
  }
}
