/**
 * The registry of metrics-prometheus beside @prometheus-io/client, in one process: an observation, and a page of 100 000 series.
 * `node --expose-gc --import ./src/adapters/register.ts bench/metrics.ts`; labels have the shape of Istio's: 25 of them, some 1 KB in each
 * series.
 */
import { Counter, Histogram, Registry } from '@prometheus-io/client';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../src/adapters/contract.ts';
import { piecesOf, type RenderPage } from '../src/adapters/plugin-metrics.ts';
import { testCall } from '../src/adapters/testing/index.ts';
import { inFormat } from '../src/admin/exposition.ts';
import adapter from '../plugins/metrics-prometheus/adapter.ts';

const SERIES = 100_000;
const BATCH = 1000;
const BUCKETS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000];
const LABELS = Array.from({ length: 25 }, (_, at) => `label_${at}_of_some_length`);

const INPUTS = LABELS.map((label) => `labels.${label}`);

const valuesOf = (series: number): string[] =>
  LABELS.map((_, at) => (at < 3 ? `workload-${series}-${at}` : `a-value-of-label-${at}`));

interface Side {
  readonly name: string;
  /** Observes one value in each of these series. */
  observer(series: readonly number[]): () => void;
  page(): Promise<number>;
}

async function ours(kind: 'counter' | 'histogram'): Promise<Side> {
  const metric = { kind, labels: LABELS, ...(kind === 'histogram' ? { buckets: BUCKETS } : {}) };
  let render: RenderPage = () => '';
  const host = {
    clock: { nowMs: () => 0, monotonicMs: () => 0 },
    metrics: {
      counter: () => ({ add() {} }),
      page: (given: RenderPage) => (render = given),
      kept: <T>(_: string, make: () => T): T => make(),
    },
  };
  const config = adapter.config.parse({ metrics: { m_total: metric }, maxSeries: SERIES });
  const handler = await adapter.open(config, host as unknown as Host);
  const sink = handler.sink?.({ rule: 'r', input: {}, params: { metric: 'm_total' } });
  const call = testCall();
  return {
    name: 'sluice',
    observer(all) {
      const entries = all.map((series) => {
        const input: Record<string, unknown> = { value: 7 };
        for (const [at, value] of valuesOf(series).entries()) input[INPUTS[at] as string] = value;
        return { sink, id: '', timeMs: 0, input };
      });
      return () => void handler.write?.(entries, call);
    },
    async page() {
      let length = 0;
      for await (const piece of inFormat(piecesOf(render), 'openmetrics')) length += piece.length;
      return length;
    },
  };
}

function theirs(kind: 'counter' | 'histogram'): Side {
  const registry = new Registry();
  const config = { name: 'm_total', help: 'h', labelNames: LABELS, registers: [registry] };
  const counter = kind === 'counter' ? new Counter(config) : undefined;
  const histogram = kind === 'histogram' ? new Histogram({ ...config, buckets: BUCKETS }) : undefined;
  return {
    name: '@prometheus-io/client',
    observer(all) {
      const sets = all.map((series) => {
        const values = valuesOf(series);
        return Object.fromEntries(LABELS.map((label, at) => [label, values[at] as string]));
      });
      return () => {
        for (const labels of sets) {
          counter?.inc(labels, 7);
          histogram?.observe(labels, 7);
        }
      };
    },
    page: async () => (await registry.metrics()).length,
  };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);

/** Of the series in turn, whose labels are made before. */
function observationUs(side: Side, series: number): number {
  const observe = side.observer(range(0, series));
  for (let nth = 0; nth < 20; nth++) observe();
  const began = process.cpuUsage();
  for (let nth = 0; nth < 100; nth++) observe();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / (100 * series);
}

for (const kind of ['counter', 'histogram'] as const) {
  const series = kind === 'counter' ? SERIES : Math.floor(SERIES / (BUCKETS.length + 3));
  for (const side of [await ours(kind), theirs(kind)]) {
    for (let at = 0; at < series; at += BATCH) side.observer(range(at, Math.min(series, at + BATCH)))();
    const us = observationUs(side, 1000);
    for (const nth of ['first', 'next']) {
      globalThis.gc?.();
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await sleep(20);
      delay.reset();
      await sleep(20); // the first tick is not counted
      const began = process.cpuUsage();
      const length = await side.page();
      await sleep(30);
      delay.disable();
      const { user, system } = process.cpuUsage(began);
      console.log(
        `${kind} ${side.name}: ${us.toFixed(2)} us an observation; ${nth} page of ${(length / 1e6).toFixed(0)} MB in ${Math.round((user + system) / 1000)} ms of CPU; event loop held for at most ${(delay.max / 1e6).toFixed(1)} ms`,
      );
    }
  }
}
process.exit(0);
