/** Access log streams of a real Envoy under constant load, while servers stop and streams are ended by their age. */
import { Agent, request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { grpcAccessLog, logEnvoyConfig } from '../parts/log-envoy-config.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const POLICY = `
handlers: { lines: { adapter: log-stdout, config: {} } }
rules: [{ name: all, report: { handler: lines, input: { path: request.path } } }]
`;

async function sluiceAt(grpcPort: number, args: readonly string[] = []): Promise<ServedSluice> {
  const sluice = await serveSluice(POLICY, { grpcPort, args });
  onTestFinished(async () => {
    await sluice.stop('SIGKILL');
  });
  return sluice;
}

async function envoyTo(sluicePorts: readonly number[]): Promise<{ envoy: EnvoyPart; httpPort: number }> {
  const [adminPort, httpPort] = [await freePort(), await freePort()];
  const config = logEnvoyConfig({ adminPort, httpPort, sluicePorts, accessLog: [grpcAccessLog()] });
  const envoy = await startEnvoy({ config, adminPort });
  onTestFinished(() => envoy.stop());
  return { envoy, httpPort };
}

/** Requests with a path each, as fast as 8 connections take them. Their paths are numbers from `first` on. */
async function load(httpPort: number, requests: number, first = 0): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let next = 0;
  const one = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: httpPort, path, agent }, (response) => {
        response.resume().on('end', resolve);
      })
        .on('error', reject)
        .end();
    });
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (next < requests) {
        await one(`/${first + next++}`);
      }
    }),
  );
  agent.destroy();
}

const pathsOf = (sluices: readonly ServedSluice[]): string[] =>
  sluices.flatMap(({ written }) => written.map(({ path }) => String(path)));

async function expectAll(envoy: EnvoyPart, sluices: readonly ServedSluice[], requests: number): Promise<void> {
  await until('every entry', () => (new Set(pathsOf(sluices)).size >= requests ? true : undefined), 5000).catch(
    () => undefined, // the assertion below says what is missing
  );
  const paths = pathsOf(sluices);
  const arrived = new Set(paths);
  const missing = Array.from({ length: requests }, (_, at) => `/${at}`).filter((path) => !arrived.has(path));
  const stats = await envoy.stats();

  expect({ missing, arrived: paths.length, written: stats['access_logs.grpc_access_log.logs_written'] }).toEqual({
    missing: [],
    arrived: requests,
    written: requests,
  });
}

test('servers that stop while another listens at the same port lose no entry', async () => {
  const shared = ['--workers', '2']; // with workers, a port may be shared with other processes, too
  let running = await sluiceAt(0, shared);
  const { grpcPort } = running;
  const all = [running];
  const { envoy, httpPort } = await envoyTo([grpcPort]);
  let sent = 0;
  let stopped = 0;
  let isOver = false;
  const handOver = async (): Promise<void> => {
    while (!isOver) {
      const old = running;
      running = await sluiceAt(grpcPort, shared);
      all.push(running);
      await until('a successor that is ready', async () => ((await running.admin('/readyz')).ok ? true : undefined));
      expect(await old.stop()).toBe(0);
      stopped++;
    }
  };
  const handingOver = handOver().finally(() => {
    isOver = true;
  });
  while (!isOver && (stopped < 2 || sent < 8000)) {
    await load(httpPort, 1000, sent);
    sent += 1000;
  }
  isOver = true;
  await handingOver;
  await expectAll(envoy, all, sent);
}, 90_000);

test('streams that are ended for their age move to another server and lose nothing', async () => {
  const args = ['--max-stream-age', '1'];
  const [first, second] = [await sluiceAt(0, args), await sluiceAt(0, args)];
  const { envoy, httpPort } = await envoyTo([first.grpcPort, second.grpcPort]);
  let sent = 0;
  const bothHaveSome = (): boolean => first.written.length > 0 && second.written.length > 0;
  await until('entries at both servers', async () => {
    await load(httpPort, 500);
    sent += 500;
    return bothHaveSome() ? true : undefined;
  });
  await until('every entry', () => (first.written.length + second.written.length >= sent ? true : undefined));
  expect(first.written.length + second.written.length).toBe(sent);
  const stats = await envoy.stats();
  expect(stats['access_logs.grpc_access_log.logs_dropped']).toBe(0);
}, 60_000);
