/** Objects of a mesh in a fake API server, and a mesh that is read from one. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { RefusedObject } from '../../../src/mesh/sources/kubernetes-objects.ts';
import { KubernetesSource, type KubernetesSourceOptions } from '../../../src/mesh/sources/kubernetes.ts';
import type { Finding } from '../../../src/yaml/findings.ts';
import type { FakeKubeApi, FakeObject } from '../fake-kube-api.ts';

export const PLURALS: Readonly<Record<string, string>> = {
  Service: 'services',
  EndpointSlice: 'endpointslices',
  Pod: 'pods',
  Secret: 'secrets',
  Node: 'nodes',
  Namespace: 'namespaces',
  VirtualService: 'virtualservices',
  DestinationRule: 'destinationrules',
  Gateway: 'gateways',
  Sidecar: 'sidecars',
  ServiceEntry: 'serviceentries',
  WorkloadEntry: 'workloadentries',
  PeerAuthentication: 'peerauthentications',
  RequestAuthentication: 'requestauthentications',
};

export const NETWORKING = 'networking.istio.io/v1';
export const SECURITY = 'security.istio.io/v1';
const only = (isOne: (kind: string) => boolean): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(PLURALS).filter(([kind]) => isOne(kind)));
const OTHERS = [
  'Service',
  'EndpointSlice',
  'Pod',
  'Secret',
  'Node',
  'Namespace',
  'PeerAuthentication',
  'RequestAuthentication',
];
/** Of networking.istio.io. */
export const ISTIO = only((kind) => !OTHERS.includes(kind));
const ISTIO_SECURITY = only((kind) => kind === 'PeerAuthentication' || kind === 'RequestAuthentication');

/** As a cluster in which Istio's definitions are installed. */
export function installIstio(api: FakeKubeApi): void {
  api.served.set(NETWORKING, ISTIO);
  api.served.set(SECURITY, ISTIO_SECURITY);
}

export interface Manifest extends FakeObject {
  readonly apiVersion: string;
  readonly kind: string;
}

/** `kubectl apply -f` without a namespace. */
export const manifestsOf = (texts: readonly string[]): readonly Manifest[] =>
  texts.flatMap((text) =>
    parseAllDocuments(text).flatMap((document) => {
      const object = document.toJS() as Manifest | null;
      if (object === null) return [];
      const { namespace = 'default', ...others } = object.metadata as Partial<Manifest['metadata']> & { name: string };
      return [{ ...object, metadata: { ...others, namespace } }];
    }),
  );

const BOOKINFO = join(import.meta.dirname, '../../../examples/bookinfo/mesh');
export const bookinfoTexts = (): readonly string[] =>
  globSync('*.yaml', { cwd: BOOKINFO })
    .toSorted()
    .map((file) => readFileSync(join(BOOKINFO, file), 'utf8'));

export function put(api: FakeKubeApi, ...objects: readonly Manifest[]): void {
  for (const object of objects) api.put(PLURALS[object.kind] ?? '', object);
}

export interface FollowedSource {
  readonly source: KubernetesSource;
  readonly changes: () => number;
  /** Each time that an object was refused. */
  readonly refused: RefusedObject[];
  /** Of objects that are refused now. */
  readonly findings: () => readonly Finding[];
  readonly logged: string[];
  stop(): Promise<void>;
}

export function follow(api: () => FakeKubeApi, options: Partial<KubernetesSourceOptions> = {}): FollowedSource {
  let changes = 0;
  const refused: RefusedObject[] = [];
  const logged: string[] = [];
  const source = new KubernetesSource({
    server: async () => ({ url: api().url, token: api().token, tls: { ca: api().ca } }),
    namespaces: [],
    log: {
      info: (message) => logged.push(message),
      warn: (message, fields) => {
        const { path, error, grant } = fields as { path?: string; error?: Error; grant?: string };
        logged.push([message, path, error?.message, grant].map((one) => one ?? '-').join(' | '));
      },
    },
    onChange: () => {
      changes++;
    },
    onRefused: (one) => refused.push(one),
    discoverEveryMs: 30,
    watch: { backoff: { firstMs: 4, mostMs: 20 } },
    ...options,
  });
  const over = new AbortController();
  const ended = source.run(over.signal);
  return {
    source,
    changes: () => changes,
    refused,
    findings: () => [...source.refused].flatMap((one) => one.findings),
    logged,
    stop: async () => {
      over.abort();
      await ended;
    },
  };
}
