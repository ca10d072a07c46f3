/**
 * Cost of a realistic policy (a text with interpolation, a list, a quota, a shadow rule, a report of each check), compared with three small
 * rules, a bare grpc-go server and a TCP echo. Users, paths and request ids vary between calls.
 *
 *   node bench/operators.ts [SECONDS] [REPEATS]
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { echo, expectAllowed, load, type Server, startGo, startSluice } from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, HEADER, medianRun, row } from './figures.ts';

const SHAPES = [
  [1, 1],
  [1, 64],
] as const;
const MESSAGES = 256;

const seconds = Number(process.argv[2] ?? 4);
const repeats = Number(process.argv[3] ?? 3);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const messages = Array.from({ length: MESSAGES }, (_, at) =>
  checkRequest({
    user: `user-${at % 100}`,
    path: `/ratings/${at}?page=${at % 7}&sort=recent`,
    requestId: randomUUID(),
  }),
);
const [first = checkRequest()] = messages;
const frames = join(folder, 'frames');
await writeFile(frames, Buffer.concat(messages.map(framed)));

const servers: Server[] = [];
try {
  servers.push(
    await startSluice('sluice, three rules', 'bench/policy/three-rules.yaml'),
    await startSluice('sluice, as operators write', 'bench/policy/operators.yaml'),
    ...(await startGo(folder)),
  );
  for (const server of servers) {
    await expectAllowed(server, first);
    load(server, frames, 4, 16, 2);
  }
  console.log(`${seconds} s a run, median of ${repeats}\n\n${HEADER}`);
  for (const [connections, streams] of SHAPES) {
    const runs = new Map<string, Figures[]>([
      ['TCP echo', []],
      ...servers.map(({ name }): [string, Figures[]] => [name, []]),
    ]);
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      runs.get('TCP echo')?.push(await echo(first.length, connections, streams, Math.min(seconds, 2)));
      for (const server of servers) runs.get(server.name)?.push(load(server, frames, connections, streams, seconds));
    }
    const medians = new Map([...runs].map(([name, figures]) => [name, medianRun(figures)]));
    const beside = medians.get('TCP echo') as Figures;
    for (const [name, figures] of medians) console.log(row(`${name} ${connections}x${streams}`, figures, beside));
    const [small, operators, go] = servers.map(({ name }) => medians.get(name) as Figures);
    if (small === undefined || operators === undefined) continue;
    console.log(
      `\n${connections}x${streams}: as operators write it, ${(operators.cpuUs / small.cpuUs).toFixed(2)} times the CPU of three rules, p50 ${(operators.p50Us / beside.p50Us).toFixed(2)} times the echo's${go === undefined ? '' : `; grpc-go takes ${(go.cpuUs / operators.cpuUs).toFixed(1)} times its CPU`}\n`,
    );
  }
} finally {
  for (const { process: started } of servers) await started.stop();
  await rm(folder, { recursive: true });
}
