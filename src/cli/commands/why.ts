import { Argument, Option } from 'commander';
import type { WhyFlags } from '../actions/why.ts';
import { type CommandSpec, jsonOption } from '../command.ts';

export const why: CommandSpec = {
  name: 'why',
  help: {
    summary: 'say why a call was refused, by its id',
    description:
      'Finds a verdict by its id, or by the x-request-id of its request: in a running `sluice serve` (all workers; refusals of the last\n' +
      'minutes), or in a decision log. Prints when and where it was decided, why, and the attributes that were looked at.',
  },
  args: [new Argument('<id>', 'the id of the verdict, or the x-request-id that the client saw')],
  flags: [
    new Option(
      '--log <file...>',
      'files of JSON lines, as log-file writes them for rules of decision calls; - is stdin',
    ),
    new Option('--to <host:port>', 'the admin port of `sluice serve`').default('127.0.0.1:15014'),
    jsonOption(),
  ],
  run: async (id: string, flags: WhyFlags) => (await import('../actions/why.ts')).why(id, flags),
};
