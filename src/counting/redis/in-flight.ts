/**
 * Commands in flight to one server.
 * **In**: a function that sends a command, the sockets it uses. **Out**: its reply, as soon as it arrives. **Fails**: as the command does.
 *
 * The commands of one turn of the event loop leave in one write, and each resolves by itself; ioredis' auto-pipelining resolves the first of a
 * thousand only with the last. No command has a timer of its own: a server that answers others is not hung, however long its queue.
 */
import type { Socket } from 'node:net';

/** Checks per timeout. */
const LOOKS = 8;

export class InFlight {
  readonly #silentForMs: number;
  readonly #pauseMs: number;
  readonly #onSilent: () => void;
  #commands = 0;
  #silentMs = 0;
  #lookedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `onSilent`: commands wait, and none was answered for `silentForMs`, not counting time in which this process was busy. */
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

  /** Later commands are not watched. */
  close(): void {
    clearTimeout(this.#timer);
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

  /** A late timer counts as if on time: this process was busy, the server was not silent. */
  #look(): void {
    const nowMs = performance.now();
    this.#silentMs += Math.min(nowMs - this.#lookedAtMs, this.#pauseMs + 1);
    this.#lookedAtMs = nowMs;
    this.#timer = undefined;
    if (this.#commands === 0) return;
    this.#arm();
    if (this.#silentMs < this.#silentForMs) return;
    setImmediate(() => {
      // read arrived replies first; timers run before sockets
      if (this.#commands > 0 && this.#silentMs >= this.#silentForMs) this.#onSilent();
    });
  }
}

/** Corks the socket until the end of this turn. */
function writeOnce(stream: Socket): void {
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}
