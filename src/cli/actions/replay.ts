/**
 * `sluice replay`: recorded calls, decided by a policy.
 * **In**: a policy, files of calls. **Out**: a line for each verdict, and a summary by rule, on stdout; what could not be read, on stderr.
 * **Fails**: with a CliError if no call can be read, and with a SnapshotError if a handler cannot be opened.
 */
import { once } from 'node:events';
import { counted, grouped } from '../../text/counted.ts';
import { builtIns } from '../../adapters/loading/built-in.ts';
import type { Registry } from '../../adapters/registry.ts';
import { RequestBag } from '../../attributes/bag.ts';
import type { LimitVerdict, Verdict } from '../../core/call.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { lookingOnly } from '../../explain/looking-only.ts';
import { safeLine } from '../../log/safe-text.ts';
import { SILENT } from '../../log/log.ts';
import { handlerOpener } from '../../serve/policy/handler-opener.ts';
import { paintErr, paintOut } from '../../text/paint.ts';
import { AccessLog, type Meaning, meaningOf } from '../../traffic/access-log.ts';
import { requestOf } from '../../traffic/diff/diff.ts';
import { TrafficProblems } from '../../traffic/errors.ts';
import { type ReadCall, readCalls } from '../../traffic/read-calls.ts';
import { wiresOf } from '../../traffic/recorded-wire.ts';
import { Replay, type Unanswered } from '../../traffic/replay/replay.ts';
import { realAdapters } from '../cases/real-adapters.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { loadOrStop } from '../load.ts';
import { columns, print, printErr, printOut } from '../terminal.ts';

/** Of both commands. */
export interface TrafficFlags {
  readonly askHandlers?: true;
  readonly withoutQuotas?: true;
  readonly map?: readonly string[];
  readonly json?: true;
}

export interface ReplayFlags extends TrafficFlags {
  readonly summary?: true;
}

export async function replay(config: string, files: readonly string[], flags: ReplayFlags): Promise<ExitCode> {
  const registry = builtIns();
  const policy = await loadOrStop([config], registry);
  const traffic = new Traffic(files, flags);
  const replayed = await openReplay(policy, registry, flags);
  try {
    const verdicts = new Map<string, number>();
    let calls = 0;
    for await (const read of traffic.calls()) {
      const decided = replayed.decide(read.call);
      const verdict = decided instanceof Promise ? await decided : decided;
      calls++;
      const name = verdict.rule === undefined ? verdict.outcome : `${verdict.outcome} by ${verdict.rule}`;
      verdicts.set(name, (verdicts.get(name) ?? 0) + 1);
      if (flags.summary === true) continue;
      const line = flags.json === true ? jsonOf(read, verdict) : textOf(read, verdict, replayed);
      if (!write(`${line}\n`)) await once(process.stdout, 'drain');
    }
    traffic.requireCalls(calls);
    const byVerdict = [...verdicts].toSorted(([, a], [, b]) => b - a);
    if (flags.json === true)
      printOut(
        JSON.stringify({ summary: { calls, verdicts: Object.fromEntries(byVerdict), ...traffic.noted(replayed) } }),
      );
    else {
      if (flags.summary !== true) printOut();
      printOut(paintOut.strong(counted(calls, 'call')));
      for (const line of columns(byVerdict.map(([name, count]) => [`  ${grouped(count)}`, share(count, calls), name])))
        printOut(line);
    }
    traffic.printNotes(replayed);
  } finally {
    await replayed.close();
  }
  return EXIT.ok;
}

export async function openReplay(policy: Policy, registry: Registry, flags: TrafficFlags): Promise<Replay> {
  const memory = (await registry.including(['quota-memory'])).get('quota-memory');
  if (memory === undefined) throw new Error('the adapter quota-memory, which counts the quotas, is not loaded');
  const ask = flags.askHandlers === true ? lookingOnly(handlerOpener(SILENT).openHandlers) : undefined;
  return Replay.open(policy, { open: realAdapters(), memory, ask, countsQuotas: flags.withoutQuotas !== true });
}

/** The calls of the files, and what is to be said of them at the end. */
export class Traffic {
  readonly #files: readonly string[];
  readonly #log: AccessLog;
  readonly #problems = new TrafficProblems();

  constructor(files: readonly string[], { map = [] }: TrafficFlags) {
    this.#files = files;
    this.#log = new AccessLog(new Map(map.map(parseMapping)));
  }

