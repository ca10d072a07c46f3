/**
 * Commands in flight to one server.
 * **In**: a function that sends a command, the sockets it uses. **Out**: its reply, as soon as it arrives. **Fails**: as the command does.
 *
 * The commands of one turn of the event loop leave in one write, and each resolves by itself; ioredis' auto-pipelining resolves the first
 * of a thousand only with the last. No command has a timer of its own: a server that answers others is not hung, however long its queue.
 */
import type { Socket } from 'node:net';
import { type Expiring, NOT_IN_WHEEL, TimerWheel } from '../../time/timer-wheel.ts';

/** Of all servers. Its loop time leaves out that this process was busy. */
const silences = new TimerWheel();

export class InFlight implements Expiring {
  readonly endsAtMs = Infinity;
  wheelAtMs = NOT_IN_WHEEL;
  readonly #silentForMs: number;
  readonly #onSilent: () => void;
  #commands = 0;
  /** In loop time. */
  #silentSinceMs = 0;

  /** `onSilent`: commands wait, and none was answered for `silentForMs`. */
  constructor(silentForMs: number, onSilent: () => void) {
    this.#silentForMs = silentForMs;
    this.#onSilent = onSilent;
  }

  async send<T>(streams: readonly Socket[], send: () => Promise<T>): Promise<T> {
    for (const stream of streams) writeOnce(stream);
    if (this.#commands++ === 0) this.#heard();
    if (this.wheelAtMs === NOT_IN_WHEEL) silences.add(this, performance.now());
    try {
      return await send();
    } finally {
      this.#commands--;
      this.#heard();
    }
  }

  /** It leaves the wheel when its time has come and no command waits. */
  get lateAtLoopMs(): number {
    return this.#commands === 0 ? Infinity : this.#silentSinceMs + this.#silentForMs;
  }

  expire(nowMs: number): void {
    this.#heard();
    silences.add(this, nowMs);
    this.#onSilent();
  }

  close(): void {
    silences.remove(this);
  }

  #heard(): void {
    this.#silentSinceMs = silences.loopMsAt(performance.now());
  }
}

/** Corks the socket until the end of this turn. */
function writeOnce(stream: Socket): void {
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}
