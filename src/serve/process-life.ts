/**
 * The life of a process that serves.
 * **In**: how the server starts. **Out**: its end, by SIGTERM or SIGINT, also where one comes before it has started; SIGHUP loads anew.
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
  /** It serves: whoever reads this may stop it at once. */
  readonly onServing: (server: S) => void;
}

/** A start that was told to stop is waited for, so that what it opened is closed; after this time the process ends anyway. */
const START_MS = 10_000;
/** For lines that wait for a reader of stderr. */
const FLUSH_MS = 1000;

/** Ends the process, with 0, when it was told to stop and has; a second such signal ends it at once. Rejects where it cannot start. */
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
