/**
 * Cost of a realistic policy (a text with interpolation, a list, a quota, a shadow rule, a report of each check), compared with three small
 * rules, a bare grpc-go server and a TCP echo. Users, paths and request ids vary between calls. All run right after each other in each
 * round, in one order and then in the other; a ratio is the median of the rounds, since the speed of a machine changes between them.
 *
 *   node bench/operators.ts [SECONDS] [ROUNDS]
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

const seconds = Number(process.argv[2] ?? 1.5);
const rounds = Number(process.argv[3] ?? 8);
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
const cpu = ({ cpuUs }: Figures): number => cpuUs;
const p50 = ({ p50Us }: Figures): number => p50Us;
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
  console.log(`${seconds} s a run, ${rounds} rounds\n\n${HEADER}`);
  for (const shape of SHAPES) await measure(shape);
} finally {
  for (const { process: started } of servers) await started.stop();
  await rm(folder, { recursive: true });
}

async function measure([connections, streams]: (typeof SHAPES)[number]): Promise<void> {
  const runs: Figures[][] = servers.map(() => []);
  const echoes: Figures[] = [];
  for (let round = 0; round < rounds; round++) {
    echoes.push(await echo(first.length, connections, streams, seconds));
    const order = [...servers.keys()];
    for (const at of round % 2 === 0 ? order : order.toReversed())
      runs[at]?.push(load(servers[at] as Server, frames, connections, streams, seconds));
  }
  const shape = `${connections}x${streams}`;
  const beside = medianRun(echoes);
  console.log(row(`TCP echo ${shape}`, beside, beside));
  for (const [at, { name }] of servers.entries())
    console.log(row(`${name} ${shape}`, medianRun(runs[at] as Figures[]), beside));
  const [small = [], operators = [], go] = runs;
  const ratios = [
    `as operators write it, ${ratio(operators, small, cpu)} times the CPU of three rules`,
    `p50 ${ratio(operators, echoes, p50)} times the echo's`,
    ...(go === undefined ? [] : [`grpc-go takes ${ratio(go, operators, cpu)} times its CPU`]),
  ];
  console.log(`\n${shape}, median and quartiles: ${ratios.join('; ')}\n`);
}

function ratio(runs: readonly Figures[], beside: readonly Figures[], of: (figures: Figures) => number): string {
  const all = runs.map((figures, round) => of(figures) / of(beside[round] as Figures)).toSorted((a, b) => a - b);
  const at = (share: number): string => (all[Math.floor(all.length * share)] ?? Number.NaN).toFixed(2);
  return `${at(0.5)} (${at(0.25)} to ${at(0.75)})`;
}
