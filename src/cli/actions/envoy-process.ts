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

/**
 * New connections go elsewhere, and open ones may end. After the drain time Envoy takes none any more, so the calls that run then are the
 * last ones; they have as long again.
 */
async function drained(child: ChildProcess, { log, adminPort, drainMs }: EnvoyLife): Promise<void> {
  log.info('stopping: drains connections', { drainMs });
  const over = new AbortController();
  child.once('exit', () => over.abort());
  const { signal } = over;
  const admin = `http://127.0.0.1:${adminPort}`;
  try {
    await fetch(`${admin}/drain_listeners?graceful`, { method: 'POST', signal: AbortSignal.timeout(1000) });
    await sleep(drainMs, undefined, { signal });
    const endsAtMs = performance.now() + drainMs;
    let running = await runningCalls(admin);
    while (running > 0 && performance.now() < endsAtMs) {
      await sleep(POLL_MS, undefined, { signal });
      running = await runningCalls(admin);
    }
    if (running > 0 && drainMs > 0)
      log.warn('ends Envoy with calls that run still; a longer --drainDuration awaits them', { running });
  } catch (error) {
    if (!signal.aborted) log.warn('Envoy does not drain, and is ended', { why: messageOf(error) });
  }
}

const POLL_MS = 50;
/** By connection manager; that of the admin port has the call that asks. */
const RUNNING = /^http\.(?!admin\.).*downstream_rq_active$/;

async function runningCalls(admin: string): Promise<number> {
  const url = `${admin}/stats?format=json&filter=downstream_rq_active`;
  const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
  const { stats } = (await response.json()) as { readonly stats: readonly { name?: string; value?: unknown }[] };
  let running = 0;
  for (const { name = '', value } of stats) if (RUNNING.test(name) && typeof value === 'number') running += value;
  return running;
}
