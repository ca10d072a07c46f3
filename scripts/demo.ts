/**
 * `npm run demo [ROUNDS]`: Redis, Kafka, Envoy, an upstream and Sluice on free local ports.
 * Sends traffic through Envoy and prints each verdict with its reason. Ctrl-C stops everything.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { styleText } from 'node:util';
import { Admin, Consumer } from '@platformatic/kafka';
import { envoyConfig } from '../test/parts/envoy-config.ts';
import { startEnvoy } from '../test/parts/envoy.ts';
import { freePort } from '../test/parts/free-port.ts';
import { startKafka } from '../test/parts/kafka.ts';
import { startRedis } from '../test/parts/redis.ts';
import { startUpstream } from '../test/parts/upstream.ts';

const ROOT = join(import.meta.dirname, '..');
const TOPIC = 'sluice-audit';
let isStopping = false;
const stops: { readonly name: string; readonly stop: () => Promise<unknown> }[] = [];

const paint = (style: 'green' | 'red' | 'yellow' | 'cyan' | 'dim' | 'bold', text: string): string =>
  styleText(style, text, { stream: process.stdout });
const say = (text: string): void => console.log(text);

interface Request {
  readonly user: string | undefined;
  readonly method: string;
  readonly path: string;
}

/** One round of traffic. */
const TRAFFIC: readonly Request[] = [
  { user: 'ann', method: 'GET', path: '/ratings/1' },
  { user: 'bob', method: 'GET', path: '/ratings/2' },
  { user: undefined, method: 'GET', path: '/ratings/3' },
  { user: undefined, method: 'GET', path: '/ratings/4' },
  { user: 'bob', method: 'PUT', path: '/ratings/2' },
  { user: 'ann', method: 'PUT', path: '/ratings/1' },
  { user: 'eve', method: 'GET', path: '/limited/report' },
  { user: 'eve', method: 'GET', path: '/limited/report' },
  { user: 'ann', method: 'GET', path: '/hello?file=..%2f..%2fetc' },
  { user: 'eve', method: 'GET', path: '/hello/..;/etc' }, // fetch() resolves a plain /../ before it sends the path
  { user: 'ann', method: 'GET', path: '/hello' },
];

interface RecentVerdict {
  readonly id: string;
  readonly outcome: string;
  readonly rule?: string;
  readonly reasons?: readonly { readonly rule: string; readonly text: string }[];
}

async function startSluice(env: Readonly<Record<string, string>>): Promise<{ grpcPort: number; adminPort: number }> {
  const [grpcPort, adminPort] = [await freePort(), await freePort()];
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'src/cli/bin.ts'),
      'serve',
      join(ROOT, 'examples/mesh'),
      '--grpc',
      `127.0.0.1:${grpcPort}`,
      '--admin',
      `127.0.0.1:${adminPort}`,
      '--grace',
      '2',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, detached: true },
  );
  const ended = once(child, 'exit');
  stops.push({
    name: 'sluice',
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  });
  let isUp = false;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (!isUp || /warn|error/i.test(line)) say(paint('dim', `  sluice: ${line}`));
    });
  }
  for (let tries = 0; tries < 200; tries += 1) {
    const isReady = await fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) {
      isUp = true;
      return { grpcPort, adminPort };
    }
    if (child.exitCode !== null) break;
    await pause(50);
  }
  throw new Error('sluice serve did not become ready; its log is above');
}

const pause = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
};

async function showAudit(broker: string): Promise<void> {
  const client = { clientId: 'demo', bootstrapBrokers: [broker] };
  const admin = new Admin(client);
  await admin.createTopics({ topics: [TOPIC], partitions: 1, replicas: 1 });
  await admin.close();
  const consumer = new Consumer<Buffer, Buffer, Buffer, Buffer>({ ...client, groupId: 'demo' });
  const messages = await consumer.consume({ topics: [TOPIC], mode: 'earliest', autocommit: true });
  messages.on('data', ({ value }: { readonly value: Buffer }) => say(paint('cyan', `  kafka   ${value.toString()}`)));
  messages.on('error', (error: Error) => {
    if (!isStopping) say(`  kafka   ${error.message}`);
  });
  stops.push({ name: 'audit reader', stop: () => consumer.close(true) });
}

