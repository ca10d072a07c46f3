/**
 * Commands in flight to one server.
 * **In**: each command that is sent, each reply. **Out**: a call when commands wait and the server is silent. **Fails**: never.
 *
 * No command has a timer of its own: a server that answers others is not hung, however long its queue.
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

  sent(): void {
    if (this.#commands++ === 0) this.#heard();
    if (this.wheelAtMs === NOT_IN_WHEEL) silences.add(this, performance.now());
  }

  /** Also with an error. */
  answered(): void {
    this.#commands--;
    this.#heard();
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

/**
 * Corks sockets until the end of this turn of the event loop, so that its commands leave in one write and each resolves by itself;
 * ioredis' auto-pipelining resolves the first of a thousand only with the last.
 */
export function corkForTurn(streams: readonly Socket[]): void {
  for (const stream of streams) {
    if (stream.writableCorked > 0) continue;
    stream.cork();
    process.nextTick(() => stream.uncork());
  }
}
