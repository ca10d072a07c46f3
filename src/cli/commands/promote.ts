import { Option } from 'commander';
import type { PromoteFlags } from '../actions/promote.ts';
import { askedOption, type CommandSpec } from '../command.ts';

export const promote: CommandSpec = {
  name: 'promote',
  help: {
    summary: 'put the candidate of a running server in force',
    description:
      'Puts the policy of `sluice serve --candidate` in force, in all workers or in none: exactly the texts that were compared.\n' +
      'It stays until the files of the policy change, or the server restarts (docs/candidate.md).',
  },
  flags: [
    new Option(
      '--revision <revision>',
      'refuse if the candidate has changed since: the revision that /candidate showed',
    ),
    askedOption(),
  ],
  run: async (flags: PromoteFlags) => (await import('../actions/promote.ts')).promote(flags),
};
