/**
 * The life of an Envoy as a child of `sluice sidecar`.
 * **In**: its program and arguments, and signals. **Out**: its exit code. **Fails**: with a CliError if it does not start.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnLog } from '../../log/log.ts';
import { followSignals } from '../../serve/signals.ts';
import { messageOf } from '../../text/message-of.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

/** Signals to stop: the first drains, the second ends at once. */
export interface Stops {
  readonly isStopping: boolean;
  readonly first: Promise<void>;
  readonly second: Promise<void>;
}

export function followStops(): Stops {
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let stops = 0;
  followSignals((signal) => {
    if (signal !== 'SIGHUP') (stops++ === 0 ? first : second).resolve();
  });
  return {
    get isStopping() {
      return stops > 0;
    },
    first: first.promise,
    second: second.promise,
  };
}

export interface EnvoyLife {
  readonly log: OwnLog;
  readonly adminPort: number;
  readonly drainMs: number;
  readonly stops: Stops;
}

export async function runEnvoy(program: string, args: readonly string[], life: EnvoyLife): Promise<ExitCode> {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  ended.catch(() => undefined); // `spawned` rejects as well
  await once(child, 'spawn').catch((error: unknown) => {
    throw new CliError(
      'CLI_USAGE',
      `${program} does not start: ${messageOf(error)}; give the program of Envoy by --binaryPath`,
    );
  });
  const { stops, log } = life;
  void stops.first.then(() => drained(child, life)).finally(() => child.kill('SIGTERM'));
  void stops.second.then(() => child.kill('SIGKILL'));
  const [code, signal] = await ended;
  log.info('Envoy has ended', { code, signal });
  return (stops.isStopping ? EXIT.ok : (code ?? EXIT.findings)) as ExitCode;
}

/** New connections go elsewhere, and open ones may end. */
async function drained(child: ChildProcess, { log, adminPort, drainMs }: EnvoyLife): Promise<void> {
  log.info('stopping: drains connections', { drainMs });
  try {
    await fetch(`http://127.0.0.1:${adminPort}/drain_listeners?graceful`, {
      method: 'POST',
      signal: AbortSignal.timeout(1000),
    });
  } catch (error) {
    return log.warn('Envoy does not drain, and is ended', { why: messageOf(error) });
  }
  const over = new AbortController();
  child.once('exit', () => over.abort());
  await sleep(drainMs, undefined, { signal: over.signal }).catch(() => undefined);
}
