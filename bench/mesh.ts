/**
 * `npm run bench:mesh [istiod]`: the control plane with 1 000 services, 10 000 endpoints and a crowd of simulated proxies: their start, one
 * changed endpoint, one changed rule. With `istiod`, the same objects and proxies with Istio's own, which Go builds on first use.
 * PROXIES=1,10,100,500 and SERVICES=1000 say how many; FORM=delta or FORM=plain leaves out the other form; PROFILE=FOLDER writes CPU
 * profiles of the server.
 */
import { connectStreams, type StreamsClient } from '../src/transport/index.ts';
import { ENDPOINTS, ROUTES } from '../src/xds/index.ts';
import { AdsClient } from '../test/parts/ads-client.ts';
import { crowdNamespace, type CrowdSize, movedAddress } from '../test/parts/mesh/crowd.ts';
import { median } from './figures.ts';
import { type Plane, startIstiodPlane, startSluice } from './mesh-planes.ts';

const SIZE: CrowdSize = { services: Number(process.env['SERVICES'] ?? 1000), endpointsOfEach: 10, namespaces: 10 };
const COUNTS = (process.env['PROXIES'] ?? '1,10,100,500').split(',').map(Number);
/** Whether it is delta. */
const FORMS = process.env['FORM'] === undefined ? [false, true] : [process.env['FORM'] === 'delta'];
const PROFILE = process.env['PROFILE'];
const RUNS = 7;
const STREAMS_OF_CONNECTION = 50;

/** Proxies of the namespaces in turn, and how many have got what was waited for. */
class Proxies {
  readonly #all: AdsClient[] = [];
  readonly #clients: StreamsClient[] = [];
  #got = new Set<number>();
  #isIt: (typeUrl: string, bytes: Buffer) => boolean = () => false;
  #done: () => void = () => undefined;
  bytes = 0;

  static async of(count: number, isDelta: boolean, port: number): Promise<Proxies> {
    const proxies = new Proxies();
    const ready = proxies.all((typeUrl) => typeUrl === ROUTES, count);
    for (let at = 0; at < count; at++) {
      if (at % STREAMS_OF_CONNECTION === 0)
        proxies.#clients.push(await connectStreams({ host: '127.0.0.1', port }, { withinMs: 30_000 }));
      const client = proxies.#clients.at(-1) as StreamsClient;
      const namespace = crowdNamespace(at, SIZE);
      proxies.#all.push(
        new AdsClient(client, {
          id: `sidecar~10.1.${Math.floor(at / 250)}.${(at % 250) + 1}~pod-${at}.${namespace}~${namespace}.svc.cluster.local`,
          metadata: { NAMESPACE: namespace, LABELS: { app: `app-${at}` }, INTERCEPTION_MODE: 'NONE' },
          isDelta,
          routes: ['8080'],
          onResponse: (typeUrl, bytes) => proxies.#take(at, typeUrl, bytes),
          onOver: (why) => console.error(`proxy ${at}: ${why.message}`),
        }),
      );
    }
    await ready;
    return proxies;
  }

  all(isIt: (typeUrl: string, bytes: Buffer) => boolean, count = this.#all.length): Promise<void> {
    this.#isIt = isIt;
    this.#got = new Set();
    return new Promise((resolve) => {
      this.#done = () => this.#got.size >= count && resolve();
    });
  }
  #take(at: number, typeUrl: string, bytes: Buffer): void {
    this.bytes += bytes.length;
    if (!this.#isIt(typeUrl, bytes)) return;
    this.#got.add(at);
    this.#done();
  }
  close(): void {
    for (const one of this.#all) one.close();
    for (const one of this.#clients) one.close();
  }
}

let changes = 0;
async function changed(plane: Plane, proxies: Proxies, kind: 'endpoint' | 'rule'): Promise<Change> {
  const service = 10 * (++changes % (SIZE.services / 10)); // those that have a rule
  const marker = kind === 'endpoint' ? movedAddress(service, 0, changes) : `user-${changes}`;
  const type = kind === 'endpoint' ? ENDPOINTS : ROUTES;
  const beforeMs = await plane.settledCpuMs();
  await plane.longestTurnMs();
  const all = proxies.all((typeUrl, bytes) => typeUrl === type && bytes.includes(marker));
  const beganMs = performance.now();
  const modelMs = await plane.change(kind, service, changes);
  await all;
  const ms = performance.now() - beganMs;
  const cpuMs = (await plane.settledCpuMs()) - beforeMs;
  return { ms, cpuMs, modelMs, turnMs: (await plane.longestTurnMs()) ?? Number.NaN };
}
interface Change {
  readonly ms: number;
  readonly cpuMs: number;
  readonly modelMs: number;
  readonly turnMs: number;
}

const round = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '' : value.toFixed(value < 10 ? 1 : 0);
const middle = (all: readonly Change[], of: keyof Change): string => round(median(all.map((one) => one[of])));
const row = (...cells: readonly string[]): void => console.log(`| ${cells.join(' | ')} |`);

async function measure(name: string, plane: Plane, count: number, isDelta: boolean): Promise<void> {
  const form = isDelta ? 'delta' : 'state of the world';
  const empty = await plane.memory();
  const beforeMs = await plane.settledCpuMs();
  const beganMs = performance.now();
  const proxies = await Proxies.of(count, isDelta, plane.port);
  const startMs = performance.now() - beganMs;
  const startCpuMs = (await plane.settledCpuMs()) - beforeMs;
  const megabytes = proxies.bytes / 1e6 / count;
  const full = await plane.memory();
  const usedKb = ((full.usedMb ?? Number.NaN) - (empty.usedMb ?? Number.NaN)) * (1000 / count);
  const runs: Change[][] = [];
  for (const kind of ['endpoint', 'rule'] as const) {
    const own: Change[] = [];
    for (let at = 0; at < (count > 100 ? 3 : RUNS); at++) own.push(await changed(plane, proxies, kind));
    runs.push(own);
  }
  row(
    name,
    form,
    String(count),
    round(startMs),
    round(startCpuMs),
    round(megabytes),
    `${round(full.rssMb)} (${round(usedKb)})`,
    ...runs.flatMap((own) => [middle(own, 'ms'), middle(own, 'cpuMs'), middle(own, 'turnMs')]),
  );
  proxies.close();
}

const HEADER = [
  ['control plane', 'form', 'proxies', 'start ms', 'CPU ms', 'MB each', 'RSS MB (heap KB a proxy)'],
  ['endpoint: all after ms', 'CPU ms', 'longest turn ms'],
  ['rule: all after ms', 'CPU ms', 'longest turn ms'],
].flat();
row(...HEADER);
row(...HEADER.map(() => '---'));
for (const isDelta of FORMS)
  for (const count of COUNTS) {
    const plane = await startSluice(SIZE, PROFILE);
    await measure('sluice', plane, count, isDelta);
    await plane.stop();
  }
if (!process.argv.includes('istiod')) process.exit(0);
const istiod = await startIstiodPlane(SIZE);
for (const isDelta of FORMS)
  for (const count of COUNTS.filter((one) => one <= 100)) await measure('istiod', istiod, count, isDelta);
await istiod.stop();
process.exit(0);
