/**
 * The life of a process that serves.
 * **In**: how the server starts. **Out**: it drains on SIGTERM or SIGINT, also while it starts, and reloads on SIGHUP.
 * **Fails**: where it cannot start.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnLog } from '../log/log.ts';
import { logFlushed } from '../log/log-output.ts';
import { followSignals, type ServerSignal } from './signals.ts';

export interface Stoppable {
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

export interface ServingOptions<S extends Stoppable> {
  readonly log: OwnLog;
  readonly start: () => Promise<S>;
  /** The server takes calls, and may be stopped from now on. */
  readonly onServing: (server: S) => void;
}

/** Time limit of a start that is interrupted by a signal: it completes, so that everything it opened is closed. */
const START_MS = 10_000;
/** For log lines in the buffer of stderr. */
const FLUSH_MS = 1000;

/** Exits with 0 once the server has drained; a second signal exits at once. Rejects where the server cannot start. */
export async function serveUntilStopped<S extends Stoppable>({
  log,
  start,
  onServing,
}: ServingOptions<S>): Promise<never> {
  const stop = Promise.withResolvers<void>();
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
    stop.resolve();
  });

  const started = start().then((server) => {
    running.server = server;
  });
  await Promise.race([started, stop.promise]).catch((error: unknown) => {
    if (!isStopping) throw error;
  });
  if (isStopping) await Promise.race([started.catch(() => undefined), sleep(START_MS, undefined, { ref: false })]);
  else if (running.server !== undefined) {
    onServing(running.server);
    if (isReloadWanted) reload();
    await stop.promise;
  }
  await running.server?.drain();
  log.info('stopped');
  await logFlushed(FLUSH_MS);
  process.exit(0); // at once: a signal that comes while the process is taken down would change how it ends
}
