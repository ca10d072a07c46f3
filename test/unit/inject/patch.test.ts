import { applyPatch } from 'rfc6902';
import { describe, expect, test } from 'vitest';
import { type PatchOperation, patchOf } from '../../../src/inject/admission/patch.ts';
import { withDefaults } from '../../../src/inject/admission/defaults.ts';
import { INJECTED_LISTS, type InjectedList, type Injection, type Pod } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';

const STATUS = 'sidecar.istio.io/status';
const named = (name: string): JsonObject => ({ name, image: 'registry:5000/own/image:1' });
const ADDED: Readonly<Record<InjectedList, readonly JsonObject[]>> = {
  initContainers: [named('istio-init'), named('enable-core-dump')],
  containers: [named('istio-proxy')],
  volumes: [
    { name: 'istio-envoy', emptyDir: {} },
    { name: 'istio-certs', secret: { secretName: 's' } },
  ],
  imagePullSecrets: [{ name: 'pull' }],
};
const statusOf = (version: string): string =>
  JSON.stringify({
    version,
    ...Object.fromEntries(INJECTED_LISTS.map((list) => [list, ADDED[list].map(({ name }) => name)])),
  });
const INJECTION: Injection = { ...ADDED, first: [], probes: new Map(), status: statusOf('2'), warnings: [] };

function patched(pod: Pod, injection = INJECTION): JsonObject {
  const copy = structuredClone(pod) as { metadata: JsonObject; spec: JsonObject };
  const failures = applyPatch(copy, structuredClone(patchOf(pod, injection)) as never).filter(
    (failure) => failure !== null,
  );
  expect(failures).toEqual([]);
  return copy;
}

/** What a list may hold before, and what remains of it; the third stands between own items, so that indexes move. */
const OWN = ['own-1', 'own-2'];
type State = 'absent' | 'empty' | 'own' | 'injected' | 'both';
const STATES: readonly State[] = ['absent', 'empty', 'own', 'injected', 'both'];

function listIn(state: State, list: InjectedList): unknown {
  const own = OWN.map((name) => ({ name, image: 'x' }));
  const before = ADDED[list].map(({ name }) => ({ name, image: 'of-before' }));
  if (state === 'absent' || state === 'empty') return { absent: undefined, empty: [] }[state];
  return { own, injected: before, both: [before[0], own[0], ...before.slice(1), own[1]] }[state];
}

const podOf = (states: Readonly<Record<InjectedList, State>>, annotations: unknown): Pod => ({
  metadata: { name: 'pod', ...(annotations === undefined ? {} : { annotations }) },
  spec: Object.fromEntries(
    INJECTED_LISTS.map((list) => [list, listIn(states[list], list)]).filter(([, items]) => items !== undefined),
  ),
});

function namesIn(pod: JsonObject, list: InjectedList): readonly unknown[] {
  const items = (pod['spec'] as JsonObject)[list] as readonly JsonObject[];
  return items.map(({ name, image }) => (image === 'of-before' ? `${String(name)} of before` : name));
}

function* combinations(): Generator<Readonly<Record<InjectedList, State>>> {
  for (const initContainers of STATES)
    for (const containers of STATES)
      for (const volumes of STATES)
        for (const imagePullSecrets of STATES) yield { initContainers, containers, volumes, imagePullSecrets };
}

const FIRST: readonly (readonly InjectedList[])[] = [[], ['initContainers'], ['initContainers', 'containers']];

describe.each(FIRST.map((first) => ({ first })))('with first: $first', ({ first }) => {
  test('each combination of lists that a pod has or lacks ends with its own items and the new ones', () => {
    let count = 0;
    for (const states of combinations()) {
      const pod = podOf(states, { [STATUS]: statusOf('1'), mine: 'kept' });
      const injection = { ...INJECTION, first };
      const result = patched(pod, injection);
      for (const list of INJECTED_LISTS) {
        const own = states[list] === 'own' || states[list] === 'both' ? OWN : [];
        const added = ADDED[list].map(({ name }) => name);
        expect(namesIn(result, list)).toEqual(first.includes(list) ? [...added, ...own] : [...own, ...added]);
      }
      expect((result['metadata'] as JsonObject)['annotations']).toEqual({ [STATUS]: statusOf('2'), mine: 'kept' });
      expect(patched(result as unknown as Pod, injection)).toEqual(result); // twice is once
      count += 1;
    }
    expect(count).toBe(5 ** 4);
  });
});

