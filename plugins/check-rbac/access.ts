/** What a role allows. */
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

/** What an action lacks for one rule: how far it came, and what did not fit, for people. */
export interface Lack {
  readonly order: number;
  readonly text: string;
}

/** Nothing where one of the rules allows the action; else what the nearest one lacked. */
export function accessOf(rules: readonly AccessRule[]): (action: Action) => Lack | undefined {
  const compiled = rules.map(compile);
  return (action) => {
    let nearest: Lack | undefined;
    for (const lackOf of compiled) {
      const lack = lackOf(action);
      if (lack === undefined) return undefined;
      if (nearest === undefined || lack.order > nearest.order) nearest = lack;
    }
    return nearest;
  };
}

interface Part {
  /** Of the parts, whatever a rule leaves open: what fails later was nearer. */
  readonly order: number;
  readonly what: string;
  readonly wanted: readonly string[];
  readonly fits: (value: string) => boolean;
  readonly read: (action: Action) => string | undefined;
}

/** Where, then what: a reason then names the method that is missing on the path, not the path of another rule. */
function compile(rule: AccessRule): (action: Action) => Lack | undefined {
  const parts: Part[] = [];
  const add = (
    order: number,
    what: string,
    wanted: readonly string[] | undefined,
    read: Part['read'],
    fitting = anyOf,
  ): void => {
    if (wanted !== undefined) parts.push({ order, what, wanted, fits: fitting(wanted), read });
  };
  add(0, 'service', rule.services, ({ service }) => service);
  add(1, 'host', rule.hosts, ({ host }) => host, anyHostOf);
  add(2, 'path', rule.paths, ({ path }) => path);
  add(3, 'method', rule.methods, ({ method }) => method);
  for (const [at, [name, wanted]] of Object.entries(rule.constraints ?? {}).entries()) {
    add(4 + at, name, wanted, ({ actionProperties }) => ownValue(actionProperties, name));
  }
  return (action) => {
    for (const { order, what, wanted, fits, read } of parts) {
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

/** A path may be as long as a client likes. */
export const shown = (value: string): string => (value.length > 200 ? `${value.slice(0, 200)}...` : value);
