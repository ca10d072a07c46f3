/**
 * Pushes the metrics of a registry at an interval.
 * **In**: families. **Out**: their series at a collector, cumulative: a push replaces those before it, so nothing is queued. **Fails**:
 * never; a push that fails is counted and repeated with back-off, with the values of then.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Call, type Host, Rejected, Unavailable } from 'sluice/plugin';
import { Readiness } from '../http/readiness.ts';
import type { Family } from '../metrics/registry.ts';
import { openExporter } from '../otlp/exporter.ts';
import { Resources } from '../otlp/resources.ts';
import { type EncodedEntry, OtlpSender } from '../otlp/sender.ts';
import type { MetricsOtlpConfig } from './adapter.ts';
import { metricsOf } from './points.ts';

export interface Pusher {
  /** Pushes until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Pushes the values that have changed since the last push, once. */
  close(): Promise<void>;
}

const INSTANCE = 'service.instance.id';
/** Of an encoded metric; encoded in about a millisecond, then the event loop turns. */
const CHUNK_BYTES = 64 * 1024;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 3_600_000;
/** A handler has 5 s to close. */
const LAST_PUSH_MS = 4000;
/** Of encoding; on a busy machine each turn of the event loop takes long. */
const LAST_SLICE_MS = 5;
/** Metrics that a log line names. */
const MAX_NAMED = 20;

interface Push {
  readonly callOf: () => Call;
  /** Series that were updated since then; monotonic. */
  readonly sinceMs: number;
  /** Of encoding, before the event loop turns. */
  readonly sliceMs: number;
}

/** How far a push came. */
interface Progress {
  /** Series that were taken, by metric. */
  readonly series: Map<string, number>;
  refused: Rejected | undefined;
}

export async function openPusher(families: readonly Family[], config: MetricsOtlpConfig, host: Host): Promise<Pusher> {
  const { intervalMs, timeoutMs, maxRequestBytes } = config;
  const readiness = new Readiness(host);
  const exporter = await openExporter(config, 'metrics', readiness.hostFor('exporter'));
  const sender = new OtlpSender(exporter, config, host);
  const resource = new Resources({ ...config.resource, [INSTANCE]: instanceOf(config.resource[INSTANCE], host) }).of(
    {},
  )({});
  const failures = host.metrics.counter(
    'metrics_otlp_failed_pushes',
    'Pushes that failed; the next one replaces them, so that no counts are lost.',
  );
  const chunkBytes = Math.min(CHUNK_BYTES, maxRequestBytes / 4);
  let pushes = 0;
  /** Since the last one that succeeded. */
  let failed = 0;
  let isRefused = false;
  /** When the last push began that the collector took as a whole; monotonic. */
  let takenAtMs = -Infinity;

  /** Series are encoded while those before them are sent, so that a push of any size takes the memory of two requests. */
  async function push({ callOf, sinceMs, sliceMs }: Push, progress: Progress): Promise<void> {
    const number = ++pushes;
    let entries: EncodedEntry[] = [];
    let bytes = 0;
    let series = new Map<string, number>();
    let index = 0;
    let sending: Promise<void> | undefined;
    const sendNext = async (): Promise<void> => {
      const [those, inThem] = [entries, series];
      [entries, bytes, series] = [[], 0, new Map()];
      await sending;
      sending = sent(those, inThem, callOf(), progress);
      sending.catch(() => undefined); // awaited before the next one
    };
    let turnedAtMs = host.clock.monotonicMs();
    for (const { name, record, series: inIt } of metricsOf(families, host.clock, chunkBytes, sinceMs)) {
      if (bytes + record.length > maxRequestBytes && entries.length > 0) await sendNext();
      entries.push({ index: entries.length, id: `${number}-${++index}`, resource, record });
      bytes += record.length;
      add(series, name, inIt);
      if (host.clock.monotonicMs() - turnedAtMs < sliceMs) continue;
      await nextTurn();
      turnedAtMs = host.clock.monotonicMs();
    }
    if (entries.length > 0) await sendNext();
    await sending;
    const { refused } = progress;
    if (refused !== undefined && !isRefused)
      host.log.warn('a collector refuses metrics; other metrics are pushed', { why: refused.message });
    isRefused = refused !== undefined;
  }

  async function sent(
    entries: readonly EncodedEntry[],
    series: ReadonlyMap<string, number>,
    call: Call,
    progress: Progress,
  ): Promise<void> {
    try {
      await sender.send(entries, call);
      for (const [name, count] of series) add(progress.series, name, count);
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      progress.refused ??= error;
    }
  }

  /** Milliseconds until the next push. */
  async function attempt(signal: AbortSignal): Promise<number> {
    const startedMs = host.clock.monotonicMs();
    try {
      const progress: Progress = { series: new Map(), refused: undefined };
      const callOf = (): Call => callWithin(timeoutMs, signal);
      await push({ callOf, sinceMs: -Infinity, sliceMs: 0 }, progress);
      if (progress.refused === undefined) takenAtMs = startedMs;
      succeeded();
      return Math.max(0, intervalMs - (host.clock.monotonicMs() - startedMs));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (signal.aborted) return 0;
      const backOffMs = Math.min(intervalMs, FIRST_RETRY_MS * 2 ** Math.min(failed, 20));
      failure(error.message);
      return Math.min(LONGEST_RETRY_MS, Math.max(error.retryAfterMs, backOffMs) * (0.75 + Math.random() / 2));
    }
  }

  function succeeded(): void {
    if (failed > 0) host.log.info('metrics are pushed again', { failed });
    failed = 0;
    readiness.set('push', undefined);
  }

  function failure(why: string): void {
    failures.add();
    if (failed++ === 0)
      host.log.warn('metrics cannot be pushed; the newest are pushed once the collector answers', { why });
    readiness.set('push', why);
  }

  return {
    async run(signal) {
      let pauseMs = intervalMs * Math.random(); // replicas and workers start together
      while (true) {
        await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
        if (signal.aborted) return;
        pauseMs = await attempt(signal);
      }
    },
    async close() {
      const call = callWithin(Math.min(timeoutMs, LAST_PUSH_MS));
      const progress: Progress = { series: new Map(), refused: undefined };
      try {
        await push({ callOf: () => call, sinceMs: takenAtMs, sliceMs: LAST_SLICE_MS }, progress);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        failures.add();
        const left = families.flatMap((family) => {
          const series = countOf(family.series(takenAtMs)) - (progress.series.get(family.name) ?? 0);
          return series > 0 ? [{ name: family.name, series }] : [];
        });
        host.log.warn('the last values of metrics were not pushed', {
          why: error.message,
          series: left.reduce((sum, { series }) => sum + series, 0),
          metrics: left.slice(0, MAX_NAMED).map(({ name, series }) => `${series} of ${name}`),
        });
      } finally {
        await exporter.close();
      }
    },
  };
}

function add(to: Map<string, number>, name: string, count: number): void {
  to.set(name, (to.get(name) ?? 0) + count);
}

function countOf(all: Iterable<unknown>): number {
  let count = 0;
  for (const _ of all) count++;
  return count;
}

/** Distinct for each worker; the same over reloads. */
function instanceOf(given: string | undefined, host: Host): string {
  if (given === undefined) return host.metrics.kept('instance', () => randomUUID());
  return host.worker.count === 1 ? given : `${given}-${host.worker.number}`;
}

function callWithin(ms: number, signal?: AbortSignal): Call {
  const timeout = AbortSignal.timeout(ms);
  return {
    signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    remainingMs: ms,
    id: randomUUID(),
  };
}
