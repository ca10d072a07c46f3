/**
 * Cost of a check: a realistic CheckRequest (1.3 KB, 15 headers that vary between calls) against three rules that read five attributes,
 * compared with a TCP echo of the same size and with other servers on the same core. Prints tables of medians.
 *
 *   node bench/check.ts [SECONDS] [REPEATS] [SECONDS OF EACH OPEN LOOP]
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  echo,
  expectAllowed,
  load,
  LOAD_CORE,
  SERVER_CORE,
  type Server,
  start,
  startGo,
  startSluice,
} from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, HEADER, medianRun, row } from './figures.ts';

const SHAPES = [
  [1, 1],
  [1, 8],
  [1, 64],
  [8, 8],
] as const;
const RATES = [1000, 5000, 20_000];
const POLICY = 'bench/policy/three-rules.yaml';

const seconds = Number(process.argv[2] ?? 4);
const repeats = Number(process.argv[3] ?? 3);
const openSeconds = Number(process.argv[4] ?? 60);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const frame = join(folder, 'frame');
const message = checkRequest();
await writeFile(frame, framed(message));
const servers: Server[] = [];
try {
  servers.push(
    await startSluice('sluice', POLICY),
    await startSluice('sluice on node:http2', POLICY, ['--transport', 'http2']),
    await start('sluice on grpc-js', ['bench/grpc-js-server.ts', POLICY]),
    await start('grpc-js', ['bench/grpc-js-plain-server.ts']),
    ...(await startGo(folder)),
  );
  for (const server of servers) {
    await expectAllowed(server, message);
    load(server, frame, 4, 16, 4);
  }
  console.log(
    `CheckRequest of ${message.length} bytes, ${seconds} s a run, median of ${repeats}, servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}\n\n${HEADER}`,
  );
  for (const [connections, streams] of SHAPES) {
    const runs = new Map<string, Figures[]>([
      ['TCP echo', []],
      ...servers.map(({ name }): [string, Figures[]] => [name, []]),
    ]);
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      runs.get('TCP echo')?.push(await echo(message.length, connections, streams, Math.min(seconds, 2)));
      for (const server of servers) runs.get(server.name)?.push(load(server, frame, connections, streams, seconds));
    }
    const beside = medianRun(runs.get('TCP echo') ?? []);
    for (const [name, figures] of runs)
      console.log(row(`${name} ${connections}x${streams}`, medianRun(figures), beside));
  }
  console.log(
    '\nOpen loop, 2 connections, timed from when a call was due.\n\n| server, calls/s | answered/s | not sent | sent late, p99 us | p50 us | p99 us | p99.9 us | CPU us/call |\n|---|---|---|---|---|---|---|---|',
  );
  for (const rate of RATES) {
    for (const server of servers) {
      const {
        perSecond,
        notSent = 0,
        lateP99Us = Number.NaN,
        p50Us,
        p99Us,
        p999Us = Number.NaN,
        cpuUs,
      } = load(server, frame, 2, 1, openSeconds, rate);
      console.log(
        `| ${server.name} ${rate} | ${Math.round(perSecond)} | ${notSent} | ${Math.round(lateP99Us)} | ${Math.round(p50Us)} | ${Math.round(p99Us)} | ${Math.round(p999Us)} | ${cpuUs.toFixed(1)} |`,
      );
    }
  }
} finally {
  for (const { process: started } of servers) await started.stop();
  await rm(folder, { recursive: true });
}
