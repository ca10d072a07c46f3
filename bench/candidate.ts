/**
 * What a candidate costs the calls that are answered: latency at half load, and CPU, with a candidate beside without, by turns in one run.
 *
 *   node bench/candidate.ts [SECONDS OF A RUN] [RUNS]
 *
 * The candidate differs from the policy in one rule, and every call is compared (or 10 % of them). All servers are on one core, the load
 * on another; latency is timed from when a call was due.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectAllowed, load, LOAD_CORE, SERVER_CORE, type Server, startSluice } from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, median, medianRun } from './figures.ts';

const POLICY = 'bench/policy/three-rules.yaml';
const seconds = Number(process.argv[2] ?? 10);
const runs = Number(process.argv[3] ?? 5);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const frame = join(folder, 'frame');
const message = checkRequest();
await writeFile(frame, framed(message));
const candidate = join(folder, 'candidate.yaml');
await writeFile(
  candidate,
  `${await readFile(POLICY, 'utf8')}  - { name: never, match: request.method == "PURGE", deny: {} }\n`,
);
const servers: Server[] = [];
try {
  servers.push(
    await startSluice('without', POLICY),
    await startSluice('with a candidate', POLICY, ['--candidate', candidate]),
    await startSluice('with one for 10 %', POLICY, ['--candidate', candidate, '--candidate-share', '10%']),
  );
  for (const server of servers) {
    await expectAllowed(server, message);
    load(server, frame, 4, 16, 4);
  }
  const [without] = servers as [Server];
  const full = medianRun(Array.from({ length: 3 }, () => load(without, frame, 8, 8, 2))).perSecond;
  const rate = Math.round(full / 2);
  const all = new Map<Server, Figures[]>(servers.map((server) => [server, []]));
  for (let run = 0; run < runs; run++)
    for (const server of servers) all.get(server)?.push(load(server, frame, 8, 1, seconds, rate));
  console.log(
    `CheckRequest of ${message.length} bytes; full load ${Math.round(full)}/s, half ${rate}/s; ${runs} runs of ${seconds} s each by turns, ` +
      `servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}; medians over the runs\n\n` +
      '| at half load | p50 us | p99 us | of without | p99.9 us | CPU us/call | not sent | failed |\n|---|---|---|---|---|---|---|---|',
  );
  const p99Of = (server: Server): number => median((all.get(server) ?? []).map(({ p99Us }) => p99Us));
  for (const [server, figures] of all) {
    const of = (read: (one: Figures) => number): string => Math.round(median(figures.map(read))).toString();
    console.log(
      `| ${server.name} | ${of(({ p50Us }) => p50Us)} | ${Math.round(p99Of(server))} | ${(p99Of(server) / p99Of(without)).toFixed(2)} | ` +
        `${of(({ p999Us = Number.NaN }) => p999Us)} | ${median(figures.map(({ cpuUs }) => cpuUs)).toFixed(1)} | ${of(({ notSent = 0 }) => notSent)} | ${of(({ failed }) => failed)} |`,
    );
  }
} finally {
  for (const { process: started } of servers) await started.stop();
  await rm(folder, { recursive: true });
}
