import type { MetricFamily, MetricSample } from '../../core/metrics/families.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Finding } from '../../core/rules/yaml/findings.ts';

/** Why the policy that was read last is not in force. */
export interface Refusal {
  readonly atMs: number;
  readonly why: string;
  readonly findings: readonly Finding[];
}

/** The policy in force, and counts of loads. */
export class Loads {
  /** In force. */
  policy: Policy | undefined;
  loadedCount = 0;
  refusedCount = 0;
  /** When the policy in force was loaded; milliseconds since 1970. */
  atMs = 0;
  /** `undefined` if the policy that was read last is in force. */
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

export function policyFamilies(loads: Loads): MetricFamily[] {
  const one = (value: number): MetricSample[] => [{ labels: {}, value }];
  return [
    {
      kind: 'counter',
      name: 'sluice_policy_reloads_total',
      help: 'Policy loads since the start: loaded, or refused because of errors.',
      read: () => [
        { labels: { result: 'loaded' }, value: loads.loadedCount },
        { labels: { result: 'refused' }, value: loads.refusedCount },
      ],
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_info',
      help: 'The policy in force; always 1.',
      read: () => (loads.policy === undefined ? [] : [{ labels: { revision: loads.policy.revision }, value: 1 }]),
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_loaded_timestamp_seconds',
      help: 'Time at which the policy in force was loaded, in seconds since 1970.',
      read: () => one(loads.atMs / 1000),
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_last_load_successful',
      help: '1 if the policy that was read last is in force; 0 if it was refused and the previous one stays (see /policy).',
      read: () => one(Number(loads.refusal === undefined)),
    },
    {
      kind: 'gauge',
      name: 'sluice_policy_rules',
      help: 'Rules in force.',
      read: () => one(loads.policy?.rules.length ?? 0),
    },
  ];
}
