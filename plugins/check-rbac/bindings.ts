/** Which roles somebody has. */
import type { RbacConfig, Subject } from './config.ts';
import { isOpen, patternOf } from './pattern.ts';

export interface Principal {
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
}

interface Binding {
  /** Its place in the config: roles are tried in that order. */
  readonly at: number;
  readonly role: string;
  fits(who: Principal): boolean;
}

/** Found by exact user or exact group, so that a thousand people with a role each cost what one does. */
export function rolesOf(bindings: RbacConfig['bindings']): (who: Principal) => readonly string[] {
  const byUser = new Map<string, Binding[]>();
  const byGroup = new Map<string, Binding[]>();
  const others: Binding[] = [];
  for (const [at, { role, subjects }] of bindings.entries()) {
    for (const subject of subjects) {
      const binding: Binding = { at, role, fits: fitting(subject) };
      if (subject.user !== undefined && !isOpen(subject.user)) listUnder(byUser, subject.user, binding);
      else if (subject.group !== undefined && !isOpen(subject.group)) listUnder(byGroup, subject.group, binding);
      else others.push(binding);
    }
  }
  return (who) => {
    const candidates = [
      ...others,
      ...(byUser.get(who.user ?? '') ?? []),
      ...(who.groups ?? []).flatMap((group) => byGroup.get(group) ?? []),
    ];
    const fitting = candidates.filter((binding) => binding.fits(who)).toSorted((a, b) => a.at - b.at);
    return [...new Set(fitting.map(({ role }) => role))];
  };
}

function listUnder(index: Map<string, Binding[]>, key: string, binding: Binding): void {
  const listed = index.get(key);
  if (listed === undefined) index.set(key, [binding]);
  else listed.push(binding);
}

function fitting({ user, group, properties }: Subject): (who: Principal) => boolean {
  const tests: ((who: Principal) => boolean)[] = [];
  if (user !== undefined && user !== '*') {
    const fits = patternOf(user);
    tests.push((who) => who.user !== undefined && fits(who.user));
  }
  if (group !== undefined) {
    const fits = patternOf(group);
    tests.push((who) => who.groups?.some(fits) === true);
  }
  for (const [name, value] of Object.entries(properties ?? {})) {
    const fits = patternOf(value);
    tests.push((who) => {
      const actual = ownValue(who.properties, name);
      return actual !== undefined && fits(actual);
    });
  }
  return (who) => tests.every((test) => test(who));
}

/** Never one that every object has by birth (`constructor`). */
export function ownValue(values: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}
