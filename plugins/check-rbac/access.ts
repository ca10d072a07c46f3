/** The actions that a role allows. */
import { ownValue } from './bindings.ts';
import type { AccessRule } from './config.ts';
import { anyHostOf, anyOf } from './pattern.ts';

export interface Action {
  readonly method?: string;
  readonly path?: string;
  readonly service?: string;
  readonly host?: string;
  readonly actionProperties?: Readonly<Record<string, string>>;
}

/** Why a rule does not allow an action. */
export interface Mismatch {
  /** How far the rule matched; the mismatch of the nearest rule is reported. */
  readonly order: number;
  readonly text: string;
}

/** `undefined` if one of the rules allows the action; otherwise the mismatch of the nearest rule. */
export function accessOf(rules: readonly AccessRule[]): (action: Action) => Mismatch | undefined {
  const compiled = rules.map(compile);
  return (action) => {
    let nearest: Mismatch | undefined;
    for (const mismatchOf of compiled) {
      const mismatch = mismatchOf(action);
      if (mismatch === undefined) return undefined;
      if (nearest === undefined || mismatch.order > nearest.order) nearest = mismatch;
    }
    return nearest;
  };
}

interface Condition {
  /** Fixed per kind of condition: a rule that fails at a later one was nearer. */
  readonly order: number;
  readonly what: string;
  readonly wanted: readonly string[];
  readonly fits: (value: string) => boolean;
  readonly read: (action: Action) => string | undefined;
}

/** Place before action: a reason then names the method that the path does not allow, rather than the path of another rule. */
function compile(rule: AccessRule): (action: Action) => Mismatch | undefined {
  const conditions: Condition[] = [];
  const add = (
    order: number,
    what: string,
    wanted: readonly string[] | undefined,
    read: Condition['read'],
    fitting = anyOf,
  ): void => {
    if (wanted !== undefined) conditions.push({ order, what, wanted, fits: fitting(wanted), read });
  };
  add(0, 'service', rule.services, ({ service }) => service);
  add(1, 'host', rule.hosts, ({ host }) => host, anyHostOf);
  add(2, 'path', rule.paths, ({ path }) => path);
  add(3, 'method', rule.methods, ({ method }) => method);
  for (const [at, [name, wanted]] of Object.entries(rule.constraints ?? {}).entries()) {
    add(4 + at, name, wanted, ({ actionProperties }) => ownValue(actionProperties, name));
  }
  return (action) => {
    for (const { order, what, wanted, fits, read } of conditions) {
      const value = read(action);
      if (value === undefined || !fits(value)) {
        return {
          order,
          text: `${what} ${value === undefined ? 'is absent' : `"${shown(value)}"`}, allowed: ${wanted.join(', ')}`,
        };
      }
    }
    return undefined;
  };
}

/** Cut for reasons: clients choose the length of a path. */
export const shown = (value: string): string => (value.length > 200 ? `${value.slice(0, 200)}...` : value);
