import { Option } from 'commander';
import type { RollbackFlags } from '../actions/rollback.ts';
import { askedOption, type CommandSpec } from '../command.ts';

export const rollback: CommandSpec = {
  name: 'rollback',
  help: {
    summary: 'put an earlier policy of a running server in force',
    description:
      'Puts one of the last ten policies that were in force in force again, in all workers or in none; /policy lists them.\n' +
      'It stays until the files of the policy change, or the server restarts (docs/candidate.md).',
  },
  flags: [
    new Option('--steps <n>', 'how many policies back; 1 is the one before that in force').default('1'),
    askedOption(),
  ],
  run: async (flags: RollbackFlags) => (await import('../actions/rollback.ts')).rollback(flags),
};
