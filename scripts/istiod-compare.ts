/**
 * `npm run istiod:compare`: the resources of Sluice's control plane beside those of istiod, of the same objects in one Kubernetes API
 * server. Go builds istiod and the server into .cache on first use (half an hour). Exits with 1 if there is a difference that known.ts does
 * not give a reason for. `--all` prints the known ones, too.
 */
import { readFile } from 'node:fs/promises';
import { usedSecrets } from '../src/mesh/model/credential-access.ts';
import { DEFAULT_SETTINGS, type Mesh } from '../src/mesh/model/mesh.ts';
import { Composition } from '../src/mesh/sources/composition.ts';
import { KubernetesSource } from '../src/mesh/sources/kubernetes.ts';
import { noObjects } from '../src/mesh/sources/objects.ts';
import { positionText } from '../src/yaml/source-text.ts';
import { makeAuthority } from '../test/parts/certificates.ts';
import { startIstiod } from '../test/parts/istiod.ts';
import { type KubeApiServer, startKubeApiServer } from '../test/parts/kube-apiserver.ts';
import { type Manifest, PLURALS } from '../test/parts/mesh/kubernetes.ts';
import { type Difference, differences } from './istiod-compare/differences.ts';
import { type Reason, reasonFor } from './istiod-compare/known.ts';
import { type MeshPod, NAMESPACES, nodes, objects, podsOf } from './istiod-compare/mesh.ts';
import { EGRESS } from './istiod-compare/visibility.ts';
import { type ComparedProxy, KINDS, ofIstiod, ofSluice, type ResourceKind } from './istiod-compare/resources.ts';

const printsAll = process.argv.includes('--all');
const RESTS_MS = 3000;
const pause = (ms: number): Promise<void> =>
  new Promise((wake) => {
    setTimeout(wake, ms);
  });

const server = await startKubeApiServer();
const istiod = await startIstiod(server);
let unexplained = 0;
try {
  await fill(server);
  const mesh = await meshOfServer(server);
  await pause(RESTS_MS); // istiod says nowhere that it has seen all
  for (const proxy of proxies()) await compare(proxy, mesh);
  console.log(`\n${unexplained} differences without a reason`);
} finally {
  await istiod.stop();
  await server.stop();
}
process.exitCode = unexplained === 0 ? 0 : 1;

function proxies(): readonly ComparedProxy[] {
  const pods = podsOf();
  const sidecar = (name: string, namespace = 'default'): ComparedProxy => {
    const pod = pods.find(
      ({ object: { metadata } }) => metadata.name === name && metadata.namespace === namespace,
    ) as MeshPod;
    return {
      id: `sidecar~${pod.ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
      identity: `spiffe://cluster.local/ns/${namespace}/sa/of-${pod.labels['app']}`,
      metadata: { ...metadataOf(namespace), LABELS: { ...pod.labels }, INTERCEPTION_MODE: 'REDIRECT' },
    };
  };
  return [
    sidecar('productpage-v1'),
    sidecar('reviews-v1', 'other'),
    sidecar('narrow-v1', 'narrow'),
    sidecar('strict-v1'),
    sidecar('ratings-v1'),
    sidecar('many-v1'),
    sidecar('caller-v1', 'shop'),
    sidecar('dr-select-v1', 'far'),
    sidecar('vs-all-v1', 'far'),
    sidecar('pooled-v1', 'pooled'),
    ...Object.keys(EGRESS).map((namespace) => sidecar('web-v1', namespace)),
    gateway('10.245.0.1', 'default', 'ingressgateway'),
    gateway('10.245.0.2', 'shop', 'oddgateway'),
    gateway('10.245.0.3', 'istio-system', 'ingressgateway'),
  ];
}

