/** A process under measurement: started on one core, its CPU time read from the kernel, ended by pid. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const CLOCK_TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export interface Measured {
  readonly child: ChildProcess;
  /** User and system time spent so far, in microseconds. */
  cpuUs(): number;
  stop(): Promise<void>;
}

/** User and system time that a process has spent so far. */
export function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND) * 1e6;
}

/** Starts `node ARGS` (or another program) pinned to a core and waits until `ready` has been printed (stdout or stderr). */
export async function startOnCore(
  core: number,
  args: readonly string[],
  ready: RegExp,
  program: string = process.execPath,
): Promise<Measured & { readonly match: RegExpExecArray }> {
  const child = spawn('taskset', ['-c', String(core), program, ...args], {
    // One core is measured; Go would use all that it sees.
    env: { ...process.env, GOMAXPROCS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const match = await new Promise<RegExpExecArray>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      const found = ready.exec(printed);
      if (found !== null) resolve(found);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) =>
      reject(new Error(`${args.join(' ')} ended with ${code} before it was ready:\n${printed}`)),
    );
  });
  return {
    child,
    match,
    cpuUs: () => cpuUsOf(child.pid ?? 0),
    stop: async () => {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
