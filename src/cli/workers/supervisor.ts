/**
 * Several servers at one port, each in a thread: the kernel shares connections out among them (SO_REUSEPORT).
 * **In**: what a server needs, and how many. **Out**: what looks like one server. **Fails**: as a single server does, with nothing
 * left running; a worker that ends by itself is started again and counted, and the others serve on.
 */
import { resolve } from 'node:path';
import { loadBuiltIns } from '../../adapters/built-in.ts';
import { SharedLock } from '../../adapters/shared-lock.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import { familiesPage } from '../../admin/metrics.ts';
import { startAdmin } from '../../admin/server.ts';
import type { AdminSources, LimitsAnswer } from '../../admin/sources.ts';
import { LOOK_MS, type LookDepth } from '../../core/dispatch/look-at-quotas.ts';
import type { HandlerState } from '../../core/engine.ts';
import { messageOf } from '../../core/errors.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Address } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { escapedFamily } from '../contain.ts';
import { EXIT } from '../exit-codes.ts';
import { findingsCount } from '../findings.ts';
import { load } from '../load.ts';
import { type LogFormat, type LogLevel, makeLog } from '../log.ts';
import { oneAtATime } from '../one-at-a-time.ts';
import { atAddress, type Server, type ServerOptions, type TransportFlags, warnOfBroken } from '../server.ts';
import { watchFiles } from '../watch.ts';
import { Crew } from './crew.ts';
import { fulfil } from './memory-of-all.ts';
import { mergedLooks, resetLooks } from './merge-looks.ts';
import { mergedMetrics } from './merge-metrics.ts';
import type { ServeTalk, WorkerData, WorkerView } from './messages.ts';
import { RunningWorker } from './running-worker.ts';

export interface SupervisorOptions extends Pick<ServerOptions, 'configs' | 'grpc' | 'admin' | 'onFindings' | 'escaped'> {
  readonly workers: number;
  readonly graceMs: number;
  readonly transport: TransportFlags;
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
}

/** A worker that does not answer in time is left out of a page. */
const VIEW_MS = 2000;

export async function startWorkers(options: SupervisorOptions): Promise<Server> {
  const log = makeLog(options.log.format, options.log.level);
  const registry = await loadBuiltIns();
  warnOfBroken(registry, log);
  const shared = createSharedMemory();
  let isDraining = false;
  let grpc: Address = options.grpc;

  async function loaded(): Promise<Policy> {
    const { policy, findings } = await load(options.configs, registry);
    options.onFindings?.(findings);
    if (policy === undefined) throw new CliError('CLI_POLICY', `the policy has ${findingsCount(findings)}`, { exit: EXIT.findings });
    return policy;
  }

  const crew = new Crew<ServeTalk>({
    count: options.workers, graceMs: options.graceMs, log,
    start(number) {
      const data: WorkerData = { number, count: options.workers, configs: options.configs, grpc, transport: options.transport, graceMs: options.graceMs, log: options.log };
      return new RunningWorker<ServeTalk>({ beside: import.meta.url, file: './worker', number, data, onTold: (wish) => fulfil(wish, shared) });
    },
    prepare(_worker, { port }) { grpc = { ...grpc, port }; },
    onEnded(number) { for (const memory of shared.all) SharedLock.releaseOf(memory, number); },
  });

  const { escaped } = options;
  const ownEscaped = async (): Promise<string[]> => (escaped === undefined ? [] : [await familiesPage([escapedFamily(escaped)])]);
  const views = async (): Promise<readonly WorkerView[]> => (await crew.askAll('view', undefined, VIEW_MS)).filter((view) => view !== undefined);
  const sources: AdminSources = {
    policy: () => policy,
    isDraining: () => isDraining,
    handlers: async () => mergedHandlers(await views()),
    verdicts: async (filter) => (await crew.askAll('verdicts', filter, VIEW_MS)).flatMap((kept) => kept ?? []).toSorted((a, b) => b.timeMs - a.timeMs).slice(0, filter.limit),
    limits: async (depth, asked) => {
      const all = (these: LookDepth): Promise<readonly (LimitsAnswer | undefined)[]> => crew.askAll('limits', { depth: these, asked }, LOOK_MS * 3);
      // Looked at by all before any of them resets: it is said what the counters were at.
      const looks = mergedLooks(await all(depth === 'explain' ? 'explain' : 'inspect'));
      return depth !== 'reset' || looks === undefined || 'wrong' in looks ? looks : resetLooks(looks.rules, await all('reset'));
    },
    metrics: async () => {
      const told = await views();
      return `${mergedMetrics([...told.map(({ metrics }) => metrics), ...await ownEscaped()])}${ownMetrics(told.length, crew.restarts)}`;
    },
  };

  await using stack = new AsyncDisposableStack();
  const admin = options.admin === undefined ? undefined : await atAddress(options.admin, (at) => startAdmin({
    ...at, sources, onFault: (path, error) => log.error('an admin page failed', { path, error: messageOf(error) }),
  }));
  stack.defer(() => admin?.close());
  let policy = await loaded();
  stack.defer(async () => {
    isDraining = true;
    await crew.drain();
  });
  await crew.start();

  const reload = oneAtATime(async () => {
    if (isDraining) return false;
    try {
      policy = await loaded();
    } catch (error) {
      if (isDraining) return false; // it came too late, and nobody waits for it
      log.error('the policy has errors; the last good one stays in force', { why: messageOf(error), revision: policy.revision });
      return false;
    }
    const taken = await crew.askAll('reload', undefined);
    if (isDraining) return false;
    watched();
    const isTaken = taken.every((one) => one === true);
    if (isTaken) log.info('policy loaded', { revision: policy.revision, rules: policy.rules.length, handlers: policy.handlers.size, workers: taken.length });
    return isTaken;
  });
  const watch = watchFiles(() => { reload().catch((error: unknown) => log.error('loading the policy anew failed', { error })); }, (error) => log.warn('watching the policy failed; SIGHUP still loads it anew', { error: messageOf(error) }));
  const watched = (): void => watch.watchOnly([...policy.watched, ...options.configs.map((path) => resolve(path))]);
  watched();
  stack.defer(() => watch.close());

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpc, grpcPort: grpc.port, admin: admin === undefined ? undefined : { host: admin.host, port: admin.port }, adminPort: admin?.port,
    policy: () => policy, sources, reload,
    drain() {
      isDraining = true;
      return drained ??= open.disposeAsync();
    },
  };
}

/** Ready where all are; open where one is; what runs and waits is summed. */
function mergedHandlers(views: readonly WorkerView[]): readonly HandlerState[] {
  const merged = new Map<string, HandlerState>();
  for (const one of views.flatMap(({ handlers }) => handlers)) {
    const known = merged.get(one.name);
    merged.set(one.name, known === undefined ? one : {
      ...known, ready: known.ready && one.ready, why: known.why ?? one.why, breaker: known.breaker === 'closed' ? one.breaker : known.breaker,
      running: known.running + one.running, waiting: known.waiting + one.waiting, queued: known.queued + one.queued,
    });
  }
  return [...merged.values()];
}

const ownMetrics = (count: number, restarts: number): string => [
  '# HELP sluice_workers Workers that serve now.', '# TYPE sluice_workers gauge', `sluice_workers ${count}`,
  '# HELP sluice_worker_restarts_total Workers that ended by themselves and were started again.', '# TYPE sluice_worker_restarts_total counter', `sluice_worker_restarts_total ${restarts}`, '',
].join('\n');
