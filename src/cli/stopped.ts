import type { OwnLog } from './log.ts';

export interface Stoppable {
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

/** Until the first SIGTERM or SIGINT has been carried out. A second one ends the process at once. SIGHUP loads anew. */
export async function stopped(server: Stoppable, log: OwnLog): Promise<void> {
  process.on('SIGHUP', () => { server.reload().catch((error: unknown) => log.error('loading anew failed', { error })); });
  await new Promise<void>((resolve, reject) => {
    let isStopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (isStopping) {
        log.warn('told twice to stop: ends at once', { signal });
        process.exit(signal === 'SIGINT' ? 130 : 143);
      }
      isStopping = true;
      log.info('told to stop: takes no new calls, lets those in flight end', { signal });
      server.drain().then(resolve, reject);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
  log.info('stopped');
}
