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
 * A plugin that cannot be loaded is listed in `broken`; only policies that use its adapter are affected.
 */
export async function loadBuiltIns(): Promise<Registry> {
  const folders = readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name)
    .toSorted();
  const manifest = findPackageJSON(pathToFileURL(SOURCE_FOLDER));
  const loaded = await Promise.all(folders.map(async (folder) => loadedFrom(folder, manifest)));
  return registryOf(loaded.flat());
}

type Loaded = { readonly folder: string; readonly adapter: Adapter; readonly origin: AdapterOrigin } | BrokenPlugin;

async function loadedFrom(folder: string, manifest: string | undefined): Promise<readonly Loaded[]> {
  const file = moduleOf(folder);
  if (file === undefined) return []; // a library of plugins
  const origin = builtInModule(file, manifest);
  try {
    return (await importAdapters(origin)).map(({ adapter, problems }) =>
      problems.length === 0
        ? { folder, adapter, origin }
        : { name: typeof adapter.name === 'string' ? adapter.name : folder, folder, problems },
    );
  } catch (error) {
    if (error instanceof AdapterError) return [{ name: folder, folder, problems: [error] }];
    throw error;
  }
}

/** Adapters with the same name are both refused, since the intended one is unknown. */
function registryOf(loaded: readonly Loaded[]): Registry {
  const good = loaded.filter((one) => 'adapter' in one);
  const taken = Map.groupBy(good, ({ adapter }) => adapter.name);
  const twice = [...taken]
    .filter(([, those]) => those.length > 1)
    .map(([name, those]): BrokenPlugin => {
      const folders = those.map(({ folder }) => folder);
      return {
        name,
        folder: folders.join(', '),
        problems: [
          new AdapterError(
            'ADAPTER_NAME_TAKEN',
            `the adapters of ${folders.map((folder) => `plugins/${folder}`).join(' and ')} are both named ${name}; rename one of them`,
          ),
        ],
      };
    });
  const broken = [...loaded.filter((one) => 'problems' in one), ...twice];
  return createRegistry(
    good.filter(({ adapter }) => taken.get(adapter.name)?.length === 1).map(({ adapter }) => adapter),
    broken,
    new Map(good.map(({ adapter, origin }) => [adapter, origin])),
  );
}
