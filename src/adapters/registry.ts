/**
 * **In**: adapters. **Out**: the adapter of a name. **Fails**: with every problem of every adapter at once, when made.
 */
import type { Adapter } from './contract.ts';
import { descriptionProblems } from './description.ts';
import { AdapterError } from './errors.ts';

/** The adapters that one process knows: a value, made where it is needed; nothing registers itself. */
export interface Registry {
  get(name: string): Adapter | undefined;
  /** In alphabetical order. */
  names(): readonly string[];
  /** Those that could not be loaded, by their folder or, where it is known, their adapter's name. */
  readonly broken: readonly BrokenPlugin[];
  /** Why the plugin of this adapter could not be loaded: code, place, message. `undefined` where it could, or where there is none. */
  whyBroken(name: string): string | undefined;
}

export interface BrokenPlugin {
  readonly name: string;
  /** Below `plugins`. */
  readonly folder: string;
  readonly problems: readonly AdapterError[];
}

/** Throws an {@link AdapterError}, or an AggregateError of several. `broken`: known not to work. */
export function createRegistry(adapters: Iterable<Adapter>, broken: readonly BrokenPlugin[] = []): Registry {
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
    names: () => names,
    broken,
    whyBroken(name: string) {
      const { problems } = broken.find((one) => one.name === name || one.folder === name) ?? {};
      return byName.has(name) ? undefined : problems?.map(({ code, message }) => `${code} ${message}`).join('; ');
    },
  });
}
