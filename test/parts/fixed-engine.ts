/** An engine for tests of frontends, which decides as a test says. */
import { type Engine, type LimitVerdict, NO_CHANGES, NO_HEADERS, type Verdict } from '../../src/core/call.ts';

export const ALLOW: Verdict = {
  id: 'v-1',
  outcome: 'allow',
  rule: undefined,
  status: 200,
  code: 0,
  body: '',
  headers: [],
  changes: NO_CHANGES,
  shadow: [],
  reasons: [],
};
export const DENY: Verdict = { ...ALLOW, outcome: 'deny', rule: 'closed', status: 403, code: 7 };
export const GRANT: LimitVerdict = {
  id: 'v-2',
  outcome: 'allow',
  rule: undefined,
  statuses: [],
  response: NO_HEADERS,
  shadow: [],
  reasons: [],
};

/** Allows, grants, and keeps reports at once, but for what `own` says. */
export const fixedEngine = (own: Partial<Engine> = {}): Engine => ({
  check: () => ALLOW,
  limit: () => GRANT,
  report: () => undefined,
  whenSafe: () => undefined,
  reportsFull: () => false,
  ...own,
});
