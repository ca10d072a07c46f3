/**
 * Workers that are there all the time.
 * **In**: how one is started, and how many. **Out**: those that run now, asked together. **Fails**: where one cannot start at first;
 * later one that ends by itself is started again, ever more slowly, and counted, and the others work on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnLog } from '../../log/log.ts';
import type { RunningWorker } from './running-worker.ts';
import type { Answer, Given, Talk } from './protocol.ts';
import { messageOf } from '../../text/message-of.ts';

export interface CrewOptions<T extends Talk> {
  readonly count: number;
  readonly graceMs: number;
  readonly log: OwnLog;
  readonly start: (number: number) => RunningWorker<T>;
  /** Until a worker that has started does what the others do. */
  readonly prepare: (worker: RunningWorker<T>, ready: T['ready']) => void | Promise<void>;
  /** What it held is to be let go. */
  readonly onEnded: (number: number) => void;
}

/** The pause before a worker is started again; it doubles while they end before they have lived for the longest. */
const RESTART_MS = 200;
const MOST_RESTART_MS = 10_000;

export class Crew<T extends Talk> {
  /** By number. */
  readonly running = new Map<number, RunningWorker<T>>();
  restarts = 0;
  readonly #options: CrewOptions<T>;
  #turn = 0;
  readonly #draining = new AbortController();
  readonly #restarting = new Set<Promise<void>>();
  readonly #starting = new Set<RunningWorker<T>>();

  constructor(options: CrewOptions<T>) {
    this.#options = options;
  }

  async start(): Promise<void> {
    for (let number = 1; number <= this.#options.count; number++) await this.#start(number, RESTART_MS);
  }

  /** `undefined` of one that has ended, or does not answer in time. */
  askAll<const K extends keyof T['asks'] & string>(
    what: K,
    given: Given<T, K>,
    withinMs?: number,
  ): Promise<readonly (Answer<T, K> | undefined)[]> {
    return Promise.all([...this.running.values()].map((worker) => worker.ask(what, given, withinMs)));
  }

  /** By turns. Rejects where none answers. */
  async askOne<const K extends keyof T['asks'] & string>(what: K, given: Given<T, K>): Promise<Answer<T, K>> {
    const workers = [...this.running.values()];
    const answer = await workers[this.#turn++ % workers.length]?.ask(what, given);
    if (answer === undefined) throw new Error('no worker answers now');
    return answer;
  }

  async drain(): Promise<void> {
    this.#draining.abort();
    await Promise.all([...this.#starting].map((worker) => worker.terminate())); // it serves nobody yet, and may never
    await Promise.all(this.#restarting);
    await Promise.all([...this.running.values()].map((worker) => worker.drain(this.#options.graceMs)));
  }

  async #start(number: number, pauseMs: number): Promise<void> {
    const { start, prepare, onEnded } = this.#options;
    const worker = start(number);
    this.#starting.add(worker);
    try {
      const ready = await worker.ready.finally(() => this.#starting.delete(worker));
      this.running.set(number, worker);
      await prepare(worker, ready);
    } catch (error) {
      this.running.delete(number);
      await worker.terminate();
      onEnded(number);
      throw error;
    }
    const startedAtMs = performance.now();
    void worker.ended.then((why) => {
      this.running.delete(number);
      onEnded(number);
      if (this.#draining.signal.aborted) return;
      const again = this.#startAgain(
        number,
        why,
        performance.now() - startedAtMs < MOST_RESTART_MS ? pauseMs : RESTART_MS,
      ).finally(() => this.#restarting.delete(again));
      this.#restarting.add(again);
    });
  }

  async #startAgain(number: number, why: string, firstPauseMs: number): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#draining;
    log.error('a worker ended by itself; it is started again, the others serve on', { worker: number, why });
    for (let pauseMs = firstPauseMs; !signal.aborted;) {
      this.restarts++;
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      pauseMs = Math.min(pauseMs * 2, MOST_RESTART_MS);
      try {
        await this.#start(number, pauseMs);
        return;
      } catch (error) {
        log.error('a worker could not be started again', { worker: number, why: messageOf(error) });
      }
    }
  }
}
