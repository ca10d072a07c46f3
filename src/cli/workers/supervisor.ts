/**
 * Several servers at one port, each in a thread: the kernel shares connections out among them (SO_REUSEPORT).
 * **In**: what a server needs, and how many. **Out**: what looks like one server. **Fails**: as a single server does, with nothing
 * left running; a worker that ends by itself is started again and counted, and the others serve on.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { loadBuiltIns } from '../../adapters/built-in.ts';
import { SharedLock } from '../../adapters/shared-lock.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import { startAdmin } from '../../admin/server.ts';
import type { AdminSources, AskedCall, LimitsAnswer } from '../../admin/sources.ts';
import { LOOK_MS, type LookDepth } from '../../core/dispatch/look-at-quotas.ts';
import type { HandlerState } from '../../core/engine.ts';
import { messageOf } from '../../core/errors.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Address } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { findingsCount } from '../findings.ts';
import { load } from '../load.ts';
import { type LogFormat, type LogLevel, makeLog } from '../log.ts';
import { oneAtATime } from '../one-at-a-time.ts';
import { atAddress, type Server, type ServerOptions, type TransportFlags } from '../server.ts';
import { watchFiles } from '../watch.ts';
import { mergedLooks, resetLooks } from './merge-looks.ts';
import { mergedMetrics } from './merge-metrics.ts';
import type { FromWorker, ToWorker, WorkerData, WorkerView } from './messages.ts';

export interface SupervisorOptions extends Pick<ServerOptions, 'configs' | 'grpc' | 'admin' | 'onFindings'> {
  readonly workers: number;
  readonly graceMs: number;
  readonly transport: TransportFlags;
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
}

/** A worker that ends again and again is started again ever more slowly. */
const RESTART_MS = 200;
const MOST_RESTART_MS = 10_000;
/** A worker that does not answer in time is left out of a page. */
const VIEW_MS = 2000;

