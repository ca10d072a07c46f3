/** The data of a server that has nothing yet; tests replace what they ask for. */
import type { AdminSources } from '../../../src/admin/sources.ts';

export const EMPTY_SOURCES: AdminSources = {
  policy: () => undefined,
  loading: () => ({ atMs: 0, configs: [], refusal: undefined, history: [] }),
  control: {
    candidate: async () => undefined,
    promote: async () => ({ status: 404, error: 'there is no candidate', findings: [] }),
    rollback: async () => ({ status: 409, error: 'there is no earlier policy', findings: [] }),
  },
  isDraining: () => false,
  ruleCounts: () => undefined,
  handlers: () => [],
  letters: async () => ({ rows: [], more: 0, shown: undefined, settled: [], failed: [] }),
  verdicts: () => [],
  play: async () => ({ wrong: 'no policy is in force' }),
  playStart: async () => ({ policy: undefined, why: 'no policy is in force', request: undefined }),
  topLimits: () => [],
  holders: async () => undefined,
  why: async () => undefined,
  logEntry: () => undefined,
  feed: () => ({ lines: [], dropped: 0, isNew: false }),
  limits: async () => undefined,
  async *metrics() {},
};
