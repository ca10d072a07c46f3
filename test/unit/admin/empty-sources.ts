/** The data of a server that has nothing yet; tests replace what they ask for. */
import type { AdminSources } from '../../../src/admin/sources.ts';

export const EMPTY_SOURCES: AdminSources = {
  policy: () => undefined,
  loading: () => ({ atMs: 0, refusal: undefined }),
  isDraining: () => false,
  ruleCounts: () => undefined,
  handlers: () => [],
  verdicts: () => [],
  feed: () => ({ lines: [], dropped: 0, isNew: false }),
  limits: async () => undefined,
  async *metrics() {},
};
