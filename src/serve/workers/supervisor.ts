/**
 * Several servers at one port, each in a thread: the kernel shares connections out among them (SO_REUSEPORT).
 * **In**: what a server needs, and how many. **Out**: what looks like one server. **Fails**: as a single server does, with nothing
 * left running; a worker that ends by itself is started again and counted, and the others serve on.
 */
import { loadBuiltIns } from '../../adapters/built-in.ts';
import { SharedLock } from '../../adapters/shared-lock.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import { familiesPage, metricsPage } from '../../admin/metrics.ts';
import { startAdmin } from '../../admin/server.ts';
import type { AdminSources, LimitsAnswer } from '../../admin/sources.ts';
import { LOOK_MS, type LookDepth } from '../../core/dispatch/look-at-quotas.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { Address } from '../../transport/index.ts';
import { escapedFamily } from '../contain-errors.ts';
import { type LogFormat, type LogLevel, makeLog } from '../../log/log.ts';
import { policyFamilies } from '../admin-sources.ts';
import { PolicySource, type PolicyTexts } from '../policy-source.ts';
import { atAddress, policyOf, type Server, type ServerOptions, type TransportFlags, warnOfBroken } from '../server.ts';
import { Crew } from '../crew/crew.ts';
import { fulfil } from '../crew/shared-memory-request.ts';
import { mergedLooks, resetLooks } from '../crew/merge-looks.ts';
import { supervisorPart, WorkerPages } from '../crew/merge-metrics.ts';
import type { ServeTalk, WorkerData, WorkerView } from './messages.ts';
import { RunningWorker } from '../crew/running-worker.ts';
import { messageOf } from '../../text/message-of.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';

export interface SupervisorOptions extends Pick<
  ServerOptions,
  'configs' | 'grpc' | 'admin' | 'onFindings' | 'escaped'
> {
  readonly workers: number;
  readonly graceMs: number;
  readonly transport: TransportFlags;
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
}

/** A worker that does not answer in time is left out of a page. */
const VIEW_MS = 2000;

/** Loading 100 000 rules takes half a minute on a busy machine. */
const PREPARE_MS = 120_000;

