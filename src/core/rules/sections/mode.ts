/** `mode` and `sample` of a rule: the share of matching calls that are enforced, or reported. */
import type { Attributes } from '../../../attributes/attributes.ts';
import type { Compiled } from '../../../expression/index.ts';
import { ACTIONS, type RuleKind } from '../../actions.ts';
import { isClientChosen } from '../client-chosen.ts';
import { expressionOf } from '../expressions.ts';
import type { Fields } from '../../../yaml/fields.ts';
import type { Mode, Rule } from '../rule.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { KEYS, RANGES } from '../keys.ts';
import { nodeText } from '../../../yaml/nodes.ts';

const ENFORCE: Mode = { kind: 'enforce' };
const SHADOW: Mode = { kind: 'shadow' };

export function modeOf(fields: Fields, kind: RuleKind, attributes: Attributes, findings: Findings): Mode {
  const node = fields.node('mode');
  if (node === undefined || (node.kind === 'scalar' && node.value === 'enforce')) return ENFORCE;
  if (node.kind === 'scalar' && node.value === 'shadow') return SHADOW;
  const percentage = node.kind === 'map' ? fields.map('mode', 'mode')?.only(KEYS.percentage) : undefined;
  if (percentage === undefined) {
    findings.error(
      'RULES_VALUE',
      node.place,
      `mode must be enforce, shadow, or { percent: 10, by: EXPRESSION }; found ${nodeText(node)}`,
    );
    return ENFORCE;
  }
  percentage.required('percent', 'a number from 0 to 100');
  const percent = percentage.number('percent', RANGES.percent);
  const keyExpression = keyExpressionOf(percentage, attributes, findings);
  if (
    keyExpression !== undefined &&
    ACTIONS[kind].refuses &&
    percent !== undefined &&
    percent < 100 &&
    isClientChosen(keyExpression.reads)
  )
    findings.warn(
      'RULES_CLIENT_CHOOSES',
      percentage.node('by')?.place ?? node.place,
      `clients choose ${keyExpression.source} freely, and thereby whether they are inside the ${percent} %; ` +
        'use a value that the proxy sets or verifies, such as origin.ip or source.principal',
    );
  return { kind: 'percent', percent: percent ?? 0, keyExpression };
}

export function sampleOf(fields: Fields, attributes: Attributes, findings: Findings): Rule['sample'] {
  const sample = fields.map('sample', 'sample')?.only(KEYS.percentage);
  if (sample === undefined) return undefined;
  sample.required('percent', 'a number from 0 to 100');
  return {
    percent: sample.number('percent', RANGES.percent) ?? 100,
    keyExpression: keyExpressionOf(sample, attributes, findings),
  };
}

/** `by`: its value decides who is inside. */
function keyExpressionOf(fields: Fields, attributes: Attributes, findings: Findings): Compiled | undefined {
  const node = fields.node('by');
  return node === undefined ? undefined : expressionOf(node, 'by', attributes, findings);
}
