/**
 * A process that serves large lists of pods, their services and endpoints, as a cluster has them, over HTTPS: `node kube-crowd.ts COUNT`
 * prints its port. Ten pods of a Deployment have equal labels; one pod in ten belongs to a StatefulSet, with labels of its own.
 */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLS } from '../unit/transport/tls-of-tests.ts';

const NAMESPACES = 50;
const NODES = 1000;

/** As kubectl shows them, without the fields that nobody reads being short: managedFields are half of it. */
export function crowdPod(at: number): object {
  const workload = Math.floor(at / 10);
  const isStateful = at % 10 === 9;
  const namespace = `team-${workload % NAMESPACES}`;
  const name = isStateful ? `store-${workload}-0` : `service-${workload}-5d4f9c7b8-${at.toString(36).padStart(5, 'x')}`;
  const labels = {
    'app.kubernetes.io/name': `service-${workload}`,
    'app.kubernetes.io/instance': `service-${workload}-production`,
    'app.kubernetes.io/part-of': `team-${workload % NAMESPACES}`,
    'app.kubernetes.io/version': '1.42.0',
    ...(isStateful
      ? { 'statefulset.kubernetes.io/pod-name': name, 'controller-revision-hash': `store-${workload}-7c9d8b6f5` }
      : { 'pod-template-hash': '5d4f9c7b8' }),
  };
  const node = {
    name: `ip-10-0-${(at % NODES) >> 8}-${(at % NODES) & 255}.ec2.internal`,
    ip: `10.0.${(at % NODES) >> 8}.${(at % NODES) & 255}`,
  };
  const ip = `10.${100 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`;
  const container = (n: number): object => ({
    name: `container-${n}`,
    image: `registry.example/team/service-${workload}@sha256:${'0123456789abcdef'.repeat(4)}`,
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    env: Array.from({ length: 6 }, (_, variable) => ({
      name: `VARIABLE_${variable}`,
      value: `a "quoted" value ${variable}`,
    })),
    volumeMounts: [
      { name: 'kube-api-access', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
    ],
    terminationMessagePath: '/dev/termination-log',
    imagePullPolicy: 'IfNotPresent',
  });
  const owner = isStateful ? ['StatefulSet', `store-${workload}`] : ['ReplicaSet', `service-${workload}-5d4f9c7b8`];
  return {
    metadata: {
      name,
      namespace,
      uid: `00000000-0000-4000-8000-${at.toString(16).padStart(12, '0')}`,
      resourceVersion: String(1000 + at),
      creationTimestamp: '2026-11-29T00:00:00Z',
      labels,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: owner[0], name: owner[1], uid: `0-${workload}-${owner[0]}`, controller: true },
      ],
      managedFields: Array.from({ length: 2 }, (_, n) => ({
        manager: `manager-${n}`,
        operation: 'Update',
        fieldsType: 'FieldsV1',
        fieldsV1: Object.fromEntries(
          Array.from({ length: 30 }, (__, field) => [`f:field-${field}`, { '.': {}, 'f:name': {} }]),
        ),
      })),
    },
    spec: { nodeName: node.name, serviceAccountName: `service-${workload}`, containers: [container(0), container(1)] },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      hostIP: node.ip,
      hostIPs: [{ ip: node.ip }],
      startTime: '2026-11-29T00:00:01Z',
    },
  };
}

/** The service of ten pods of the crowd. */
export const crowdService = (workload: number): object => ({
  metadata: {
    name: `service-${workload}`,
    namespace: `team-${workload % NAMESPACES}`,
    uid: `0-${workload}-Service`,
    resourceVersion: '7',
    creationTimestamp: '2026-11-29T00:00:00Z',
    labels: { 'app.kubernetes.io/name': `service-${workload}` },
  },
  spec: {
    type: 'ClusterIP',
    clusterIP: `10.${90 + (workload >> 16)}.${(workload >> 8) & 255}.${workload & 255}`,
    selector: { 'app.kubernetes.io/name': `service-${workload}` },
    ports: [
      { name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 },
      { name: 'grpc', port: 9000, protocol: 'TCP', targetPort: 9000 },
    ],
    sessionAffinity: 'None',
    ipFamilies: ['IPv4'],
  },
  status: { loadBalancer: {} },
});

/** Of such a service, as its controller writes it. */
export const crowdSlice = (workload: number): object => ({
  metadata: {
    name: `service-${workload}-x7k2p`,
    namespace: `team-${workload % NAMESPACES}`,
    resourceVersion: '7',
    creationTimestamp: '2026-11-29T00:00:00Z',
    labels: {
      'kubernetes.io/service-name': `service-${workload}`,
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    },
  },
  addressType: 'IPv4',
  endpoints: Array.from({ length: 10 }, (_, one) => {
    const { metadata, spec } = crowdPod(workload * 10 + one) as {
      metadata: { name: string; namespace: string };
      spec: { nodeName: string };
    };
    return {
      addresses: [crowdAddress(workload * 10 + one)],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: 'Pod', name: metadata.name, namespace: metadata.namespace, uid: 'u' },
      nodeName: spec.nodeName,
      zone: `zone-${one % 3}`,
    };
  }),
  ports: [
    { name: 'http', port: 8080, protocol: 'TCP' },
    { name: 'grpc', port: 9000, protocol: 'TCP' },
  ],
});

/** The address of a pod of the crowd. */
export const crowdAddress = (at: number): string => `10.${100 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`;

/** By the end of the path: an object, and how many there are for so many pods. */
const CROWDS: Readonly<
  Record<string, { readonly make: (at: number) => object; readonly of: (pods: number) => number }>
> = {
  pods: { make: crowdPod, of: (pods) => pods },
  services: { make: crowdService, of: (pods) => Math.floor(pods / 10) },
  endpointslices: { make: crowdSlice, of: (pods) => Math.floor(pods / 10) },
};

if (process.argv[1] === import.meta.filename) {
  const pods = Number(process.argv[2]);
  const server = createServer({ cert: TLS.cert, key: TLS.key }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://crowd');
    if (/^\/apis\/[^/]+\/[^/]+$/.test(url.pathname)) {
      response.writeHead(404).end('{}');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    if (url.searchParams.has('watch')) {
      response.flushHeaders();
      return;
    }
    const crowd = CROWDS[url.pathname.split('/').at(-1) ?? ''];
    const count = crowd?.of(pods) ?? 0;
    const from = Number(url.searchParams.get('continue') ?? 0);
    const to = Math.min(count, from + Number(url.searchParams.get('limit') ?? count));
    const next = to < count ? `,"continue":"${to}"` : '';
    response.write(`{"kind":"List","metadata":{"resourceVersion":"7"${next}},"items":[`);
    for (let at = from; at < to; at++) response.write(`${at === from ? '' : ','}${JSON.stringify(crowd?.make(at))}`);
    response.end(']}');
  });
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}
