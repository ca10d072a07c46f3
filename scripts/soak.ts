/**
 * `npm run soak [MINUTES] [ENTRIES_PER_SECOND]`: an access log through a spool into Kafka, for an hour at 10 000 entries/s if not told
 * otherwise. Kafka is killed each minute, and Sluice in the first half of the time; in the second its memory has to stay flat.
 * `npm run soak -- outage [MINUTES] [ENTRIES_PER_SECOND]`: Kafka is away for five minutes at 20 000 entries/s; memory, disk, recovery.
 * `npm run soak -- frozen [TIMES] [ENTRIES_PER_SECOND]`: Kafka is frozen for six seconds, longer than a request's timeout, ten times at
 * 2000 entries/s; no entry may come twice.
 * All read the topic at the end: every confirmed entry is there, in the order of its stream, or the script fails.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Serving, serving } from '../test/e2e/command.ts';
import { type KafkaPart, startKafka } from '../test/parts/kafka.ts';
import { createTopic, readTopic } from '../test/parts/kafka-topic.ts';
import { type Load, PER_STREAM, sendStreams, Streams } from '../test/parts/numbered-streams.ts';

const TOPIC = 'soak';
const SENDERS = 10;
const SAMPLE_MS = 5000;
const KAFKA_EVERY_MS = 60_000;
const SLUICE_EVERY_MS = 150_000;
const KAFKA_AWAY_MS = 8000;
const FROZEN_MS = 6000;
/** Between the medians of the first and the last fifth of an uninterrupted run. */
const MAX_GROWTH = 1.25;

const args = process.argv.slice(2);
const DEFAULTS = { outage: [5, 20_000], frozen: [10, 2000], soak: [60, 10_000] } as const;
const mode = args[0] === 'outage' || args[0] === 'frozen' ? args[0] : 'soak';
if (mode !== 'soak') args.shift();
/** `count`: minutes, or freezes. */
const [count = DEFAULTS[mode][0], perSecond = DEFAULTS[mode][1]] = args.map(Number);

const beganAtMs = performance.now();
const say = (text: string): void =>
  console.log(`${((performance.now() - beganAtMs) / 1000).toFixed(0).padStart(5)} s  ${text}`);
const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;

const policyOf = (broker: string): string => `
settings: { spool: { folder: spool } }
handlers:
  kafka: { adapter: log-kafka, config: { brokers: ["${broker}"], topic: ${TOPIC}, key: stream }, spool: disk }
rules:
  - { name: all, report: { handler: kafka, input: { path: request.path, stream: request.host } } }
`;

interface Sample {
  readonly rss: number;
  readonly queued: number;
  readonly disk: number;
}

class Run {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-soak-'));
  readonly #policy = join(this.#folder, 'policy.yaml');
  readonly streams = new Streams();
  readonly kafka: KafkaPart;
  server: Serving | undefined;
  #load: Load | undefined;
  /** Of the process that runs now. */
  samples: Sample[] = [];
  most: Sample = { rss: 0, queued: 0, disk: 0 };
  readonly #sampling = setInterval(() => void this.#sample().catch(() => undefined), SAMPLE_MS);

