/** Ten thousand reports at once to a sink that hangs: checks are served, memory is bounded, one line says so, and all of them arrive. */
import { FluentServer } from '@fluent-org/logger';
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { startElasticsearch } from '../../parts/elasticsearch.ts';
import { startLink } from '../../parts/link.ts';
import { startCollector } from '../../parts/otlp-collector.ts';
import { runPolicy } from '../../parts/running-policy.ts';

const ENTRIES = 10_000;
const MIB = 1024 ** 2;
const adapters = await loadBuiltIns();

/** Hangs until `answer`. */
interface Sink {
  readonly config: object;
  /** Of the rule, as YAML. */
  readonly report: string;
  /** Each entry that arrived, by its number; of a metric, its sum. */
  readonly arrived: () => readonly number[] | number;
  answer(): void;
}

const PATH = 'input: { path: request.path }';
const numberIn = (path: unknown): number => Number(String(path).slice(1));

const SINKS: Readonly<Record<string, () => Promise<Sink>>> = {
  async 'log-elasticsearch'() {
    const server = await startElasticsearch();
    onTestFinished(() => server.stop());
    server.answer = () => ({ never: true });
    return {
      config: { url: server.url, index: 'burst' },
      report: PATH,
      arrived: () => [...server.documents.values()].map(({ source }) => numberIn(source['path'])),
      answer: () => (server.answer = () => ({})),
    };
  },
  async 'log-fluentd'() {
    const numbers: number[] = [];
    const server = new FluentServer({ listenOptions: { port: 0, host: '127.0.0.1' } });
    server.on('entry', (_tag: string, _time: unknown, record: { path: string }) => numbers.push(numberIn(record.path)));
    await server.listen();
    const link = await startLink(server.port ?? 0);
    onTestFinished(async () => {
      await link.stop();
      await server.close();
    });
    link.cut();
    return {
      config: { host: '127.0.0.1', port: link.port, ackTimeoutMs: 500, connectTimeoutMs: 500 },
      report: PATH,
      arrived: () => numbers,
      answer: () => link.mend(),
    };
  },
  async 'traces-otlp'() {
    const collector = await startCollector('grpc');
    onTestFinished(() => collector.stop());
    const taken = collector.answer;
    collector.answer = () => ({ never: true });
    return {
      config: { url: collector.url, protocol: 'grpc' },
      report: `input: { trace_id: '"4bf92f3577b34da6a3ce929d0e0e4736"', path: request.path }`,
      arrived: () => collector.spans.map(({ attributes }) => numberIn(attributes['path'])),
      answer: () => (collector.answer = taken),
    };
  },
  async 'metrics-otlp'() {
    const collector = await startCollector('http');
    onTestFinished(() => collector.stop());
    const taken = collector.answer;
    collector.answer = () => ({ never: true });
    return {
      config: {
        url: collector.url,
        intervalMs: 100,
        timeoutMs: 500,
        metrics: { hits: { kind: 'counter', labels: ['kind'] } },
      },
      report: `params: { metric: hits }, input: { labels: { kind: 'request.path.startsWith("/") ? "path" : "none"' } }`,
      arrived: () => collector.points.at(-1)?.value ?? 0,
      answer: () => (collector.answer = taken),
    };
  },
};

test.each(Object.keys(SINKS))(
  '10 000 entries at once to a %s that hangs delay no check, are bounded, and arrive when it answers',
  async (adapter) => {
    const sink = await (SINKS[adapter] as () => Promise<Sink>)();
    const { engine, check, logged, wire } = await runPolicy(
      `handlers:
  sink: { adapter: ${adapter}, config: ${JSON.stringify(sink.config)}, deadline: 1s }
  known: { adapter: check-list, config: { values: [/open] } }
rules:
  - { name: reported, calls: [log], report: { handler: sink, ${sink.report} } }
  - { name: checked, check: { handler: known, input: { value: request.path } } }
`,
      { adapters },
    );
    const outcomes = async (): Promise<string[]> =>
      (await Promise.all(['/open', '/else'].map((path) => check({ 'request.path': path })))).map(
        ({ outcome }) => outcome,
      );
    const before = process.memoryUsage().rss;
    let accepted = 0;
    for (let at = 0; at < ENTRIES; at++)
      void Promise.resolve(engine.report('log', wire({ 'request.path': `/${at}` }, 'log'))).then(() => accepted++);
    expect(await outcomes()).toEqual(['allow', 'deny']);
    if (adapter !== 'metrics-otlp')
      // A metric is a sum in memory, so its sink has taken the entries.
      await eventually(
        () => expect(engine.handlers().find(({ name }) => name === 'sink')?.lastError).toBeDefined(),
        20_000,
      );
    expect(await outcomes()).toEqual(['allow', 'deny']);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB);
    expect(sink.arrived()).toEqual(adapter === 'metrics-otlp' ? 0 : []);

    sink.answer();
    const all = Array.from({ length: ENTRIES }, (_, at) => at);
    await eventually(() => {
      const arrived = sink.arrived();
      if (typeof arrived === 'number') expect(arrived).toBe(ENTRIES);
      else expect([...new Set(arrived)].toSorted((a, b) => a - b)).toEqual(all);
    }, 30_000);
    expect(accepted).toBe(ENTRIES);
    expect(logged.filter(({ message }) => message === 'a handler does not answer').length).toBeLessThanOrEqual(1);
    expect(logged.filter(({ level }) => level === 'error')).toEqual([]);
  },
  60_000,
);
