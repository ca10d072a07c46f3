import { Argument, Option } from 'commander';
import type { LimitsFlags } from '../actions/limits.ts';
import { callOption, type CommandSpec, jsonOption } from '../command.ts';

const DEPTHS = [
  ['explain', 'which limits apply, and why'],
  ['inspect', 'the same, and the state of their counters'],
  ['reset', 'resets these counters; leases that other replicas hold stay theirs until their window ends'],
] as const;

export const limits: CommandSpec = {
  name: 'limits',
  help: {
    summary: 'inspect the limits of a running server',
    description:
      'Asks a running `sluice serve` (admin port) or `sluice ratelimit` (debug port) which limits apply to a call. Nothing is charged.',
  },
  subcommands: DEPTHS.map(([depth, description]) => ({
    name: depth,
    help: { description },
    args: [
      new Argument('[domain]', 'of a descriptor: the domain that Envoy sends'),
      new Argument('[entries...]', 'the entries of the descriptor, in order: KEY=VALUE'),
    ],
    flags: [
      new Option(
        '--request <file>',
        'any other call to `sluice serve`: attributes in YAML or JSON, as for explain; - is stdin',
      ),
      callOption(),
      new Option(
        '--to <host:port>',
        'the admin or debug port (127.0.0.1:6070 for a descriptor, 127.0.0.1:15014 with --request)',
      ),
      jsonOption(),
    ],
    run: async (domain: string | undefined, entries: readonly string[], flags: LimitsFlags) =>
      (await import('../actions/limits.ts')).limits(depth, domain, entries, flags),
  })),
};
