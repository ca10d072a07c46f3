/** What the admin port shows of a running server. */
import type { Policy } from '../core/rules/policy.ts';

/** How loading policies has gone. */
export class Loads {
  policy: Policy | undefined;
  loaded = 0;
  refused = 0;
  atMs = 0;

  took(policy: Policy): void {
    this.policy = policy;
    this.loaded += 1;
    this.atMs = Date.now();
  }
}
