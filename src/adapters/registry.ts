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
}

/** Throws an {@link AdapterError}, or an AggregateError of several. */
export function createRegistry(adapters: Iterable<Adapter>): Registry {
  const byName = new Map<string, Adapter>();
  const problems: AdapterError[] = [];
  for (const adapter of adapters) {
    problems.push(...descriptionProblems(adapter));
    if (byName.has(adapter.name)) problems.push(new AdapterError('ADAPTER_NAME_TAKEN', `two adapters are named ${adapter.name}; rename one of them`));
    byName.set(adapter.name, adapter);
  }
  const [first, ...others] = problems;
  if (first !== undefined) throw others.length === 0 ? first : new AggregateError(problems, problems.map(({ message }) => message).join('\n'));
  const names = Object.freeze([...byName.keys()].toSorted());
  return Object.freeze({ get: (name: string) => byName.get(name), names: () => names });
}
