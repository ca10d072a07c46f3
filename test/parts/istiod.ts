/**
 * istiod (`pilot-discovery`), Istio's own control plane, for comparisons: built by Go into the cache on first use, which takes ten minutes
 * on a free machine. It reads its mesh from a Kubernetes API server:
 * `startKubeApiServer()`, put objects there, `startIstiod(server)`, then ask its discovery service as Envoy does, or its debug pages.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { messageOf } from '../../src/text/message-of.ts';
import { startChild, untilReady } from './child.ts';
import { say } from './fetch.ts';
import { freePort } from './free-port.ts';
import { go, goBuild } from './go-build.ts';
import type { KubeApiServer } from './kube-apiserver.ts';

/** Of the main branch; releases are not published as a module that builds without replacements. */
const ISTIO = 'v0.0.0-20260827124520-eed52ebb66ad';
const FOLDER = join(import.meta.dirname, '../../.cache/parts', `istio-${ISTIO.slice(-12)}`);
const PROGRAM = 'pilot-discovery';

const isIstiodBuilt = (): boolean => existsSync(join(FOLDER, PROGRAM));

async function istiodProgram(): Promise<string> {
  if (!isIstiodBuilt()) {
    await mkdir(FOLDER, { recursive: true });
    say('building pilot-discovery of Istio (10 minutes and more)');
    await goBuild({
      folder: FOLDER,
      program: PROGRAM,
      requires: `require istio.io/istio ${ISTIO}`,
      from: 'istio.io/istio/pilot/cmd/pilot-discovery',
      flags: ['-tags', 'vtprotobuf,disable_pgv'],
    });
  }
  return join(FOLDER, PROGRAM);
}

export interface Istiod {
  /** Its discovery service, in cleartext. */
  readonly adsPort: number;
  /** HTTP: `/debug/config_dump?proxyID=POD.NAMESPACE`, `/debug/syncz`, `/ready`. */
  readonly debugPort: number;
  readonly pid: number;
  printed(): string;
  stop(): Promise<void>;
}

/**
 * Puts Istio's CustomResourceDefinitions and its namespace there first. Without filters that a stock Envoy does not know; `env` and
 * `meshConfig` say what differs.
 */
export async function startIstiod(
  server: KubeApiServer,
  {
    meshConfig = '{}',
    env = {},
  }: { readonly meshConfig?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Istiod> {
  const program = await istiodProgram();
  for (const definition of await definitions())
    await server
      .call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition)
      .catch(ignoreConflict);
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: NAMESPACE } }).catch(ignoreConflict);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-istiod-'));
  await writeFile(join(folder, 'mesh.yaml'), meshConfig);
  await writeFile(join(folder, 'kubeconfig'), kubeconfig(server));
  const [debugPort, adsPort, securePort, webhookPort, metricsPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const part = startChild(
    program,
    [
      'discovery',
      `--kubeconfig=${join(folder, 'kubeconfig')}`,
      `--meshConfig=${join(folder, 'mesh.yaml')}`,
      `--httpAddr=127.0.0.1:${debugPort}`,
      `--grpcAddr=127.0.0.1:${adsPort}`,
      `--secureGRPCAddr=127.0.0.1:${securePort}`,
      `--httpsAddr=127.0.0.1:${webhookPort}`,
      `--monitoringAddr=127.0.0.1:${metricsPort}`,
      '--ctrlz_port=0',
      `--namespace=${NAMESPACE}`,
    ],
    {
      cwd: folder, // it writes files
      env: {
        ...process.env,
        POD_NAME: 'istiod-0',
        POD_NAMESPACE: NAMESPACE,
        PILOT_ENABLE_METADATA_EXCHANGE: 'false',
        PILOT_ENABLE_ALPN_FILTER: 'false',
        INJECT_ENABLED: 'false',
        VALIDATION_WEBHOOK_CONFIG_NAME: '',
        ...env,
      },
    },
  );
  await untilReady(PROGRAM, part, async () => (await fetch(`http://127.0.0.1:${debugPort}/ready`)).ok, 120_000);
  return {
    adsPort,
    debugPort,
    pid: part.pid,
    printed: () => part.printed(),
    stop: async () => {
      await part.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const NAMESPACE = 'istio-system';

/** Of the module that istiod was built from. */
async function definitions(): Promise<readonly object[]> {
  const { stdout } = go(['mod', 'download', '-json', `istio.io/istio@${ISTIO}`], FOLDER, 'pipe');
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  const text = await readFile(join(Dir, 'manifests/charts/base/files/crd-all.gen.yaml'), 'utf8');
  return parseAllDocuments(text).flatMap((document) => {
    const object = document.toJS() as object | null;
    return object === null ? [] : [object];
  });
}

function ignoreConflict(error: unknown): void {
  if (!messageOf(error).includes(': 409 ')) throw error;
}

const kubeconfig = ({ url, adminToken }: KubeApiServer): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: { token: adminToken } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });
