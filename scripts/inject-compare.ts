/**
 * Compares `sluice inject` with the golden files of `istioctl kube-inject` 1.0.2.
 * **In**: a folder with them, from a checkout of istio/istio at the tag 1.0.2: pilot/pkg/kube/inject/testdata/inject.
 * **Out**: a line per run that differs, with where; how many are equal. Documents are compared as data: null and {} count as absent, and
 * the status annotation without its version, which is a digest of the template's text. Istio writes through structs of Go, which add
 * a status with zeros, the server's own, and drop defaults that are written: both count as absent, too.
 * **Fails**: with exit code 1 if a run differs, or a bad annotation is taken.
 *
 *   node scripts/inject-compare.ts FOLDER
 */
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseAllDocuments } from 'yaml';
import type { Parameters10 } from '../src/inject/built-in/style-1.0.ts';
import { readMeshConfig } from '../src/inject/configs.ts';
import { STATUS_ANNOTATION } from '../src/inject/contract.ts';
import { injectManifests } from '../src/inject/manifests.ts';
import { config10 } from '../test/parts/inject-configs.ts';

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

const [folder] = process.argv.slice(2);
if (folder === undefined || !existsSync(folder)) throw new Error('usage: node scripts/inject-compare.ts FOLDER');

async function injected(folder: string, { input, parameters = {}, proxy }: Run): Promise<string> {
  const { debug = false } = parameters;
  const config = config10({
    initImage: 'docker.io/istio/proxy_init:unittest',
    proxyImage: `docker.io/istio/${debug ? 'proxy_debug' : 'proxyv2'}:unittest`,
    imagePullPolicy: 'IfNotPresent',
    ...parameters,
  });
  const mesh = readMeshConfig(proxy === undefined ? '' : `defaultConfig:\n  ${proxy}`, 'mesh', '1.0');
  let text = '';
  for await (const part of injectManifests(createReadStream(join(folder, input)), {
    config,
    mesh,
    file: input,
    onMessage: () => undefined,
  }))
    text += typeof part === 'string' ? part : Buffer.from(part).toString();
  return text;
}

const documentsIn = (text: string): unknown[] =>
  parseAllDocuments(text, { version: '1.1' }).map((document) => plain(document.toJS()));

const DEFAULTS = new Map<string, unknown>([
  ['minReadySeconds', 0],
  ['paused', false],
  ['test', false],
]);

/** Without null and {}, in any order of keys. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  const entries = Object.entries(value)
    .filter(
      ([key, inner]) => !(key === 'status' && 'kind' in value) && !(DEFAULTS.has(key) && DEFAULTS.get(key) === inner),
    )
    .map(([key, inner]) => [key, key === STATUS_ANNOTATION ? statusIn(inner as string) : plain(inner)] as const)
    .filter(([, inner]) => inner !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

const statusIn = (text: string): unknown => ({ ...(JSON.parse(text) as object), version: 'any' });

/** Path of the first difference. */
function difference(ours: unknown, theirs: unknown, path = ''): string | undefined {
  if (isDeepStrictEqual(ours, theirs)) return undefined;
  if (typeof ours === 'object' && typeof theirs === 'object' && ours !== null && theirs !== null)
    for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
      const found = difference(
        (ours as Record<string, unknown>)[key],
        (theirs as Record<string, unknown>)[key],
        `${path}.${key}`,
      );
      if (found !== undefined) return found;
    }
  return `${path}: ours is ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`;
}

let equal = 0;
for (const run of RUNS) {
  const golden = `${run.golden ?? run.input}.injected`;
  const [ours, theirs] = [await injected(folder, run), readFileSync(join(folder, golden), 'utf8')];
  const found = difference(documentsIn(ours), documentsIn(theirs));
  if (found === undefined) equal++;
  else console.log(`${golden}: ${found}`);
}
let refused = 0;
for (const what of REFUSED) {
  const input = `traffic-annotations-bad-${what}.yaml`;
  const why = await injected(folder, { input }).then(
    () => 'it is taken',
    (error: Error) => error.message,
  );
  if (why.toLowerCase().includes(what)) refused++;
  else console.log(`${input}: ${why}`);
}
console.log(`${equal} of ${RUNS.length} runs equal, ${refused} of ${REFUSED.length} bad annotations refused`);
if (equal < RUNS.length || refused < REFUSED.length) process.exitCode = 1;
