import { Argument, Option } from 'commander';
import type { TestFlags } from '../actions/test.ts';
import type { CommandSpec } from '../command.ts';

export const test: CommandSpec = {
  name: 'test',
  help: {
    summary: 'run the test cases of a policy',
    description:
      'Runs cases (docs/rules.md, Cases). Nothing leaves the process: quotas are counted in memory, and the clock stands still.',
  },
  args: [new Argument('<cases...>', 'files of cases, or folders of them')],
  flags: [
    new Option('--through <way>', 'how each case reaches the engine').choices(['process', 'grpc']).default('process'),
  ],
  run: async (paths: readonly string[], flags: TestFlags) => (await import('../actions/test.ts')).test(paths, flags),
};
