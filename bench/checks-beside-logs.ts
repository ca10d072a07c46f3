/**
 * Latency of checks while access logs arrive at half of the rate that the server takes, beside without, by turns in one run.
 *
 *   node bench/checks-beside-logs.ts [SECONDS OF A RUN] [RUNS]
 *
 * Checks come at a quarter of their full load, so that half and a quarter are together below what a core can do. The server is on one core,
 * both senders are on the other; latency is timed from when a call was due.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectAllowed, load, LOAD_CORE, startSluice } from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, median, medianRun } from './figures.ts';
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

/** Entries per second that arrived. */
async function logs(forSeconds: number, rate?: number): Promise<{ readonly rate: Promise<number> }> {
  const sender = await startOnCore(
    LOAD_CORE,
    ['bench/log-sender.ts', String(server.port), String(forSeconds), ...(rate === undefined ? [] : [String(rate)])],
    /sending/,
  );
  const done = Promise.withResolvers<number>();
  sender.child.stdout?.on('data', (chunk: Buffer) => {
    const sent = /sent (\d+) entries/.exec(chunk.toString())?.[1];
    if (sent !== undefined) done.resolve(Number(sent));
  });
  return { rate: done.promise };
}

try {
  await expectAllowed(server, message);
  load(server, frame, 4, 16, 4);
  const full = medianRun(Array.from({ length: 3 }, () => load(server, frame, 8, 8, 2))).perSecond;
  const checksAt = Math.round(full / 4);
  await (
    await logs(3)
  ).rate;
  const fullLogs = await (await logs(5)).rate;
  const logsAt = Math.round(fullLogs / 2);
  const without: Figures[] = [];
  const beside: Figures[] = [];
  const arrived: number[] = [];
  for (let run = 0; run < runs; run++) {
    without.push(load(server, frame, 8, 1, seconds, checksAt));
    const sending = await logs(seconds + 2, logsAt);
    beside.push(load(server, frame, 8, 1, seconds, checksAt));
    arrived.push(await sending.rate);
  }
  const p99 = (figures: readonly Figures[]): number => median(figures.map(({ p99Us }) => p99Us));
  console.log(
    `checks: full load ${Math.round(full)}/s, a quarter ${checksAt}/s; entries: full ${fullLogs}/s, half ${logsAt}/s (arrived ${Math.round(median(arrived))}/s); ` +
      `${runs} runs of ${seconds} s each by turns, medians\n\n| checks | p50 us | p99 us | of without |\n|---|---:|---:|---:|`,
  );
  for (const [name, figures] of [
    ['alone', without],
    ['while logs arrive', beside],
  ] as const)
    console.log(
      `| ${name} | ${Math.round(median(figures.map(({ p50Us }) => p50Us)))} | ${Math.round(p99(figures))} | ${(p99(figures) / p99(without)).toFixed(2)} |`,
    );
} finally {
  await server.process.stop();
  await rm(folder, { recursive: true });
}
