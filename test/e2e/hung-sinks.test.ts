/** Servers of sinks that accept connections and answer nothing: operators see it within the deadline of a batch, and see the end of it. */
import { FluentServer } from '@fluent-org/logger';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { startElasticsearch } from '../parts/elasticsearch.ts';
import { type KafkaPart, startKafka } from '../parts/kafka.ts';
import { createTopic } from '../parts/kafka-topic.ts';
import { type Link, startLink } from '../parts/link.ts';
import { PER_STREAM, sendStreams, Streams } from '../parts/numbered-streams.ts';
import { startCollector } from '../parts/otlp-collector.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { type Serving, serving } from './command.ts';

const SINKS = ['fluentd', 'kafka', 'otlp', 'redis', 'search'] as const;
/** Looks at the page while they hang: a sink that seems ready between two attempts would be seen. */
const LOOKS = 40;

let workspace: Workspace;
let server: Serving;
let kafka: KafkaPart;
let redis: RedisPart;
const links: Link[] = [];
const ends: (() => unknown)[] = [];
const linkTo = async (port: number | string): Promise<number> => {
  const link = await startLink(Number(port));
  links.push(link);
  ends.push(() => link.stop());
  return link.port;
};

beforeAll(async () => {
  workspace = makeWorkspace();
  kafka = await startKafka();
  await createTopic(kafka.broker, 'reports', 1);
  redis = await startRedis();
  const search = await startElasticsearch();
  const collector = await startCollector('http');
  const fluentd = new FluentServer({ listenOptions: { port: 0, host: '127.0.0.1' } });
  await fluentd.listen();
  ends.push(
    () => search.stop(),
    () => collector.stop(),
    () => fluentd.close(),
  );
  const configs: Readonly<Record<(typeof SINKS)[number], [string, string]>> = {
    fluentd: ['log-fluentd', `host: 127.0.0.1, port: ${await linkTo(fluentd.port ?? 0)}`],
    kafka: ['log-kafka', `brokers: ['${kafka.broker}'], topic: reports`],
    otlp: ['log-otlp', `url: http://127.0.0.1:${await linkTo(new URL(collector.url).port)}`],
    redis: ['log-redis', `url: ${redis.url}`],
    search: ['log-elasticsearch', `url: http://127.0.0.1:${await linkTo(new URL(search.url).port)}, index: access`],
  };
  const handlers = SINKS.map((name) => {
    const [adapter, config] = configs[name];
    return `  ${name}: { adapter: ${adapter}, config: { ${config} }, deadline: 1s }`;
  });
  const rules = SINKS.map(
    (name) => `  - { name: to-${name}, report: { handler: ${name}, input: { path: request.path } } }`,
  );
  workspace.write('policy.yaml', ['handlers:', ...handlers, 'rules:', ...rules, ''].join('\n'));
  server = await serving([workspace.path('policy.yaml')]);
}, 120_000);
afterAll(async () => {
  redis.thaw();
  kafka.thaw();
  for (const link of links) link.mend();
  await server.stop();
  for (const end of ends.toReversed()) await end();
  await redis.stop();
  await kafka.stop();
  workspace.remove();
});

interface Row {
  readonly name: string;
  readonly ready: boolean;
  readonly why: string | null;
  readonly queued: number;
}
const page = async (path: string): Promise<Row[]> => {
  const { handlers } = (await (await fetch(`http://${server.admin}${path}`)).json()) as { handlers: Row[] };
  return handlers.toSorted((a, b) => (a.name < b.name ? -1 : 1));
};
const lines = (handler: string, message: string): object[] =>
  server
    .err()
    .split('\n')
    .filter((line) => line.includes(`"msg":"${message}"`))
    .map((line) => JSON.parse(line) as { handler?: string })
    .filter((line) => line.handler === handler);

test('the handlers are not ready from the first late batch until one is taken, and one line each tells of both', async () => {
  const streams = new Streams();
  const send = async (): Promise<void> => {
    await sendStreams(server.grpc, streams, 1, PER_STREAM).stop();
  };
  await send();
  const readyAgain = async (): Promise<void> =>
    eventually(
      async () =>
        expect(await page('/handlers')).toMatchObject(
          SINKS.map((name) => ({ name, ready: true, why: null, queued: 0 })),
        ),
      60_000,
    );
  await readyAgain();

  for (const link of links) link.cut();
  redis.freeze();
  kafka.freeze();
  await send();
  const hung = SINKS.map((name) => ({ name, ready: false, why: expect.any(String) as string }));
  await eventually(async () => expect(await page('/handlers')).toMatchObject(hung), 60_000);
  for (let look = 0; look < LOOKS; look++) {
    expect(await page('/handlers')).toMatchObject(hung);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await page('/readyz')).toMatchObject(hung);
  for (const name of SINKS) expect(lines(name, 'a handler does not answer'), name).toHaveLength(1);

  for (const link of links) link.mend();
  redis.thaw();
  kafka.thaw();
  await readyAgain();
  for (const name of SINKS) expect(lines(name, 'a handler answers again'), name).toHaveLength(1);
}, 240_000);
