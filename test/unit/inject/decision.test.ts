import { describe, expect, test } from 'vitest';
import { readInjectConfig } from '../../../src/inject/configs.ts';
import { type DecisionConfig, whySkipped } from '../../../src/inject/admission/decision.ts';

const INJECT = 'sidecar.istio.io/inject';

interface Said {
  readonly annotation?: string;
  readonly label?: string;
  readonly hostNetwork?: boolean;
  readonly namespace?: string;
}

function decided(config: DecisionConfig, { annotation, label, hostNetwork, namespace = 'shop' }: Said = {}): string {
  const metadata = {
    ...(annotation === undefined ? {} : { annotations: { [INJECT]: annotation } }),
    labels: { app: 'web', ...(label === undefined ? {} : { [INJECT]: label }) },
  };
  return (
    whySkipped({ metadata, spec: hostNetwork === undefined ? {} : { hostNetwork } }, namespace, config) ?? 'inject'
  );
}

const withBoth = (word: string, result: string): readonly (readonly [string, string, string])[] => [
  ['enabled', word, result],
  ['disabled', word, result],
];

describe('style 1.0', () => {
  const by = (policy: string, said?: Said): string => decided({ style: '1.0', policy }, said);

  test.each<readonly [policy: string, annotation: string | undefined, result: string]>([
    ['enabled', undefined, 'inject'],
    ['disabled', undefined, 'policy'],
    ['enabled', '', 'inject'],
    ['disabled', '', 'policy'],
    ...['y', 'yes', 'true', 'on', 'TRUE', 'Yes', 'ON'].flatMap((word) => withBoth(word, 'inject')),
    ...['false', 'no', 'off', '1', 'enabled', 'ture'].flatMap((word) => withBoth(word, 'annotation')),
    ['on', 'true', 'invalid_policy'],
    ['', undefined, 'invalid_policy'],
  ])('policy %j, annotation %j: %s', (policy, annotation, result) => {
    expect(by(policy, annotation === undefined ? {} : { annotation })).toBe(result);
  });

  test('a label has no effect', () => {
    expect(by('enabled', { label: 'false' })).toBe('inject');
  });

  test('pods of the host network and of the system are left alone, whatever they say', () => {
    expect(by('enabled', { annotation: 'true', hostNetwork: true })).toBe('host_network');
    expect(by('enabled', { annotation: 'true', hostNetwork: false })).toBe('inject');
    expect(by('enabled', { annotation: 'true', namespace: 'kube-system' })).toBe('system_namespace');
    expect(by('enabled', { annotation: 'true', namespace: 'kube-public' })).toBe('system_namespace');
    expect(by('enabled', { namespace: 'kube-node-lease' })).toBe('inject');
  });
});

describe('style today', () => {
  const by = (policy: string, said?: Said, more: Partial<DecisionConfig> = {}): string =>
    decided({ style: 'today', policy, ...more }, said);

  test.each([
    ['enabled', {}, 'inject'],
    ['disabled', {}, 'policy'],
    ['disabled', { label: 'true' }, 'inject'],
    ['enabled', { label: 'false' }, 'label'],
    ['disabled', { annotation: 'true' }, 'inject'],
    ['enabled', { annotation: 'false' }, 'annotation'],
    ['enabled', { label: 'true', annotation: 'false' }, 'inject'],
    ['enabled', { label: 'false', annotation: 'true' }, 'label'],
    // Any other word leaves it to the policy.
    ['enabled', { label: 'yes' }, 'inject'],
    ['disabled', { annotation: 'on' }, 'policy'],
    ['enabled', { label: '', annotation: 'false' }, 'inject'],
    ['enabled', { label: 'true', hostNetwork: true }, 'host_network'],
    ['enabled', { label: 'true', namespace: 'kube-node-lease' }, 'system_namespace'],
    ['legacy', { label: 'true' }, 'invalid_policy'],
  ] as const)('policy %j, pod %j: %s', (policy, said, result) => {
    expect(by(policy, said)).toBe(result);
  });

  test.each([
    [{ matchLabels: { app: 'web' } }, true],
    [{ matchLabels: { app: 'web', tier: 'x' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['a', 'web'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
    [{ matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['web'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
    [{ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'Like', values: ['web'] }] }, false],
    [{}, false],
  ])('the selector %j selects the pod: %j', (selector, isSelected) => {
    expect(by('enabled', {}, { neverInjectSelector: [selector] })).toBe(isSelected ? 'selector' : 'inject');
    expect(by('disabled', {}, { alwaysInjectSelector: [selector] })).toBe(isSelected ? 'inject' : 'policy');
  });

  test('what the pod says goes before selectors, and never before always', () => {
    const both = { matchLabels: { app: 'web' } };
    expect(by('disabled', { label: 'true' }, { neverInjectSelector: [both] })).toBe('inject');
    expect(by('enabled', {}, { neverInjectSelector: [both], alwaysInjectSelector: [both] })).toBe('selector');
  });
});

test('selectors are read from the configuration of Istio', () => {
  const text = `policy: enabled\ntemplate: x\nneverInjectSelector: [{ matchLabels: { app: web } }]\n`;
  expect(readInjectConfig(text, 'config', 'today')).toMatchObject({
    neverInjectSelector: [{ matchLabels: { app: 'web' } }],
    alwaysInjectSelector: [],
  });
  expect(() => readInjectConfig('template: x\nalwaysInjectSelector: web\n', 'config', 'today')).toThrow(
    'config: alwaysInjectSelector is not a list of label selectors',
  );
});
