/**
 * Selectors of labels, with the operators and the limits of Kubernetes' own
 * (kubernetes.io/docs/concepts/overview/working-with-objects/labels).
 */
import { z } from 'zod';
import { LABEL_KEY, labels, labelValue, NOT_A_KEY } from './values.ts';

const key = z.string().regex(LABEL_KEY, NOT_A_KEY);

const expression = z
  .strictObject({
    key,
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(labelValue).default([]),
  })
  .superRefine(({ operator, values }, context) => {
    const needsValues = operator === 'In' || operator === 'NotIn';
    if (needsValues === values.length > 0) return;
    const message = needsValues ? `the operator ${operator} needs values` : `the operator ${operator} takes no values`;
    context.addIssue({ code: 'custom', path: ['values'], message });
  });

/** Without a condition it selects everything. */
export const labelSelector = z.strictObject({
  matchLabels: labels.default({}),
  matchExpressions: z.array(expression).default([]),
});
export type LabelSelector = z.output<typeof labelSelector>;

const selects = ({ matchLabels, matchExpressions }: LabelSelector, labels: ReadonlyMap<string, string>): boolean =>
  Object.entries(matchLabels).every(([name, wanted]) => labels.get(name) === wanted) &&
  matchExpressions.every((one) => isMet(one, labels.get(one.key)));

/** Whether one of them does; without selectors all labels are. */
export const isSelected = (
  selectors: readonly LabelSelector[] | undefined,
  labels: ReadonlyMap<string, string>,
): boolean =>
  selectors === undefined || selectors.length === 0 || selectors.some((selector) => selects(selector, labels));

function isMet({ operator, values }: z.output<typeof expression>, label: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return label !== undefined && values.includes(label);
    case 'NotIn':
      return label === undefined || !values.includes(label);
    case 'Exists':
      return label !== undefined;
    case 'DoesNotExist':
      return label === undefined;
  }
}
