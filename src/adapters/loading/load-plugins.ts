/**
 * Loads the plugins that a policy names, beside the built-in ones.
 * **In**: entries of `plugins:`, and the built-in adapters. **Out**: a registry for this policy, and all problems, each with its entry.
 * **Fails**: never; an adapter with a problem is left out.
 */
import type { Adapter } from '../contract.ts';
import { AdapterError } from '../errors.ts';
import {
  type AdapterOrigin,
  createRegistry,
  type FoundPlugin,
  type LoadedPlugins,
  type NamedPlugin,
  type PluginModule,
  type PluginProblem,
  type Registry,
} from '../registry.ts';
import { findModule } from './find-module.ts';
import { currentUrl, forgetModule, importAdapters, type ImportedAdapter, nameOf } from './import-adapters.ts';

/** `known`: modules that another thread has found. */
export async function loadPlugins(
  builtIn: Registry,
  plugins: readonly NamedPlugin[],
  known: readonly FoundPlugin[] = [],
): Promise<LoadedPlugins> {
  const found: FoundPlugin[] = [];
  const problems: PluginProblem[] = [];
  /** The first entry of each module; others may name the same one. */
  const modules = new Map<string, { readonly entry: number; readonly module: PluginModule }>();
  for (const [entry, { name, file }] of plugins.entries()) {
    try {
      const module = known.find((one) => one.name === name && one.file === file) ?? locate({ name, file });
      found.push({ ...module, name, file });
      if (!modules.has(module.module)) modules.set(module.module, { entry, module });
    } catch (error) {
      problems.push({ entry, error: adapterError(error) });
    }
  }
  const loads = [...modules.values()].map(async ({ entry, module }) => {
    try {
      return { entry, module, adapters: await importAdapters(module) };
    } catch (error) {
      problems.push({ entry, error: adapterError(error) });
      forgetModule(module.module);
      return undefined;
    }
  });
  const claims = new Claims(builtIn);
  for (const loaded of await Promise.all(loads)) {
    if (loaded === undefined) continue;
    const wrong = claims.take(loaded.module, loaded.adapters);
    problems.push(...wrong.map((error) => ({ entry: loaded.entry, error })));
    if (wrong.length > 0) forgetModule(loaded.module.module);
  }
  return { registry: claims.registry(), found, problems };
}

/** Node keeps a module as it was loaded, with its failure; {@link forgetModule} lets the next load find the mended one. */
function locate(plugin: NamedPlugin): PluginModule {
  const found = findModule(plugin);
  return { ...found, module: currentUrl(found.module) };
}

/** Adapters by name, each with the plugin that brings it. */
class Claims {
  readonly #builtIn: Registry;
  readonly #owners = new Map<string, string>();
  readonly #origins = new Map<Adapter, AdapterOrigin>();

  constructor(builtIn: Registry) {
    this.#builtIn = builtIn;
  }

  /** Returns the problems of adapters that are not registered. */
  take(plugin: PluginModule, adapters: readonly ImportedAdapter[]): AdapterError[] {
    const name = nameOf(plugin);
    return adapters.flatMap(({ adapter, problems }) => {
      if (problems.length > 0)
        return problems.map(({ code, message, cause }) => new AdapterError(code, `${name}: ${message}`, { cause }));
      const owner = this.#builtIn.names().includes(adapter.name) ? 'Sluice itself' : this.#owners.get(adapter.name);
      if (owner !== undefined) return [nameTaken(adapter.name, name, owner)];
      this.#owners.set(adapter.name, name);
      this.#origins.set(adapter, plugin);
      return [];
    });
  }

  registry(): Registry {
    return over(this.#builtIn, createRegistry(this.#origins.keys(), [], this.#origins));
  }
}

function over(builtIn: Registry, own: Registry): Registry {
  const names = [...builtIn.names(), ...own.names()].toSorted();
  return {
    get: (name) => own.get(name) ?? builtIn.get(name),
    origin: (name) => own.origin(name) ?? builtIn.origin(name),
    names: () => names,
    including: async (asked) => over(await builtIn.including(asked), own),
    broken: builtIn.broken,
    whyBroken: (name) => (own.get(name) === undefined ? builtIn.whyBroken(name) : undefined),
    withPlugins: (plugins, known) => builtIn.withPlugins(plugins, known),
  };
}

function nameTaken(adapter: string, by: string, owner: string): AdapterError {
  return new AdapterError(
    'ADAPTER_NAME_TAKEN',
    by === owner
      ? `${by} exports two adapters named ${adapter}; rename one of them`
      : `${by} and ${owner} both have an adapter named ${adapter}; ${owner === 'Sluice itself' ? 'rename it' : 'name only one of them in plugins, or rename it'}`,
  );
}

function adapterError(error: unknown): AdapterError {
  if (error instanceof AdapterError) return error;
  throw error; // a fault of ours
}
