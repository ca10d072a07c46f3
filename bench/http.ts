/**
 * Cost of a check over HTTP: the request of bench/check.ts through gRPC and HTTP of one server, beside a bare node:http server and fastify,
 * which answer 200 without deciding. Prints a table of medians.
 *
 *   node bench/http.ts [SECONDS] [REPEATS]
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectAllowed, load, LOAD_CORE, SERVER_CORE, type Server, startSluice } from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, HEADER, medianRun, row } from './figures.ts';
import { startOnCore } from './process.ts';

const seconds = Number(process.argv[2] ?? 4);
const repeats = Number(process.argv[3] ?? 3);
const IN_FLIGHT = [1, 64];
const ROUTE = '/envoy=envoy,source.ip=x-sluice-peer,extensions=x-context-';

const plain = async (kind: string): Promise<Server> => {
  const started = await startOnCore(SERVER_CORE, ['bench/http-plain-server.ts', kind], /listens on (\d+)/);
  return { name: kind, process: started, port: Number(started.match[1]) };
};

function loadHttp({ port, process: server }: Server, connections: number): Figures {
  const cpuBefore = server.cpuUs();
  const printed = execFileSync(
    'taskset',
    [
      '-c',
      String(LOAD_CORE),
      process.execPath,
      'bench/http-load-client.ts',
      String(port),
      String(connections),
      String(seconds),
    ],
    { encoding: 'utf8' },
  );
  const figures = JSON.parse(printed) as Omit<Figures, 'cpuUs'>;
  return { ...figures, cpuUs: ((server.cpuUs() - cpuBefore) * seconds) / (seconds + 1.5) / figures.requests };
}

const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const frame = join(folder, 'frame');
const message = checkRequest();
await writeFile(frame, framed(message));
const http = 19_092;
const sluice = await startSluice('gRPC', 'bench/policy/three-rules.yaml', [
  '--http',
  `127.0.0.1:${http}`,
  '--http-route',
  ROUTE,
]);
const [node, fast] = [await plain('node'), await plain('fastify')];
try {
  await expectAllowed(sluice, message);
  const asked = await fetch(`http://127.0.0.1:${http}/envoy/ratings/42`, {
    headers: {
      'x-user': 'ann',
      'x-forwarded-proto': 'https',
      'x-sluice-peer': '198.51.100.7',
      'x-forwarded-for': '203.0.113.9, 198.51.100.7',
      'x-context-destination.namespace': 'shop',
    },
  });
  if (asked.status !== 200 || asked.headers.get('x-policy') !== 'three')
    throw new Error('HTTP does not answer as the policy says');
  console.log(`${seconds} s a run, median of ${repeats}, server on core ${SERVER_CORE}, load on core ${LOAD_CORE}\n`);
  console.log(HEADER.replace('of the echo', 'of bare node:http'));
  for (const calls of IN_FLIGHT) {
    const runs = new Map<string, Figures[]>(['node:http', 'fastify', 'HTTP', 'gRPC'].map((name) => [name, []]));
    for (let repeat = 0; repeat < repeats; repeat++) {
      runs.get('node:http')?.push(loadHttp(node, calls));
      runs.get('fastify')?.push(loadHttp(fast, calls));
      runs.get('HTTP')?.push(loadHttp({ ...sluice, port: http }, calls));
      runs.get('gRPC')?.push(load(sluice, frame, 1, calls, seconds));
    }
    const beside = medianRun(runs.get('node:http') ?? []);
    for (const [name, figures] of runs) console.log(row(`${name} ${calls}`, medianRun(figures), beside));
  }
} finally {
  for (const { process: started } of [sluice, node, fast]) await started.stop();
  await rm(folder, { recursive: true });
}
