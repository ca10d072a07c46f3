/**
 * Latency of checks while access logs arrive at half of the rate that the server takes, beside without, by turns in one run.
 *
 *   node bench/checks-beside-logs.ts [SECONDS OF A RUN] [RUNS]
 *
 * Checks come at a rate that takes a quarter of the core, so that the server has a quarter to spare. The server is on one core; one process
 * on the other sends checks and entries, since two would take turns. Latency is timed from when a call was due.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectAllowed, load, LOAD_CORE, startSluice } from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, median } from './figures.ts';
import { startOnCore } from './process.ts';

const seconds = Number(process.argv[2] ?? 8);
const runs = Number(process.argv[3] ?? 5);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const message = checkRequest();
const frame = join(folder, 'frame');
await writeFile(frame, framed(message));
const policy = join(folder, 'policy');
await writeFile(`${policy}.yaml`, await readFile('bench/policy/three-rules.yaml', 'utf8'));
await writeFile(`${policy}-log.yaml`, await readFile('bench/policy/log.yaml', 'utf8'));
const server = await startSluice('sluice', `${policy}.yaml`, [`${policy}-log.yaml`]);

/** Entries per second that the server takes when as many as it takes are sent. */
async function fullRate(forSeconds: number): Promise<number> {
  const sender = await startOnCore(
    LOAD_CORE,
    ['bench/log-sender.ts', String(server.port), String(forSeconds)],
    /sending/,
  );
  const done = Promise.withResolvers<number>();
  sender.child.stdout?.on('data', (chunk: Buffer) => {
    const sent = /sent (\d+) entries/.exec(chunk.toString())?.[1];
    if (sent !== undefined) done.resolve(Number(sent));
  });
  return done.promise;
}

/** Share of the core that a run took. */
const coreOf = ({ cpuUs, perSecond }: Figures): number => (cpuUs * perSecond) / 1e6;

/** Calls per second, one at a time on each connection, that take a quarter of the core. */
function quarterRate(): number {
  let rate = 10_000;
  for (let turn = 0; turn < 3; turn++) rate = Math.round((rate * 0.25) / coreOf(load(server, frame, 8, 1, 3, rate)));
  return rate;
}

try {
  await expectAllowed(server, message);
  load(server, frame, 4, 16, 4);
  const checksAt = quarterRate();
  await fullRate(3);
  const fullLogs = await fullRate(5);
  const logsAt = Math.round(fullLogs / 2);
  const without: Figures[] = [];
  const beside: Figures[] = [];
  for (let run = 0; run < runs; run++) {
    without.push(load(server, frame, 8, 1, seconds, checksAt));
    beside.push(load(server, frame, 8, 1, seconds, checksAt, logsAt));
  }
  const of = (figures: readonly Figures[], value: (one: Figures) => number): number => median(figures.map(value));
  console.log(
    `checks ${checksAt}/s; entries: full ${fullLogs}/s, half ${logsAt}/s (arrived ${Math.round(of(beside, ({ entriesPerSecond = 0 }) => entriesPerSecond))}/s); ` +
      `${runs} runs of ${seconds} s each by turns, medians\n\n` +
      `| checks | of the core | sent late, p99 us | p50 us | p99 us | p99.9 us | p99 of without |\n|---|---:|---:|---:|---:|---:|---:|`,
  );
  const p99 = of(without, ({ p99Us }) => p99Us);
  for (const [name, figures] of [
    ['alone', without],
    ['while logs arrive', beside],
  ] as const)
    console.log(
      `| ${name} | ${of(figures, coreOf).toFixed(2)} | ${[({ lateP99Us = 0 }: Figures) => lateP99Us, ({ p50Us }: Figures) => p50Us, ({ p99Us }: Figures) => p99Us, ({ p999Us = 0 }: Figures) => p999Us].map((value) => Math.round(of(figures, value))).join(' | ')} | ${(of(figures, ({ p99Us }) => p99Us) / p99).toFixed(2)} |`,
    );
} finally {
  await server.process.stop();
  await rm(folder, { recursive: true });
}
