/** A program that a test or the demo started: frozen, thawed, killed and stopped by its pid, never by name. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Part {
  readonly pid: number;
  /** What it has printed so far. */
  printed(): string;
  /** True until it has ended. */
  isRunning(): boolean;
  freeze(): void;
  thaw(): void;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  /** SIGTERM, after `graceMs` SIGKILL, and waits for its end. Harmless when repeated. */
  stop(graceMs?: number): Promise<void>;
}

/** SIGKILL for each that still runs. */
const killers = new Set<() => void>();
let isGuarded = false;

/** Who starts parts is itself ended by signals, Ctrl-C in a terminal first of all; the parts have process groups of their own and would stay. */
function endWithUs(): void {
  if (isGuarded) return;
  isGuarded = true;
  const killAll = (): void => {
    for (const kill of killers) kill();
  };
  process.once('exit', killAll);
  process.once('disconnect', killAll); // of a worker of the test runner
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      process.kill(process.pid, signal);
    });
  }
}

const MOST_PRINTED = 200_000;

export function startChild(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Part {
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  let printed = '';
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-MOST_PRINTED);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  child.on('error', (error) => {
    printed += `\n${error.message}`;
  });
  const isRunning = (): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  const killLast = (): void => {
    if (isRunning()) child.kill('SIGKILL');
  };
  endWithUs();
  killers.add(killLast);
  child.once('exit', () => killers.delete(killLast));
  const ended = async (): Promise<void> => {
    if (isRunning()) await once(child, 'exit');
  };
  return {
    pid: child.pid ?? -1,
    printed: () => printed,
    isRunning,
    freeze: () => {
      child.kill('SIGSTOP');
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
      child.kill('SIGCONT'); // a frozen one cannot end
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended();
      clearTimeout(timer);
    },
  };
}

/** Waits until `look` answers true; fails with what the part printed when it ends or time is over. */
export async function untilReady(
  name: string,
  part: Part,
  look: () => Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const endAt = Date.now() + timeoutMs;
  for (;;) {
    if (!part.isRunning()) throw new Error(`${name} ended before it was ready. It printed:\n${part.printed()}`);
    if (await look().catch(() => false)) return;
    if (Date.now() > endAt) {
      await part.kill();
      throw new Error(`${name} was not ready after ${timeoutMs} ms. It printed:\n${part.printed()}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 25);
    });
  }
}
