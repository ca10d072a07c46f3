/**
 * Access log entries into Kafka, end to end, beside the produce loop of the same client with the same messages: messages of 100 entries on
 * one stream, by log-kafka, until the broker has acknowledged all. `node bench/kafka.ts [SECONDS] [disk]`; by turns, three times each. What
 * is measured runs on one core; the broker and the sender share the other, for both.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialGrpc } from '../src/transport/index.ts';
import { startKafka } from '../test/parts/kafka.ts';
import { createTopic, kafkaClient } from '../test/parts/kafka-topic.ts';
import { startOnCore } from './process.ts';
import { logMessage, PER_MESSAGE } from './log-message.ts';

const TURNS = 3;
const PARTITIONS = 3;
const seconds = Number(process.argv[2] ?? 5);
const spool = process.argv[3] === 'disk' ? 'disk' : 'memory';

const message = logMessage();

interface Turn {
  readonly perSecond: number;
  readonly cpuUs: number;
}

async function loop(broker: string, topic: string): Promise<Turn> {
  const child = await startOnCore(
    0,
    ['bench/kafka-loop.ts', broker, topic, String(seconds)],
    /sent (\d+) in (\d+) ms, (\d+) us of CPU/,
  );
  const [, sent = 0, ms = 0, cpu = 0] = child.match.map(Number);
  await child.stop();
  return { perSecond: (sent / ms) * 1000, cpuUs: cpu / sent };
}

async function pipeline(broker: string, topic: string): Promise<Turn> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-kafka-'));
  const policy = join(folder, 'policy.yaml');
  writeFileSync(
    policy,
    `
settings: { spool: { folder: spool } }
handlers: { kafka: { adapter: log-kafka, spool: ${spool}, config: { brokers: ["${broker}"], topic: ${topic} } } }
rules:
  - name: all
    report: { handler: kafka, input: { path: request.path, code: response.code, user: 'request.headers["x-user"]', took: response.duration } }
`,
  );
  const server = await startOnCore(
    0,
    ['src/cli/bin.ts', 'serve', policy, '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--log-level', 'warn'],
    /gRPC\s+\S*?127\.0\.0\.1:(\d+)[^]*admin\s+\S*?127\.0\.0\.1:(\d+)/,
  );
  const [, grpcPort, adminPort] = server.match;
  const client = dialGrpc(`127.0.0.1:${grpcPort}`);
  try {
    const send = async (forSeconds: number): Promise<number> => {
      const untilMs = performance.now() + forSeconds * 1000;
      let sent = 0;
      const messages = function* messages(): Generator<Uint8Array> {
        for (; performance.now() < untilMs; sent += PER_MESSAGE) yield message;
      };
      for await (const _ of client.stream('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', messages()));
      return sent;
    };
    const acknowledged = async (): Promise<void> => {
      for (;;) {
        const page = (await (await fetch(`http://127.0.0.1:${adminPort}/handlers`)).json()) as {
          handlers: { queued: number }[];
        };
        if (page.handlers.every(({ queued }) => queued === 0)) return;
        await sleep(20);
      }
    };
    let sentInAll = await send(3); // warm-up
    await acknowledged();
    const [cpuBefore, beganAtMs] = [server.cpuUs(), performance.now()];
    const sent = await send(seconds);
    await acknowledged();
    const [tookMs, cpuUs] = [performance.now() - beganAtMs, server.cpuUs() - cpuBefore];
    sentInAll += sent;
    const arrived = await countOf(broker, topic);
    if (arrived !== sentInAll) throw new Error(`${sentInAll} entries were sent, ${arrived} are in Kafka`);
    return { perSecond: (sent / tookMs) * 1000, cpuUs: cpuUs / sent };
  } finally {
    client.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function countOf(broker: string, topic: string): Promise<number> {
  const admin = kafkaClient(broker).admin();
  await admin.connect();
  try {
    const partitions = await admin.fetchTopicOffsets(topic);
    return partitions.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  } finally {
    await admin.disconnect();
  }
}

const median = (turns: readonly Turn[], of: (turn: Turn) => number): number =>
  turns.map(of).toSorted((a, b) => a - b)[Math.floor(turns.length / 2)] ?? 0;

const kafka = await startKafka();
try {
  const [own, alone]: [Turn[], Turn[]] = [[], []];
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [turns, name, run] of [
      [alone, 'loop', loop],
      [own, 'sluice', pipeline],
    ] as const) {
      const topic = `${name}-${turn}`;
      await createTopic(kafka.broker, topic, PARTITIONS);
      turns.push(await run(kafka.broker, topic));
    }
  }
  console.log('| | entries/s | CPU us/entry | of the loop |\n|---|---:|---:|---:|');
  const beside = median(alone, ({ perSecond }) => perSecond);
  for (const [name, turns] of [
    ['the client alone', alone],
    [`access log entries through log-kafka, spool: ${spool}`, own],
  ] as const) {
    const perSecond = median(turns, (turn) => turn.perSecond);
    console.log(
      `| ${name} | ${Math.round(perSecond)} | ${median(turns, ({ cpuUs }) => cpuUs).toFixed(1)} | ${(perSecond / beside).toFixed(2)} |`,
    );
  }
} finally {
  await kafka.stop();
}
