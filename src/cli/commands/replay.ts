import { Argument, Option } from 'commander';
import type { ReplayFlags } from '../actions/replay.ts';
import { type CommandSpec, jsonOption } from '../command.ts';

export const callsArgument = (): Argument =>
  new Argument(
    '<file...>',
    'recorded calls or JSON access logs of Envoy, .gz and .zst too; a folder of them; - is stdin',
  );

export const mapOption = (): Option =>
  new Option(
    '--map <key=attribute>',
    'what a key of an access log means: tenant=request.headers["x-tenant"]; may be repeated',
  ).argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);

export const replayOptions = (): readonly Option[] => [
  new Option('--ask-handlers', 'ask the real handlers for what the record lacks; nothing is charged or written'),
  new Option('--without-quotas', 'let every quota grant, for records of a share of the calls'),
  mapOption(),
];

export const replay: CommandSpec = {
  name: 'replay',
  help: {
    summary: 'decide recorded calls by a policy',
    description:
      'Decides recorded calls by a policy, in order and without side effects, and prints each verdict and a summary by rule.\n' +
      'Handlers that need a backend answer as recorded; quotas are counted in memory from zero, by the recorded times (docs/replay.md).',
  },
  args: [new Argument('<config>', 'a policy: a YAML file, or a folder of them'), callsArgument()],
  flags: [new Option('--summary', 'print the summary alone'), ...replayOptions(), jsonOption()],
  run: async (config: string, files: readonly string[], flags: ReplayFlags) =>
    (await import('../actions/replay.ts')).replay(config, files, flags),
};
