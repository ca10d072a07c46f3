/**
 * A crew of workers that act as one server.
 * **In**: the module and the number of workers. **Out**: all workers with the same texts in force, at one port; the kernel distributes
 * connections among them (SO_REUSEPORT). **Fails**: if a worker cannot start at first; later, a worker that ends unexpectedly is
 * counted and restarted with exponential back-off, while the others serve.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SharedLock } from '../../adapters/shared-lock.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Address, TlsOptions } from '../../transport/index.ts';
import type { Protocol } from './protocol.ts';
import { RunningWorker } from './running-worker.ts';

export interface CrewOptions<P extends Protocol> {
  readonly count: number;
  readonly graceMs: number;
  readonly log: OwnLog;
  /** The worker's main module: `serve/policy/worker`. */
  readonly module: string;
  readonly address: Address;
  /** Absent: cleartext. */
  readonly tls?: TlsOptions | undefined;
  readonly dataOf: (number: number) => P['data'];
  readonly onEvent?: (number: number, event: P['event']) => void;
  /** Awaited before a worker listens, if others serve already. */
  readonly beforeListen?: (worker: RunningWorker<P>) => Promise<void>;
  /** A worker listens. */
  readonly onServing?: (worker: RunningWorker<P>) => void;
  readonly onEnded?: (number: number) => void;
  /** Memory, besides that of plugins, in which a worker that dies may leave a lock. */
  readonly lockedMemory?: readonly SharedArrayBuffer[];
}

/** First pause before a worker is restarted; it doubles while workers live shorter than the longest pause. */
const RESTART_MS = 200;
const LONGEST_RESTART_MS = 10_000;

export class Crew<P extends Protocol> {
  restarts = 0;
  readonly #options: CrewOptions<P>;
  /** By number; open, and answering requests of the supervisor. */
  readonly #running = new Map<number, RunningWorker<P>>();
  readonly #serving = new Set<RunningWorker<P>>();
  readonly #starting = new Set<RunningWorker<P>>();
  readonly #restarting = new Set<Promise<void>>();
  readonly #memory = createSharedMemory();
  readonly #draining = new AbortController();
  #address: Address;
  #tls: TlsOptions | undefined;
  #inForce: P['texts'] | undefined;
  #isListening = false;
  #turn = 0;

  constructor(options: CrewOptions<P>) {
    this.#options = options;
    this.#address = options.address;
    this.#tls = options.tls;
  }

  /** Workers that listen and answer now. */
  get servingCount(): number {
    return this.#serving.size;
  }

  /** Whether a request to all reaches it. */
  isAsked(number: number): boolean {
    return this.#asked().some((worker) => worker.number === number);
  }

