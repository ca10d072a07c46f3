/**
 * `sluice diff`: what a changed policy would change for recorded calls.
 * **In**: two policies, or one and the recorded verdicts; files of calls. **Out**: the differences, in groups with samples, on stdout.
 * **Fails**: with a CliError if no call can be read, and with a SnapshotError if a handler cannot be opened.
 */
import { counted, grouped } from '../../text/counted.ts';
import { builtIns } from '../../adapters/loading/built-in.ts';
import { safeLine } from '../../log/safe-text.ts';
import { paintOut } from '../../text/paint.ts';
import { Diff, type Group, type Sample } from '../../traffic/diff/diff.ts';
import type { Replay } from '../../traffic/replay/replay.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { loadOrStop } from '../load.ts';
import { printOut } from '../terminal.ts';
import { openReplay, requestText, share, Traffic, type TrafficFlags } from './replay.ts';

export interface DiffFlags extends TrafficFlags {
  readonly recorded?: true;
  readonly limitSamples: string;
}

export async function diff(
  first: string,
  second: string,
  rest: readonly string[],
  flags: DiffFlags,
): Promise<ExitCode> {
  const isRecorded = flags.recorded === true;
  const [old, next, files] = isRecorded ? [undefined, first, [second, ...rest]] : [first, second, rest];
  if (files.length === 0)
    throw new CliError('CLI_USAGE', 'no file of calls is given; expected OLD NEW FILE..., or --recorded NEW FILE...');
  const maxSamples = Number(flags.limitSamples);
  if (!Number.isSafeInteger(maxSamples) || maxSamples < 0 || maxSamples > MAX_SAMPLES)
    throw new CliError(
      'CLI_USAGE',
      `--limit-samples is "${flags.limitSamples}"; expected a number from 0 to ${MAX_SAMPLES}`,
    );
  const registry = builtIns();
  const replays: Replay[] = [];
  try {
    const before = old === undefined ? undefined : await openReplay(await loadOrStop([old], registry), registry, flags);
    if (before !== undefined) replays.push(before);
    const after = await openReplay(await loadOrStop([next], registry), registry, flags);
    replays.push(after);
    const traffic = new Traffic(files, flags);
    const compared = new Diff(before, after, maxSamples);
    for await (const read of traffic.calls()) {
      const waits = compared.add(read);
      if (waits !== undefined) await waits;
    }
    traffic.requireCalls(compared.compared + compared.notCompared);
    if (flags.json === true) printOut(JSON.stringify({ ...jsonOf(compared), ...traffic.noted(...replays) }, null, 2));
    else printDiff(compared);
    traffic.printNotes(...replays);
    return compared.differing > 0 ? EXIT.findings : EXIT.ok;
  } finally {
    for (const one of replays) await one.close();
  }
}

const MAX_SAMPLES = 1000;

const jsonOf = ({ compared, differing, notCompared, groups }: Diff): object => ({
  compared,
  differing,
  notCompared,
  groups: groups.map((group) => ({ ...group, share: group.calls / Math.max(1, compared) })),
});

function printDiff({ compared, differing, notCompared, groups }: Diff): void {
  for (const group of groups) printGroup(group, compared);
  const without = notCompared === 0 ? '' : `; ${grouped(notCompared)} without a recorded verdict`;
  printOut(
    differing === 0
      ? `${paintOut.good('nothing changes')} for ${counted(compared, 'call')}${without}`
      : `${paintOut.strong(`${grouped(differing)} of ${counted(compared, 'call')} ${differing === 1 ? 'changes' : 'change'}`)} (${share(differing, compared)})${without}`,
  );
}

function printGroup({ text, calls, samples }: Group, compared: number): void {
  printOut(`${paintOut.strong(safeLine(text))}  ${counted(calls, 'call')} (${share(calls, compared)})`);
  for (const sample of samples) printSample(sample);
  printOut();
}

function printSample({ at, id, time, request, rules, values }: Sample): void {
  printOut(`  ${time}  ${requestText(request)}  ${paintOut.faint(safeLine(`${at}${id === '' ? '' : ` ${id}`}`))}`);
  for (const { policy, rule, text, reason } of rules)
    printOut(
      `    ${policy}: ${paintOut.name(rule)} ${safeLine(text)}${reason === undefined ? '' : safeLine(` (${reason})`)}`,
    );
  for (const [name, value] of Object.entries(values)) {
    const shown = value === null ? 'absent' : JSON.stringify(value);
    printOut(
      paintOut.faint(`    ${name} = ${safeLine(shown.length > MAX_VALUE ? `${shown.slice(0, MAX_VALUE)}…` : shown)}`),
    );
  }
}

const MAX_VALUE = 200;
