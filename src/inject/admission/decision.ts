/**
 * Whether the webhook injects a pod.
 * **In**: a pod as JSON, its namespace, the policy. **Out**: the reason why it is left alone, or nothing. **Fails**: never.
 */
import { isObject, type JsonObject } from '../../text/json-object.ts';
import { type InjectConfig, type Pod } from '../contract.ts';

/** Values of the label `reason` of a metric. */
export const SKIP_REASONS = [
  'not_a_pod',
  'host_network',
  'system_namespace',
  'label',
  'annotation',
  'selector',
  'policy',
  'invalid_policy',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

export type DecisionConfig = Omit<InjectConfig, 'template'>;

const SYSTEM_NAMESPACES: Readonly<Record<InjectConfig['style'], readonly string[]>> = {
  '1.0': ['kube-system', 'kube-public'],
  today: ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'],
};

/** Label of today, annotation of both styles. */
const INJECT = 'sidecar.istio.io/inject';

export function whySkipped({ metadata, spec }: Pod, namespace: string, config: DecisionConfig): SkipReason | undefined {
  if (spec['hostNetwork'] === true) return 'host_network'; // rules of iptables would be the node's
  if (SYSTEM_NAMESPACES[config.style].includes(namespace)) return 'system_namespace';
  const { policy } = config;
  if (policy !== 'enabled' && policy !== 'disabled') return 'invalid_policy';
  const choice = config.style === '1.0' ? choiceIn10(metadata) : choiceToday(metadata, config);
  if (choice === undefined) return policy === 'enabled' ? undefined : 'policy';
  return choice.inject ? undefined : choice.reason;
}

interface PodChoice {
  readonly inject: boolean;
  readonly reason: SkipReason;
}

/** True by the words of YAML 1.1; any other word is false. */
function choiceIn10(metadata: JsonObject): PodChoice | undefined {
  const word = textsOf(metadata['annotations'])[INJECT] ?? '';
  if (word === '') return undefined;
  return { inject: ['y', 'yes', 'true', 'on'].includes(word.toLowerCase()), reason: 'annotation' };
}

/** A word other than true and false leaves the decision to selectors and policy. */
function choiceToday(metadata: JsonObject, config: DecisionConfig): PodChoice | undefined {
  const labels = textsOf(metadata['labels']);
  const [word = '', reason] =
    labels[INJECT] === undefined
      ? [textsOf(metadata['annotations'])[INJECT], 'annotation' as const]
      : [labels[INJECT], 'label' as const];
  if (word === 'true' || word === 'false') return { inject: word === 'true', reason };
  const isSelected = (selectors: readonly JsonObject[] | undefined): boolean =>
    selectors?.some((selector) => selects(selector, labels)) === true;
  if (isSelected(config.neverInjectSelector)) return { inject: false, reason: 'selector' };
  return isSelected(config.alwaysInjectSelector) ? { inject: true, reason: 'selector' } : undefined;
}

type Texts = Readonly<Record<string, string>>;

function textsOf(value: unknown): Texts {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/**
 * `matchLabels` and `matchExpressions`, all of which must hold. An empty selector selects nothing, other than in Kubernetes; one with an
 * unknown operator does not, either.
 */
function selects(selector: JsonObject, labels: Texts): boolean {
  const wanted = Object.entries(textsOf(selector['matchLabels']));
  const expressions = Array.isArray(selector['matchExpressions']) ? selector['matchExpressions'].filter(isObject) : [];
  if (wanted.length + expressions.length === 0) return false;
  return (
    wanted.every(([name, value]) => labels[name] === value) &&
    expressions.every((expression) => holds(expression, labels))
  );
}

function holds({ key, operator, values }: JsonObject, labels: Texts): boolean {
  const value = labels[String(key)];
  const listed = Array.isArray(values) && values.includes(value);
  switch (operator) {
    case 'In':
      return value !== undefined && listed;
    case 'NotIn':
      return value === undefined || !listed;
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}
