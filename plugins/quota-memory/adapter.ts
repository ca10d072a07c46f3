/** Counts in the memory of this process, which its workers share: exact, answered at once, gone when the process ends. */
import { z } from 'zod';
import { openMemoryStore } from 'sluice/counting';
import { defineAdapter } from 'sluice/plugin';

export default defineAdapter({
  name: 'quota-memory',
  summary: 'Counts in the memory of this process: exact, answered at once, forgotten when it ends.',
  config: z.strictObject({
    maxKeys: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(1_000_000)
      .describe(
        "How many counters are kept, of all names; each takes at most 600 bytes, since keys longer than 128 characters are kept as their SHA-256. Where all are in use, a name that has less than its share gets the place of the oldest counter of the name that has most (counted by sluice_plugin_quota_memory_evicted_total); any other new key is turned away: the handler is not ready, and the rule's onError decides. With several workers places are looked for in sets of 16, and the counter of that set that ends first goes.",
      ),
    maxEntries: z
      .int()
      .min(1000)
      .max(10_000_000)
      .default(1_000_000)
      .describe(
        'With several workers: how many charges of `log` and `concurrency` are remembered, of all counters. Where all are in use, one that ends soon is forgotten, and sluice_plugin_quota_memory_entries_evicted_total counts it.',
      ),
  }),
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  selfContained: true,
  open: async (config, host) => openMemoryStore(config, host),
});
