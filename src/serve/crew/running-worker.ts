/** A worker thread, as its supervisor sees it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import { moduleUrl } from '../../files/program.ts';
import { writeLog } from '../../log/log-output.ts';
import {
  errorOf,
  type FromWorker,
  type LifeRequests,
  type Protocol,
  type ToWorker,
  type WorkerData,
} from './protocol.ts';
import { answerMemoryRequest } from './shared-memory-request.ts';

export interface RunningWorkerOptions<P extends Protocol> {
  /** Its main module, as {@link moduleUrl} takes it. */
  readonly module: string;
  readonly data: WorkerData<P>;
  readonly memory: SharedMemory;
  readonly onEvent: (event: P['event']) => void;
}

interface Pending {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/** Loading 100 000 rules takes half a minute on a busy machine. */
const LIFE_MS = 120_000;
/** Of a drain, beyond the grace. */
const SLACK_MS = 2000;

export class RunningWorker<P extends Protocol> {
  readonly number: number;
  /** Rejects where it could not start. */
  readonly ready: Promise<void>;
  /** Resolves with the reason. */
  readonly ended: Promise<string>;
  readonly #thread: Worker;
  readonly #pending = new Map<number, Pending>();
  #hasEnded = false;
  #nextId = 1;

  constructor({ module, data, memory, onEvent }: RunningWorkerOptions<P>) {
    this.number = data.number;
    const thread = new Worker(moduleUrl(module), { workerData: data, name: `sluice ${data.number}` });
    this.#thread = thread;
    let why = 'it ended';
    thread.on('error', (error) => {
      why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    this.ended = new Promise((resolve) => {
      thread.on('exit', () => {
        this.#hasEnded = true;
        for (const pending of this.#pending.values()) pending.resolve(undefined);
        resolve(why);
      });
    });
    this.ready = new Promise((resolve, reject) => {
      thread.on('message', (message: FromWorker) => {
        switch (message.kind) {
          case 'ready':
            return resolve();
          case 'failed':
            return reject(errorOf(message.failure));
          case 'event':
            return onEvent(message.event);
          case 'memory':
            return answerMemoryRequest(message.request, memory);
          case 'log':
            return writeLog(message.line);
          case 'answer':
            return this.#pending.get(message.id)?.resolve(message.answer);
          case 'refusal':
            return this.#pending.get(message.id)?.reject(errorOf(message.failure));
        }
      });
      void this.ended.then((end) => reject(new Error(end)));
    });
  }

  /** Resolves with `undefined` where it has ended, or does not answer in time. Rejects with the reason where it refuses. */
  ask<const K extends keyof P['requests'] & string>(
    what: K,
    given: P['requests'][K]['given'],
    withinMs?: number,
  ): Promise<P['requests'][K]['answer'] | undefined> {
    return this.#request(what, given, withinMs) as Promise<P['requests'][K]['answer'] | undefined>;
  }

  /** As {@link ask}, for requests that every kind of worker answers. */
  life<const K extends keyof LifeRequests<P['texts']>>(
    what: K,
    given: LifeRequests<P['texts']>[K]['given'],
  ): Promise<LifeRequests<P['texts']>[K]['answer'] | undefined> {
    return this.#request(what, given, LIFE_MS) as Promise<LifeRequests<P['texts']>[K]['answer'] | undefined>;
  }

  /** Resolves when it has ended; it is terminated where that takes longer than the grace. */
  async drain(graceMs: number): Promise<void> {
    this.#send({ kind: 'drain' });
    const over = new AbortController();
    await Promise.race([
      this.ended,
      sleep(graceMs + SLACK_MS, undefined, { signal: over.signal }).then(
        () => this.#thread.terminate(),
        () => undefined,
      ),
    ]);
    over.abort();
  }

  async terminate(): Promise<void> {
    await this.#thread.terminate();
  }

  #request(what: string, given: unknown, withinMs?: number): Promise<unknown> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    const id = this.#nextId++;
    return new Promise<unknown>((resolve, reject) => {
      const timer = withinMs === undefined ? undefined : setTimeout(resolve, withinMs);
      const settled = (): void => {
        clearTimeout(timer);
        this.#pending.delete(id);
      };
      this.#pending.set(id, {
        resolve(answer) {
          settled();
          resolve(answer);
        },
        reject(error) {
          settled();
          reject(error);
        },
      });
      this.#send({ kind: 'request', id, what, given });
    });
  }

  #send(message: ToWorker): void {
    this.#thread.postMessage(message);
  }
}
