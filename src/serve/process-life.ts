/**
 * The life of a server process.
 * **In**: a function that starts the server. **Out**: a server that drains on SIGTERM or SIGINT, even during start, and reloads on SIGHUP.
 * **Fails**: if it cannot start.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import type { OwnLog } from '../log/log.ts';
import { logFlushed } from '../log/log-output.ts';
import { followSignals, type ServerSignal } from './signals.ts';

export interface Stoppable {
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

export interface ServingOptions<S extends Stoppable> {
  readonly log: OwnLog;
  /** The signal is aborted if the process is to stop before the server has started. */
  readonly start: (signal: AbortSignal) => Promise<S>;
  /** Called when the server takes calls; it may be stopped from then on. */
  readonly onServing: (server: S) => void;
}

/** Time limit of a start that a signal interrupts; it is completed first, so that everything it opened is closed. */
const START_MS = 10_000;
/** Time to flush log lines. */
const FLUSH_MS = 1000;

/** Exits with 0 once the server has drained; a second signal exits at once. Rejects if the server cannot start. */
export async function serveUntilStopped<S extends Stoppable>({
  log,
  start,
  onServing,
}: ServingOptions<S>): Promise<never> {
  const stop = Promise.withResolvers<void>();
  const stopping = new AbortController();
  const running: { server?: S } = {};
  let isStopping = false;
  let isReloadWanted = false;

  const reload = (): void => {
    if (running.server === undefined) isReloadWanted = true;
    else if (!isStopping)
      running.server.reload().catch((error: unknown) => log.error('internal error while reloading', { error }));
  };
  followSignals((signal: ServerSignal) => {
    if (signal === 'SIGHUP') return reload();
    if (isStopping) {
      log.warn('second signal: exits at once', { signal });
      process.exit(signal === 'SIGINT' ? 130 : 143);
    }
    isStopping = true;
    log.info(
      running.server === undefined ? 'stopping during start' : 'stopping: takes no new calls, drains those in flight',
      { signal },
    );
    stopping.abort();
    stop.resolve();
  });

  const started = start(stopping.signal).then((server) => {
    running.server = server;
  });
  await Promise.race([started, stop.promise]).catch((error: unknown) => {
    if (!isStopping) throw error;
  });
  if (isStopping) await Promise.race([started.catch(() => undefined), sleep(START_MS, undefined, { ref: false })]);
  else if (running.server !== undefined) {
    setFlagsFromString('--semi-space-growth-factor=2'); // V8's default; bin.ts held it at 1 during the start
    onServing(running.server);
    if (isReloadWanted) reload();
    await stop.promise;
  }
  await running.server?.drain();
  log.info('stopped');
  await logFlushed(FLUSH_MS);
  process.exit(0); // at once; a signal that arrives while Node shuts down would change the exit code
}
