/** A proposal as a policy in YAML, with the evidence in comments. */
import { percentText, type Proposal, type ProposedLimit, type ProposedRule } from './proposal.ts';
import { NOUN } from './rule-text.ts';

export function policyText(proposal: Proposal): string {
  const { hosts, rules, limits, trustedHops } = proposal;
  const lines = [...headLines(proposal), ''];
  if (trustedHops !== undefined) lines.push(`settings: { trustedHops: ${trustedHops} }`, '');
  if (limits.length > 0)
    lines.push(
      'handlers:',
      '  # Counts in this process alone; quota-redis counts for all replicas.',
      '  limits: { adapter: quota-memory, config: {} }',
      '',
    );
  lines.push(
    'rules:',
    '  # A path that servers read differently would pass rules that were made from the others.',
    '  - name: plain-paths-only',
    '    calls: [http]',
    `    match: ${expression(`${hostIn(hosts)} && !request.path_is_plain`)}`,
    '    deny: { status: 400 }',
    '',
    ...rules.flatMap((rule) => [...ruleLines(rule, proposal), '']),
    '  # Everything else on these hosts is denied. Other hosts pass; write a rule without a match to deny them.',
    '  - name: observed-only',
    '    calls: [http]',
    `    match: ${expression(hostIn(hosts))}`,
    '    deny: { unlessAllowed: observed, status: 403 }',
    '    # mode: shadow        # counts what it would deny',
  );
  for (const limit of limits) lines.push('', ...limitLines(limit, proposal));
  return `${[...lines, ...leftOutLines(proposal)].join('\n')}\n`;
}

function headLines({ calls, covered, firstMs, lastMs, groupBy, knowsCallers }: Proposal): string[] {
  return [
    `# Proposed by sluice suggest from ${countText(calls, 'call')}, ${timeText(firstMs)} to ${timeText(lastMs)}.`,
    `# The rules cover ${countText(covered, 'call')}; ${countText(calls - covered, 'call')} are left out and listed at the end.`,
    ...(knowsCallers
      ? []
      : [`# No call has ${NOUN[groupBy]}, so no rule looks at who calls, and limits count addresses.`]),
    '# What was not observed is denied: read it, and try it beside the policy in force before it is (docs/suggest.md).',
  ];
}

function ruleLines(
  { name, methods, host, template, match, callers, calls, share, firstMs, lastMs, examples, warnings }: ProposedRule,
  { knowsCallers }: Proposal,
): string[] {
  const who = !knowsCallers || callers === undefined ? '' : ` by ${countText(callers.length, 'caller')}`;
  return [
    `  # ${shown(`${methods.join(', ')} ${host}${template}`)}`,
    `  # ${countText(calls, 'call')} (${percentText(share)})${who}, ${timeText(firstMs)} to ${timeText(lastMs)}`,
    ...(examples.length === 0 ? [] : [`  # such as ${shown(examples.join(' '))}`]),
    ...warnings.map((warning) => `  # ${shown(warning)}`),
    `  - name: ${name}`,
    '    calls: [http]',
    `    match: ${expression(match)}`,
    '    allow: observed',
  ];
}

function limitLines(
  { name, host, key, limit, windows, clients, p999, max, warnings }: ProposedLimit,
  { windowMs, headroom }: Proposal,
): string[] {
  const per = spanText(windowMs);
  return [
    `  # ${host}: calls in ${per} by ${countText(clients, 'client')} (${countText(windows, 'counter')}): 99.9th percentile ${p999}, maximum ${max}; times ${headroom}`,
    ...warnings.map((warning) => `  # ${shown(warning)}`),
    `  - name: ${name}`,
    '    calls: [http]',
    `    match: ${expression(`request.host == "${host}"`)}`,
    `    quota: { handler: limits, limit: ${limit}, per: ${per}, key: [${expression(key)}] }`,
    '    mode: shadow',
  ];
}

function leftOutLines({ leftOut }: Proposal): string[] {
  if (leftOut.length === 0) return [];
  return [
    '',
    '# Left out:',
    ...leftOut.flatMap(({ why, calls, examples }) => [
      `#   ${countText(calls, 'call')}: ${why}`,
      ...examples.map((example) => `#     ${shown(example)}`),
    ]),
  ];
}

const hostIn = (hosts: readonly string[]): string =>
  hosts.length === 1
    ? `request.host == "${hosts[0]}"`
    : `request.host in [${hosts.map((host) => `"${host}"`).join(', ')}]`;

/** A scalar of YAML in single quotes. */
const expression = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const countText = (count: number, what: string): string =>
  `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`;

const timeText = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1000, 's'],
] as const;

/** As `per:` takes it. */
function spanText(ms: number): string {
  const [unit, name] = UNITS.find(([size]) => ms % size === 0) ?? [1, 'ms'];
  return `${ms / unit}${name}`;
}

/** In one line of printable ASCII: comments of YAML take no control characters, and terminals read them. */
const shown = (text: string): string =>
  text.slice(0, 1000).replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
