import { Argument, Option } from 'commander';
import type { LintFlags } from '../actions/lint.ts';
import { allFindingsOption, type CommandSpec, jsonOption, lenientOption } from '../command.ts';
import { mapOption } from './replay.ts';

export const lint: CommandSpec = {
  name: 'lint',
  help: {
    summary: 'report every error of a policy, or of files of `sluice ratelimit`',
    description:
      'Loads a policy without starting a server, and prints all errors and warnings, and which calls each rule answers. ' +
      'Handlers without a backend are opened, so that errors in their files are found.\n' +
      'Files of `sluice ratelimit`, recognised by domain and descriptors at the top level, are checked as it reads them.',
  },
  args: [
    new Argument(
      '<config...>',
      'a policy: a YAML file, or a folder of them; or a file of rate limits, or a folder of them',
    ),
  ],
  flags: [
    new Option('--quiet', 'only the errors and warnings'),
    allFindingsOption(),
    new Option(
      '--traffic <file...>',
      'recorded calls or JSON access logs of Envoy: warns of rules, hosts and limits that do not fit them',
    ),
    mapOption(),
    lenientOption(),
    jsonOption(),
  ],
  run: async (configs: readonly string[], flags: LintFlags) =>
    (await import('../actions/lint.ts')).lint(configs, flags),
};
