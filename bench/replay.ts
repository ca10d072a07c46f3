/**
 * Speed of sluice replay and sluice diff beside JSON.parse of the same file: reading and decompressing aside, which a file in the page
 * cache makes small, a replay parses each line, makes a request of it, and decides it. Also the cost of writing a line.
 *
 *   node bench/replay.ts [CALLS] [RUNS]
 *
 * CPU time of the process, so that garbage collection in other threads counts and other load on the machine does not.
 */
import { execFileSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { openReplay } from '../src/cli/actions/replay.ts';
import { load } from '../src/cli/load.ts';
import { createEngine } from '../src/core/engine.ts';
import type { DecidedCall } from '../src/core/history/observers.ts';
import type { Policy } from '../src/core/rules/policy.ts';
import { CheckWire } from '../src/frontends/ext-authz/check-wire.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { Diff } from '../src/traffic/diff/diff.ts';
import { TrafficProblems } from '../src/traffic/errors.ts';
import { firstLine, MAX_LINE_BYTES } from '../src/traffic/format.ts';
import { linesOf } from '../src/traffic/lines.ts';
import { readCalls } from '../src/traffic/read-calls.ts';
import type { Replay } from '../src/traffic/replay/replay.ts';
import { lineOf } from '../src/traffic/write-call.ts';
import { checkRequest } from './check-request.ts';
import { median } from './figures.ts';

const CALLS = Number(process.argv[2] ?? 100_000);
const RUNS = Number(process.argv[3] ?? 5);
/** Of the process that only writes, so that the code of a replay is compiled for recorded requests alone, as in the command. */
const written = process.argv[4];

const folder = written === undefined ? await mkdtemp(join(tmpdir(), 'sluice-bench-')) : dirname(written);
const file = written ?? join(folder, 'calls.ndjson');
const registry = await loadBuiltIns();
const NOW = join(import.meta.dirname, 'policy/operators.yaml');

async function policyOf(path: string): Promise<Policy> {
  const { policy, findings } = await load([path], registry);
  if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  return policy;
}

/** Microseconds of CPU a call. */
async function cost(calls: number, run: () => Promise<void> | void): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

/** Real calls of the realistic policy, a tenth of them to pages that the changed one refuses. */
async function writeCalls(policy: Policy): Promise<number> {
  const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers, keepsVerdicts: false });
  await engine.use(policy);
  let decided: DecidedCall[] = [];
  engine.observe((call) => decided.push(call));
  const out = createWriteStream(file);
  out.write(`${firstLine(Date.now())}\n`);
  let writingUs = 0;
  for (let at = 0; at < CALLS; at++) {
    const bytes = checkRequest({
      path: `/ratings/${at}?page=${at % 10 === 0 ? 150 : 3}&sort=recent`,
      user: `user-${at % 1000}`,
      requestId: `3b1f0a52-9c7e-4c1d-8a55-${String(at).padStart(12, '0')}`,
    });
    const wire = new CheckWire({ bytes, from: 0, to: bytes.length }, () => Date.now());
    await engine.check('http', wire, { remainingMs: undefined, signal: undefined });
    if (decided.length < BATCH && at < CALLS - 1) continue;
    const lines: string[] = [];
    writingUs += await cost(1, () => {
      for (const one of decided) lines.push(lineOf(one, { timeMs: Date.now() }) ?? '');
    });
    decided = [];
    if (!out.write(`${lines.join('\n')}\n`)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
  await engine.drain();
  return writingUs / CALLS;
}

const BATCH = 1000;

async function parsed(): Promise<void> {
  let calls = 0;
  for await (const lines of linesOf(file, MAX_LINE_BYTES))
    for (const line of lines) if (line !== null && 'call' in (JSON.parse(line.toString('utf8')) as object)) calls++;
  if (calls !== CALLS) throw new Error(`${calls} calls were parsed`);
}

async function replayed(replay: Replay): Promise<void> {
  const problems = new TrafficProblems();
  let [calls, denied] = [0, 0];
  for await (const { call } of readCalls([file], { problems })) {
    const verdict = replay.decide(call);
    if (verdict instanceof Promise) throw new Error('the policy waits');
    if (verdict.outcome !== 'allow') denied++;
    calls++;
  }
  if (calls !== CALLS || denied !== 0 || problems.count > 0) throw new Error(`${calls} calls, ${denied} denied`);
}

async function compared(old: Replay, next: Replay): Promise<void> {
  const diff = new Diff(old, next, 3);
  for await (const read of readCalls([file], { problems: new TrafficProblems() })) {
    const waits = diff.add(read);
    if (waits !== undefined) await waits;
  }
  if (diff.differing !== Math.ceil(CALLS / 10)) throw new Error(`${diff.differing} calls differ`);
}

async function main(): Promise<void> {
  const child = execFileSync(process.execPath, [import.meta.filename, String(CALLS), '0', file], { encoding: 'utf8' });
  const writingUs = Number(child);
  const changed = join(folder, 'changed.yaml');
  await writeFile(changed, (await readFile(NOW, 'utf8')).replace('mode: shadow', 'mode: enforce'));
  const [old, next] = [
    await openReplay(await policyOf(NOW), registry, {}),
    await openReplay(await policyOf(changed), registry, {}),
  ];
  const runs: Readonly<Record<string, () => Promise<void>>> = {
    'JSON.parse alone': parsed,
    'sluice replay': () => replayed(old),
    'sluice diff': () => compared(old, next),
  };
  const costs = new Map(Object.keys(runs).map((name): [string, number[]] => [name, []]));
  for (let run = 0; run <= RUNS; run++)
    for (const [name, does] of Object.entries(runs)) {
      const us = await cost(CALLS, does);
      if (run > 0) costs.get(name)?.push(us); // the first warms up
    }
  const alone = median(costs.get('JSON.parse alone') ?? []);
  const { size } = await stat(file);
  console.log(`${CALLS} calls, ${Math.round(size / CALLS)} bytes each\n`);
  console.log('| | us of CPU a call | calls/s per core | of JSON.parse alone |\n|---|---:|---:|---:|');
  for (const [name, all] of costs) {
    const us = median(all);
    console.log(`| ${name} | ${us.toFixed(1)} | ${Math.round(1e6 / us)} | ${(us / alone).toFixed(2)} |`);
  }
  console.log(
    `| writing a line | ${writingUs.toFixed(1)} | ${Math.round(1e6 / writingUs)} | ${(writingUs / alone).toFixed(2)} |`,
  );
  await old.close();
  await next.close();
}

if (written !== undefined) process.stdout.write(String(await writeCalls(await policyOf(NOW))));
else {
  try {
    await main();
  } finally {
    await rm(folder, { recursive: true });
  }
}
