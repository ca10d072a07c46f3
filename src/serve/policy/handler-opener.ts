/** Opens the handlers of an engine, for a server or `sluice explain`. */
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import { openInWorker } from '../../adapters/worker/open-in-worker.ts';
import { openHandler } from '../../adapters/open-handler.ts';
import { createPluginMetrics, type PluginMetrics } from '../../adapters/plugin-metrics.ts';
import type { Host } from '../../adapters/contract.ts';
import { createSharedMemory, type SharedMemory } from '../../adapters/shared-memory.ts';
import type { OwnLog } from '../../log/log.ts';
import type { OpenHandlers } from '../../core/handlers/live-handler.ts';

export interface HandlerOpener {
  readonly openHandlers: OpenHandlers;
  /** Metrics that the open handlers publish. */
  readonly metrics: PluginMetrics;
}

/** Time limit of a handler's own `close`, after its reports and calls have ended. */
export const MAX_CLOSE_MS = 5000;

/**
 * `worker`: its place in the crew, and the shared memory. `closeWithinMs`: per handler, including its background work. `escaped` takes
 * errors that the processes of handlers do not catch.
 */
export function handlerOpener(
  log: OwnLog,
  worker?: { readonly place: Host['worker']; readonly shared: SharedMemory },
  closeWithinMs: number = MAX_CLOSE_MS,
  escaped?: EscapedErrors,
): HandlerOpener {
  const metrics = createPluginMetrics(log);
  const environment = {
    log,
    metrics,
    shared: worker?.shared ?? createSharedMemory(),
    closeWithinMs,
    escaped,
    ...(worker === undefined ? {} : { worker: worker.place }),
  };
  let remote: ReturnType<typeof loadRemote> | undefined;
  return {
    metrics,
    async openHandlers(spec) {
      const { implementation: adapter, origin, run } = spec;
      if (run.kind === 'dial') {
        const { openDialled, connections } = await (remote ??= loadRemote());
        return openDialled(adapter, spec, environment, run.target, connections);
      }
      if (run.kind === 'inline' || origin === undefined) return openHandler(adapter, spec, environment);
      return openInWorker(adapter, spec, environment, { module: origin.module, memoryBytes: run.memoryBytes });
    },
  };
}

/** With the first handler behind an address. */
async function loadRemote() {
  const { openDialled, Connections } = await import('../../adapters/remote/open-dialled.ts');
  return { openDialled, connections: new Connections() };
}
