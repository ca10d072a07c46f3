/** Opens the self-contained adapters of a case with its clock, without log and metrics. */
import { openHandler } from '../../adapters/open-handler.ts';
import { createPluginMetrics } from '../../adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import { SILENT } from '../../log/log.ts';
import type { RunOptions } from './run.ts';

export function realAdapters(): RunOptions['open'] {
  return async (adapter, spec, config, clock) =>
    openHandler(
      adapter,
      { ...spec, config },
      { log: SILENT, metrics: createPluginMetrics(SILENT), shared: createSharedMemory(), clock },
    );
}
