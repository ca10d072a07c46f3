/** Opens the handlers of an engine, for a server or `sluice explain`. */
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
export const MOST_CLOSE_MS = 5000;

/** `worker`: its place in the crew, and the shared memory. `closeWithinMs`: per handler, including its background work. */
export function handlerOpener(
  log: OwnLog,
  worker?: { readonly place: Host['worker']; readonly shared: SharedMemory },
  closeWithinMs: number = MOST_CLOSE_MS,
): HandlerOpener {
  const metrics = createPluginMetrics(log);
  const environment = {
    log,
    metrics,
    shared: worker?.shared ?? createSharedMemory(),
    closeWithinMs,
    ...(worker === undefined ? {} : { worker: worker.place }),
  };
  return {
    metrics,
    openHandlers: (spec) => openHandler(spec.implementation, spec, environment),
  };
}
