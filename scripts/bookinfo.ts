/**
 * `npm run bookinfo -- [TOUR] [--mtls] [--cert-ttl TIME] [--free-ports]`: Istio's Bookinfo in a mesh of Sluice's own: six applications,
 * each behind an Envoy, a gateway, `sluice mesh` and `sluice serve`, on addresses of this machine. With --mtls each workload has a
 * certificate that it renews while calls flow, sidecars take nothing else, and Sluice decides by the identities in them. Prints the address
 * of the page and what to try; ends everything on Ctrl-C.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { envoyProgram } from '../test/parts/fetch.ts';
import { freeNet, freePort } from '../test/parts/free-port.ts';
import { type Issuer, issuerOfTokens } from './bookinfo-tokens.ts';

const HERE = resolve(import.meta.dirname, '../examples/bookinfo');
const BIN = resolve(import.meta.dirname, '../src/cli/bin.ts');
/** As the files of the example have them. */
const GATEWAY_PORT = 8080;
const appPort = (at: number): number => 19_080 + at;
const WORKLOADS = [
  { name: 'productpage-v1', env: {} },
  { name: 'details-v1', env: {} },
  { name: 'reviews-v1', env: { ENABLE_RATINGS: 'false' } },
  { name: 'reviews-v2', env: { ENABLE_RATINGS: 'true', STAR_COLOR: 'black' } },
  { name: 'reviews-v3', env: { ENABLE_RATINGS: 'true', STAR_COLOR: 'red' }, serviceAccount: 'bookinfo-reviews-v3' },
  { name: 'ratings-v1', env: {} },
] as const;

const children: ChildProcess[] = [];
let isStopping = false;

/** Standard output is dropped; what a program says on standard error is shown, as its own. */
function start(
  name: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  const unshown: string[] = [];
  if (child.stderr !== null)
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (/ (warn|error) /.test(line) || /\[(warning|error|critical)\]/.test(line)) console.error(`${name}: ${line}`);
      else if (unshown.push(line) > 5) unshown.shift();
    });
  child.once('close', (code) => {
    if (!isStopping) void stop([`${name} has ended with ${code}`, ...unshown].join('\n  '));
  });
  children.push(child);
  return child;
}

async function stop(why?: string): Promise<never> {
  isStopping = true;
  if (why !== undefined) console.error(why);
  const ended = children
    .filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    .map((child) => once(child, 'exit'));
  for (const child of children) child.kill('SIGTERM');
  await Promise.race([Promise.all(ended), sleep(5000)]);
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
  process.exit(why === undefined ? 0 : 1);
}

const { values: flags, positionals } = parseArgs({
  options: {
    'free-ports': { type: 'boolean' },
    mtls: { type: 'boolean' },
    'cert-ttl': { type: 'string', default: '2m' },
  },
  allowPositionals: true,
});
const port = async (usual: number): Promise<number> => (flags['free-ports'] === true ? freePort() : usual);
const PORTS = {
  xds: await port(15_010),
  secure: await port(15_012),
  meshAdmin: await port(15_020),
  grpc: await port(9091),
  admin: await port(15_014),
  gateway: await port(GATEWAY_PORT),
};
const namesIn = async (place: string): Promise<string[]> =>
  (await readdir(join(HERE, place))).map((name) => name.replace(/\.yaml$/, ''));
