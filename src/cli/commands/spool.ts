import { Argument, Option } from 'commander';
import type { DeadLetterFlags } from '../actions/deadletter.ts';
import type { SpoolFlags } from '../actions/spool.ts';
import { type CommandSpec, jsonOption } from '../command.ts';

const folderOptions = (): Option[] => [
  new Option('--folder <path>', 'the folder of the spools, as settings.spool.folder of the policy names it'),
  new Option('--policy <path>', 'a policy that names the folder: a YAML file, or a folder of them'),
];
const toOption = (): Option =>
  new Option(
    '--to <host:port>',
    'the admin port of a server, for those in its memory and on its disk; 127.0.0.1:15014 if no folder is named',
  );
const handlerOption = (): Option => new Option('--handler <name>', 'of this handler only');

export const spool: CommandSpec = {
  name: 'spool',
  help: { description: 'inspect the reports that wait on disk' },
  subcommands: [
    {
      name: 'list',
      help: {
        description: 'list the logs by handler and worker, what waits in them, and who writes them',
        after: `
A log whose owner is "orphan" has no running server. It is taken up by the server of its worker number, or, if there are
fewer workers now, by worker 1. Reads beside a running server.`,
      },
      flags: [...folderOptions(), jsonOption()],
      run: async (flags: SpoolFlags) => (await import('../actions/spool.ts')).listSpools(flags),
    },
  ],
};

const idsArgument = (): Argument => new Argument('[ids...]', 'ids of reports, as list prints them');
const allOption = (): Option => new Option('--all', 'all of them');

export const deadletter: CommandSpec = {
  name: 'deadletter',
  help: {
    summary: 'list, show, replay or drop the reports that a backend refused',
    description:
      'The reports that a backend refused. A running server is asked at its admin port, for those in its memory and on its disk;\n' +
      '--folder and --policy read those on disk beside a server, or without one.',
  },
  subcommands: [
    {
      name: 'list',
      help: { description: 'list them by handler, oldest first, with the reason of the refusal' },
      flags: [handlerOption(), toOption(), ...folderOptions(), jsonOption()],
      run: async (flags: DeadLetterFlags) => (await import('../actions/deadletter.ts')).listLetters(flags),
    },
    {
      name: 'show',
      help: { description: 'print one with its values, as JSON' },
      args: [new Argument('<id>', 'the id of a report')],
      flags: [handlerOption(), toOption(), ...folderOptions()],
      run: async (id: string, flags: DeadLetterFlags) =>
        (await import('../actions/deadletter.ts')).showLetter(id, flags),
    },
    {
      name: 'replay',
      help: {
        description: 'send them again, after what waits already',
        after: `
Those on disk are put into the inbox of the first worker's log; a running server takes them up within seconds, another one when it
starts.
They keep their ids. One that is refused again becomes a dead letter again.`,
      },
      args: [idsArgument()],
      flags: [allOption(), handlerOption(), toOption(), ...folderOptions()],
      run: async (ids: readonly string[], flags: DeadLetterFlags) =>
        (await import('../actions/deadletter.ts')).settleLetters('replay', ids, flags),
    },
    {
      name: 'drop',
      help: { description: 'forget them' },
      args: [idsArgument()],
      flags: [allOption(), handlerOption(), toOption(), ...folderOptions()],
      run: async (ids: readonly string[], flags: DeadLetterFlags) =>
        (await import('../actions/deadletter.ts')).settleLetters('drop', ids, flags),
    },
  ],
};
