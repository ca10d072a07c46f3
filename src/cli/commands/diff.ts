import { Argument, Option } from 'commander';
import type { DiffFlags } from '../actions/diff.ts';
import { type CommandSpec, jsonOption } from '../command.ts';
import { callsArgument, replayOptions } from './replay.ts';

export const diff: CommandSpec = {
  name: 'diff',
  help: {
    summary: 'show which recorded calls a changed policy decides differently',
    description:
      'Decides recorded calls by two policies, without side effects, and prints what changes, by rule, with samples that name the part of\n' +
      'the condition that differs. Exits with 1 if anything changes.',
    after: `
  sluice diff old/ new/ calls.ndjson              two policies
  sluice diff --recorded new/ calls.ndjson        a policy, and the verdicts that were recorded`,
  },
  args: [
    new Argument('<old>', 'the policy in force: a YAML file, or a folder of them; with --recorded, the new one'),
    new Argument('<new>', 'the changed policy; with --recorded, the first file of calls'),
    new Argument('[file...]', callsArgument().description),
  ],
  flags: [
    new Option('--recorded', 'compare with the recorded verdicts; OLD is left out'),
    new Option('--limit-samples <n>', 'samples of each difference').default('3'),
    ...replayOptions(),
    jsonOption(),
  ],
  run: async (old: string, next: string, files: readonly string[], flags: DiffFlags) =>
    (await import('../actions/diff.ts')).diff(old, next, files, flags),
};
