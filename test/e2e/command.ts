/** Spawns the real command. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { killAtExit } from '../parts/child.ts';
import { COMMAND, ROOT } from '../parts/command-path.ts';

export { ROOT };

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface SpawnOptions {
  readonly stdin?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Another program: that of an installed package, or the sources. */
  readonly bin?: string;
}

/** Runs a command until it exits. */
export async function run(args: readonly string[], options: SpawnOptions = {}): Promise<Ran> {
  const child = spawn(process.execPath, [options.bin ?? COMMAND, ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...plainEnv(), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(options.stdin ?? '');
  const out = text(child.stdout);
  const err = text(child.stderr);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out: out(), err: err() };
}

/** A command that runs until it is stopped. */
export interface Program {
  readonly pid: number;
  out(): string;
  err(): string;
  /** Waits until stderr matches, from character `after` on. */
  said(pattern: RegExp, after?: number): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Sends SIGTERM if it runs; resolves with the exit code. */
  stop(): Promise<number | null>;
  readonly ended: Promise<number | null>;
}

export interface Serving extends Program {
  readonly grpc: string;
  readonly admin: string;
}

/** Resolves when it logs `ready`. */
export async function program(args: readonly string[], ready: RegExp, options: SpawnOptions = {}): Promise<Program> {
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(
    process.execPath,
    [options.bin ?? COMMAND, ...args],
    {
      cwd: options.cwd ?? ROOT,
      env: { ...plainEnv(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  killAtExit(child);
  const out = text(child.stdout);
  const err = text(child.stderr);
  const ended = once(child, 'close').then(([code]) => code as number | null);

  async function said(pattern: RegExp, after = 0): Promise<void> {
    const giveUpAt = Date.now() + 60_000;
    while (!pattern.test(err().slice(after))) {
      if (child.exitCode !== null)
        throw new Error(`sluice ended with ${child.exitCode} before it said ${pattern}:\n${err()}`);
      if (Date.now() > giveUpAt) throw new Error(`sluice did not say ${pattern} in 60 s:\n${err()}`);
      await new Promise((wake) => {
        setTimeout(wake, 20);
      });
    }
  }
  try {
    await said(ready);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return {
    out,
    err,
    said,
    ended,
    pid: child.pid ?? 0,
    signal: (signal) => {
      child.kill(signal);
    },
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      return ended;
    },
  };
}

/** `sluice serve` on free ports; resolves when it logs its addresses. */
export async function serving(
  configs: readonly string[],
  options: SpawnOptions & { readonly args?: readonly string[] } = {},
): Promise<Serving> {
  const args = [
    'serve',
    ...configs,
    '--grpc',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--log-format',
    'json',
    ...(options.args ?? []),
  ];
  const started = await program(args, /"msg":"serving"/, options);
  const line =
    started
      .err()
      .split('\n')
      .find((one) => one.includes('"msg":"serving"')) ?? '{}';
  const { grpc, admin } = JSON.parse(line) as { grpc: string; admin: string };
  return { ...started, grpc, admin };
}

/** Without the test runner's colours. */
function plainEnv(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _forced, ...env } = process.env;
  return { ...env, NO_COLOR: '1' };
}

function text(stream: Readable): () => string {
  let gathered = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    gathered += chunk;
  });
  return () => gathered;
}
