/** A call and its verdict as a case of `sluice test`, in YAML (docs/rules.md, section 9). */
import type { Explanation, Values } from './api.ts';
import { valueText } from './format.ts';

export interface PlayedCall {
  readonly call: string;
  readonly attributes: Values;
  readonly carried?: Values;
}

const WANTED = { allow: 'allow', deny: 'deny', failed: 'failed', error: 'error' } as const;

export function caseText({ call, attributes, carried = {} }: PlayedCall, { verdict }: Explanation): string {
  const lines = [`- name: ${quoted(nameOf(attributes, verdict))}`, `  ${call}:`, ...mapLines(attributes)];
  if (Object.keys(carried).length > 0) lines.push('  carried:', ...mapLines(carried));
  if (verdict === undefined) return `${lines.join('\n')}\n`;
  const { outcome, rule, status } = verdict;
  const wanted = outcome === 'allow' ? 'allow: true' : `${WANTED[outcome]}: ${quoted(rule ?? '')}`;
  const isShown = outcome === 'deny' && status !== undefined;
  return `${lines.join('\n')}\n  want: { ${wanted}${isShown ? `, status: ${status}` : ''} }\n`;
}

const nameOf = (attributes: Values, verdict: Explanation['verdict']): string =>
  `${valueText(attributes['request.method'] ?? 'a call')} ${valueText(attributes['request.path'] ?? '')}`
    .trim()
    .slice(0, 80) +
  ` ${verdict === undefined ? 'is reported' : verdict.outcome === 'allow' ? 'is allowed' : verdict.outcome === 'deny' ? 'is denied' : 'fails'}`;

/** JSON is YAML, except for line separators that it need not escape. */
const quoted = (value: unknown): string =>
  JSON.stringify(value).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

const mapLines = (values: Values): string[] =>
  Object.entries(values).map(([name, value]) => `    ${name}: ${quoted(value)}`);
