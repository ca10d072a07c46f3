/**
 * Pushes the metrics of a registry at an interval.
 * **In**: families. **Out**: their series at a collector, cumulative: a push replaces those before it, so nothing is queued. **Fails**: never;
 * a push that fails is counted and repeated with back-off, with the values of then.
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
  /** Pushes the last values, once. */
  close(): Promise<void>;
}

const INSTANCE = 'service.instance.id';
/** Of an encoded metric; encoded in about a millisecond, then the event loop turns. */
const CHUNK_BYTES = 64 * 1024;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 3_600_000;
/** A handler has 5 s to close. */
const LAST_PUSH_MS = 4000;

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

  /** Series are encoded while those before them are sent, so that a push of any size takes the memory of one request. */
  async function push(callOf: () => Call): Promise<void> {
    const number = ++pushes;
    let entries: EncodedEntry[] = [];
    let bytes = 0;
    let index = 0;
    let refused: Rejected | undefined;
    const send = async (): Promise<void> => {
      const those = entries;
      [entries, bytes] = [[], 0];
      try {
        await sender.send(those, callOf());
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        refused ??= error;
      }
    };
    for (const record of metricsOf(families, host.clock, chunkBytes)) {
      if (bytes + record.length > maxRequestBytes && entries.length > 0) await send();
      entries.push({ index: entries.length, id: `${number}-${++index}`, resource, record });
      bytes += record.length;
      await nextTurn();
    }
    if (entries.length > 0) await send();
    if (refused !== undefined && !isRefused)
      host.log.warn('a collector refuses metrics; other metrics are pushed', { why: refused.message });
    isRefused = refused !== undefined;
  }

  /** Milliseconds until the next push. */
  async function attempt(signal: AbortSignal): Promise<number> {
    const startedMs = host.clock.monotonicMs();
    try {
      await push(() => callWithin(timeoutMs, signal));
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
      try {
        await push(() => call);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        failures.add();
        host.log.warn('the last values of metrics were not pushed', { why: error.message });
      } finally {
        await exporter.close();
      }
    },
  };
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
