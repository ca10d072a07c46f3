/**
 * **In**: what recorded calls used of a policy. **Out**: warnings at the places of its rules. **Fails**: never.
 */
import type { Policy } from '../../core/rules/policy.ts';
import type { Rule } from '../../core/rules/rule.ts';
import type { Finding } from '../../yaml/findings.ts';
import type { Position } from '../../yaml/source-text.ts';
import type { Coverage, LimitUse, RuleUse } from './coverage.ts';
import type { CoverageErrorCode } from './errors.ts';

const MAX_HOST_FINDINGS = 50;
/** A limit is far if less than this share of it was used, and over if at least that share of its calls was. */
const FAR = 0.1;
const OVER = 0.5;

export function coverageFindings(policy: Policy, coverage: Coverage): readonly Finding[] {
  if (coverage.calls === 0) return [];
  return [
    ...policy.rules.flatMap((rule) => [
      ...ofRule(rule, coverage.rules.get(rule.name), coverage),
      ...ofLimit(rule, coverage.limits.get(rule.name)),
      ...ofOutputs(rule, policy, coverage),
    ]),
    ...ofHosts(policy, coverage),
  ];
}

const warning = (position: Position, code: CoverageErrorCode, message: string): Finding => ({
  severity: 'warning',
  position,
  code,
  message,
  excerpt: undefined,
});

/** Report rules are asked about what has happened, which is not recorded. */
function ofRule({ name, action, calls, position }: Rule, use: RuleUse | undefined, coverage: Coverage): Finding[] {
  const wasAsked = [...coverage.kinds].some((kind) => (calls as ReadonlySet<string>).has(kind));
  if (use === undefined || action?.kind === 'report' || !wasAsked) return [];
  const preempted = [...use.preempted.values()].reduce((sum, count) => sum + count, 0);
  if (use.matched === 0 && preempted === 0)
    return [warning(position, 'COVERAGE_RULE_UNMATCHED', `${name} applied to none of ${callsText(coverage.calls)}`)];
  const isReached = action?.kind === 'quota' ? use.matched > 0 : use.matched > preempted;
  if (preempted === 0 || use.decided > 0 || isReached) return [];
  const deciders = [...use.preempted].toSorted(([, a], [, b]) => b - a).slice(0, 3);
  const by = deciders.map(([decider, count]) => `${decider} (${count})`).join(', ');
  const what = action?.kind === 'quota' ? 'would have counted' : 'would have refused';
  return [
    warning(
      position,
      'COVERAGE_RULE_SHADOWED',
      `${name} ${what} ${callsText(preempted)}, each refused before by ${by}`,
    ),
  ];
}

function ofLimit({ name, position }: Rule, use: LimitUse | undefined): Finding[] {
  if (use === undefined || use.limit === 0) return [];
  if (use.over >= use.asks * OVER)
    return [
      warning(
        position,
        'COVERAGE_LIMIT_OVER',
        `${name} was over its limit of ${numberText(use.limit)} in ${use.over} of ${callsText(use.asks)}`,
      ),
    ];
  if (use.over > 0 || use.maxUsed >= use.limit * FAR) return [];
  return [
    warning(
      position,
      'COVERAGE_LIMIT_FAR',
      `${name} was never reached: at most ${numberText(use.maxUsed)} of ${numberText(use.limit)} were used in ${callsText(use.asks)}`,
    ),
  ];
}

export const numberText = (value: number): string => String(Math.round(value * 100) / 100);

function ofOutputs({ name, action, position }: Rule, { attributes }: Policy, coverage: Coverage): Finding[] {
  if (action?.kind !== 'enrich' || (coverage.rules.get(name)?.matched ?? 0) === 0) return [];
  return action.outputs
    .filter(({ slot }) => coverage.unread.has(slot))
    .map(({ slot }) =>
      warning(
        position,
        'COVERAGE_OUTPUT_UNREAD',
        `${attributes.at(slot).name} of ${name} was read by no rule in ${callsText(coverage.readCalls)}`,
      ),
    );
}

/** Hosts have no place in the policy, so its first file stands for it. */
function ofHosts({ rules }: Policy, { hosts, otherHosts }: Coverage): Finding[] {
  const position: Position = { file: rules[0]?.position.file ?? 'policy', line: 1, column: 1 };
  const found = [...hosts]
    .toSorted(([a, { calls: ofA }], [b, { calls: ofB }]) => ofB - ofA || (a < b ? -1 : 1))
    .flatMap(([host, { calls, methods }]) => {
      const all = [...methods].toSorted(([, a], [, b]) => b.calls - a.calls);
      const names = all.map(([method]) => method).join(', ');
      if (all.every(([, { covered }]) => covered === 0))
        return [
          warning(position, 'COVERAGE_HOST_UNCOVERED', `no rule applied to ${callsText(calls)} to ${host} (${names})`),
        ];
      return all
        .filter(([, { covered }]) => covered === 0)
        .map(([method, of]) =>
          warning(
            position,
            'COVERAGE_METHOD_UNCOVERED',
            `no rule applied to ${callsText(of.calls)} to ${host} with ${method}`,
          ),
        );
    });
  const more = found.length - MAX_HOST_FINDINGS;
  const rest = [
    ...(more > 0 ? [`${more} more findings about hosts are not shown`] : []),
    ...(otherHosts > 0 ? [`${callsText(otherHosts)} to further hosts were not looked at`] : []),
  ];
  return [
    ...found.slice(0, MAX_HOST_FINDINGS),
    ...rest.map((message) => warning(position, 'COVERAGE_HOST_UNCOVERED', message)),
  ];
}

const callsText = (count: number): string => `${count} recorded ${count === 1 ? 'call' : 'calls'}`;
