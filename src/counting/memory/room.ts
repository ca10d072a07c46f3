/** Reports a full store as not ready, and as ready again once counters have expired. */
import type { Host } from '../../adapters/contract.ts';

const LOOK_EVERY_MS = 1000;
const AT_MOST_EVERY_MS = 60_000;

export interface RoomOptions {
  readonly host: Pick<Host, 'log' | 'ready'> & { readonly clock: Pick<Host['clock'], 'monotonicMs'> };
  /** Reason shown to operators. */
  readonly why: string;
  /** Removes expired counters; true if there is room now. */
  readonly hasRoom: () => boolean;
}

export class Room {
  readonly #options: RoomOptions;
  #timer: NodeJS.Timeout | undefined;
  #loggedAtMs = -Infinity;
  #isLogged = false;
  #turnedAway = 0;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** A counter was rejected. Logs at most one line a minute. */
  full(): void {
    const { host, why } = this.#options;
    this.#turnedAway++;
    if (this.#timer !== undefined) return;
    host.ready(false, why);
    this.#lookLater();
    const nowMs = host.clock.monotonicMs();
    if (nowMs - this.#loggedAtMs < AT_MOST_EVERY_MS) return;
    this.#loggedAtMs = nowMs;
    this.#isLogged = true;
    host.log.warn('there is no room for new counters', { why });
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  #look(): void {
    const { host, hasRoom } = this.#options;
    if (!hasRoom()) return this.#lookLater();
    this.#timer = undefined;
    host.ready(true);
    if (this.#isLogged) host.log.info('there is room for new counters again', { turnedAway: this.#turnedAway });
    this.#isLogged = false;
    this.#turnedAway = 0;
  }
}
