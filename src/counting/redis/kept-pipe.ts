/**
 * Keeps a pipe open beside a connection of ioredis.
 * **In**: the server that ioredis has found, until its connection ends. **Out**: a pipe that is ready, or none. **Fails**: never; while it
 * is refused (a password that was changed, too many clients), counts go through ioredis, and it is tried again with a back-off.
 */
import { Backoff } from '../../time/backoff.ts';
import { type Command, type Count, type ExpiryS, type Increment, type PipePlace, RedisPipe } from './pipe.ts';

const BACKOFF = { firstMs: 200, mostMs: 5000 };
/** A server that closes the connection with its refusal may break our write, before the refusal is read; the next try reads it. */
const BROKEN_WRITE = /\b(EPIPE|ECONNRESET)\b/;
const TRIES = 3;

export class KeptPipe {
  readonly #onRefused: (why: string | undefined) => void;
  readonly #backoff = new Backoff(BACKOFF);
  #pipe: RedisPipe | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refusals = 0;

  /** `onRefused`: with each refusal, and with `undefined` when it is ready. */
  constructor(onRefused: (why: string | undefined) => void) {
    this.#onRefused = onRefused;
  }

  get isReady(): boolean {
    return this.#pipe?.isReady === true;
  }

  open(place: PipePlace): void {
    this.close();
    const pipe: RedisPipe = new RedisPipe(place, {
      ready: () => {
        if (pipe !== this.#pipe) return;
        this.#backoff.reset();
        this.#refusals = 0;
        this.#onRefused(undefined);
      },
      closed: (wasReady, why) => {
        if (pipe !== this.#pipe) return;
        if (!wasReady && (++this.#refusals >= TRIES || !BROKEN_WRITE.test(why))) this.#onRefused(why);
        this.#timer = setTimeout(() => this.open(place), this.#backoff.next()).unref();
      },
    });
    this.#pipe = pipe;
  }

  /** As {@link RedisPipe.count}. */
  count(increments: readonly Increment[], expiryS: ExpiryS, beside: readonly Command[]): Promise<readonly Count[]> {
    return this.#pipe === undefined
      ? Promise.reject(new Error('the connection is closed'))
      : this.#pipe.count(increments, expiryS, beside);
  }

  close(): void {
    clearTimeout(this.#timer);
    const pipe = this.#pipe;
    this.#pipe = undefined;
    pipe?.close();
  }
}