export async function startWorkers(options: SupervisorOptions): Promise<Server> {
  const log = makeLog(options.log.format, options.log.level);
  const registry = await loadBuiltIns();
  const shared = createSharedMemory();
  const running = new Map<number, RunningWorker>();
  let isDraining = false;
  let restarts = 0;
  let grpc: Address = options.grpc;

  async function loaded(): Promise<Policy> {
    const { policy, findings } = await load(options.configs, registry);
    options.onFindings?.(findings);
    if (policy === undefined) throw new CliError('CLI_POLICY', `the policy has ${findingsCount(findings)}`, { exit: EXIT.findings });
    return policy;
  }

  async function start(number: number): Promise<void> {
    const data: WorkerData = { number, count: options.workers, configs: options.configs, grpc, transport: options.transport, graceMs: options.graceMs, log: options.log };
    const worker = new RunningWorker(data, shared);
    grpc = { ...grpc, port: await worker.serves };
    running.set(number, worker);
    void worker.ended.then((why) => over(number, why));
  }

  /** A worker has ended. */
  async function over(number: number, why: string): Promise<void> {
    running.delete(number);
    for (const memory of shared.all) SharedLock.releaseOf(memory, number);
    for (let waitMs = RESTART_MS; !isDraining; waitMs = Math.min(waitMs * 2, MOST_RESTART_MS)) {
      restarts++;
      log.error('a worker ended by itself; it is started again, the others serve on', { worker: number, why });
      await sleep(waitMs);
      try {
        if (!isDraining) await start(number);
        return;
      } catch (error) {
        log.error('a worker could not be started again', { worker: number, why: messageOf(error) });
      }
    }
  }

  const views = async (): Promise<readonly WorkerView[]> => (await Promise.all([...running.values()].map((worker) => worker.view()))).filter((view) => view !== undefined);
  const sources: AdminSources = {
    policy: () => policy,
    isDraining: () => isDraining,
    handlers: async () => mergedHandlers(await views()),
    verdicts: async () => (await views()).flatMap(({ verdicts }) => verdicts).toSorted((a, b) => b.timeMs - a.timeMs),
    limits: async (depth, asked) => {
      const workers = [...running.values()];
      const all = async (these: LookDepth): Promise<readonly (LimitsAnswer | undefined)[]> => Promise.all(workers.map((worker) => worker.limits(these, asked)));
      // Looked at by all before any of them resets: it is said what the counters were at.
      const looks = mergedLooks(await all(depth === 'explain' ? 'explain' : 'inspect'));
      return depth !== 'reset' || looks === undefined || 'wrong' in looks ? looks : resetLooks(looks.rules, await all('reset'));
    },
    metrics: async () => {
      const told = await views();
      return `${mergedMetrics(told.map(({ metrics }) => metrics))}${ownMetrics(told.length, restarts)}`;
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
    await Promise.all([...running.values()].map((worker) => worker.drain(options.graceMs)));
  });
  for (let number = 1; number <= options.workers; number++) await start(number);

  const reload = oneAtATime(async () => {
    if (isDraining) return false;
    try {
      policy = await loaded();
    } catch (error) {
      log.error('the policy has errors; the last good one stays in force', { why: messageOf(error), revision: policy.revision });
      return false;
    }
    const taken = await Promise.all([...running.values()].map((worker) => worker.reload()));
    watched();
    const isTaken = taken.every(Boolean);
    if (isTaken) log.info('policy loaded', { revision: policy.revision, rules: policy.rules.length, handlers: policy.handlers.size, workers: taken.length });
    return isTaken;
  });
  const watch = watchFiles(() => { void reload(); }, (error) => log.warn('watching the policy failed; SIGHUP still loads it anew', { error: messageOf(error) }));
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

type WithoutId<T> = T extends { readonly id: number } ? Omit<T, 'id'> : never;
type Question = WithoutId<ToWorker>;

class RunningWorker {
  /** The port; rejects where it could not start. */
  readonly serves: Promise<number>;
  /** Why. */
  readonly ended: Promise<string>;
  readonly #thread: Worker;
  readonly #asked = new Map<number, (answer: FromWorker | undefined) => void>();
  #nextId = 1;

  constructor(workerData: WorkerData, shared: ReturnType<typeof createSharedMemory>) {
    const file = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
    const thread = new Worker(file, { workerData, name: `sluice ${workerData.number}` });
    this.#thread = thread;
    let why = 'it ended';
    thread.on('error', (error) => { why = error instanceof Error ? (error.stack ?? error.message) : String(error); });
    this.ended = new Promise((resolve) => {
      thread.on('exit', () => {
        for (const answer of this.#asked.values()) answer(undefined);
        resolve(why);
      });
    });
    this.serves = new Promise((resolve, reject) => {
      thread.on('message', (message: FromWorker) => {
        switch (message.kind) {
          case 'serves': return resolve(message.port);
          case 'failed': {
            const { failure } = message;
            return reject(typeof failure === 'string' ? new Error(failure) : new CliError(failure.code, failure.message, { exit: failure.exit }));
          }
          case 'shared':
            message.port.postMessage(shared.get(message.handler, message.name, message.bytes));
            Atomics.store(message.signal, 0, 1);
            Atomics.notify(message.signal, 0);
            return;
          case 'reloaded': case 'viewed': case 'limits': return this.#asked.get(message.id)?.(message);
        }
      });
      void this.ended.then((end) => reject(new Error(end)));
    });
  }

  async view(): Promise<WorkerView | undefined> {
    const answer = await this.#ask({ kind: 'view' }, VIEW_MS);
    return answer?.kind === 'viewed' ? answer.view : undefined;
  }

  async reload(): Promise<boolean> {
    const answer = await this.#ask({ kind: 'reload' }, undefined);
    return answer?.kind === 'reloaded' && answer.isTaken;
  }

  async limits(depth: LookDepth, asked: AskedCall): Promise<LimitsAnswer | undefined> {
    const answer = await this.#ask({ kind: 'limits', depth, asked }, LOOK_MS * 3);
    return answer?.kind === 'limits' ? answer.answer : undefined;
  }

  async drain(graceMs: number): Promise<void> {
    this.#say({ kind: 'drain' });
    const over = new AbortController();
    await Promise.race([this.ended, sleep(graceMs * 2 + 2000, undefined, { signal: over.signal }).then(() => this.#thread.terminate(), () => undefined)]);
    over.abort();
  }

  #ask(message: Question, withinMs: number | undefined): Promise<FromWorker | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = withinMs === undefined ? undefined : setTimeout(() => answered(undefined), withinMs);
      const answered = (answer: FromWorker | undefined): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
        resolve(answer);
      };
      this.#asked.set(id, answered);
      this.#say({ ...message, id });
    });
  }

  #say(message: ToWorker): void {
    this.#thread.postMessage(message);
  }
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
