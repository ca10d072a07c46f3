/**
 * `npm run bench:mesh`: the control plane with a large mesh and many simulated proxies.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { connectStreams, type StreamsClient } from '../src/transport/index.ts';
import { ENDPOINTS, ROUTES } from '../src/xds/index.ts';
import { AdsClient } from '../test/parts/ads-client.ts';
import { crowdNamespace, type CrowdSize, movedAddress } from '../test/parts/mesh/crowd.ts';

const SIZE: CrowdSize = { services: Number(process.env['SERVICES'] ?? 1000), endpointsOfEach: 10, namespaces: 10 };
const PROFILE = process.env['PROFILE'];
const STREAMS_OF_CONNECTION = 50;

async function startServer() {
  const child = fork(join(import.meta.dirname, 'mesh-server.ts'), [JSON.stringify(SIZE)], {
    execArgv: ['--expose-gc', ...(PROFILE === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${PROFILE}`])],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let port = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    port = Number(/listens at (\d+)/.exec(chunk.toString())?.[1]);
    if (port > 0) break;
  }
  let last = 0;
  const waiting = new Map<number, (result: never) => void>();
  child.on('message', ({ id, result }: { id: number; result: never }) => {
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  return {
    port,
    ask: <T>(name: string, args: unknown = []): Promise<T> =>
      new Promise<T>((resolve) => {
        waiting.set(++last, resolve as (result: never) => void);
        child.send({ id: last, name, args });
      }),
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
type Server = Awaited<ReturnType<typeof startServer>>;

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

async function synced(server: Server): Promise<{ cpuMs: number }> {
  for (;;) {
    const figures = await server.ask<{ cpuMs: number; proxies: number; synced: number }>('figures');
    if (figures.synced === figures.proxies) return figures;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let changes = 0;
async function changed(
  server: Server,
  proxies: Proxies,
  kind: 'endpoint' | 'rule',
): Promise<{ ms: number; cpuMs: number; modelMs: number; turnMs: number }> {
  const service = 10 * (1 + (++changes % 50));
  const marker = kind === 'endpoint' ? movedAddress(service, 0, changes) : `user-${changes}`;
  const before = await synced(server);
  await server.ask('longestTurn');
  const all = proxies.all(
    (typeUrl, bytes) => typeUrl === (kind === 'endpoint' ? ENDPOINTS : ROUTES) && bytes.includes(marker),
  );
  const beganMs = performance.now();
  const modelMs = await server.ask<number>('change', [kind, service, changes]);
  await all;
  const ms = performance.now() - beganMs;
  const { cpuMs } = await synced(server);
  return { ms, cpuMs: cpuMs - before.cpuMs, modelMs, turnMs: await server.ask<number>('longestTurn') };
}

const round = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
const middle = <T>(all: readonly T[], of: (one: T) => number): number =>
  all.map(of).toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;

const counts = (process.env['PROXIES'] ?? '1,10,100,500').split(',').map(Number);
for (const isDelta of [false, true]) {
  const form = isDelta ? 'delta' : 'state of the world';
  for (const count of counts) {
    const server = await startServer();
    const empty = await server.ask<{ heapMb: number; rssMb: number }>('memory');
    const before = await synced(server);
    const beganMs = performance.now();
    const proxies = await Proxies.of(count, isDelta, server.port);
    const startMs = performance.now() - beganMs;
    const after = await synced(server);
    const full = await server.ask<{ heapMb: number; rssMb: number }>('memory');
    console.log(
      `${form}, ${count} proxies: start ${round(startMs)} ms, CPU ${round(after.cpuMs - before.cpuMs)} ms, ${round(proxies.bytes / 1e6 / count)} MB each; heap ${round(empty.heapMb)} MB, with them ${round(full.heapMb)} MB (${round(((full.heapMb - empty.heapMb) * 1000) / count)} KB each), rss ${round(full.rssMb)} MB`,
    );
    for (const kind of ['endpoint', 'rule'] as const) {
      const runs = [];
      for (let at = 0; at < (count > 100 ? 3 : 7); at++) runs.push(await changed(server, proxies, kind));
      console.log(
        `  one ${kind}: all have it after ${round(middle(runs, (one) => one.ms))} ms, CPU ${round(middle(runs, (one) => one.cpuMs))} ms, of it the model ${round(middle(runs, (one) => one.modelMs))} ms; longest turn ${round(middle(runs, (one) => one.turnMs))} ms`,
      );
    }
    proxies.close();
    await server.stop();
  }
}