function gateway(ip: string, namespace: string, istio: string): ComparedProxy {
  return {
    id: `router~${ip}~gateway-1.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { ...metadataOf(namespace), LABELS: { istio } },
  };
}

function metadataOf(namespace: string): ComparedProxy['metadata'] {
  return {
    NAMESPACE: namespace,
    CLUSTER_ID: 'Kubernetes',
    ISTIO_VERSION: '1.31.0',
    SDS_CLUSTER: 'sds-grpc', // an agent beside the Envoy has its certificate
    SYSTEM_ROOTS: '/etc/ssl/certs/ca-certificates.crt',
  };
}

async function fill(api: KubeApiServer): Promise<void> {
  for (const name of NAMESPACES) await api.call('POST', '/api/v1/namespaces', { metadata: { name } });
  for (const node of nodes()) await api.call('POST', '/api/v1/nodes', node);
  for (const { object, ip } of podsOf()) {
    await api.call('POST', pathOf(object), object);
    await api.call('PATCH', `${pathOf(object)}/${object.metadata.name}/status`, {
      status: {
        phase: 'Running',
        podIP: ip,
        podIPs: [{ ip }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    });
  }
  for (const object of objects()) await api.call('POST', pathOf(object), object);
  await api.call('POST', '/api/v1/namespaces/default/secrets', await clientSecret());
}

async function clientSecret(): Promise<object> {
  const authority = await makeAuthority();
  try {
    const { cert, key } = await authority.issue('client', 'DNS:client.example.com');
    const [certificate, privateKey, ca] = await Promise.all(
      [cert, key, authority.ca].map((file) => readFile(file, 'utf8')),
    );
    return {
      metadata: { name: 'client' },
      stringData: { 'tls.crt': certificate, 'tls.key': privateKey, 'ca.crt': ca },
    };
  } finally {
    await authority.remove();
  }
}

function pathOf({ apiVersion, kind, metadata }: Manifest): string {
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  return `${root}/namespaces/${metadata.namespace}/${PLURALS[kind]}`;
}

async function meshOfServer({ url, adminToken, ca }: KubeApiServer): Promise<Mesh> {
  const over = new AbortController();
  const source = new KubernetesSource({
    server: async () => ({ url, token: adminToken, tls: { ca } }),
    namespaces: [],
    log: { info: () => undefined, warn: (message, fields) => console.error(message, fields) },
    onChange: () => undefined,
    onRefused: () => undefined,
  });
  const running = source.run(over.signal);
  await source.synced;
  await pause(RESTS_MS);
  await source.watchSecrets(usedSecrets(source.objects));
  over.abort();
  await running;
  const settings = { ...DEFAULT_SETTINGS, identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } };
  const { mesh, findings } = new Composition(settings).make(noObjects(), source.objects);
  for (const { position, message } of [...[...source.refused].flatMap((one) => one.findings), ...findings])
    console.log(`finding: ${positionText(position)} ${message}`);
  return mesh;
}

async function compare(proxy: ComparedProxy, mesh: Mesh): Promise<void> {
  const name = proxy.id.split('~')[2] ?? proxy.id;
  const [theirs, ours] = [await ofIstiod(istiod.adsPort, proxy), ofSluice(mesh, proxy)];
  console.log(`\n${name}`);
  for (const kind of Object.keys(KINDS) as ResourceKind[]) {
    const counts = { equal: 0, known: 0, differs: 0 };
    const found: { readonly resource: string; readonly difference: Difference; readonly reason: Reason | undefined }[] =
      [];
    for (const resource of new Set([...theirs[kind].keys(), ...ours[kind].keys()])) {
      const all = differences(theirs[kind].get(resource), ours[kind].get(resource));
      const judged = all.map((difference) => ({
        resource,
        difference,
        reason: reasonFor({ ...difference, kind, resource, proxy: name }),
      }));
      found.push(...judged);
      const isEqual = judged.every(({ reason }) => reason?.isSame === true);
      const isKnown = judged.every(({ reason }) => reason !== undefined);
      counts[isEqual ? 'equal' : isKnown ? 'known' : 'differs']++;
    }
    const left = found.filter(({ reason }) => reason === undefined);
    unexplained += left.length;
    console.log(
      `${kind}: ${counts.equal} equal, ${counts.known} differ as meant, ${counts.differs} differ otherwise (in ${left.length} places)`,
    );
    for (const { resource, difference, reason } of printsAll ? found : left) {
      const { path, theirs: a, ours: b } = difference;
      console.log(
        `  ${resource} ${path}: theirs ${JSON.stringify(a)}, ours ${JSON.stringify(b)}${reason === undefined ? '' : ` (${reason.why})`}`,
      );
    }
  }
}
