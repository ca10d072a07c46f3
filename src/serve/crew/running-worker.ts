/** A worker, as its supervisor knows it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { StartError } from '../errors.ts';
import { moduleUrl } from '../../files/program.ts';
import { writeLog } from '../../log/log-output.ts';
import type { Answer, Failure, FromWorker, Given, Talk, ToWorker } from './protocol.ts';

export interface RunningWorkerOptions<T extends Talk> {
  /** Its module, as `moduleUrl` takes it. */
  readonly module: string;
  readonly number: number;
  /** Its `workerData`. */
  readonly data: unknown;
  readonly onTold: (told: T['told']) => void;
}

interface Asked {
  answered(answer: unknown): void;
  refused(why: string): void;
}

export class RunningWorker<T extends Talk> {
  readonly number: number;
  /** Rejects where it could not start. */
  readonly ready: Promise<T['ready']>;
  /** Why. */
  readonly ended: Promise<string>;
  readonly #thread: Worker;
  readonly #asked = new Map<number, Asked>();
  #hasEnded = false;
  #nextId = 1;

  constructor({ module, number, data, onTold }: RunningWorkerOptions<T>) {
    this.number = number;
    const thread = new Worker(moduleUrl(module), {
      workerData: data,
      name: `sluice ${number}`,
    });
    this.#thread = thread;
    let why = 'it ended';
    thread.on('error', (error) => {
      why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    this.ended = new Promise((resolve) => {
      thread.on('exit', () => {
        this.#hasEnded = true;
        for (const asked of this.#asked.values()) asked.answered(undefined);
        resolve(why);
      });
    });
    this.ready = new Promise((resolve, reject) => {
      thread.on('message', (message: FromWorker<T>) => {
        switch (message.kind) {
          case 'ready':
            return resolve(message.ready);
          case 'failed':
            return reject(errorOf(message.failure));
          case 'told':
            return onTold(message.told);
          case 'log':
            return writeLog(message.line);
          case 'answer':
            return this.#asked.get(message.id)?.answered(message.answer);
          case 'refused':
            return this.#asked.get(message.id)?.refused(message.why);
        }
      });
      void this.ended.then((end) => reject(new Error(end)));
    });
  }

  /** `undefined` where it has ended, or does not answer in time. Rejects with why where it refuses. */
  ask<const K extends keyof T['asks'] & string>(
    what: K,
    given: Given<T, K>,
    withinMs?: number,
  ): Promise<Answer<T, K> | undefined> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
      };
      const asked: Asked = {
        answered: (answer) => {
          over();
          resolve(answer as Answer<T, K>);
        },
        refused: (why) => {
          over();
          reject(new Error(why));
        },
      };
      const timer = withinMs === undefined ? undefined : setTimeout(() => asked.answered(undefined), withinMs);
      this.#asked.set(id, asked);
      this.#say({ kind: 'ask', id, what, given });
    });
  }

  /** Until it has ended; by force where it takes too long. */
  async drain(graceMs: number): Promise<void> {
    this.#say({ kind: 'drain' });
    const over = new AbortController();
    await Promise.race([
      this.ended,
      sleep(graceMs + 2000, undefined, { signal: over.signal }).then(
        () => this.#thread.terminate(),
        () => undefined,
      ),
    ]);
    over.abort();
  }

  async terminate(): Promise<void> {
    await this.#thread.terminate();
  }

  #say(message: ToWorker): void {
    this.#thread.postMessage(message);
  }
}

const errorOf = (failure: Failure): Error =>
  typeof failure === 'string' ? new Error(failure) : new StartError(failure.code, failure.message);
