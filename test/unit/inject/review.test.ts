import { describe, expect, test } from 'vitest';
import { answerReview, injectorOf, type Injector, ReviewError } from '../../../src/inject/admission/review.ts';
import type { Injection, Pod } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';
import { InjectError } from '../../../src/inject/errors.ts';

const INJECTION: Injection = {
  initContainers: [],
  containers: [{ name: 'istio-proxy', image: 'proxy:1' }],
  volumes: [],
  imagePullSecrets: [],
  first: [],
  probes: new Map(),
  status: '{}',
  warnings: [],
};
const ANSWERS: Injector = { decision: { policy: 'enabled', style: '1.0' }, injectionFor: () => INJECTION };

const POD = { metadata: { generateName: 'web-5d4f9c-' }, spec: { containers: [{ name: 'web' }] } };

/** As a kube-apiserver of today sends it. */
const reviewOf = (request: JsonObject = {}, apiVersion = 'admission.k8s.io/v1'): string =>
  JSON.stringify({
    apiVersion,
    kind: 'AdmissionReview',
    request: {
      uid: 'c0ffee',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'shop',
      operation: 'CREATE',
      userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
      object: POD,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      ...request,
    },
  });

interface Response {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: string;
  readonly patchType?: string;
  readonly status?: JsonObject;
  readonly warnings?: readonly string[];
}
const responseIn = (body: string): Response => (JSON.parse(body) as { response: Response }).response;

test.each(['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'])('%s is answered in its own version', (apiVersion) => {
  const { body, outcome, pod } = answerReview(reviewOf({}, apiVersion), ANSWERS);
  const answer = JSON.parse(body) as JsonObject;
  expect(answer['apiVersion']).toBe(apiVersion);
  expect(answer['kind']).toBe('AdmissionReview');
  const { uid, allowed, patch = '', patchType, ...others } = responseIn(body);
  expect({ uid, allowed, patchType }).toEqual({ uid: 'c0ffee', allowed: true, patchType: 'JSONPatch' });
  expect(others).toEqual({});
  expect((JSON.parse(Buffer.from(patch, 'base64').toString()) as JsonObject[]).map(({ op }) => op)).toEqual([
    'add',
    'add',
  ]);
  expect(outcome).toEqual({ kind: 'injected' });
  expect(pod).toBe('shop/web-5d4f9c-?');
});

test('the namespace of the request counts where the pod has none yet', () => {
  const seen: unknown[] = [];
  const injectionFor = ({ metadata }: Pod): Injection => {
    seen.push(metadata['namespace']);
    return INJECTION;
  };
  answerReview(reviewOf(), { ...ANSWERS, injectionFor });
  const { outcome } = answerReview(reviewOf({ namespace: 'kube-system' }), { ...ANSWERS, injectionFor });
  expect(seen).toEqual(['shop']);
  expect(outcome).toEqual({ kind: 'skipped', reason: 'system_namespace' });
});

test.each([
  ['an update', { operation: 'UPDATE' }],
  ['a deletion', { operation: 'DELETE', object: null }],
  ['another kind', { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } }],
  ['a subresource', { subResource: 'ephemeralcontainers' }],
  ['what has not the form of a pod', { object: { metadata: {}, spec: [] } }],
])('%s is allowed, and left as it is', (_, request) => {
  const { body, outcome } = answerReview(reviewOf(request), ANSWERS);
  expect(responseIn(body)).toEqual({ uid: 'c0ffee', allowed: true });
  expect(outcome).toEqual({ kind: 'skipped', reason: 'not_a_pod' });
});

test('a pod that cannot be injected is refused, with the reason as status: its own fault, or the configuration', () => {
  const failing = (error: unknown): Response => {
    const injectionFor = (): never => {
      throw error;
    };
    const { body, outcome } = answerReview(reviewOf(), { ...ANSWERS, injectionFor });
    expect(outcome.kind).toBe('failed');
    return responseIn(body);
  };
  expect(failing(new InjectError('INJECT_ANNOTATION', 'Invalid value', 'sidecar.istio.io/interceptionMode'))).toEqual({
    uid: 'c0ffee',
    allowed: false,
    status: { status: 'Failure', code: 400, reason: 'BadRequest', message: 'Invalid value' },
  });
  expect(failing(new InjectError('INJECT_TEMPLATE', 'line 3')).status?.['code']).toBe(500);
  expect(failing(new TypeError('a bug')).status?.['code']).toBe(500);
});

test('warnings of the injection are passed on', () => {
  const injectionFor = (): Injection => ({ ...INJECTION, warnings: ['runAsUser is 1337'] });
  expect(responseIn(answerReview(reviewOf(), { ...ANSWERS, injectionFor }).body).warnings).toEqual([
    'runAsUser is 1337',
  ]);
});

test('a template does not see what an earlier run of it has added', () => {
  const template = `
initContainers: [{ name: istio-init, args: ["[[ range .Spec.Containers ]][[ range .Ports ]][[ .ContainerPort ]],[[ end ]][[ end ]]"] }]
containers: [{ name: istio-proxy, ports: [{ containerPort: 15090 }] }]`;
  const injector = injectorOf({ policy: 'enabled', style: '1.0', template }, { defaultConfig: {} });
  const spec = {
    containers: [
      { name: 'web', ports: [{ containerPort: 80 }] },
      { name: 'istio-proxy', ports: [{ containerPort: 15090 }] },
    ],
  };
  const { body } = answerReview(reviewOf({ object: { metadata: {}, spec } }), injector);
  expect(Buffer.from(responseIn(body).patch ?? '', 'base64').toString()).toContain('"args":["80,"]');
});

describe('what is no review has no answer', () => {
  test.each([
    ['{"kind"', 'the body is not JSON'],
    ['[]', 'not an AdmissionReview with a request'],
    ['null', 'not an AdmissionReview with a request'],
    ['{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', 'not an AdmissionReview with a request'],
    [reviewOf({}, 'admission.k8s.io/v2'), 'apiVersion is "admission.k8s.io/v2"; expected admission.k8s.io/v1 or'],
    [reviewOf({ uid: 7 }), 'the request has no uid'],
  ])('%s', (body, why) => {
    expect(() => answerReview(body, ANSWERS)).toThrow(ReviewError);
    expect(() => answerReview(body, ANSWERS)).toThrow(why);
  });
});