export async function startWorkers(options: SupervisorOptions): Promise<Server> {
  const log = makeLog(options.log.format, options.log.level);
  const registry = await loadBuiltIns();
  warnOfBroken(registry, log);
  const shared = createSharedMemory();
  const pages = new WorkerPages();
  let isDraining = false;
  let grpc: Address = options.grpc;
  /** What all workers have in force, or are given when they start. */
  let inForce: PolicyTexts | undefined;
  /** What each was started with. */
  const startedWith = new Map<RunningWorker<ServeTalk>, PolicyTexts>();

  const crew = new Crew<ServeTalk>({
    count: options.workers,
    graceMs: options.graceMs,
    log,
    start(number) {
      if (inForce === undefined) throw new Error('no policy has been loaded');
      const data: WorkerData = {
        number,
        count: options.workers,
        texts: inForce,
        grpc,
        transport: options.transport,
        graceMs: options.graceMs,
        log: options.log,
      };
      const worker = new RunningWorker<ServeTalk>({
        module: 'serve/workers/worker',
        number,
        data,
        onTold: (wish) => fulfil(wish, shared),
      });
      startedWith.set(worker, inForce);
      return worker;
    },
    async prepare(worker, { port }) {
      grpc = { ...grpc, port };
      for (let has = startedWith.get(worker); inForce !== undefined && has !== inForce; has = inForce)
        await worker.ask('use', inForce, PREPARE_MS); // another came while it started
      startedWith.delete(worker);
    },
    onEnded(number) {
      for (const memory of shared.all) SharedLock.releaseOf(memory, number);
      for (const worker of startedWith.keys()) if (worker.number === number) startedWith.delete(worker);
      pages.ended(number);
    },
  });

  /** All take it, or none. A worker that ends meanwhile is started again with what is in force then. */
  async function takenByAll(texts: PolicyTexts): Promise<void> {
    const asked = [...crew.running.values()];
    const answers = await Promise.allSettled(asked.map((worker) => worker.ask('prepare', texts, PREPARE_MS)));
    const refusals = answers.flatMap((answer, at) =>
      answer.status === 'rejected' ? [{ number: asked[at]?.number, why: messageOf(answer.reason) }] : [],
    );
    if (refusals.length > 0 || isDraining) {
      await Promise.allSettled(asked.map((worker) => worker.ask('abandon', undefined, PREPARE_MS)));
      if (isDraining) throw new Error('the server is told to stop');
      const reasons = new Set(refusals.map(({ why }) => why));
      throw new Error(
        refusals.length === asked.length && reasons.size === 1
          ? [...reasons].join('')
          : refusals.map(({ number, why }) => `worker ${number}: ${why}`).join('\n'),
      );
    }
    inForce = texts;
    const all = asked.map((worker) => worker.ask('commit', undefined, PREPARE_MS));
    for (const worker of crew.running.values())
      if (!asked.includes(worker)) all.push(worker.ask('use', texts, PREPARE_MS)); // it came while the others prepared
    await Promise.allSettled(all);
  }

  const source = new PolicySource({
    configs: options.configs,
    registry,
    log,
    onFindings: options.onFindings,
    fields: () => ({ workers: crew.running.size }),
    async use(_policy, texts) {
      if (inForce !== undefined) return takenByAll(texts);
      inForce = texts;
      await crew.start();
    },
  });
  const { loads } = source;

  /** One that refuses or does not answer in time is left out. */
  const views = async (): Promise<readonly WorkerView[]> => {
    const told = await Promise.allSettled(
      [...crew.running.values()].map(async (worker) => {
        const view = await worker.ask('view', undefined, VIEW_MS);
        if (view !== undefined) pages.told(worker.number, view.metrics);
        return view;
      }),
    );
    return told.flatMap((one) => (one.status === 'fulfilled' && one.value !== undefined ? [one.value] : []));
  };
  const own = metricsPage([...policyFamilies(loads), ...crewFamilies(crew)], async () => '');
  const sources: AdminSources = {
    policy: () => loads.policy,
    loading: () => loads,
    isDraining: () => isDraining,
    handlers: async () => mergedHandlers(await views()),
    verdicts: async (filter) =>
      (await crew.askAll('verdicts', filter, VIEW_MS))
        .flatMap((kept) => kept ?? [])
        .toSorted((a, b) => b.timeMs - a.timeMs)
        .slice(0, filter.limit),
    limits: async (depth, asked) => {
      const all = (these: LookDepth): Promise<readonly (LimitsAnswer | undefined)[]> =>
        crew.askAll('limits', { depth: these, asked }, LOOK_MS * 3);
      // Looked at by all before any of them resets: it is said what the counters were at.
      const looks = mergedLooks(await all(depth === 'explain' ? 'explain' : 'inspect'));
      return depth !== 'reset' || looks === undefined || 'wrong' in looks
        ? looks
        : resetLooks(looks.rules, await all('reset'));
    },
    metrics: async () => {
      await views();
      const escaped = options.escaped === undefined ? [] : [await familiesPage([escapedFamily(options.escaped)])]; // of this thread, summed with theirs
      return `${supervisorPart(await own.render())}${pages.merged(escaped)}`;
    },
  };

  await using stack = new AsyncDisposableStack();
  const admin =
    options.admin === undefined
      ? undefined
      : await atAddress(options.admin, (at) =>
          startAdmin({
            ...at,
            sources,
            onFault: (path, error) => log.error('an admin page failed', { path, error: messageOf(error) }),
          }),
        );
  stack.defer(() => admin?.close());
  stack.defer(async () => {
    isDraining = true;
    await crew.drain();
  });
  await source.start();
  source.follow();
  stack.defer(() => source.close());

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpc,
    grpcPort: grpc.port,
    admin: admin === undefined ? undefined : { host: admin.host, port: admin.port },
    adminPort: admin?.port,
    policy: () => policyOf(loads),
    sources,
    prepare: async () => {
      throw new Error('workers are given their policy by the supervisor alone');
    },
    reload: async () => (isDraining ? false : source.reload()),
    drain() {
      isDraining = true;
      return (drained ??= open.disposeAsync());
    },
  };
}

/** Ready where all are; open where one is; what runs and waits is summed. */
function mergedHandlers(views: readonly WorkerView[]): readonly HandlerState[] {
  const merged = new Map<string, HandlerState>();
  for (const one of views.flatMap(({ handlers }) => handlers)) {
    const known = merged.get(one.name);
    merged.set(
      one.name,
      known === undefined
        ? one
        : {
            ...known,
            ready: known.ready && one.ready,
            why: known.why ?? one.why,
            breaker: known.breaker === 'closed' ? one.breaker : known.breaker,
            running: known.running + one.running,
            waiting: known.waiting + one.waiting,
            queued: known.queued + one.queued,
          },
    );
  }
  return [...merged.values()];
}

function crewFamilies(crew: Crew<ServeTalk>): MetricFamily[] {
  return [
    {
      kind: 'gauge',
      name: 'sluice_workers',
      help: 'Workers that serve now.',
      read: () => [{ labels: {}, value: crew.running.size }],
    },
    {
      kind: 'counter',
      name: 'sluice_worker_restarts_total',
      help: 'Workers that ended by themselves and were started again.',
      read: () => [{ labels: {}, value: crew.restarts }],
    },
  ];
}
