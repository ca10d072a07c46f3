/**
 * **In**: adapters. **Out**: adapters by name. **Fails**: on creation, with all problems of all adapters.
 */
import type { Adapter } from './contract.ts';
import { descriptionProblems } from './description.ts';
import { AdapterError } from './errors.ts';

/** Where an adapter comes from. Another thread imports it again from there, and takes the adapter with the same name. */
export interface AdapterOrigin {
  /** URL of the module that exports it as default, alone or in a list. */
  readonly module: string;
  /** The nearest package.json; Sluice itself for a built-in adapter. */
  readonly package?: { readonly name: string; readonly version: string };
}

/** The adapters of a process. A value, not a global; nothing registers itself. */
export interface Registry {
  get(name: string): Adapter | undefined;
  /** `undefined` for an adapter that was not loaded from a module, and for an unknown name. */
  origin(name: string): AdapterOrigin | undefined;
  /** In alphabetical order. */
  names(): readonly string[];
  /** Plugins that could not be loaded, by adapter name if it is known, else by folder. */
  readonly broken: readonly BrokenPlugin[];
  /** Why the plugin of this adapter could not be loaded: code, place, message. `undefined` if it is loaded or unknown. */
  whyBroken(name: string): string | undefined;
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
  return Object.freeze({
    get: (name: string) => byName.get(name),
    origin(name: string) {
      const adapter = byName.get(name);
      return adapter === undefined ? undefined : origins.get(adapter);
    },
    names: () => names,
    broken,
    whyBroken(name: string) {
      const { problems } = broken.find((one) => one.name === name || one.folder === name) ?? {};
      return byName.has(name) ? undefined : problems?.map(({ code, message }) => `${code} ${message}`).join('; ');
    },
  });
}
