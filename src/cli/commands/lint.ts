import { Argument, Option } from 'commander';
import type { LintFlags } from '../actions/lint.ts';
import { type CommandSpec, jsonOption } from '../command.ts';

export const lint: CommandSpec = {
  name: 'lint',
  help: {
    summary: 'report every error of a policy, or of files of `sluice ratelimit`',
    description:
      'Loads a policy without starting a server: every error and warning at once, and which calls each rule answers. Handlers that need nothing outside the process are opened, so that a list whose file is missing is found.\nFiles of `sluice ratelimit`, which have domain and descriptors at their top, are read as it reads them.',
  },
  args: [
    new Argument(
      '<config...>',
      'a policy: a YAML file, or a folder of them; or a file of rate limits, or a folder of them',
    ),
  ],
  flags: [new Option('--quiet', 'only the errors and warnings'), jsonOption()],
  run: async (configs: readonly string[], flags: LintFlags) =>
    (await import('../actions/lint.ts')).lint(configs, flags),
};