  calls(): AsyncGenerator<ReadCall> {
    return readCalls(this.#files, { problems: this.#problems, entryOf: this.#log.entryOf });
  }

  /** Fails with CLI_NO_CALLS. */
  requireCalls(calls: number): void {
    if (calls > 0) return;
    for (const line of this.#problems.lines()) printErr(safeLine(line));
    throw new CliError('CLI_NO_CALLS', `no call was read from ${this.#files.join(', ')}`);
  }

  /** For JSON. */
  noted(...replays: readonly Replay[]): object {
    return {
      unanswered: unansweredOf(replays),
      notRead: this.#problems.count,
      skipped: this.#problems.skipped,
      problems: this.#problems.first,
      ignoredKeys: [...this.#log.unknown],
    };
  }

  printNotes(...replays: readonly Replay[]): void {
    for (const line of this.#problems.lines()) printErr(paintErr.bad(safeLine(line)));
    const { skipped, isSkippedKnown } = this.#problems;
    if (skipped > 0 || !isSkippedKnown)
      printErr(
        `the files lack ${isSkippedKnown ? '' : 'at least '}${counted(skipped, 'call')} that did not fit the buffer of the recorded server`,
      );
    if (this.#log.unknown.size > 0)
      printErr(
        safeLine(
          `ignored keys of the access log: ${[...this.#log.unknown].join(', ')} (--map KEY=ATTRIBUTE says what one means)`,
        ),
      );
    for (const { rule, handler, calls } of unansweredOf(replays))
      printErr(
        `no recorded answer: ${counted(calls, 'call')} of the rule ${rule}, whose handler ${handler} failed for them; --ask-handlers asks the real one`,
      );
  }
}

/** Of two policies, the larger number of each rule. */
function unansweredOf(replays: readonly Replay[]): readonly Unanswered[] {
  const all = new Map<string, Unanswered>();
  for (const one of replays.flatMap(({ unanswered }) => unanswered))
    if ((all.get(one.rule)?.calls ?? 0) < one.calls) all.set(one.rule, one);
  return [...all.values()];
}

function parseMapping(text: string): readonly [key: string, meaning: Meaning] {
  const at = text.indexOf('=');
  const meaning = at <= 0 ? undefined : meaningOf(text.slice(at + 1));
  if (meaning === undefined)
    throw new CliError(
      'CLI_USAGE',
      `--map is "${text}"; expected KEY=ATTRIBUTE, an attribute of docs/attributes.md or request.headers["name"]`,
    );
  return [text.slice(0, at), meaning];
}

const write = (text: string): boolean => {
  print(process.stdout, text);
  return !process.stdout.writableNeedDrain || process.stdout.destroyed;
};

function textOf({ call }: ReadCall, verdict: Verdict | LimitVerdict, { policy }: Replay): string {
  const [wire] = wiresOf(call);
  const paint = verdict.outcome === 'allow' ? paintOut.good : paintOut.bad;
  const by = verdict.rule === undefined ? '' : ` by ${paintOut.name(verdict.rule)}`;
  const request = wire === undefined ? {} : requestOf(call.call, new RequestBag(policy.attributes, wire));
  return `${new Date(call.timeMs).toISOString()}  ${paint(verdict.outcome)}${by}  ${requestText(request)}`;
}

export const requestText = (request: Readonly<Record<string, unknown>>): string => {
  const { method, host, path, ...rest } = request;
  const text = (value: unknown): string =>
    value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
  const target = method === undefined ? [] : [`${text(method)} ${text(host)}${text(path)}`];
  return safeLine([...target, ...Object.entries(rest).map(([name, value]) => `${name} ${text(value)}`)].join('  '));
};

const jsonOf = ({ file, line, call }: ReadCall, verdict: Verdict | LimitVerdict): string => {
  const { outcome, rule = null, shadow, reasons } = verdict;
  return JSON.stringify({
    at: `${file}:${line}`,
    id: call.id,
    time: new Date(call.timeMs).toISOString(),
    call: call.call,
    outcome,
    rule,
    ...('status' in verdict ? { status: verdict.status } : { statuses: verdict.statuses }),
    shadow,
    reasons,
    recorded: call.verdict === undefined ? null : { outcome: call.verdict.outcome, rule: call.verdict.rule },
  });
};

export const share = (part: number, all: number): string => `${((part / Math.max(1, all)) * 100).toFixed(1)}%`;
