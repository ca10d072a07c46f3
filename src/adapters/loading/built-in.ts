/** Built-in plugins: each folder of `plugins/` with an `adapter` module. */
import { existsSync, readdirSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Adapter } from '../contract.ts';
import { AdapterError } from '../errors.ts';
import { type AdapterOrigin, type BrokenPlugin, createRegistry, type Registry } from '../registry.ts';
import { importAdapters } from './import-adapters.ts';
import { builtInModule } from './find-module.ts';
import { RUNS_FROM_SOURCE, SOURCE_FOLDER } from '../../files/program.ts';

const FOLDER = join(SOURCE_FOLDER, '../plugins/');
const EXTENSIONS = RUNS_FROM_SOURCE ? ['ts', 'js'] : ['js'];
const moduleOf = (name: string): string | undefined =>
  EXTENSIONS.map((extension) => join(FOLDER, name, `adapter.${extension}`)).find((file) => existsSync(file));

/**
 * The built-in adapters, each imported on first use, so a process loads only those that its policy names.
 * A plugin that cannot be loaded is listed in `broken`; only policies that use its adapter are affected.
 */
export function builtIns(): Registry {
  const folders = readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && moduleOf(entry.name) !== undefined)
    .map(({ name }) => name)
    .toSorted();
  return registryOf(folders, new Map());
}

/** With all of them imported. */
export async function loadBuiltIns(): Promise<Registry> {
  const registry = builtIns();
  return registry.including(registry.names());
}

type Loaded = { readonly adapter: Adapter; readonly origin: AdapterOrigin } | BrokenPlugin;

/** A built-in adapter has the name of its folder. */
function registryOf(folders: readonly string[], imported: ReadonlyMap<string, Loaded>): Registry {
  const good = [...imported.values()].filter((one) => 'adapter' in one);
  const broken = [...imported.values()].filter((one) => 'problems' in one);
  const names = folders.filter((folder) => !broken.some((one) => one.folder === folder));
  const registry: Registry = {
    ...createRegistry(
      good.map(({ adapter }) => adapter),
      broken,
      new Map(good.map(({ adapter, origin }) => [adapter, origin])),
    ),
    names: () => names,
    async including(asked) {
      const missing = folders.filter((folder) => asked.includes(folder) && !imported.has(folder));
      if (missing.length === 0) return registry;
      const loaded = await Promise.all(missing.map(async (folder) => [folder, await loadedFrom(folder)] as const));
      return registryOf(folders, new Map([...imported, ...loaded]));
    },
    withPlugins: async (plugins, known) => (await import('./load-plugins.ts')).loadPlugins(registry, plugins, known),
  };
  return registry;
}

async function loadedFrom(folder: string): Promise<Loaded> {
  const origin = builtInModule(moduleOf(folder) ?? '', findPackageJSON(pathToFileURL(SOURCE_FOLDER)));
  try {
    const [first] = await importAdapters(origin);
    const { adapter, problems = [] } = first ?? {};
    if (adapter?.name === folder && problems.length === 0) return { adapter, origin };
    return { folder, name: folder, problems: problems.length > 0 ? problems : [misnamed(folder, adapter?.name)] };
  } catch (error) {
    if (error instanceof AdapterError) return { folder, name: folder, problems: [error] };
    throw error;
  }
}

const misnamed = (folder: string, name: string | undefined): AdapterError =>
  new AdapterError('ADAPTER_BAD_NAME', `the adapter of plugins/${folder} is named ${name}; rename it or the folder`);
