/** Reports on disk of handlers that a policy no longer spools. */
import type { Log } from '../../../adapters/contract.ts';
import { inspectSpool } from '../../../spool/index.ts';
import { commandFor, spooledHandlers } from './folders.ts';

/** Logs what waits in `folder` for other handlers than those, in one line; never rejects. */
export async function logOrphans(folder: string, spooled: ReadonlySet<string>, log: Log): Promise<void> {
  const handlers: string[] = [];
  let reports = 0;
  for (const { name, logs } of await spooledHandlers(folder).catch(() => [])) {
    if (spooled.has(name)) continue;
    const found = await Promise.all(logs.map((one) => inspectSpool(one.folder).catch(() => undefined)));
    const waiting = found.reduce((sum, one) => sum + (one?.owner === undefined ? (one?.waiting ?? 0) : 0), 0);
    if (waiting > 0) handlers.push(name);
    reports += waiting;
  }
  if (reports > 0)
    log.warn('reports wait on disk for handlers that the policy does not spool; they are kept, and not sent', {
      handlers,
      reports,
      list: commandFor('spool list', folder),
    });
}