  constructor(kafka: KafkaPart) {
    this.kafka = kafka;
    writeFileSync(this.#policy, policyOf(kafka.broker));
  }

  async start(): Promise<void> {
    this.server = await serving([this.#policy], { env: { NODE_OPTIONS: '--max-semi-space-size=4' } }); // as the command has it
    this.samples = [];
    this.#load = sendStreams(this.server.grpc, this.streams, SENDERS, perSecond);
  }

  async killSluice(): Promise<void> {
    this.server?.signal('SIGKILL');
    await this.server?.ended;
    await this.#load?.stop();
    await this.start();
  }

  async killKafka(): Promise<void> {
    await this.kafka.kill();
    await sleep(KAFKA_AWAY_MS);
    await this.kafka.restart();
  }

  async #state(): Promise<Sample> {
    if (this.server === undefined) throw new Error('Sluice does not run');
    const page = (await (await fetch(`http://${this.server.admin}/handlers`)).json()) as {
      handlers: { queued: number; reports: { bytes: number } }[];
    };
    const status = readFileSync(`/proc/${this.server.pid}/status`, 'utf8');
    const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
    return { rss, queued: page.handlers[0]?.queued ?? 0, disk: page.handlers[0]?.reports.bytes ?? 0 };
  }

  async #sample(): Promise<void> {
    const now = await this.#state();
    this.samples.push(now);
    this.most = {
      rss: Math.max(this.most.rss, now.rss),
      queued: Math.max(this.most.queued, now.queued),
      disk: Math.max(this.most.disk, now.disk),
    };
    if (this.samples.length % 6 === 0)
      say(`${mebibytes(now.rss)} resident, ${now.queued} entries wait, ${mebibytes(now.disk)} on disk`);
  }

  stopLoad = async (): Promise<void> => this.#load?.stop();

  /** Settles when Kafka has acknowledged everything. */
  async drained(): Promise<void> {
    while ((await this.#state()).queued > 0) await sleep(100);
  }

  async end(): Promise<void> {
    clearInterval(this.#sampling);
    await this.server?.stop();
    await this.kafka.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Reads the topic, and compares it with what was confirmed; resolves with the number of repeated entries. */
async function verify({ streams, kafka }: Run): Promise<number> {
  const times = new Uint8Array(streams.next * PER_STREAM);
  const last = new Float64Array(streams.next).fill(-1);
  let [arrived, disordered] = [0, 0];
  await readTopic(kafka.broker, TOPIC, ({ value }) => {
    const number = Number(/"path":"\/(\d+)"/.exec(value?.toString() ?? '')?.[1]);
    arrived++;
    if ((times[number] = (times[number] ?? 0) + 1) > 1) return;
    const stream = Math.floor(number / PER_STREAM);
    if (number < (last[stream] ?? -1)) disordered++;
    last[stream] = number;
  });
  let lost = 0;
  for (const stream of streams.confirmed)
    for (let number = stream * PER_STREAM; number < (stream + 1) * PER_STREAM; number++)
      if (times[number] === 0) lost++;
  const different = times.reduce((sum, one) => sum + (one > 0 ? 1 : 0), 0);
  say(
    `${streams.confirmed.length * PER_STREAM} entries confirmed, ${lost} lost, ${disordered} out of order; ${arrived} in Kafka, ${arrived - different} of them repeated`,
  );
  if (lost + disordered > 0) process.exitCode = 1;
  return arrived - different;
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

async function soak(run: Run): Promise<void> {
  const endsAtMs = performance.now() + count * 60_000;
  const lastKillMs = performance.now() + count * 30_000;
  let [kafkaKills, sluiceKills] = [0, 0];
  let back = Promise.resolve();
  let killSluiceAtMs = performance.now() + Math.min(SLUICE_EVERY_MS, count * 12_000);
  let killKafkaAtMs = performance.now() + Math.min(KAFKA_EVERY_MS, count * 10_000);
  while (performance.now() < endsAtMs) {
    await sleep(500);
    const nowMs = performance.now();
    if (nowMs > killSluiceAtMs && nowMs < lastKillMs) {
      killSluiceAtMs = nowMs + Math.min(SLUICE_EVERY_MS, count * 12_000);
      say(`Sluice is killed, kill ${++sluiceKills}`);
      await run.killSluice();
    }
    if (nowMs > killKafkaAtMs && endsAtMs - nowMs > 2 * KAFKA_AWAY_MS) {
      killKafkaAtMs = nowMs + Math.min(KAFKA_EVERY_MS, count * 10_000);
      say(`Kafka is killed, kill ${++kafkaKills}`);
      back = run.killKafka(); // Sluice may be killed meanwhile
    }
  }
  await back;
  const resident = run.samples.map(({ rss }) => rss);
  const fifth = Math.max(1, Math.floor(resident.length / 5));
  const [first, end] = [median(resident.slice(0, fifth)), median(resident.slice(-fifth))];
  await run.stopLoad();
  await run.drained();
  say(
    `${kafkaKills} kills of Kafka, ${sluiceKills} of Sluice; in the last uninterrupted run ${mebibytes(first)} resident at first, ${mebibytes(end)} at the end, ${mebibytes(run.most.rss)} at most in any`,
  );
  if (end > MAX_GROWTH * first) process.exitCode = 1;
}

async function outage(run: Run): Promise<void> {
  await sleep(30_000);
  const before = median(run.samples.map(({ rss }) => rss));
  say(`${mebibytes(before)} resident; Kafka goes away`);
  await run.kafka.kill();
  await sleep(count * 60_000);
  const { most } = run;
  await run.kafka.restart();
  const backAtMs = performance.now();
  await run.stopLoad();
  await run.drained();
  const tookS = (performance.now() - backAtMs) / 1000;
  say(
    `Kafka was away for ${count} minutes: ${most.queued} entries waited, ${mebibytes(most.disk)} on disk, at most ${mebibytes(most.rss)} resident; delivered in ${tookS.toFixed(0)} s, at most ${mebibytes(run.most.rss)} resident`,
  );
}

async function frozen(run: Run): Promise<void> {
  for (let time = 1; time <= count; time++) {
    await sleep(2000);
    run.kafka.freeze();
    await sleep(FROZEN_MS);
    run.kafka.thaw();
    say(`Kafka was frozen for ${FROZEN_MS / 1000} s, time ${time}`);
  }
  await sleep(2000);
  await run.stopLoad();
  await run.drained();
}

const run = new Run(await startKafka());
try {
  await createTopic(run.kafka.broker, TOPIC, 3);
  await run.start();
  await { outage, frozen, soak }[mode](run);
  const repeated = await verify(run);
  if (mode === 'frozen' && repeated > 0) process.exitCode = 1;
} finally {
  await run.end();
}
