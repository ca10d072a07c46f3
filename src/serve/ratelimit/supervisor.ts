/**
 * What answers calls in several threads at one port: the kernel shares connections out among them (SO_REUSEPORT).
 * **In**: settings. **Out**: what looks like one engine: what they count is summed, what they hold too. **Fails**: where one cannot
 * start, with nothing left running; one that ends by itself is started again and counted, and the others serve on.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SharedLock } from '../../adapters/shared-lock.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import type { RatelimitEngine } from '../../ratelimit/serve/engine.ts';
import { LOCAL_KEYS } from '../../ratelimit/charge/charging.ts';
import type { ConfigFile } from '../../ratelimit/config/read.ts';
import { replicaName } from '../../ratelimit/charge/holders.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import { sharedCounters, SharedStore } from '../../ratelimit/charge/shared-store.ts';
import type { TlsOptions } from '../../transport/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { Crew } from '../crew/crew.ts';
import { fulfil } from '../crew/shared-memory-request.ts';
import { RunningWorker } from '../crew/running-worker.ts';
import { limitsOfCrew } from './crew-limits.ts';
import { GaugeSums } from './gauge-sums.ts';
import { GRACE_MS, grpcAddress } from './grpc-door.ts';
import { followGrpcTls, grpcTls } from './grpc-tls.ts';
import type { RatelimitTalk, WorkerData } from './messages.ts';
import { messageOf } from '../../text/message-of.ts';

/** What a worker that dies had counted since then is lost. */
const COUNT_EVERY_MS = 1000;
/** A worker that does not answer in time is left out of a page, and is not healthy. */
const ANSWER_MS = 2000;
/** A worker that is started again waits so long for its stores before it listens: meanwhile the others answer. */
const REACH_MS = 2000;
const LOOK_MS = 20;
/** Beside those of the workers, which are from 1. */
const OWN_NUMBER = -1;

export async function answerByWorkers(
  settings: Settings,
  metrics: RatelimitMetrics,
  log: OwnLog,
): Promise<RatelimitEngine> {
  const memory = {
    counts: sharedCounters(settings.BACKEND_TYPE === 'memory' ? settings.SLUICE_MAX_KEYS : 1),
    local: sharedCounters(LOCAL_KEYS),
  };
  const shared = createSharedMemory();
  const sums = new GaugeSums(metrics.gauges);
  const instanceId = settings.TRACING_SERVICE_INSTANCE_ID || randomUUID(); // of all: the process is the instance
  const replica = replicaName();
  let address = grpcAddress(settings);
  let tls = await grpcTls(settings);
  let inForce: readonly ConfigFile[] | undefined;
  let isListening = false;
  let isDraining = false;

  const crew = new Crew<RatelimitTalk>({
    count: settings.SLUICE_WORKERS,
    graceMs: GRACE_MS,
    log,
    start(number) {
      const data: WorkerData = {
        settings: { ...settings, TRACING_SERVICE_INSTANCE_ID: instanceId },
        shared: { worker: number, replica, ...memory },
      };
      return new RunningWorker<RatelimitTalk>({
        module: 'serve/ratelimit/worker',
        number,
        data,
        onTold(told) {
          if ('wish' in told) return fulfil(told.wish, shared);
          metrics.add(told.counts);
          sums.told(number, told.gauges);
        },
      });
    },
    async prepare(worker) {
      if (tls !== undefined) await worker.ask('renewTls', tls);
      if (inForce !== undefined) await worker.ask('use', inForce);
      if (!isListening) return;
      await reaches(worker);
      await listenBy(worker);
    },
    onEnded(number) {
      for (const buffer of [...Object.values(memory), ...shared.all]) SharedLock.releaseOf(buffer, number);
      sums.ended(number);
    },
  });

  async function reaches(worker: RunningWorker<RatelimitTalk>): Promise<void> {
    const untilMs = performance.now() + REACH_MS;
    while ((await worker.ask('health', undefined))?.why !== undefined && performance.now() < untilMs)
      await sleep(LOOK_MS);
  }

  async function listenBy(worker: RunningWorker<RatelimitTalk>): Promise<void> {
    const port = await worker.ask('listen', address);
    if (port === undefined) throw new Error('a worker ended before it listened');
    address = { ...address, port };
  }

  async function renewTls(renewed: TlsOptions): Promise<void> {
    const before = tls;
    tls = renewed;
    try {
      await crew.askAll('renewTls', renewed);
    } catch (error) {
      tls = before;
      throw error;
    }
  }

  metrics.gauges.set('ratelimit.workers.serving', () => crew.running.size);
  metrics.gauges.set('ratelimit.workers.restarts', () => crew.restarts);
  if (settings.BACKEND_TYPE === 'memory') {
    const counts = new SharedStore({ memory: memory.counts, worker: OWN_NUMBER, nowMs: Date.now });
    metrics.gauges.set('ratelimit.memory.keys', () => counts.size);
  }

  await using stack = new AsyncDisposableStack();
  stack.defer(() => crew.drain());
  await crew.start();
  const counting = setInterval(() => {
    crew.askAll('count', undefined, ANSWER_MS).catch((error: unknown) =>
      log.warn('what workers have counted could not be asked for; it is asked for again', {
        error: messageOf(error),
      }),
    );
  }, COUNT_EVERY_MS);
  stack.defer(() => clearInterval(counting));
  const following = tls === undefined ? undefined : followGrpcTls(settings, renewTls, log);
  stack.defer(() => following?.close());

  const open = stack.move();
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    isDraining = true;
    return (drained ??= open.disposeAsync());
  };
  return {
    async use(files) {
      const before = inForce;
      inForce = files;
      try {
        await crew.askAll('use', files);
      } catch (error) {
        inForce = before;
        if (before !== undefined)
          await crew
            .askAll('use', before)
            .catch((again: unknown) =>
              log.error('workers could not go back to the limits that were in force', { why: messageOf(again) }),
            );
        throw error;
      }
    },
    async listen() {
      isListening = true;
      for (const worker of crew.running.values()) await listenBy(worker);
      return address.port;
    },
    async unhealthyWhy() {
      if (isDraining) return 'it is stopping';
      const asked = (await crew.askAll('health', undefined, ANSWER_MS)).filter((health) => health?.listens !== false);
      if (asked.length === 0) return 'no worker listens';
      return asked.some((health) => health === undefined)
        ? `a worker does not answer within ${ANSWER_MS} ms`
        : asked.find((health) => health?.why !== undefined)?.why;
    },
    answerJson: async (body, headers) => crew.askOne('json', { body, headers }),
    limits: limitsOfCrew(crew, replica),
    async flushMetrics() {
      await crew.askAll('count', undefined, ANSWER_MS);
    },
    drain,
    close: drain,
  };
}
