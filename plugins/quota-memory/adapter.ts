/** Counts in the memory of this process, shared by its workers: exact, synchronous, lost when the process ends. */
import { z } from 'zod';
import { openMemoryStore } from 'sluice/counting';
import { defineAdapter } from 'sluice/plugin';

export default defineAdapter({
  name: 'quota-memory',
  summary: 'Counts in the memory of this process: exact and fast; counts are lost when it ends.',
  config: z.strictObject({
    maxKeys: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(1_000_000)
      .describe(
        'Maximum number of counters, over all names; each takes at most 600 bytes, since keys longer than 128 characters are stored as their ' +
          'SHA-256. When all are in use, a name below its share evicts the oldest counter of the name that has most ' +
          '(sluice_plugin_quota_memory_evicted_total); any other new key is rejected: the handler is not ready, and the ' +
          "rule's onError decides. With several workers, counters are in sets of 16, and the counter of a full set that ends first is evicted.",
      ),
    maxEntries: z
      .int()
      .min(1000)
      .max(10_000_000)
      .default(1_000_000)
      .describe(
        'With several workers: maximum number of charges of `log` and `concurrency` over all counters. When all are in use, one that ends ' +
          'soon is evicted, and sluice_plugin_quota_memory_entries_evicted_total counts it.',
      ),
  }),
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  selfContained: true,
  open: async (config, host) => openMemoryStore(config, host),
});
