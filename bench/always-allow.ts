/** The plugin of plugin-border.ts. */
import { allow, defineAdapter } from 'sluice/plugin';
import { z } from 'zod';

export default defineAdapter({
  name: 'check-nothing',
  summary: 'Allows, and loops for ever where its input says so; takes reports and forgets them.',
  config: z.strictObject({}),
  serves: { check: { input: { value: 'string' } }, report: { input: { value: 'string' } } },
  open: async () => ({
    check:
      () =>
      ({ value }) => {
        while (value === 'loop');
        return allow();
      },
    sink: () => undefined,
    write: () => undefined,
  }),
});
