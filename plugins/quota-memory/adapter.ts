/** Counts in the memory of this process, which its workers share: exact, answered at once, gone when the process ends. */
import { z } from 'zod';
import { defineAdapter, quota } from 'sluice/plugin';
import { Counters } from './counters.ts';
import { Room } from './room.ts';
import { SharedCounters } from './shared-counters.ts';

/** Of each name; while there is no room, once a second. */
const SWEPT_AT_ONCE = 10_000;

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
  async open({ maxKeys, maxEntries }, host) {
    const evicted = host.metrics.counter(
      'quota_memory_evicted',
      'Counters forgotten while in use, because maxKeys was reached.',
    );
    if (host.worker.count > 1) {
      const entriesEvicted = host.metrics.counter(
        'quota_memory_entries_evicted',
        'Charges forgotten before they were over, because maxEntries was reached.',
      );
      const shared = new SharedCounters({
        maxKeys,
        maxEntries,
        host,
        onEvicted: () => evicted.add(),
        onEntryEvicted: () => entriesEvicted.add(),
      });
      return quota({
        bucket: (rule) => shared.bucket(rule),
        charge: (asks) => shared.charge(asks),
        reset: (asks) => shared.reset(asks),
      });
    }
    const counters = new Counters({
      maxKeys,
      clock: host.clock,
      onEvicted: () => evicted.add(),
      onFull: () => room.full(),
    });
    const room = new Room({
      host,
      why: `all ${maxKeys} counters are in use (maxKeys); calls with a new key come to their rule's onError`,
      hasRoom: () => {
        counters.sweep(SWEPT_AT_ONCE);
        return !counters.isFull;
      },
    });
    return {
      ...quota({
        bucket: (rule) => counters.bucket(rule),
        charge: (asks) => counters.charge(asks),
        reset: (asks) => counters.reset(asks),
      }),
      close() {
        room.close();
        counters.clear();
      },
    };
  },
});
