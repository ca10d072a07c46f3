/**
 * **In**: adapters. **Out**: adapters by name, with the module and package of each. **Fails**: on creation, with all problems of all
 * adapters.
 */
import type { Adapter } from './contract.ts';
import { descriptionProblems } from './description.ts';
import { AdapterError } from './errors.ts';
import type { DialledAdapter, DialledName } from './remote/dial-target.ts';

export type { DialTarget } from './remote/dial-target.ts';
export type { DialledName };

/** Where an adapter comes from. Another thread imports it again from there, and takes the adapter with the same name. */
export interface AdapterOrigin {
  /** URL of the module that exports it as default, alone or in a list. */
  readonly module: string;
  /** Of the package.json of the plugin, if it has one; Sluice itself for a built-in adapter. */
  readonly package?: { readonly name: string; readonly version: string };
}

/** Adapters by name. A value, not a global; nothing registers itself. */
export interface Registry {
  /** `undefined` also for a built-in adapter that is not imported yet. */
  get(name: string): Adapter | undefined;
  /** `undefined` for an adapter that was not loaded from a module, and for an unknown name. */
  origin(name: string): AdapterOrigin | undefined;
  /** In alphabetical order, including adapters that are not imported yet. */
  names(): readonly string[];
  /** Imports the built-in adapters among these names; other names have no effect. */
  including(names: readonly string[]): Promise<Registry>;
  /** Built-in plugins that could not be loaded, by adapter name if it is known, else by folder. */
  readonly broken: readonly BrokenPlugin[];
  /** Why the plugin of this adapter could not be loaded: code, place, message. `undefined` if it is loaded or unknown. */
  whyBroken(name: string): string | undefined;
  /** Loads the plugins that a policy names, for a registry of that policy: these adapters, and those of the plugins.
   * `known`: modules that another thread has found. */
  withPlugins(plugins: readonly NamedPlugin[], known?: readonly FoundPlugin[]): Promise<LoadedPlugins>;
}

/** An entry of `plugins:` in a policy. */
export interface NamedPlugin {
  /** As written: the name of a package, or a path relative to the file. */
  readonly name: string;
  /** The file of the policy, an absolute path. */
  readonly file: string;
}

/** The result of loading `plugins:`. */
export interface LoadedPlugins {
  readonly registry: Registry;
  /** Each plugin that was found. */
  readonly found: readonly FoundPlugin[];
  readonly problems: readonly PluginProblem[];
}

/** The module of a plugin; plain data, so that all threads of a server import the same one. */
export interface PluginModule extends AdapterOrigin {
  /** The folder with all its code, or its one file. */
  readonly path: string;
  /** The version of the plugin contract that its package.json declares. */
  readonly contract?: unknown;
}

export interface FoundPlugin extends NamedPlugin, PluginModule {}

export interface PluginProblem {
  /** The entry at fault: its index in the list that was loaded. */
  readonly entry: number;
  readonly error: AdapterError;
}

export interface BrokenPlugin {
  readonly name: string;
  /** Below `plugins`. */
  readonly folder: string;
  readonly problems: readonly AdapterError[];
}

/** Throws an {@link AdapterError}, or an AggregateError of several. */
export function createRegistry(
  adapters: Iterable<Adapter>,
  broken: readonly BrokenPlugin[] = [],
  origins: ReadonlyMap<Adapter, AdapterOrigin> = new Map(),
): Registry {
  const byName = new Map<string, Adapter>();
  const problems: AdapterError[] = [];
  for (const adapter of adapters) {
    problems.push(...descriptionProblems(adapter));
    if (byName.has(adapter.name))
      problems.push(
        new AdapterError('ADAPTER_NAME_TAKEN', `two adapters are named ${adapter.name}; rename one of them`),
      );
    byName.set(adapter.name, adapter);
  }
  const [first, ...others] = problems;
  if (first !== undefined)
    throw others.length === 0 ? first : new AggregateError(problems, problems.map(({ message }) => message).join('\n'));
  const names = Object.freeze([...byName.keys()].toSorted());
  const registry: Registry = Object.freeze({
    get: (name: string) => byName.get(name),
    origin(name: string) {
      const adapter = byName.get(name);
      return adapter === undefined ? undefined : origins.get(adapter);
    },
    names: () => names,
    including: async () => registry,
    broken,
    whyBroken(name: string) {
      const { problems } = broken.find((one) => one.name === name || one.folder === name) ?? {};
      return byName.has(name) ? undefined : problems?.map(({ code, message }) => `${code} ${message}`).join('; ');
    },
    withPlugins: async (plugins: readonly NamedPlugin[], known?: readonly FoundPlugin[]) =>
      (await import('./loading/load-plugins.ts')).loadPlugins(registry, plugins, known),
  });
  return registry;
}

/** The adapters of handlers that run behind an address, each as this process or its plugin knows it. */
export const dialledAdapters = async (names: readonly DialledName[]): Promise<readonly DialledAdapter[]> =>
  (await import('./remote/dialled-adapters.ts')).dialledAdapters(names);
