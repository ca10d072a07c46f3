/** A worker thread, as its supervisor sees it. */
import { Worker } from 'node:worker_threads';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import { moduleUrl } from '../../files/program.ts';
import { writeLog } from '../../log/log-output.ts';
import { settlesWithin } from '../../time/settles-within.ts';
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
  /** Its main module, as for {@link moduleUrl}. */
  readonly module: string;
  readonly data: WorkerData<P>;
  readonly memory: SharedMemory;
  readonly onEvent: (event: P['event']) => void;
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}
const noAnswer = ({ resolve }: Pending): void => resolve(undefined);

/** Loading 100 000 rules takes half a minute on a busy machine. */
export const LIFE_MS = 120_000;
/** Time for a drain beyond the grace. */
const SLACK_MS = 2000;

export class RunningWorker<P extends Protocol> {
  readonly number: number;
  /** Rejects if it could not start. */
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

  /** Resolves with `undefined` if it ended or did not answer in time. Rejects with the reason if it refuses. */
  ask<const K extends keyof P['requests'] & string>(
    what: K,
    given: P['requests'][K]['given'],
    withinMs?: number,
  ): Promise<P['requests'][K]['answer'] | undefined> {
    return this.#request(what, given, withinMs) as Promise<P['requests'][K]['answer'] | undefined>;
  }

  /** Sends a request that every kind of worker answers. `undefined` if it ended; rejects if it refuses or is late. */
  life<const K extends keyof LifeRequests<P['texts']>>(
    what: K,
    given: LifeRequests<P['texts']>[K]['given'],
  ): Promise<LifeRequests<P['texts']>[K]['answer'] | undefined> {
    const onLate = ({ reject }: Pending): void => reject(new Error(`it did not answer within ${LIFE_MS / 1000} s`));
    return this.#request(what, given, LIFE_MS, onLate) as Promise<LifeRequests<P['texts']>[K]['answer'] | undefined>;
  }

  /** Resolves when it has ended; it is terminated if that takes longer than the grace. */
  async drain(graceMs: number): Promise<void> {
    this.#send({ kind: 'drain' });
    if (!(await settlesWithin(graceMs + SLACK_MS, this.ended))) await this.#thread.terminate();
  }

  async terminate(): Promise<void> {
    await this.#thread.terminate();
  }

  #request(what: string, given: unknown, withinMs?: number, onLate?: (pending: Pending) => void): Promise<unknown> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const pending: Pending = { resolve, reject };
    const timer = withinMs === undefined ? undefined : setTimeout(() => (onLate ?? noAnswer)(pending), withinMs);
    this.#pending.set(id, pending);
    this.#send({ kind: 'request', id, what, given });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#pending.delete(id);
    });
  }

  #send(message: ToWorker): void {
    this.#thread.postMessage(message);
  }
}