  async start(): Promise<void> {
    for (let number = 1; number <= this.#options.count; number++) await this.#start(number, RESTART_MS);
  }

  /**
   * Puts texts in force in all workers, or in none; then it rejects with the reasons of the workers that refused. A worker that ends
   * meanwhile is restarted with the texts that are then in force.
   */
  async use(texts: P['texts']): Promise<void> {
    const workers = [...this.#running.values()];
    const results = await Promise.allSettled(workers.map((worker) => worker.life('prepare', texts)));
    const refusals = results.flatMap((result, at) =>
      result.status === 'rejected' ? [{ number: workers[at]?.number, why: messageOf(result.reason) }] : [],
    );
    if (refusals.length > 0 || this.#draining.signal.aborted) {
      await Promise.allSettled(workers.map((worker) => worker.life('abandon', undefined)));
      if (this.#draining.signal.aborted) throw new Error('the server is stopping');
      const reasons = new Set(refusals.map(({ why }) => why));
      throw new Error(
        refusals.length === workers.length && reasons.size === 1
          ? [...reasons].join('')
          : refusals.map(({ number, why }) => `worker ${number}: ${why}`).join('\n'),
      );
    }
    this.#inForce = texts;
    const commits = workers.map((worker) => worker.life('commit', undefined));
    // Workers that started while the others prepared.
    for (const worker of this.#running.values()) if (!workers.includes(worker)) commits.push(worker.life('use', texts));
    await Promise.allSettled(commits);
  }

  /** Makes all workers listen, including workers started later. */
  async listen(): Promise<Address> {
    this.#isListening = true;
    for (const worker of this.#running.values()) await this.#listen(worker);
    return this.#address;
  }

  /** Applies to new connections. Rejects if the certificate and key do not match; the old ones stay. */
  async renewTls(tls: TlsOptions): Promise<void> {
    const before = this.#tls;
    this.#tls = tls;
    try {
      await Promise.all([...this.#running.values()].map((worker) => worker.life('renewTls', tls)));
    } catch (error) {
      this.#tls = before;
      throw error;
    }
  }

  /** Asks all serving workers; if none serves yet, all running ones. `undefined` for a worker that ended or did not answer in time. */
  askAll<const K extends keyof P['requests'] & string>(
    what: K,
    given: P['requests'][K]['given'],
    withinMs?: number,
  ): Promise<readonly (P['requests'][K]['answer'] | undefined)[]> {
    return Promise.all(this.#asked().map((worker) => worker.ask(what, given, withinMs)));
  }

  /** As {@link askAll}, without workers that did not answer. */
  async answersOf<const K extends keyof P['requests'] & string>(
    what: K,
    given: P['requests'][K]['given'],
    withinMs?: number,
  ): Promise<readonly { readonly worker: number; readonly answer: P['requests'][K]['answer'] }[]> {
    const workers = this.#asked();
    const results = await Promise.allSettled(workers.map((worker) => worker.ask(what, given, withinMs)));
    return results.flatMap((result, at) =>
      result.status === 'fulfilled' && result.value !== undefined
        ? [{ worker: workers[at]?.number ?? 0, answer: result.value }]
        : [],
    );
  }

  /** Asks one worker, round-robin. Rejects if none answers. */
  async askOne<const K extends keyof P['requests'] & string>(
    what: K,
    given: P['requests'][K]['given'],
  ): Promise<P['requests'][K]['answer']> {
    const workers = this.#asked();
    const answer = await workers[this.#turn++ % workers.length]?.ask(what, given);
    if (answer === undefined) throw new Error('no worker answered');
    return answer;
  }

  async drain(): Promise<void> {
    this.#draining.abort();
    await Promise.all([...this.#starting].map((worker) => worker.terminate())); // they serve no calls yet, and may hang
    await Promise.all(this.#restarting);
    await Promise.all([...this.#running.values()].map((worker) => worker.drain(this.#options.graceMs)));
  }

  #asked(): readonly RunningWorker<P>[] {
    return this.#serving.size > 0 ? [...this.#serving] : [...this.#running.values()];
  }

  async #start(number: number, pauseMs: number): Promise<void> {
    const { module, count, dataOf, onEvent } = this.#options;
    const worker = new RunningWorker<P>({
      module,
      data: { number, count, data: dataOf(number) },
      memory: this.#memory,
      onEvent: (event) => onEvent?.(number, event),
    });
    this.#starting.add(worker);
    try {
      await worker.ready;
      this.#running.set(number, worker);
      await this.#bringUp(worker);
    } catch (error) {
      await worker.terminate();
      this.#ended(worker);
      throw error;
    } finally {
      this.#starting.delete(worker);
    }
    const startedAtMs = performance.now();
    void worker.ended.then((why) => {
      this.#ended(worker);
      if (this.#draining.signal.aborted) return;
      const again = this.#startAgain(
        number,
        why,
        performance.now() - startedAtMs < LONGEST_RESTART_MS ? pauseMs : RESTART_MS,
      ).finally(() => this.#restarting.delete(again));
      this.#restarting.add(again);
    });
  }

  /** Repeats until it is at the state of the others: new texts, or a request to listen, may arrive while it prepares. */
  async #bringUp(worker: RunningWorker<P>): Promise<void> {
    let texts: P['texts'] | undefined;
    const isBehind = (): boolean => this.#inForce !== texts;
    while (isBehind()) await worker.life('use', (texts = this.#inForce));
    if (!this.#isListening) return;
    if (this.#serving.size > 0) await this.#options.beforeListen?.(worker);
    await this.#listen(worker);
    while (isBehind()) await worker.life('use', (texts = this.#inForce));
  }

  async #listen(worker: RunningWorker<P>): Promise<void> {
    const bound = await worker.life('listen', { address: this.#address, tls: this.#tls });
    if (bound === undefined) throw new Error('the worker ended before it listened');
    this.#address = { ...this.#address, port: bound.port };
    this.#serving.add(worker);
    this.#options.onServing?.(worker);
  }

  #ended(worker: RunningWorker<P>): void {
    const { number } = worker;
    this.#running.delete(number);
    this.#serving.delete(worker);
    for (const memory of [...(this.#options.lockedMemory ?? []), ...this.#memory.all])
      SharedLock.releaseOf(memory, number);
    this.#options.onEnded?.(number);
  }

  async #startAgain(number: number, why: string, firstPauseMs: number): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#draining;
    log.error('a worker ended unexpectedly and is restarted; the others continue to serve', { worker: number, why });
    for (let pauseMs = firstPauseMs; !signal.aborted;) {
      this.restarts++;
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      pauseMs = Math.min(pauseMs * 2, LONGEST_RESTART_MS);
      try {
        await this.#start(number, pauseMs);
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.error('a worker could not be restarted', { worker: number, why: messageOf(error) });
      }
    }
  }
}
