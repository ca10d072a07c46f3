/**
 * Golden files of `istioctl kube-inject` 1.0.2, by the built-in template of the style 1.0: TestIntoResourceFile of Istio 1.0.2.
 * **In**: a checkout. **Out**: a line per run that differs; how many are equal. **Fails**: never.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Parameters10 } from '../../src/inject/built-in/style-1.0.ts';
import { readMeshConfig } from '../../src/inject/configs.ts';
import { messageOf } from '../../src/text/message-of.ts';
import { config10 } from '../../test/parts/inject-configs.ts';
import { type Compared, difference, documentsIn, plain } from './documents.ts';
import { injectedFile } from './inject-file.ts';

const FILES = 'pilot/pkg/kube/inject/testdata/inject';

interface Run {
  readonly input: string;
  /** Without `.injected`; default: the input. */
  readonly golden?: string;
  readonly parameters?: Partial<Parameters10>;
  /** YAML of the proxy's configuration. */
  readonly proxy?: string;
}

const DEBUG = { debug: true };
const TPROXY = 'interceptionMode: TPROXY';
const NOTHING_OUT = { includeIPRanges: '' };
const TIMES = ['drainDuration', 'parentShutdownDuration', 'discoveryRefreshDelay', 'connectTimeout'];

const RUNS: readonly Run[] = [
  { input: 'hello.yaml', parameters: DEBUG },
  { input: 'hello-proxy-override.yaml', parameters: DEBUG },
  { input: 'hello.yaml', golden: 'hello-tproxy.yaml', parameters: NOTHING_OUT, proxy: TPROXY },
  { input: 'hello.yaml', golden: 'hello-tproxy-debug.yaml', parameters: { ...DEBUG, ...NOTHING_OUT }, proxy: TPROXY },
  { input: 'hello.yaml', golden: 'hello-config-map-name.yaml' },
  { input: 'hello.yaml', golden: 'hello-always.yaml', parameters: { imagePullPolicy: 'Always' } },
  { input: 'hello.yaml', golden: 'hello-never.yaml', parameters: { imagePullPolicy: 'Never' } },
  { input: 'auth.yaml', golden: 'auth.cert-dir.yaml' },
  { input: 'enable-core-dump.yaml', parameters: { coreDump: true } },
  { input: 'format-duration.yaml', proxy: TIMES.map((name) => `${name}: 42s`).join('\n  ') },
  {
    input: 'traffic-params.yaml',
    parameters: {
      includeIPRanges: '127.0.0.1/24,10.96.0.1/24',
      excludeIPRanges: '10.96.0.2/24,10.96.0.3/24',
      excludeInboundPorts: '4,5,6',
    },
  },
  { input: 'traffic-params-empty-includes.yaml', parameters: NOTHING_OUT },
  ...[
    'hello-probes',
    'frontend',
    'hello-service',
    'hello-multi',
    'hello-ignore',
    'multi-init',
    'statefulset',
    'auth',
    'auth.non-default-service-account',
    'daemonset',
    'job',
    'replicaset',
    'replicationcontroller',
    'cronjob',
    'pod',
    'hello-host-network',
    'list',
    'list-frontend',
    'deploymentconfig',
    'deploymentconfig-multi',
    'traffic-annotations',
    'traffic-annotations-wildcards',
    'traffic-annotations-empty-includes',
  ].map((name) => ({ input: `${name}.yaml` })),
];

/** Annotations that Istio refuses; the error names what is wrong. */
const REFUSED = ['includeipranges', 'excludeipranges', 'includeinboundports', 'excludeinboundports'];

export async function compareKubeInject(checkout: string): Promise<Compared> {
  let equal = 0;
  for (const run of RUNS) {
    const golden = `${run.golden ?? run.input}.injected`;
    const theirs = documentsIn(readFileSync(join(checkout, FILES, golden), 'utf8'));
    const found = difference(plain(documentsIn(await injected(checkout, run))), plain(theirs));
    if (found === undefined) equal++;
    else console.log(`${golden}: ${found}`);
  }
  return { equal, runs: RUNS.length };
}

export async function compareRefusals(checkout: string): Promise<Compared> {
  let equal = 0;
  for (const what of REFUSED) {
    const input = `traffic-annotations-bad-${what}.yaml`;
    const why = await injected(checkout, { input }).then(() => 'it is taken', messageOf);
    if (why.toLowerCase().includes(what)) equal++;
    else console.log(`${input}: ${why}`);
  }
  return { equal, runs: REFUSED.length };
}

async function injected(checkout: string, { input, parameters = {}, proxy }: Run): Promise<string> {
  const { debug = false } = parameters;
  const config = config10({
    initImage: 'docker.io/istio/proxy_init:unittest',
    proxyImage: `docker.io/istio/${debug ? 'proxy_debug' : 'proxyv2'}:unittest`,
    imagePullPolicy: 'IfNotPresent',
    ...parameters,
  });
  const mesh = readMeshConfig(proxy === undefined ? '' : `defaultConfig:\n  ${proxy}`, 'mesh', '1.0');
  return injectedFile(join(checkout, FILES, input), config, mesh);
}
