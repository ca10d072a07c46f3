/**
 * Commands on their way to one server.
 * **In**: what sends a command, the connection it goes by. **Out**: its reply, as soon as that has come. **Fails**: as the command does.
 *
 * The commands of one turn leave in one write, and each is answered by itself: ioredis' own auto-pipelining answers the first of a thousand
 * when the last has come, and sends nothing meanwhile. No command has a timer of its own: a server that answers others is not hung, however
 * long its queue.
 */
import type { Socket } from 'node:net';

/** Of the time after which silence is too long, how often it looks. */
const LOOKS = 8;

export class InFlight {
  readonly #silentForMs: number;
  readonly #pauseMs: number;
  readonly #onSilent: () => void;
  #commands = 0;
  #silentMs = 0;
  #lookedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `onSilent`: commands wait, and for `silentForMs` none was answered while this process could have seen it. */
  constructor(silentForMs: number, onSilent: () => void) {
    this.#silentForMs = silentForMs;
    this.#pauseMs = Math.max(2, Math.ceil(silentForMs / LOOKS));
    this.#onSilent = onSilent;
  }

  async send<T>(streams: readonly Socket[], send: () => Promise<T>): Promise<T> {
    for (const stream of streams) writeOnce(stream);
    this.#begin();
    try {
      return await send();
    } finally {
      this.#commands--;
      this.#silentMs = 0;
    }
  }

  #begin(): void {
    if (this.#commands++ > 0 || this.#timer !== undefined) return;
    this.#silentMs = 0;
    this.#lookedAtMs = performance.now();
    this.#arm();
  }

  #arm(): void {
    this.#timer = setTimeout(() => this.#look(), this.#pauseMs).unref();
  }

  /** A pause that took longer than it should counts as it should have been: this process was busy, not the server silent. */
  #look(): void {
    const nowMs = performance.now();
    this.#silentMs += Math.min(nowMs - this.#lookedAtMs, this.#pauseMs + 1);
    this.#lookedAtMs = nowMs;
    this.#timer = undefined;
    if (this.#commands === 0) return;
    this.#arm();
    if (this.#silentMs < this.#silentForMs) return;
    setImmediate(() => {
      // what has arrived is read first: timers run before the sockets
      if (this.#commands > 0 && this.#silentMs >= this.#silentForMs) this.#onSilent();
    });
  }
}

/** Holds what is written until the end of this turn. */
function writeOnce(stream: Socket): void {
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}
