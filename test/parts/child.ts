/** A child process of a test or the demo, signalled by pid and never by name. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { within } from './within.ts';

export interface Part {
  readonly pid: number;
  /** Output so far. */
  printed(): string;
  /** Whether it has not exited. */
  isRunning(): boolean;
  /** SIGSTOP; returns when all threads have stopped. */
  freeze(): void;
  thaw(): void;
  /** Sends SIGKILL and waits for the exit. */
  kill(): Promise<void>;
  /** Sends SIGTERM, then SIGKILL after `graceMs`, and waits for the exit. Idempotent. */
  stop(graceMs?: number): Promise<void>;
}

/** Kill functions of the children that run. */
const killers = new Set<() => void>();
let isGuarded = false;

/** Children have their own process groups, so a Ctrl-C in the terminal would leave them running. */
function killChildrenAtExit(): void {
  if (isGuarded) return;
  isGuarded = true;
  const killAll = (): void => {
    for (const kill of killers) kill();
  };
  process.once('exit', killAll);
  process.once('disconnect', killAll); // in a worker of the test runner
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      process.kill(process.pid, signal);
    });
  }
}

/** A test that fails or is interrupted before it stops a child does not leave it behind. */
export function killAtExit(child: ChildProcess): void {
  const kill = (): void => {
    child.kill('SIGKILL'); // of an exited child it does nothing
  };
  killChildrenAtExit();
  killers.add(kill);
  child.once('exit', () => killers.delete(kill));
}

const MAX_PRINTED = 200_000;

export function startChild(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Part {
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  let printed = '';
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-MAX_PRINTED);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  child.on('error', (error) => {
    printed += `\n${error.message}`;
  });
  const isRunning = (): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  killAtExit(child);
  const ended = async (): Promise<void> => {
    if (isRunning()) await once(child, 'exit');
  };
  return {
    pid: child.pid ?? -1,
    printed: () => printed,
    isRunning,
    freeze: () => {
      child.kill('SIGSTOP');
      if (child.pid !== undefined) untilStopped(child.pid);
    },
    thaw: () => {
      child.kill('SIGCONT');
    },
    kill: async () => {
      if (isRunning()) child.kill('SIGKILL');
      await ended();
    },
    stop: async (graceMs = 5000) => {
      if (!isRunning()) return;
      child.kill('SIGCONT'); // a frozen process cannot exit
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended();
      clearTimeout(timer);
    },
  };
}

const STOP_WITHIN_MS = 10_000;

/** A busy machine delivers SIGSTOP late; until then the process still answers. Throws after 10 s. */
function untilStopped(pid: number): void {
  const endAt = Date.now() + STOP_WITHIN_MS;
  while (!threadStates(pid).every((state) => 'TtZX'.includes(state))) {
    if (Date.now() > endAt) throw new Error(`process ${pid} has not stopped ${STOP_WITHIN_MS} ms after SIGSTOP`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); // sleeps: callers expect it to be stopped when this returns
  }
}

/** The letter of state of each thread, from proc(5); empty once the process is gone. */
function threadStates(pid: number): readonly string[] {
  const folder = `/proc/${pid}/task`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((thread) => {
    try {
      const stat = readFileSync(`${folder}/${thread}/stat`, 'utf8');
      return stat.charAt(stat.lastIndexOf(')') + 2);
    } catch {
      return 'X'; // it has ended since
    }
  });
}

/** A process that has frozen answers no look. */
const LOOK_MS = 10_000;

/** Waits until `look` returns true; fails with the output if the process exits or the time is over. */
export async function untilReady(
  name: string,
  part: Part,
  look: () => Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const endAt = Date.now() + timeoutMs;
  for (;;) {
    if (!part.isRunning()) throw new Error(`${name} exited before it was ready. Its output:\n${part.printed()}`);
    if (await within('an answer', look(), Math.min(LOOK_MS, Math.max(1, endAt - Date.now()))).catch(() => false))
      return;
    if (Date.now() > endAt) {
      await part.kill();
      throw new Error(`${name} was not ready after ${timeoutMs} ms. Its output:\n${part.printed()}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 25);
    });
  }
}
