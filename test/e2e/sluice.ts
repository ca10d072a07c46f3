/** `sluice serve` as a child process, with its output as lines. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { killAtExit } from '../parts/child.ts';
import { COMMAND } from '../parts/command-path.ts';

/** `await using` stops it, also when a test fails. */
export interface ServedSluice extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly folder: string;
  /** The policy's file; a write reloads it. */
  readonly policyFile: string;
  readonly grpcPort: number;
  readonly adminPort: number;
  /** With `--http`. */
  readonly httpPort: number | undefined;
  /** Lines of stdout, one JSON object each, written by log-stdout. */
  readonly written: readonly Readonly<Record<string, unknown>>[];
  /** Lines of stderr. */
  readonly log: readonly string[];
  admin(path: string): Promise<Response>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export async function serveSluice(
  policy: string,
  options: {
    grpcPort?: number;
    env?: Readonly<Record<string, string>>;
    files?: Readonly<Record<string, string>>;
    args?: readonly string[];
  } = {},
): Promise<ServedSluice> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-e2e-'));
  const policyFile = join(folder, 'policy.yaml');
  await writeFile(policyFile, policy);
  for (const [name, text] of Object.entries(options.files ?? {})) await writeFile(join(folder, name), text);
  const child = spawn(
    process.execPath,
    [
      COMMAND,
      'serve',
      policyFile,
      '--grpc',
      `127.0.0.1:${options.grpcPort ?? 0}`,
      '--admin',
      '127.0.0.1:0',
      '--grace',
      '3',
      ...(options.args ?? []),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    },
  );
  killAtExit(child);
  const written: Readonly<Record<string, unknown>>[] = [];
  const log: string[] = [];
  const ports = new Promise<{ grpcPort: number; adminPort: number; httpPort: number | undefined }>(
    (resolve, reject) => {
      let grpcPort: number | undefined;
      let httpPort: number | undefined;
      let adminPort: number | undefined;
      const read = (line: string): void => {
        grpcPort ??= portIn(/grpc\S*.*?127\.0\.0\.1:(\d+)/i, line);
        httpPort ??= portIn(/^ +HTTP .*?127\.0\.0\.1:(\d+)/, line);
        adminPort ??= portIn(/admin\S*.*?127\.0\.0\.1:(\d+)/i, line);
        if (grpcPort !== undefined && adminPort !== undefined) resolve({ grpcPort, adminPort, httpPort });
      };
      createInterface({ input: child.stderr }).on('line', (line) => {
        log.push(line);
        read(line);
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('{')) written.push(JSON.parse(line) as Record<string, unknown>);
        else read(line);
      });
      child.once('exit', (code) => reject(new Error(`sluice serve ended with ${code}:\n${log.join('\n')}`)));
    },
  );
  const { grpcPort, adminPort, httpPort } = await ports;
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill(signal);
      child.kill('SIGCONT'); // a test that failed may have left it stopped
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
    return child.exitCode;
  };
  return {
    child,
    folder,
    policyFile,
    grpcPort,
    adminPort,
    httpPort,
    written,
    log,
    admin: async (path) => fetch(`http://127.0.0.1:${adminPort}${path}`),
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}

function portIn(pattern: RegExp, line: string): number | undefined {
  const port = pattern.exec(line)?.[1];
  return port === undefined ? undefined : Number(port);
}

/** Waits until `look` returns a value that is neither undefined nor false; fails with the name of the condition. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 30_000,
): Promise<Exclude<T, false>> {
  const endAt = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, false>;
    if (Date.now() > endAt) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 25);
    });
  }
}

/** Named by its source in the error. */
export const untilHolds = (holds: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<true> =>
  until(String(holds), holds, timeoutMs);