const tours = await namesIn('tours');
const [tour = flags.mtls === true ? 'v3' : 'all-v1'] = positionals;
if (!tours.includes(tour)) {
  console.error(`no tour is named ${tour}; there are ${tours.join(', ')}`);
  process.exit(2);
}
const folder = await mkdtemp(join(tmpdir(), 'sluice-bookinfo-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop());
/** Addresses of sidecars, for calls to workload `at` and for its own; others than those of the files if ports are free ones. */
const net = flags['free-ports'] === true ? await freeNet() : undefined;
const inboundOf = (at: number): string => (net === undefined ? `127.0.10.${at}` : `${net}.${at}`);
const outboundOf = (at: number): string => (net === undefined ? `127.0.30.${at}` : `${net}.${100 + at}`);
const usualToOwn = new Map<string, string>([[`number: ${GATEWAY_PORT}`, `number: ${PORTS.gateway}`]]);
const appPorts: number[] = [];
for (const index of WORKLOADS.keys()) {
  const usual = appPort(index + 1);
  appPorts.push(await port(usual));
  usualToOwn.set(`127.0.0.1:${usual}`, `127.0.0.1:${appPorts.at(-1)}`);
}
await mkdir(join(folder, 'mesh'));
for (const name of await readdir(join(HERE, 'mesh'))) {
  let text = await readFile(join(HERE, 'mesh', name), 'utf8');
  for (const [usual, own] of usualToOwn) text = text.replaceAll(usual, own);
  text = text.replaceAll(/\b127\.0\.(10|30)\.(\d+)/g, (_, side: string, at: string) =>
    (side === '10' ? inboundOf : outboundOf)(Number(at)),
  );
  await writeFile(join(folder, 'mesh', name), text);
}
const rules = join(folder, 'mesh/rules.yaml');
await copyFile(join(HERE, 'tours', `${tour}.yaml`), rules);
const authorization = join(folder, 'authorization.yaml');
const ca = join(folder, 'ca');
let issuer: Issuer | undefined;
if (flags.mtls === true) {
  issuer = await issuerOfTokens(folder);
  await copyFile(join(HERE, 'mtls/peer-authentication.yaml'), join(folder, 'mesh/peer-authentication.yaml'));
  await copyFile(join(HERE, 'authorization/whole.yaml'), authorization);
}

const envoy = await envoyProgram();
const sluice = (name: string, args: readonly string[], env?: Readonly<Record<string, string>>): ChildProcess =>
  start(name, process.execPath, [BIN, ...args], env);
sluice('sluice serve', [
  'serve',
  join(HERE, 'policy.yaml'),
  ...(issuer === undefined ? [] : [authorization]),
  '--grpc',
  `127.0.0.1:${PORTS.grpc}`,
  '--admin',
  `127.0.0.1:${PORTS.admin}`,
]);
sluice('sluice mesh', [
  'mesh',
  join(folder, 'mesh'),
  '--xds',
  `127.0.0.1:${PORTS.xds}`,
  '--admin',
  `127.0.0.1:${PORTS.meshAdmin}`,
  '--sluice',
  'sluice',
  ...(issuer === undefined
    ? []
    : [
        '--secure',
        `127.0.0.1:${PORTS.secure}`,
        '--ca-folder',
        ca,
        '--jwks',
        issuer.jwks,
        '--token-issuer',
        issuer.name,
        '--workload-cert-ttl',
        flags['cert-ttl'],
      ]),
]);
// Agents read it at their start.
while (issuer !== undefined && !existsSync(join(ca, 'root-cert.pem'))) await sleep(50);
for (const [index, { name, env, ...workload }] of WORKLOADS.entries()) {
  const at = index + 1;
  const [app = '', version = ''] = name.split('-');
  start(name, process.execPath, [join(HERE, `services/${app}.ts`)], {
    ...env,
    PORT: String(appPorts[index]),
    OUTBOUND: `${outboundOf(at)}:9080`,
  });
  await proxy({
    pod: name,
    type: 'sidecar',
    address: inboundOf(at),
    adminPort: await port(15_100 + at),
    labels: { app, version },
    namespace: 'default',
    serviceAccount: 'serviceAccount' in workload ? workload.serviceAccount : `bookinfo-${app}`,
  });
}
await proxy({
  pod: 'gateway',
  type: 'router',
  address: inboundOf(9),
  adminPort: await port(15_109),
  labels: { istio: 'ingressgateway' },
  namespace: 'istio-system',
  serviceAccount: 'istio-ingressgateway',
});

interface Proxy {
  readonly pod: string;
  readonly type: 'sidecar' | 'router';
  readonly address: string;
  readonly adminPort: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespace: string;
  readonly serviceAccount: string;
}

async function proxy({ pod, type, address, adminPort, labels, namespace, serviceAccount }: Proxy): Promise<void> {
  const discovery =
    issuer === undefined
      ? ['--discoveryAddress', `127.0.0.1:${PORTS.xds}`]
      : [
          '--caAddress',
          `127.0.0.1:${PORTS.secure}`,
          '--caCertificates',
          join(ca, 'root-cert.pem'),
          '--tokenFile',
          await issuer.tokenFile(namespace, serviceAccount),
        ];
  sluice(
    `proxy of ${pod}`,
    [
      'sidecar',
      type,
      '--binaryPath',
      envoy,
      ...discovery,
      '--sluiceAddress',
      `127.0.0.1:${PORTS.grpc}`,
      '--serviceCluster',
      pod,
      '--proxyAdminPort',
      String(adminPort),
      '--concurrency',
      '1',
      '--proxyLogLevel',
      'error',
      '--drainDuration',
      '0s',
    ],
    {
      POD_NAME: pod,
      POD_NAMESPACE: namespace,
      INSTANCE_IP: address,
      SERVICE_ACCOUNT: serviceAccount,
      ISTIO_META_INTERCEPTION_MODE: 'NONE',
      ISTIO_METAJSON_LABELS: JSON.stringify(labels),
    },
  );
}

const page = `http://127.0.0.1:${PORTS.gateway}/productpage`;
const beganAtMs = performance.now();
/** Each proxy has all, and the page has both halves. */
async function isUp(): Promise<boolean> {
  const proxies = await fetch(`http://127.0.0.1:${PORTS.meshAdmin}/mesh/proxies`);
  const { proxies: rows } = (await proxies.json()) as { readonly proxies: readonly { readonly state: string }[] };
  if (rows.length <= WORKLOADS.length || rows.some(({ state }) => state !== 'synced')) return false;
  const text = await (await fetch(page)).text();
  return ['Book Details', 'Book Reviews'].every((part) => text.includes(part));
}
for (;;) {
  if (await isUp().catch(() => false)) break;
  if (performance.now() - beganAtMs > 60_000) await stop('the page does not come; what is above may say why');
  await sleep(200);
}
const firstLine = async (place: string, name: string): Promise<string> =>
  ((await readFile(join(HERE, place, `${name}.yaml`), 'utf8')).split('\n')[0] ?? '').replace(/^# /, '');
const choices = async (place: string, names: readonly string[], target: string): Promise<string> =>
  (
    await Promise.all(
      names.map(
        async (name) => `  cp examples/bookinfo/${place}/${name}.yaml ${target}   # ${await firstLine(place, name)}`,
      ),
    )
  ).join('\n');
const ofIdentities =
  issuer === undefined
    ? ''
    : `
Who may call whom, by certificates:
${await choices('authorization', await namesIn('authorization'), authorization)}
Certificates, renewed each ${flags['cert-ttl']} / 2:  curl http://127.0.0.1:${PORTS.meshAdmin}/mesh/identity
`;
console.log(`
${page}     sign in with any password; tour ${tour}: ${await firstLine('tours', tour)}

Another tour, while this runs:
${await choices('tours', tours, rules)}
${ofIdentities}
Which proxies have it:      npm run -s sluice -- mesh status --to 127.0.0.1:${PORTS.meshAdmin}
What Sluice decides:        http://127.0.0.1:${PORTS.admin}/
Ctrl-C ends everything.
`);
