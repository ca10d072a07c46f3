/** The combinations of values with which the chart is checked, and those that it must refuse. */

export interface Rendering {
  readonly name: string;
  readonly values: object;
  /** The kinds that it renders, sorted. */
  readonly kinds: readonly string[];
}

const BASE = ['ConfigMap', 'Deployment', 'PodDisruptionBudget', 'Service', 'ServiceAccount'];
const kinds = (...more: string[]): string[] => [...BASE, ...more].toSorted();
const ENVOYS = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'envoy-gateway-system' } } };
const PROMETHEUS = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } };
const TO_REDIS = { to: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ port: 6379, protocol: 'TCP' }] };

export const RENDERINGS: readonly Rendering[] = [
  { name: 'defaults', values: {}, kinds: kinds() },
  { name: 'tls', values: { tls: { secretName: 'cert' } }, kinds: kinds() },
  {
    name: 'mutual tls, exposed',
    values: { tls: { secretName: 'cert', requireClientCertificate: true }, admin: { expose: true } },
    kinds: kinds(),
  },
  {
    name: 'monitoring',
    values: {
      admin: { expose: true },
      serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
      networkPolicy: { enabled: true, from: [ENVOYS], monitoringFrom: [PROMETHEUS], egress: [TO_REDIS] },
    },
    kinds: kinds('ServiceMonitor', 'PrometheusRule', 'NetworkPolicy'),
  },
  { name: 'hpa', values: { hpa: { enabled: true }, workers: 2 }, kinds: kinds('HorizontalPodAutoscaler') },
  {
    name: 'spool',
    values: { spool: { enabled: true, storageClassName: 'fast' } },
    kinds: kinds('StatefulSet', 'Service').filter((kind) => kind !== 'Deployment'),
  },
  {
    name: 'enrich-kubernetes',
    values: { rbac: { enrichKubernetes: true } },
    kinds: kinds('ClusterRole', 'ClusterRoleBinding'),
  },
  {
    name: 'everything of serve',
    values: {
      image: { repository: 'registry.example/sluice', digest: `sha256:${'0'.repeat(64)}` },
      imagePullSecrets: [{ name: 'pull' }],
      fullnameOverride: 'engine',
      listenHost: '::',
      extraArgs: ['--max-connection-age=600', '--max-stream-age=60'],
      env: [{ name: 'REDIS_URL', value: 'redis://redis:6379' }],
      envFrom: [{ secretRef: { name: 'redis' } }],
      extraVolumes: [{ name: 'lists', configMap: { name: 'lists' } }],
      extraVolumeMounts: [{ name: 'lists', mountPath: '/etc/sluice/lists' }],
      http: { enabled: true, routes: ['/forward=forward', '/nginx=nginx'] },
      otlpHttp: { enabled: true },
      service: { headless: true, annotations: { a: 'b' } },
      serviceAccount: { name: 'engine', annotations: { a: 'b' } },
      podLabels: { team: 'mesh' },
      podAnnotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true' },
      nodeSelector: { 'kubernetes.io/arch': 'amd64' },
      tolerations: [{ key: 'mesh', operator: 'Exists' }],
      affinity: { podAntiAffinity: {} },
      priorityClassName: 'system-cluster-critical',
      pdb: { maxUnavailable: '25%' },
      networkPolicy: { enabled: true, from: [ENVOYS] },
      policy: { files: { 'a.yaml': 'rules: []\n', 'b.yaml': '# The last line has no end.\nrules: []' } },
    },
    kinds: kinds('NetworkPolicy'),
  },
  {
    name: 'a ConfigMap of your own, no service account',
    values: { policy: { existingConfigMap: 'mine' }, serviceAccount: { create: false, name: 'default' } },
    kinds: kinds().filter((kind) => kind !== 'ConfigMap' && kind !== 'ServiceAccount'),
  },
  { name: 'ratelimit', values: { mode: 'ratelimit', grpc: { port: 8081 } }, kinds: kinds() },
  {
    name: 'ratelimit with tls, monitoring and workers',
    values: {
      mode: 'ratelimit',
      workers: 2,
      tls: { secretName: 'cert', requireClientCertificate: true },
      serviceMonitor: { enabled: true },
      networkPolicy: { enabled: true, from: [ENVOYS], monitoringFrom: [PROMETHEUS] },
      hpa: { enabled: true },
      ratelimit: { settings: { SLUICE_OUTAGE: 'local', SLUICE_REPLICAS: 2, LIMIT_RESPONSE_HEADERS_ENABLED: true } },
    },
    kinds: kinds('ServiceMonitor', 'NetworkPolicy', 'HorizontalPodAutoscaler'),
  },
];

/** Values, and what the refusal says. */
export const REFUSALS: readonly (readonly [object, RegExp])[] = [
  [{ networkPolicy: { enabled: true } }, /networkPolicy\.from is empty/],
  [{ serviceMonitor: { enabled: true } }, /serviceMonitor\.enabled needs admin\.expose=true/],
  [{ spool: { enabled: true }, hpa: { enabled: true } }, /leaves reports on its volume/],
  [{ tls: { requireClientCertificate: true } }, /needs tls\.secretName/],
  [{ mode: 'ratelimit', spool: { enabled: true } }, /are of mode: serve/],
  [{ mode: 'other' }, /mode/],
  [{ replica: 3 }, /replica/],
  [{ admin: { exposed: true } }, /exposed/],
  [{ grpc: { port: 70000 } }, /70000|port/],
];
