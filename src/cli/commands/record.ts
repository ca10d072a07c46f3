import { Option } from 'commander';
import type { RecordFlags } from '../actions/record.ts';
import type { CommandSpec } from '../command.ts';

export const record: CommandSpec = {
  name: 'record',
  help: {
    summary: 'keep real calls of a running server in a file',
    description:
      'Writes the calls that a running `sluice serve` decides to a file, without secrets, until it is stopped: for `sluice replay`,\n' +
      '`sluice diff`, `sluice suggest` and `sluice lint --traffic` (docs/replay.md).',
  },
  flags: [
    new Option(
      '--to <file>',
      'the file; .gz compresses it; one that exists must be of calls, and is continued',
    ).makeOptionMandatory(),
    new Option('--admin <host:port>', 'the admin port of `sluice serve`').default('127.0.0.1:15014'),
    new Option('--share <percent>', 'of the calls, such as 10%').default('100%'),
    new Option('--for <duration>', 'stop after this time, such as 10m; default: not'),
    new Option('--max-bytes <size>', 'of one file; then it is renamed by its time, and a new one begun').default(
      '1GiB',
    ),
    new Option('--keep <n>', 'how many renamed files are kept; older ones are removed').default('4'),
    new Option('--bodies', 'also request bodies, which are not searched for secrets'),
  ],
  run: async (flags: RecordFlags) => (await import('../actions/record.ts')).record(flags),
};
