import type { MetricFamily, MetricSample } from '../../core/metrics/families.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Finding } from '../../yaml/findings.ts';
import { counter, gauge, samples } from '../../core/metrics/family.ts';
import type { PolicyTexts } from './source.ts';

/** Why the policy that was read last is not in force. */
export interface Refusal {
  readonly atMs: number;
  readonly why: string;
  readonly findings: readonly Finding[];
}

/** What put a policy in force. */
export type PolicyOrigin = 'files' | 'candidate' | 'rollback';

/** A policy that is or was in force. */
export interface PastPolicy {
  readonly revision: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly origin: PolicyOrigin;
  readonly texts: PolicyTexts;
}

/** Policies kept for a rollback, besides the one in force. */
export const MAX_EARLIER = 10;

/** The policy in force, those before it, and counts of loads. */
export class Loads {
  /** In force. */
  policy: Policy | undefined;
  loadedCount = 0;
  refusedCount = 0;
  /** When the policy in force was loaded; milliseconds since 1970. */
  atMs = 0;
  /** `undefined` if the policy that was read last is in force. */
  refusal: Refusal | undefined;
  /** The policy in force, then earlier ones; a rollback takes the index in this list. */
  #past: readonly PastPolicy[] = [];
  readonly #maxEarlier: number;

  /** `maxEarlier`: those before it that are kept. */
  constructor(maxEarlier = MAX_EARLIER) {
    this.#maxEarlier = maxEarlier;
  }

  /** `steps`: for a rollback, the number of policies to go back; those after it are forgotten. */
  took(policy: Policy, texts: PolicyTexts, origin: PolicyOrigin, steps = 0): void {
    const { revision } = policy;
    this.policy = policy;
    this.loadedCount += 1;
    this.atMs = Date.now();
    this.refusal = undefined;
    const before = origin === 'rollback' ? this.#past.slice(steps + 1) : this.#past;
    const others = before[0] !== undefined && isAlike(before[0], revision, texts) ? before.slice(1) : before;
    this.#past = [{ revision, atMs: this.atMs, origin, texts }, ...others].slice(0, this.#maxEarlier + 1);
  }

  get origin(): PolicyOrigin | undefined {
    return this.#past[0]?.origin;
  }

  /** The one in force first. */
  get history(): readonly PastPolicy[] {
    return this.#past;
  }

  get earlier(): readonly PastPolicy[] {
    return this.#past.slice(1);
  }

  before(steps: number): PastPolicy | undefined {
    return this.earlier[steps - 1];
  }

  refused(why: string, findings: readonly Finding[]): void {
    this.refusedCount += 1;
    this.refusal = { atMs: Date.now(), why, findings };
  }
}

/** The same texts loaded again are no step back. */
const isAlike = (past: PastPolicy, revision: string, { named }: PolicyTexts): boolean =>
  past.revision === revision &&
  named.size === past.texts.named.size &&
  [...named].every(([file, text]) => past.texts.named.get(file) === text);

const revisionOf = ({ policy }: Loads): MetricSample[] =>
  policy === undefined ? [] : [{ labels: { revision: policy.revision }, value: 1 }];

export const candidateInfo = (loads: Loads): MetricFamily =>
  gauge('sluice_candidate_info', 'The candidate beside the policy in force; always 1.', () => revisionOf(loads));

export const policyFamilies = (loads: Loads): MetricFamily[] => [
  counter('sluice_policy_reloads_total', 'Policy loads since the start: loaded, or refused because of errors.', () =>
    samples('result', [
      ['loaded', loads.loadedCount],
      ['refused', loads.refusedCount],
    ]),
  ),
  gauge('sluice_policy_info', 'The policy in force; always 1.', () => revisionOf(loads)),
  gauge(
    'sluice_policy_loaded_timestamp_seconds',
    'Time at which the policy in force was loaded, in seconds since 1970.',
    () => loads.atMs / 1000,
  ),
  gauge(
    'sluice_policy_last_load_successful',
    '1 if the policy that was read last is in force; 0 if it was refused and the previous one stays (see /policy).',
    () => Number(loads.refusal === undefined),
  ),
  gauge('sluice_policy_rules', 'Rules in force.', () => loads.policy?.rules.length ?? 0),
];
