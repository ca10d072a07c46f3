/** Load by nghttp2's h2load (Debian package nghttp2-client): real HTTP/2, a time for every request in its log file. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Figures, percentile } from './figures.ts';
import type { Measured } from './process.ts';

const run = promisify(execFile);

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  /** A file with one gRPC frame (five bytes of prefix, then the message). */
  readonly frame: string;
  readonly connections: number;
  readonly streams: number;
  readonly seconds: number;
  readonly core: number;
}

export async function h2load(server: Measured, options: LoadOptions): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const log = join(folder, 'times.tsv');
  const cpuBefore = server.cpuUs();
  try {
    const { stdout } = await run('taskset', ['-c', String(options.core), 'h2load',
      '-c', String(options.connections), '-m', String(options.streams), '-D', String(options.seconds),
      '-H', 'content-type: application/grpc', '-H', 'te: trailers', '-d', options.frame, '--log-file', log,
      `http://127.0.0.1:${options.port}${options.path}`]);
    const cpuUs = server.cpuUs() - cpuBefore;
    const lines = (await readFile(log, 'utf8')).trimEnd().split('\n').map((line) => line.split('\t').map(Number));
    const timesUs = Float64Array.from(lines, (line) => line[2] ?? Number.NaN).toSorted();
    const notOk = lines.filter((line) => line[1] !== 200).length;
    const failed = Number(/(\d+) failed/.exec(stdout)?.[1] ?? 0);
    return {
      requests: lines.length, failed: failed + notOk, perSecond: lines.length / options.seconds,
      p50Us: percentile(timesUs, 0.5), p99Us: percentile(timesUs, 0.99), cpuUs: cpuUs / lines.length,
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}
