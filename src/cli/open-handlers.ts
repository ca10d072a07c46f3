/** Opens handlers for real, for whatever runs an engine: a server, an explanation. */
import { openHandler } from '../adapters/live.ts';
import { createPluginMetrics, type PluginMetrics } from '../adapters/plugin-metrics.ts';
import type { Registry } from '../adapters/registry.ts';
import { createSharedMemory } from '../adapters/shared-memory.ts';
import type { OpenHandlers } from '../core/open-handler.ts';
import type { OwnLog } from './log.ts';

export interface HandlerOpener {
  readonly openHandlers: OpenHandlers;
  /** What the open handlers publish. */
  readonly metrics: PluginMetrics;
}

export function handlerOpener(registry: Registry, log: OwnLog): HandlerOpener {
  const metrics = createPluginMetrics(log);
  const environment = { log, metrics, shared: createSharedMemory() };
  return {
    metrics,
    openHandlers: (spec) => {
      const adapter = registry.get(spec.adapter);
      if (adapter === undefined) return Promise.reject(new Error(`no adapter is named ${spec.adapter}`)); // the loader has looked
      return openHandler(adapter, spec, environment);
    },
  };
}
