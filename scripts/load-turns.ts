/**
 * `node scripts/load-turns.ts [NAME]...`: loads and opens large policies as programs write them, and prints the longest turn of the event
 * loop and the time of all, in ms of CPU of this thread. `--top` shows where the longest turn was spent. NAMEs select by their beginning.
 */
import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';
import { parseArgs } from 'node:util';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { createEngine } from '../src/core/engine.ts';
import { loadPolicyText } from '../src/core/rules/load.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { POLICIES } from './load-turns/policies.ts';

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { top: { type: 'boolean' }, list: { type: 'boolean' }, runs: { type: 'string' } },
});

interface Measured {
  readonly longestMs: number;
  readonly totalMs: number;
  readonly turns: number;
  readonly from: number;
  readonly to: number;
}

async function measured(work: () => Promise<unknown>): Promise<Measured> {
  let isOver = false;
  const spentMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  const began = spentMs();
  let last = began;
  let lastAt = process.hrtime.bigint();
  let [longestMs, from, to, turns] = [0, 0n, 0n, 0];
  const look = (): void => {
    const now = spentMs();
    const at = process.hrtime.bigint();
    if (now - last > longestMs) [longestMs, from, to] = [now - last, lastAt, at];
    [last, lastAt] = [spentMs(), at];
    turns += 1;
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  await work();
  look();
  isOver = true;
  return { longestMs, totalMs: spentMs() - began, turns, from: Number(from / 1000n), to: Number(to / 1000n) };
}

/** Self time by function between two times, in µs of the monotonic clock. */
function topOf(
  { nodes, startTime, samples = [], timeDeltas = [] }: Profiler.Profile,
  from: number,
  to: number,
): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const nameOf = (id: number): string => {
    const { functionName = '', url = '', lineNumber = 0 } = byId.get(id)?.callFrame ?? {};
    return `${functionName || '(anonymous)'} ${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`;
  };
  const self = new Map<string, number>();
  const inclusive = new Map<string, number>();
  let at = startTime;
  for (const [index, id] of samples.entries()) {
    at += timeDeltas[index] ?? 0;
    if (at < from || at > to) continue;
    const took = timeDeltas[index + 1] ?? 0;
    self.set(nameOf(id), (self.get(nameOf(id)) ?? 0) + took);
    const seen = new Set<string>();
    for (let one: number | undefined = id; one !== undefined; one = parents.get(one)) seen.add(nameOf(one));
    for (const name of seen) inclusive.set(name, (inclusive.get(name) ?? 0) + took);
  }
  const best = (of: Map<string, number>, count: number): string[] =>
    [...of]
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([name, us]) => `      ${(us / 1000).toFixed(1).padStart(8)}  ${name}`);
  return ['    self', ...best(self, 8), '    with callees', ...best(inclusive, 24)];
}

const adapters = await loadBuiltIns();
const { openHandlers } = handlerOpener(SILENT);

async function run(text: string): Promise<string> {
  const session = new Session();
  if (flags.top === true) {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: 200 });
    await session.post('Profiler.start');
  }
  let loaded: Awaited<ReturnType<typeof loadPolicyText>> | undefined;
  let failure = '';
  const load = await measured(async () => {
    loaded = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} }).catch((error: unknown) => {
      failure = `THREW ${String(error).slice(0, 100)}`;
      return undefined;
    });
  });
  const { policy } = loaded ?? {};
  const engine = createEngine({ openHandlers });
  const open =
    policy === undefined
      ? undefined
      : await measured(async () =>
          engine.use(policy).catch((error: unknown) => (failure = `OPEN ${String(error).slice(0, 160)}`)),
        );
  const closed = await measured(async () => engine.drain());
  const [first] = loaded?.findings ?? [];
  const shown = ({ longestMs, totalMs }: Measured): string =>
    `${longestMs.toFixed(0).padStart(6)} of ${totalMs.toFixed(0).padStart(6)}`;
  const row = `${shown(load)} | ${open === undefined ? ''.padStart(16) : shown(open)} | ${shown(closed)} | ${loaded?.findings.length ?? '-'} ${first?.code ?? ''} ${first?.message.slice(0, 60) ?? ''} ${failure}`;
  if (flags.top !== true) return row;
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const longest = (open?.longestMs ?? 0) > load.longestMs && open !== undefined ? open : load;
  return [row, ...topOf(profile, longest.from, longest.to)].join('\n');
}

for (const [name, make] of Object.entries(POLICIES)) {
  if (names.length > 0 && !names.some((one) => name.startsWith(one))) continue;
  if (flags.list === true) {
    console.log(name);
    continue;
  }
  const text = make();
  for (let at = 1; at < Number(flags.runs ?? 1); at++) await run(text);
  console.log(`${name.padEnd(44)} ${await run(text)}`);
}
process.exit(0);
