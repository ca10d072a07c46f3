/** Members of a mesh, run by `sluice sidecar`, through the ends of others: control planes that are killed, and members that stop. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { envoyProgram } from '../parts/fetch.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { answerOf, type LastingLoad, lastingLoad, type LoadAnswer } from '../parts/lasting-load.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { startUpstream } from '../parts/upstream.ts';
import { type Program, program } from './command.ts';
import { untilHolds as until } from './sluice.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const PORT = 9080;

interface Member {
  readonly program: Program;
  readonly adminPort: number;
}

interface Members {
  readonly folder: string;
  readonly planeAdmin: number;
  /** Where the member of this name takes calls, and where its application makes them. */
  inAt(at: number): string;
  outAt(at: number): string;
  plane(): Promise<Program>;
  put(file: string, text: string): Promise<void>;
  /** The proxies that the control plane knows are these, and have its newest mesh. */
  synced(count: number): Promise<true>;
  version(): Promise<string>;
  /** It drains for `drainS` at its end. */
  member(name: string, at: number, drainS?: number): Promise<Member>;
}

interface Status {
  readonly version: string;
  readonly proxies: readonly { readonly name: string; readonly state: string; readonly version: string }[];
}

async function members(): Promise<Members> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-mesh-restarts-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const [net, xdsPort, planeAdmin] = [await freeNet(), await freePort(), await freePort()];
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const inAt = (at: number): string => `${net}.${at}`;
  const outAt = (at: number): string => `${net}.${100 + at}`;
  const status = async (): Promise<Status> =>
    (await (await fetch(`http://127.0.0.1:${planeAdmin}/mesh/proxies`)).json()) as Status;
  const isSynced = async (count: number): Promise<boolean> => {
    const { version, proxies } = await status();
    return proxies.length === count && proxies.every((one) => one.state === 'synced' && one.version === version);
  };
  return {
    folder,
    planeAdmin,
    inAt,
    outAt,
    put: (file, text) => writeFile(join(folder, file), text),
    synced: (count) => until(() => isSynced(count)),
    version: async () => (await status()).version,
    plane: async () => {
      const started = await program(
        ['mesh', folder, '--xds', `127.0.0.1:${xdsPort}`, '--admin', `127.0.0.1:${planeAdmin}`],
        /Ctrl-C stops it/,
      );
      ends.push(() => started.stop());
      return started;
    },
    member: async (name, at, drainS = 1) => {
      const adminPort = await freePort();
      const labels = { app: name };
      await writeFile(
        join(folder, `sidecar-${name}.yaml`),
        `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: ${name} }
spec:
  workloadSelector: { labels: ${JSON.stringify(labels)} }
  ingress: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${inAt(at)}, captureMode: NONE, defaultEndpoint: "127.0.0.1:${upstream.httpPort}" }]
  egress: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${outAt(at)}, captureMode: NONE, hosts: ["*/*"] }]
`,
      );
      const started = await program(
        [
          'sidecar',
          '--discoveryAddress',
          `127.0.0.1:${xdsPort}`,
          '--binaryPath',
          await envoyProgram(),
          '--proxyAdminPort',
          String(adminPort),
          '--concurrency',
          '1',
          '--drainDuration',
          `${drainS}s`,
        ],
        /starts Envoy/,
        {
          env: {
            POD_NAME: name,
            POD_NAMESPACE: 'default',
            INSTANCE_IP: inAt(at),
            ISTIO_META_INTERCEPTION_MODE: 'NONE',
            ISTIO_METAJSON_LABELS: JSON.stringify(labels),
          },
        },
      );
      ends.push(() => started.stop());
      return { program: started, adminPort };
    },
  };
}

const calling = (agent: Agent, host: string, to: string, path = '/'): Promise<LoadAnswer> =>
  answerOf({ host, port: PORT, agent, path, headers: { host: to } });

function load(host: string, to: string, clients: number): LastingLoad {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  return lastingLoad(() => calling(agent, host, to), { clients });
}

/** A subset of another name is another cluster: the old one goes with the change. */
const routedTo = (subset: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: ${subset}, labels: { app: reviews } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: ${subset} } }] }] }
`;

test('a control plane that is killed within a push costs no call, and its successor completes the push', async () => {
  const mesh = await members();
  await mesh.put('services.yaml', serviceEntry('reviews', [{ address: mesh.inAt(2), labels: { app: 'reviews' } }]));
  await mesh.put('rules.yaml', routedTo('v0'));
  let plane = await mesh.plane();
  await mesh.member('productpage', 1);
  await mesh.member('reviews', 2);
  await mesh.synced(2);
  const calls = load(mesh.outAt(1), 'reviews', 4);
  // A push lasts for half a second and more; it is cut at its beginning, in the middle, and at its end.
  for (const [at, afterMs] of [0, 60, 200, 450, 600].entries()) {
    const before = await mesh.version();
    await mesh.put('rules.yaml', routedTo(`v${at + 1}`));
    await until(async () => (await mesh.version()) !== before);
    await sleep(afterMs);
    plane.signal('SIGKILL');
    await plane.ended;
    await mesh.put('rules.yaml', routedTo(`w${at + 1}`));
    plane = await mesh.plane();
    await mesh.synced(2);
  }
  expect(Object.keys(await calls.stop()), JSON.stringify(calls.counts)).toEqual(['200']);
});

/** Calls one after the other, as long as this holds; their statuses, or errors. */
async function callsWhile(goesOn: () => boolean, host: string, path: string): Promise<readonly string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers: string[] = [];
  while (goesOn())
    answers.push(
      await calling(agent, host, 'reviews', path).then(
        ({ status }) => String(status),
        (error: NodeJS.ErrnoException) => error.code ?? String(error),
      ),
    );
  return answers;
}

test('a member that is stopped under traffic drains: no call to it, through it, or from it is lost', async () => {
  const mesh = await members();
  const endpointAt = (at: number): object => ({ address: mesh.inAt(at), labels: { app: 'reviews' } });
  await mesh.put('services.yaml', serviceEntry('reviews', [2, 3].map(endpointAt)));
  await mesh.plane();
  await mesh.member('productpage', 1);
  const stopping = await mesh.member('reviews', 2, 5);
  await mesh.member('reviews-too', 3);
  await mesh.synced(3);
  const calls = load(mesh.outAt(1), 'reviews', 4);
  // Calls of callers that heard late of the end; those of three seconds last for longer than the drain.
  let endsAtMs = Infinity;
  const goesOn = (): boolean => performance.now() < endsAtMs;
  const answers = Promise.all(
    [mesh.inAt(2), mesh.outAt(2)].flatMap((host) =>
      ['/', '/', '/?ms=3000', '/?ms=1000'].map((path) => callsWhile(goesOn, host, path)),
    ),
  );
  await until(() => calls.answered > 100);
  endsAtMs = performance.now() + 3500;
  stopping.program.signal('SIGTERM');
  await stopping.program.said(/drains connections/);
  await mesh.put('services.yaml', serviceEntry('reviews', [3].map(endpointAt)));
  const ended = await answers;
  expect(await stopping.program.ended).toBe(0);
  expect(Object.keys(await calls.stop()), JSON.stringify(calls.counts)).toEqual(['200']);
  expect(new Set(ended.flat())).toEqual(new Set(['200']));
  expect(Math.min(...ended.map(({ length }) => length))).toBeGreaterThan(1);
});
