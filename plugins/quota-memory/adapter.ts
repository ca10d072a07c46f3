/** Counts in the memory of this process, which its workers share: exact, answered at once, gone when the process ends. */
import { z } from 'zod';
import { defineAdapter, quota } from 'sluice/plugin';
import { Counters } from './counters.ts';
import { SharedCounters } from './shared-counters.ts';

export default defineAdapter({
  name: 'quota-memory',
  summary: 'Counts in the memory of this process: exact, answered at once, forgotten when it ends.',
  config: z.strictObject({
    maxKeys: z.int().min(1).max(10_000_000).default(1_000_000)
      .describe('How many counters are kept. Where all are in use, the oldest of those with the shortest period starts anew, and sluice_plugin_quota_memory_evicted_total counts it.'),
    maxEntries: z.int().min(1000).max(10_000_000).default(1_000_000)
      .describe('With several workers: how many charges of `log` and `concurrency` are remembered, of all counters. Where all are in use, one that ends soon is forgotten, and sluice_plugin_quota_memory_entries_evicted_total counts it.'),
  }),
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  selfContained: true,
  async open({ maxKeys, maxEntries }, host) {
    const evicted = host.metrics.counter('quota_memory_evicted', 'Counters forgotten while in use, because maxKeys was reached.');
    if (host.worker.count > 1) {
      const entriesEvicted = host.metrics.counter('quota_memory_entries_evicted', 'Charges forgotten before they were over, because maxEntries was reached.');
      const shared = new SharedCounters({ maxKeys, maxEntries, host, onEvicted: () => evicted.add(), onEntryEvicted: () => entriesEvicted.add() });
      return quota({ bucket: (rule) => shared.bucket(rule), charge: (asks) => shared.charge(asks), reset: (asks) => shared.reset(asks) });
    }
    const counters = new Counters({ maxKeys, clock: host.clock, onEvicted: () => evicted.add() });
    return {
      ...quota({
        bucket: (rule) => counters.bucket(rule),
        charge: (asks) => counters.charge(asks),
        reset: (asks) => counters.reset(asks),
      }),
      close: () => counters.clear(),
    };
  },
});
