/**
 * Several rate-limit engines as one: a crew of workers with shared counters.
 * **In**: settings. **Out**: an engine whose metrics and inspections sum all workers. **Fails**: as its workers do.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnLog } from '../../log/log.ts';
import { sharedPool } from '../../ratelimit/charge/open-stores.ts';
import { replicaName } from '../../ratelimit/charge/redis-pool.ts';
import type { LimitInspector } from '../../ratelimit/inspect/inspector.ts';
import { mergedInspection } from '../../ratelimit/inspect/merged-inspection.ts';
import type { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import { messageOf } from '../../text/message-of.ts';
import { Crew } from '../crew/crew.ts';
import type { ListenAt } from '../crew/protocol.ts';
import type { RunningWorker } from '../crew/running-worker.ts';
import { GRACE_MS } from './from-settings.ts';
import { GaugeSums } from './gauge-sums.ts';
import type { ServedEngine } from './server.ts';
import type { RatelimitProtocol } from './worker-protocol.ts';

/** Counts of a worker since its last flush are lost if it dies. */
const FLUSH_EVERY_MS = 1000;
/** A worker that does not answer in time is left out of pages, and is unhealthy. */
const ANSWER_MS = 2000;
/** A restarted worker waits up to 2 s for its stores before it listens; the others answer meanwhile. */
const REACH_MS = 2000;
const POLL_MS = 20;
/** The supervisor's number in the shared memory; workers are numbered from 1. */
const SUPERVISOR = -1;

export async function serveByCrew(
  settings: Settings,
  metrics: RatelimitMetrics,
  log: OwnLog,
  at: ListenAt,
): Promise<ServedEngine> {
  const memory = new Map<string, SharedArrayBuffer>();
  const pool = sharedPool(settings, { worker: SUPERVISOR, replica: '', memory }); // allocates the memory
  const sums = new GaugeSums(metrics.gauges);
  const instanceId = settings.TRACING_SERVICE_INSTANCE_ID || randomUUID(); // the instance is the process, not the worker
  const replica = replicaName();
  const crew = new Crew<RatelimitProtocol>({
    count: settings.SLUICE_WORKERS,
    graceMs: GRACE_MS,
    log,
    ...at,
    module: 'serve/ratelimit/worker',
    dataOf: (number) => ({
      settings: { ...settings, TRACING_SERVICE_INSTANCE_ID: instanceId },
      shared: { worker: number, replica, memory },
    }),
    onEvent(number, { counts, gauges }) {
      metrics.add(counts);
      sums.update(number, gauges);
    },
    beforeListen: reachesStores,
    onEnded: (number) => sums.ended(number),
    lockedMemory: [...memory.values()],
  });
  metrics.gauges.set('ratelimit.workers.serving', () => crew.servingCount);
  metrics.gauges.set('ratelimit.workers.restarts', () => crew.restarts);
  if (settings.BACKEND_TYPE === 'memory') metrics.gauges.set('ratelimit.memory.keys', () => pool.size);

  let isDraining = false;
  await using stack = new AsyncDisposableStack();
  stack.defer(() => crew.drain());
  await crew.start();
  const flushMetrics = async (): Promise<void> => {
    await crew.askAll('flushMetrics', undefined, ANSWER_MS);
  };
  const flushing = setInterval(() => {
    flushMetrics().catch((error: unknown) =>
      log.warn('metrics of the workers could not be collected; the next collection includes them', {
        error: messageOf(error),
      }),
    );
  }, FLUSH_EVERY_MS);
  stack.defer(() => clearInterval(flushing));

  const open = stack.move();
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    isDraining = true;
    return (drained ??= open.disposeAsync());
  };
  return {
    use: (files) => crew.use(files),
    listen: async () => (await crew.listen()).port,
    renewTls: (tls) => crew.renewTls(tls),
    async unhealthyWhy() {
      if (isDraining) return 'the server is stopping';
      if (crew.servingCount === 0) return 'no worker listens';
      const answers = await crew.askAll('health', undefined, ANSWER_MS);
      return answers.includes(undefined)
        ? `a worker did not answer within ${ANSWER_MS} ms`
        : answers.find((answer) => answer?.unhealthyWhy !== undefined)?.unhealthyWhy;
    },
    answerJson: async (body, headers) => crew.askOne('json', { body, headers }),
    limits: limitsOf(crew, replica),
    flushMetrics,
    drain,
    close: drain,
  };
}

async function reachesStores(worker: RunningWorker<RatelimitProtocol>): Promise<void> {
  const untilMs = performance.now() + REACH_MS;
  while ((await worker.ask('health', undefined))?.unhealthyWhy !== undefined && performance.now() < untilMs)
    await sleep(POLL_MS);
}

/** Inspections of counters of which several workers hold leases. */
function limitsOf(crew: Crew<RatelimitProtocol>, replica: string): LimitInspector {
  const inspect: LimitInspector['inspect'] = async (asked) => {
    const all = await crew.askAll('inspect', asked);
    const [first, ...others] = all.filter((one) => one !== undefined);
    if (first === undefined) throw new Error('no worker is running');
    return mergedInspection([first, ...others], replica);
  };
  return {
    explain: (asked) => crew.askOne('explain', asked),
    inspect,
    async reset(asked) {
      const before = await inspect(asked);
      await crew.askOne('reset', asked);
      // After the reset: units leased before it belong to the old count, and would be spent in addition to the new one.
      await crew.askAll('forget', asked);
      return before;
    },
  };
}
