/** Verdicts of calls that no rule decided. */
import { nextId } from '../call-id.ts';
import { type LimitVerdict, NO_CHANGES, type Reason, type Verdict } from '../call.ts';
import { Code } from '../status.ts';

export const NO_POLICY: readonly Reason[] = [{ rule: '', text: 'no policy is in force', shadow: false }];

export const errorVerdict = (reasons: readonly Reason[]): Verdict => ({
  id: nextId(),
  outcome: 'error',
  rule: undefined,
  status: 503,
  code: Code.UNAVAILABLE,
  body: '',
  headers: [],
  changes: NO_CHANGES,
  shadow: [],
  reasons,
});

export const limitErrorVerdict = (reasons: readonly Reason[]): LimitVerdict => ({
  id: nextId(),
  outcome: 'error',
  rule: undefined,
  statuses: [],
  response: NO_CHANGES.response,
  shadow: [],
  reasons,
});
