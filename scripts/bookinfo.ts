/**
 * `npm run bookinfo -- [TOUR] [--free-ports]`: Istio's Bookinfo in a mesh of Sluice's own: six applications, each behind an Envoy, a
 * gateway, `sluice mesh` and `sluice serve`, on addresses of this machine. Prints the address of the page and the tours; ends everything
 * on Ctrl-C.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { envoyProgram } from '../test/parts/fetch.ts';
import { freePort } from '../test/parts/free-port.ts';

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
  { name: 'reviews-v3', env: { ENABLE_RATINGS: 'true', STAR_COLOR: 'red' } },
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
  if (child.stderr !== null)
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (/ (warn|error) /.test(line) || /\[(warning|error|critical)\]/.test(line)) console.error(`${name}: ${line}`);
    });
  child.once('exit', (code) => {
    if (!isStopping) void stop(`${name} has ended with ${code}`);
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

const args = process.argv.slice(2).filter((arg) => arg !== '--free-ports');
const hasFreePorts = process.argv.includes('--free-ports');
const port = async (usual: number): Promise<number> => (hasFreePorts ? freePort() : usual);
const PORTS = {
  xds: await port(15_010),
  meshAdmin: await port(15_020),
  grpc: await port(9091),
  admin: await port(15_014),
  gateway: await port(GATEWAY_PORT),
};
const tours = (await readdir(join(HERE, 'tours'))).map((name) => name.replace(/\.yaml$/, ''));
const [tour = 'all-v1'] = args;
if (!tours.includes(tour)) {
  console.error(`no tour is named ${tour}; there are ${tours.join(', ')}`);
  process.exit(2);
}
const folder = await mkdtemp(join(tmpdir(), 'sluice-bookinfo-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop());
const usualToOwn = new Map<string, string>([[`number: ${GATEWAY_PORT}`, `number: ${PORTS.gateway}`]]);
const appPorts: number[] = [];
for (const index of WORKLOADS.keys()) {
  const usual = appPort(index + 1);
  appPorts.push(await port(usual));
  usualToOwn.set(`127.0.0.1:${usual}`, `127.0.0.1:${appPorts.at(-1)}`);
}
for (const name of await readdir(join(HERE, 'mesh'))) {
  let text = await readFile(join(HERE, 'mesh', name), 'utf8');
  for (const [usual, own] of usualToOwn) text = text.replaceAll(usual, own);
  await writeFile(join(folder, name), text);
}
const rules = join(folder, 'rules.yaml');
await copyFile(join(HERE, 'tours', `${tour}.yaml`), rules);

const envoy = await envoyProgram();
const sluice = (name: string, args: readonly string[], env?: Readonly<Record<string, string>>): ChildProcess =>
  start(name, process.execPath, [BIN, ...args], env);
sluice('sluice serve', [
  'serve',
  join(HERE, 'policy.yaml'),
  '--grpc',
  `127.0.0.1:${PORTS.grpc}`,
  '--admin',
  `127.0.0.1:${PORTS.admin}`,
]);
sluice('sluice mesh', [
  'mesh',
  folder,
  '--xds',
  `127.0.0.1:${PORTS.xds}`,
  '--admin',
  `127.0.0.1:${PORTS.meshAdmin}`,
  '--sluice',
  'sluice',
]);
for (const [index, { name, env }] of WORKLOADS.entries()) {
  const at = index + 1;
  const [app = '', version = ''] = name.split('-');
  start(name, process.execPath, [join(HERE, `services/${app}.ts`)], {
    ...env,
    PORT: String(appPorts[index]),
    OUTBOUND: `127.0.30.${at}:9080`,
  });
  proxy(name, 'sidecar', `127.0.10.${at}`, await port(15_100 + at), { app, version });
}
proxy('gateway', 'router', '127.0.10.9', await port(15_109), { istio: 'ingressgateway' });

function proxy(
  pod: string,
  type: string,
  address: string,
  adminPort: number,
  labels: Readonly<Record<string, string>>,
): void {
  sluice(
    `proxy of ${pod}`,
    [
      'sidecar',
      type,
      '--binaryPath',
      envoy,
      '--discoveryAddress',
      `127.0.0.1:${PORTS.xds}`,
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
      POD_NAMESPACE: 'default',
      INSTANCE_IP: address,
      SERVICE_ACCOUNT: `bookinfo-${labels['app'] ?? 'gateway'}`,
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
const firstLine = async (name: string): Promise<string> =>
  ((await readFile(join(HERE, 'tours', `${name}.yaml`), 'utf8')).split('\n')[0] ?? '').replace(/^# /, '');
console.log(`
${page}     sign in with any password; tour ${tour}: ${await firstLine(tour)}

Another tour, while this runs:
${(await Promise.all(tours.map(async (name) => `  cp examples/bookinfo/tours/${name}.yaml ${rules}   # ${await firstLine(name)}`))).join('\n')}

Which proxies have it:      npm run -s sluice -- mesh status --to 127.0.0.1:${PORTS.meshAdmin}
What Sluice decides:        http://127.0.0.1:${PORTS.admin}/
Ctrl-C ends everything.
`);
