/**
 * The start of the installed package and its memory: `sluice serve examples/start` from the end of spawn to its first line, with a warm
 * compile cache; then resident memory after 3 s without calls and 100 checks. Packages take turns.
 *
 *   node bench/start.ts RUNS FOLDER...    each FOLDER has a node_modules with sluice: npm pack, then npm install of the tarball there
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialGrpc } from '../src/transport/index.ts';
import { checkRequest } from './check-request.ts';
import { cpuUsOf } from './process.ts';

const PATH = '/envoy.service.auth.v3.Authorization/Check';
const QUIET_MS = 3000;
const CALLS = 100;

interface Start {
  readonly ms: number;
  readonly cpuMs: number;
  readonly residentMb: number;
  /** Without the pages of files, which processes of the same program share. */
  readonly anonymousMb: number;
}

async function start(folder: string): Promise<Start> {
  const own = join(folder, 'node_modules/sluice');
  const ports = ['--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const from = performance.now();
  const child = spawn(
    process.execPath,
    ['--max-semi-space-size=4', join(own, 'dist/src/cli/bin.js'), 'serve', join(own, 'examples/start'), ...ports],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = once(child, 'exit');
  let said = '';
  for await (const chunk of child.stderr.iterator({ destroyOnReturn: false })) {
    said += String(chunk);
    if (/gRPC +\S+/.test(said)) break;
  }
  const ms = performance.now() - from;
  const pid = child.pid ?? 0;
  const cpuMs = cpuUsOf(pid) / 1000;
  const address = /gRPC +(\S+)/.exec(said)?.[1];
  if (address === undefined) throw new Error(`${folder}: it ended before it served:\n${said}`);
  child.stderr.resume();
  await sleep(QUIET_MS);
  const client = dialGrpc(address);
  for (let call = 0; call < CALLS; call++) await client.unary(PATH, checkRequest(), { timeoutMs: 5000 });
  client.close();
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  const memory = { residentMb: mb('VmRSS'), anonymousMb: mb('RssAnon') };
  child.kill('SIGTERM');
  await ended;
  return { ms, cpuMs, ...memory };
}

const [runs, ...folders] = process.argv.slice(2);
if (folders.length === 0) throw new Error('expected: node bench/start.ts RUNS FOLDER...');
const figures = new Map<string, Start[]>(folders.map((folder) => [folder, []]));
for (let run = -1; run < Number(runs); run++)
  for (const folder of folders) {
    const one = await start(folder);
    if (run >= 0) figures.get(folder)?.push(one); // the first makes the compile cache
  }
console.log('| package | start ms | CPU ms | resident MB | without files MB |\n|---|---:|---:|---:|---:|');
for (const [folder, starts] of figures) {
  const median = (of: (start: Start) => number): number =>
    starts.map(of).toSorted((a, b) => a - b)[Math.floor(starts.length / 2)] ?? Number.NaN;
  const [ms, cpuMs] = [median((one) => one.ms), median((one) => one.cpuMs)].map((one) => Math.round(one));
  const [resident, anonymous] = [median((one) => one.residentMb), median((one) => one.anonymousMb)];
  console.log(`| ${folder} | ${ms} | ${cpuMs} | ${resident.toFixed(1)} | ${anonymous.toFixed(1)} |`);
}
