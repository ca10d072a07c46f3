/** Built-in plugins: each folder of `plugins/` with an `adapter` module. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Adapter } from '../contract.ts';
import { descriptionProblems } from '../description.ts';
import { AdapterError } from '../errors.ts';
import { importAdapter, originOfModule } from './import-adapter.ts';
import { resolveOwnModules } from './own-modules.ts';
import { type AdapterOrigin, type BrokenPlugin, createRegistry, type Registry } from '../registry.ts';
import { RUNS_FROM_SOURCE, SOURCE_FOLDER } from '../../files/program.ts';
import { messageOf } from '../../text/message-of.ts';

const FOLDER = pathToFileURL(join(SOURCE_FOLDER, '../plugins/'));
const EXTENSIONS = RUNS_FROM_SOURCE ? ['ts', 'js'] : ['js'];
const moduleOf = (name: string): URL | undefined =>
  EXTENSIONS.map((extension) => new URL(`${name}/adapter.${extension}`, FOLDER)).find((url) => existsSync(url));

/** A plugin that cannot be loaded is listed in `broken`; only policies that use its adapter are affected. */
export async function loadBuiltIns(): Promise<Registry> {
  resolveOwnModules();
  const folders = readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name)
    .toSorted();
  const loaded = await Promise.all(folders.map(async (folder) => loadedFrom(folder)));
  return registryOf(loaded.filter((one) => one !== undefined));
}

/** Loads a single plugin. */
export async function loadBuiltIn(name: string): Promise<Adapter> {
  resolveOwnModules();
  const url = moduleOf(name);
  if (url === undefined) throw new AdapterError('ADAPTER_LOAD_FAILED', `there is no plugin ${name}`);
  return importAdapter(url.href);
}

type Loaded = { readonly folder: string; readonly adapter: Adapter; readonly origin: AdapterOrigin } | BrokenPlugin;

async function loadedFrom(folder: string): Promise<Loaded | undefined> {
  const url = moduleOf(folder);
  if (url === undefined) return undefined; // a library of plugins
  try {
    const adapter = await importAdapter(url.href);
    const problems = problemsOf(adapter);
    return problems.length === 0
      ? { folder, adapter, origin: originOfModule(url.href) }
      : { name: typeof adapter.name === 'string' ? adapter.name : folder, folder, problems };
  } catch (error) {
    if (error instanceof AdapterError) return { name: folder, folder, problems: [error] };
    throw error;
  }
}

/** The description comes from the plugin, so it may have any shape. */
function problemsOf(adapter: Adapter): readonly AdapterError[] {
  try {
    return descriptionProblems(adapter);
  } catch (error) {
    return [
      new AdapterError(
        'ADAPTER_LOAD_FAILED',
        `adapter ${adapter.name}: its description cannot be read: ${messageOf(error)}`,
        { cause: error },
      ),
    ];
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