async function send(request: Request, envoyPort: number, adminPort: number): Promise<void> {
  const headers: Record<string, string> = request.user === undefined ? {} : { 'x-user': request.user };
  const response = await fetch(`http://127.0.0.1:${envoyPort}${request.path}`, { method: request.method, headers });
  const body = await response.text();
  const what = `${(request.user ?? 'nobody').padEnd(7)} ${request.method.padEnd(4)} ${request.path.padEnd(26)}`;
  if (response.ok) return say(`${paint('green', 'allowed')} ${what} ${paint('dim', String(response.status))}`);
  const style = response.status === 429 ? 'yellow' : 'red';
  const word = response.status === 429 ? 'limited' : 'denied ';
  const why = await lastReason(adminPort);
  return say(`${paint(style, word)} ${what} ${response.status} ${why ?? body}`);
}

async function lastReason(adminPort: number): Promise<string | undefined> {
  const answer = (await (await fetch(`http://127.0.0.1:${adminPort}/verdicts`)).json()) as {
    readonly verdicts?: readonly RecentVerdict[];
  };
  const verdict = answer.verdicts?.find(({ outcome }) => outcome !== 'allow');
  return verdict === undefined
    ? undefined
    : (verdict.reasons ?? [])
        .filter(({ rule }) => rule === verdict.rule)
        .map(({ rule, text }) => `${rule}: ${text}`)
        .join('; ');
}

let stopped: Promise<void> | undefined;
/** Idempotent, since the guard of the parts sends the signal a second time. */
const stopAll = (): Promise<void> => (stopped ??= stopInReverse());

async function stopInReverse(): Promise<void> {
  isStopping = true;
  say('\nstopping ...');
  for (const { name, stop } of stops.toReversed()) {
    try {
      await stop();
    } catch (error) {
      say(`  ${name}: ${String(error)}`);
    }
  }
  say('everything that the demo started has stopped');
}

const rounds = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);
process.on('SIGINT', () => {
  void stopAll().then(() => process.exit(0));
});
process.on('SIGTERM', () => {
  void stopAll().then(() => process.exit(0));
});

try {
  say(paint('bold', 'Sluice demo: Envoy asks, Sluice decides, Redis counts, Kafka and Prometheus get the reports'));
  const redis = await startRedis();
  stops.push({ name: 'redis', stop: async () => redis.stop() });
  say(`  redis   127.0.0.1:${redis.port}`);
  const kafka = await startKafka();
  stops.push({ name: 'kafka', stop: async () => kafka.stop() });
  say(`  kafka   127.0.0.1:${kafka.port}`);
  await showAudit(kafka.broker);
  const upstream = await startUpstream();
  stops.push({ name: 'upstream', stop: async () => upstream.stop() });
  const sluice = await startSluice({
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    KAFKA_BROKER: `127.0.0.1:${kafka.port}`,
  });
  const [envoyAdminPort, httpPort, tcpPort] = [await freePort(), await freePort(), await freePort()];
  const envoy = await startEnvoy({
    adminPort: envoyAdminPort,
    config: envoyConfig({
      adminPort: envoyAdminPort,
      httpPort,
      tcpPort,
      sluicePort: sluice.grpcPort,
      upstreamPort: upstream.httpPort,
      tcpUpstreamPort: upstream.tcpPort,
    }),
  });
  stops.push({ name: 'envoy', stop: async () => envoy.stop() });
  say(`  envoy   http://127.0.0.1:${httpPort}   try: curl -i -H 'x-user: ann' http://127.0.0.1:${httpPort}/ratings/1`);
  say(`  metrics http://127.0.0.1:${sluice.adminPort}/metrics   why: http://127.0.0.1:${sluice.adminPort}/verdicts\n`);
  for (let round = 0; round < rounds && !isStopping; round += 1) {
    for (const request of TRAFFIC) {
      if (isStopping) break;
      await send(request, httpPort, sluice.adminPort);
      await pause(250);
    }
  }
  await stopAll();
} catch (error) {
  if (!isStopping) {
    console.error(error instanceof Error ? error.message : error);
    await stopAll();
    process.exitCode = 1;
  }
}
