/** The roles of a caller. */
import type { RbacConfig, Subject } from './config.ts';
import { isOpen, patternOf } from './pattern.ts';

export interface Principal {
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
}

interface Binding {
  /** Position in the config, which is the order in which roles are tried. */
  readonly at: number;
  readonly role: string;
  matches(caller: Principal): boolean;
}

/** Indexed by exact user and exact group, so that the cost of a call does not grow with the number of users. */
export function rolesOf(bindings: RbacConfig['bindings']): (caller: Principal) => readonly string[] {
  const byUser = new Map<string, Binding[]>();
  const byGroup = new Map<string, Binding[]>();
  const others: Binding[] = [];
  for (const [at, { role, subjects }] of bindings.entries()) {
    for (const subject of subjects) {
      const binding: Binding = { at, role, matches: matcherOf(subject) };
      if (subject.user !== undefined && !isOpen(subject.user)) addTo(byUser, subject.user, binding);
      else if (subject.group !== undefined && !isOpen(subject.group)) addTo(byGroup, subject.group, binding);
      else others.push(binding);
    }
  }
  return (caller) => {
    const candidates = [
      ...others,
      ...(byUser.get(caller.user ?? '') ?? []),
      ...(caller.groups ?? []).flatMap((group) => byGroup.get(group) ?? []),
    ];
    const matching = candidates.filter((binding) => binding.matches(caller)).toSorted((a, b) => a.at - b.at);
    return [...new Set(matching.map(({ role }) => role))];
  };
}

function addTo(index: Map<string, Binding[]>, key: string, binding: Binding): void {
  const listed = index.get(key);
  if (listed === undefined) index.set(key, [binding]);
  else listed.push(binding);
}

function matcherOf({ user, group, properties }: Subject): (caller: Principal) => boolean {
  const tests: ((caller: Principal) => boolean)[] = [];
  if (user !== undefined && user !== '*') {
    const matches = patternOf(user);
    tests.push((caller) => caller.user !== undefined && matches(caller.user));
  }
  if (group !== undefined) {
    const matches = patternOf(group);
    tests.push((caller) => caller.groups?.some(matches) === true);
  }
  for (const [name, value] of Object.entries(properties ?? {})) {
    const matches = patternOf(value);
    tests.push((caller) => {
      const actual = ownValue(caller.properties, name);
      return actual !== undefined && matches(actual);
    });
  }
  return (caller) => tests.every((test) => test(caller));
}

/** Own properties only; `constructor` is not one. */
export function ownValue(values: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}
