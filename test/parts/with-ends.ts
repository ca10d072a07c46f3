/** Tests that run beside each other end what each has begun, in reverse order. */
import { test } from 'vitest';

export type Ends = (() => Promise<unknown> | void)[];

export const withEnds = test.extend<{ readonly ends: Ends }>({
  // oxlint-disable-next-line no-empty-pattern -- the runner reads the names of fixtures from the pattern
  ends: async ({}, use) => {
    const ends: Ends = [];
    await use(ends);
    for (const end of ends.toReversed()) await end();
  },
});
