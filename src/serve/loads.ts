import type { Policy } from '../core/rules/policy.ts';
import type { Finding } from '../core/rules/yaml/findings.ts';

/** Why the last policy that was read is not in force. */
export interface Refusal {
  readonly atMs: number;
  readonly why: string;
  readonly findings: readonly Finding[];
}

/** How loading policies has gone. */
export class Loads {
  /** In force. */
  policy: Policy | undefined;
  loadedCount = 0;
  refusedCount = 0;
  /** When the policy in force was loaded; milliseconds since 1970. */
  atMs = 0;
  /** `undefined` where what was read last is in force. */
  refusal: Refusal | undefined;

  took(policy: Policy): void {
    this.policy = policy;
    this.loadedCount += 1;
    this.atMs = Date.now();
    this.refusal = undefined;
  }

  refused(why: string, findings: readonly Finding[]): void {
    this.refusedCount += 1;
    this.refusal = { atMs: Date.now(), why, findings };
  }
}
