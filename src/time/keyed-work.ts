/**
 * Work on keys: a few at a time, each key once at a time, and again with back-off after a failure. While everything fails, one key at a
 * time is tried after a pause, so that a server that comes back is not met by all of them.
 */
import { Backoff, type BackoffOptions } from './backoff.ts';

export interface Failure {
  /** Other keys would fail, too: the server is away, or overloaded. */
  readonly isShared: boolean;
  /** Not tried again before; 0: as the back-off says. */
  readonly leastMs: number;
}

export interface KeyedWorkOptions {
  readonly work: (key: string) => Promise<void>;
  readonly onFailure: (key: string, error: unknown) => Failure;
  readonly concurrency: number;
  /** Of one key. */
  readonly backoff?: BackoffOptions;
}

/** Between tries while everything fails. */
const MAX_SHARED_PAUSE_MS = 5000;

export class KeyedWork {
  readonly #options: KeyedWorkOptions;
  readonly #ready = new Set<string>();
  readonly #delayed = new Map<string, NodeJS.Timeout>();
  readonly #running = new Map<string, Promise<void>>();
  /** Added while they were running. */
  readonly #again = new Set<string>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #sharedBackoff: Backoff;
  #sharedPause: NodeJS.Timeout | undefined;
  #isDown = false;
  #isClosed = false;

  constructor(options: KeyedWorkOptions) {
    this.#options = options;
    this.#sharedBackoff = new Backoff({ ...options.backoff, mostMs: MAX_SHARED_PAUSE_MS });
  }

  /** Whether it waits for its turn, or for a time. */
  has(key: string): boolean {
    return this.#ready.has(key) || this.#delayed.has(key);
  }

  /** Replaces the time at which the key is due, also that of its back-off. */
  add(key: string, afterMs = 0): void {
    if (this.#isClosed) return;
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    clearTimeout(this.#delayed.get(key));
    this.#delayed.delete(key);
    if (afterMs <= 0) {
      this.#ready.add(key);
      this.#start();
      return;
    }
    const timer = setTimeout(() => {
      this.#delayed.delete(key);
      this.#ready.add(key);
      this.#start();
    }, afterMs);
    this.#delayed.set(key, timer);
  }

  /** Work that has begun goes on, and is not tried again. */
  forget(key: string): void {
    clearTimeout(this.#delayed.get(key));
    this.#delayed.delete(key);
    this.#ready.delete(key);
    this.#again.delete(key);
    this.#backoffs.delete(key);
  }

  /** Resolves when the work that has begun has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#sharedPause);
    for (const timer of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    this.#ready.clear();
    await Promise.all(this.#running.values());
  }

  #start(): void {
    for (const key of this.#ready) {
      const most = this.#isDown ? 1 : this.#options.concurrency;
      if (this.#sharedPause !== undefined || this.#running.size >= most) return;
      this.#ready.delete(key);
      this.#backoffs.set(key, this.#backoffs.get(key) ?? new Backoff(this.#options.backoff));
      this.#running.set(key, this.#run(key));
    }
  }

  async #run(key: string): Promise<void> {
    let pauseMs: number | undefined;
    try {
      await this.#options.work(key);
      this.#backoffs.delete(key);
      this.#sharedBackoff.reset();
      this.#isDown = false;
    } catch (error) {
      if (!this.#isClosed) pauseMs = this.#pauseAfter(key, error);
    }
    this.#running.delete(key);
    if (this.#again.delete(key) || pauseMs !== undefined) this.add(key, pauseMs);
    this.#start();
  }

  /** `undefined`: the key was forgotten meanwhile. */
  #pauseAfter(key: string, error: unknown): number | undefined {
    const { isShared, leastMs } = this.#options.onFailure(key, error);
    if (isShared) {
      this.#isDown = true;
      this.#sharedPause ??= setTimeout(() => {
        this.#sharedPause = undefined;
        this.#start();
      }, this.#sharedBackoff.next(leastMs));
    }
    return this.#backoffs.get(key)?.next(leastMs);
  }
}