test('without a status, and with one that has no lists, the names of old are replaced', () => {
  const states = { initContainers: 'both', containers: 'both', volumes: 'both', imagePullSecrets: 'both' } as const;
  for (const annotations of [
    undefined,
    null,
    {},
    { [STATUS]: '' },
    { [STATUS]: '{"version":"1"}' },
    { [STATUS]: 'injected' },
  ]) {
    const result = patched(podOf(states, annotations));
    expect(namesIn(result, 'containers')).toEqual([...OWN, 'istio-proxy']);
    expect(namesIn(result, 'volumes')).toEqual([...OWN, 'istio-envoy', 'istio-certs']);
    // Secrets had no name of old, so that one of the author's stays.
    expect(namesIn(result, 'imagePullSecrets')).toEqual(['pull of before', ...OWN, 'pull']);
    expect((result['metadata'] as JsonObject)['annotations']).toEqual({ [STATUS]: statusOf('2') });
  }
});

test('operations come in the order of Istio 1.0: removals from the end, additions, the status', () => {
  const states = {
    initContainers: 'injected',
    containers: 'both',
    volumes: 'absent',
    imagePullSecrets: 'own',
  } as const;
  const pod = podOf(states, { [STATUS]: statusOf('1') });
  const operations = patchOf(pod, INJECTION).map(({ op, path }: PatchOperation) => `${op} ${path}`);
  expect(operations).toEqual([
    'remove /spec/initContainers/1',
    'remove /spec/initContainers/0',
    'remove /spec/containers/0',
    'add /spec/initContainers/-',
    'add /spec/initContainers/-',
    'add /spec/containers/-',
    'add /spec/volumes',
    'add /spec/volumes/-',
    'add /spec/imagePullSecrets/-',
    'replace /metadata/annotations/sidecar.istio.io~1status',
  ]);
});

test('what an API server would fill in is there', () => {
  const container = (item: JsonObject): JsonObject => withDefaults('containers', { name: 'c', ...item });
  expect(container({ ports: [{ containerPort: 1 }], readinessProbe: { httpGet: { port: 2 } } })).toEqual({
    name: 'c',
    ports: [{ containerPort: 1, protocol: 'TCP' }],
    readinessProbe: {
      httpGet: { port: 2, path: '/', scheme: 'HTTP' },
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    },
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  });
  const policies = ['a', 'a:latest', 'host:5000/a', 'a:1', 'host:5000/a:1', `a@sha256:${'0'.repeat(64)}`, ''].map(
    (image) => container({ image })['imagePullPolicy'],
  );
  const [always, present] = ['Always', 'IfNotPresent'];
  expect(policies).toEqual([always, always, always, present, present, present, present]);
  expect(container({ resources: { limits: { cpu: '1' }, requests: { memory: '1Mi' } } })['resources']).toEqual({
    limits: { cpu: '1' },
    requests: { cpu: '1', memory: '1Mi' },
  });
  expect(withDefaults('volumes', { name: 'v', secret: { secretName: 's', optional: true } })).toEqual({
    name: 'v',
    secret: { secretName: 's', optional: true, defaultMode: 420 },
  });
  expect(
    withDefaults('volumes', {
      name: 'v',
      projected: { sources: [{ serviceAccountToken: { audience: 'istio-ca', path: 't' } }] },
    }),
  ).toEqual({
    name: 'v',
    projected: {
      defaultMode: 420,
      sources: [{ serviceAccountToken: { audience: 'istio-ca', path: 't', expirationSeconds: 3600 } }],
    },
  });
});
