import { Option } from 'commander';
import type { SuggestFlags } from '../actions/suggest.ts';
import { type CommandSpec, jsonOption } from '../command.ts';
import { callsArgument, mapOption } from './replay.ts';

export const suggest: CommandSpec = {
  name: 'suggest',
  help: {
    summary: 'propose allow rules and limits from recorded calls',
    description:
      'Reads recorded calls, and prints a policy that allows what was observed, denies the rest on the same hosts, and limits each ' +
      'client near the observed rate (in shadow mode). Comments have the evidence, and list what was left out.',
    after: '\ndocs/suggest.md describes what is merged, bounded and left out.',
  },
  args: [callsArgument()],
  flags: [
    new Option('--group-by <what>', 'what a rule says of the caller')
      .choices(['principal', 'namespace', 'address'])
      .default('principal'),
    new Option('--min-calls <count>', 'of one caller to one place by one method; fewer are left out').default('3'),
    new Option('--headroom <factor>', 'a limit is this many times the 99.9th percentile').default('2'),
    new Option('--per <span>', 'the period of the limits').default('1m'),
    new Option('--trusted-hops <count>', 'settings.trustedHops, by which addresses are read from x-forwarded-for'),
    mapOption(),
    jsonOption(),
  ],
  run: async (files: readonly string[], flags: SuggestFlags) =>
    (await import('../actions/suggest.ts')).suggest(files, flags),
};
