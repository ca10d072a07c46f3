/**
 * `npm run bench:mesh-change [CHANGES]`: `sluice mesh` with ten real Envoys, half of them in each form of the discovery service, whose
 * applications call each other all the time. How long it takes from a changed file to all ten (a rule alone), then whether 1 000 changes
 * that each put a new cluster in the place of the last one lose a request.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { program } from '../test/e2e/command.ts';
import { startEnvoy } from '../test/parts/envoy.ts';
import { freePort } from '../test/parts/free-port.ts';
import { bootstrap } from '../test/parts/xds-envoy.ts';
import { percentile } from './figures.ts';

const changes = Number(process.argv[2] ?? 1000);
const TIMED = 100;
const PROXIES = 10;
const PORT = 9080;
const LOOKS_EVERY_MS = 2;
const inbound = (at: number): string => `127.77.10.${at + 1}`;
const outbound = (at: number): string => `127.77.30.${at + 1}`;

const app = createServer((_, response) => response.end('ok'));
app.listen(0, '127.0.0.1');
await once(app, 'listening');
const appPort = (app.address() as { port: number }).port;
const folder = await mkdtemp(join(tmpdir(), 'bench-mesh-'));
const all = Array.from({ length: PROXIES }, (_, at) => at);
const object = (kind: string, name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name }, spec });

await writeFile(
  join(folder, 'services.yaml'),
  [
    object('ServiceEntry', 'reviews', {
      hosts: ['reviews.default.svc.cluster.local'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: PORT, name: 'http', protocol: 'HTTP' }],
      endpoints: all.map((at) => ({ address: inbound(at), labels: { version: `v${at % 2}` } })),
    }),
    ...all.map((at) =>
      object('Sidecar', `pod-${at}`, {
        workloadSelector: { labels: { pod: `pod-${at}` } },
        ingress: [
          {
            port: { number: PORT, name: 'http', protocol: 'HTTP' },
            bind: inbound(at),
            captureMode: 'NONE',
            defaultEndpoint: `127.0.0.1:${appPort}`,
          },
        ],
        egress: [
          {
            port: { number: PORT, name: 'http', protocol: 'HTTP' },
            bind: outbound(at),
            captureMode: 'NONE',
            hosts: ['*/*'],
          },
        ],
      }),
    ),
  ].join('\n---\n'),
);
const writeRules = (subset: string, header: string): Promise<void> =>
  writeFile(
    join(folder, 'rules.yaml'),
    [
      object('DestinationRule', 'reviews', {
        host: 'reviews',
        subsets: [{ name: subset, labels: { version: 'v1' } }],
      }),
      object('VirtualService', 'reviews', {
        hosts: ['reviews'],
        http: [
          {
            headers: { response: { set: { 'x-change': header } } },
            route: [{ destination: { host: 'reviews', subset } }],
          },
        ],
      }),
    ].join('\n---\n'),
  );
await writeRules('v1', 'first');

const [xdsPort, adminPort] = [await freePort(), await freePort()];
const plane = await program(
  ['mesh', folder, '--xds', `127.0.0.1:${xdsPort}`, '--admin', `127.0.0.1:${adminPort}`],
  /Ctrl-C stops it/,
);
const envoys = await Promise.all(
  all.map(async (at) => {
    const port = await freePort();
    const config = bootstrap({
      id: `sidecar~${inbound(at)}~pod-${at}.default~default.svc.cluster.local`,
      xdsPort,
      adminPort: port,
      api: at % 2 === 0 ? 'GRPC' : 'DELTA_GRPC',
    }) as { node: object };
    Object.assign(config.node, {
      metadata: { LABELS: { pod: `pod-${at}` }, INTERCEPTION_MODE: 'NONE', NAMESPACE: 'default' },
    });
    return startEnvoy({ config, adminPort: port });
  }),
);

interface Status {
  readonly version: string;
  readonly proxies: readonly { readonly state: string; readonly version: string }[];
}
const status = async (): Promise<Status> =>
  (await (await fetch(`http://127.0.0.1:${adminPort}/mesh/proxies`)).json()) as Status;
async function inForceAfter(before: string): Promise<string> {
  for (;;) {
    const { version, proxies } = await status();
    const isAll =
      proxies.length === PROXIES && proxies.every((one) => one.state === 'synced' && one.version === version);
    if (version !== before && isAll) return version;
    await sleep(LOOKS_EVERY_MS);
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const statuses = new Map<number | string, number>();
function call(at: number): Promise<number | string> {
  return new Promise((resolve) => {
    request({ host: outbound(at), port: PORT, agent, path: '/', headers: { host: `reviews:${PORT}` } }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', (error) => resolve(error.message));
    })
      .on('error', (error) => resolve(error.message))
      .end();
  });
}
let isOver = false;
let version = await inForceAfter('');
const callers = all.map(async (at) => {
  while (!isOver) {
    const answer = await call(at);
    statuses.set(answer, (statuses.get(answer) ?? 0) + 1);
    await sleep(5);
  }
});

const times: number[] = [];
for (let at = 0; at < TIMED; at++) {
  const beganMs = performance.now();
  await writeRules('v1', `change-${at}`);
  version = await inForceAfter(version);
  times.push(performance.now() - beganMs);
}
const sorted = Float64Array.from(times).toSorted();
console.log(
  `from a changed file to ${PROXIES} Envoys: p50 ${percentile(sorted, 0.5).toFixed(0)} ms, p99 ${percentile(sorted, 0.99).toFixed(0)} ms, of ${TIMED} changes; 20 ms of it are debounce`,
);
const beganMs = performance.now();
for (let at = 0; at < changes; at++) {
  await writeRules(`s${at}`, `subset-${at}`);
  version = await inForceAfter(version);
}
isOver = true;
await Promise.all(callers);
console.log(
  `${changes} changes in ${((performance.now() - beganMs) / 1000).toFixed(0)} s, each with a new cluster in the place of the last one; answers by status: ${JSON.stringify(Object.fromEntries(statuses))}`,
);
for (const envoy of envoys) await envoy.stop();
await plane.stop();
app.closeAllConnections();
app.close();
await rm(folder, { recursive: true });
process.exit([...statuses.keys()].every((code) => code === 200) ? 0 : 1);
