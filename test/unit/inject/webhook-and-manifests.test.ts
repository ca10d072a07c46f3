/** The webhook's patch makes the pod that the injection of a manifest makes. */
import { applyPatch } from 'rfc6902';
import { expect, test } from 'vitest';
import { withDefaults } from '../../../src/inject/admission/defaults.ts';
import { answerReview, injectorOf } from '../../../src/inject/admission/review.ts';
import { withInjection } from '../../../src/inject/apply.ts';
import { defaultMeshConfig } from '../../../src/inject/configs.ts';
import { INJECTED_LISTS, type Pod } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';
import { injectionFor } from '../../../src/inject/injection.ts';
import { podOf } from '../../../src/inject/pod.ts';
import { config10, configToday } from '../../parts/inject-configs.ts';

/** As Istio's own Helm chart had it: the proxy has a port, and the init container gets the ports of all containers. */
const WITH_A_PORT = `
initContainers:
- name: istio-init
  image: init
  args: [ "-b", "[[ range .Spec.Containers ]][[ range .Ports ]][[ .ContainerPort ]], [[ end ]][[ end ]]" ]
containers:
- name: istio-proxy
  image: proxy
  ports: [{ containerPort: 15090, name: http-envoy-prom }]
`;
const CONFIGS = {
  '1.0': config10({ initCommand: ['iptables'], proxyImage: 'proxy', coreDump: true }),
  today: configToday({ image: 'sluice:latest', imagePullPolicy: 'Always' }),
  native: configToday({ nativeSidecar: true }),
  'with a port': { style: '1.0', policy: 'enabled', template: WITH_A_PORT },
} as const;

const ANNOTATIONS: readonly JsonObject[] = [
  {},
  { 'traffic.sidecar.istio.io/includeInboundPorts': '8080,9090', 'sidecar.istio.io/interceptionMode': 'TPROXY' },
  { 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0/8', 'sidecar.istio.io/proxyImage': 'other:latest' },
];
const SPECS: readonly JsonObject[] = [
  { containers: [{ name: 'web', image: 'web:1' }] },
  {
    containers: [
      { name: 'web', ports: [{ containerPort: 80 }] },
      { name: 'side', ports: [{ containerPort: 81 }, { containerPort: 82 }] },
    ],
  },
  {
    initContainers: [{ name: 'own-init' }],
    containers: [{ name: 'web' }],
    volumes: [{ name: 'own', emptyDir: {} }],
    serviceAccountName: 'shop',
  },
  {
    initContainers: [],
    containers: [{ name: 'web', securityContext: { runAsUser: 7 } }],
    volumes: [],
    imagePullSecrets: [{ name: 'own' }],
  },
  {
    initContainers: [{ name: 'side', restartPolicy: 'Always', startupProbe: { tcpSocket: { port: 82 } } }],
    containers: [
      { name: 'web', ports: [{ name: 'http', containerPort: 80 }], readinessProbe: { httpGet: { port: 'http' } } },
      { name: 'other', livenessProbe: { grpc: { port: 81 } }, lifecycle: { preStop: { httpGet: { port: 83 } } } },
    ],
  },
];

test.each(Object.entries(CONFIGS))('for the template %s', (_, config) => {
  const mesh = defaultMeshConfig(config.style);
  const injector = injectorOf(config, mesh);
  const byManifest = (pod: Pod): Pod => {
    const read = podOf(pod.metadata, pod.spec);
    return withInjection(read, injectionFor(read, { name: 'web', namespace: 'shop' }, config, mesh));
  };
  const byWebhook = (pod: Pod): Pod => {
    const request = { uid: 'u', namespace: 'shop', operation: 'CREATE', object: pod };
    const { body } = answerReview(
      JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }),
      injector,
    );
    const { patch = '' } = (JSON.parse(body) as { response: { patch?: string } }).response;
    const patched = structuredClone(pod);
    const failures = applyPatch(patched, JSON.parse(Buffer.from(patch, 'base64').toString()) as never);
    expect(failures.filter((failure) => failure !== null)).toEqual([]);
    return patched;
  };
  let count = 0;
  for (const annotations of ANNOTATIONS)
    for (const spec of SPECS) {
      const pod: Pod = { metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' }, annotations }, spec };
      const patched = byWebhook(pod);
      expect(defaulted(patched)).toEqual(defaulted(byManifest(pod)));
      expect(patched.spec).not.toEqual(spec);
      // Twice is once, in any order of the two.
      expect(byWebhook(patched)).toEqual(patched);
      expect(defaulted(byManifest(patched))).toEqual(defaulted(patched));
      expect(defaulted(byWebhook(byManifest(pod)))).toEqual(defaulted(patched));
      count += 1;
    }
  expect(count).toBe(15);
});

/** What an API server adds to all containers and volumes. */
function defaulted({ metadata, spec }: Pod): Pod {
  const lists = INJECTED_LISTS.filter((list) => spec[list] !== undefined).map((list) => [
    list,
    (spec[list] as readonly JsonObject[]).map((item) => withDefaults(list, item)),
  ]);
  return { metadata, spec: { ...spec, ...Object.fromEntries(lists) } };
}
