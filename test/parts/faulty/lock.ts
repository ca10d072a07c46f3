/** A check that loops while it holds a lock of all workers, where its input says so. */
import { allow, defineAdapter, SharedLock } from 'sluice/plugin';
import { z } from 'zod';

export default defineAdapter({
  name: 'check-lock',
  summary: 'Takes a lock for each call.',
  config: z.strictObject({}),
  serves: { check: { input: { value: 'string' } } },
  async open(_, host) {
    const lock = new SharedLock(host.shared('lock', 8), host.worker.number);
    return {
      check:
        () =>
        ({ value }) =>
          lock.within(() => {
            while (value === 'loop');
            return allow();
          }),
    };
  },
});
