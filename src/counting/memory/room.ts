/** Reports a full store as not ready, and as ready again once counters have expired. */
import type { Host } from '../../adapters/contract.ts';
import { OutageLog } from '../../adapters/outage-log.ts';

const LOOK_EVERY_MS = 1000;

export interface RoomOptions {
  readonly host: Pick<Host, 'log' | 'ready'> & { readonly clock: Pick<Host['clock'], 'monotonicMs'> };
  /** Reason shown to operators. */
  readonly why: string;
  /** Removes expired counters; true if there is room now. */
  readonly hasRoom: () => boolean;
}

export class Room {
  readonly #options: RoomOptions;
  readonly #outage: OutageLog;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RoomOptions) {
    const { log, clock } = options.host;
    this.#options = options;
    this.#outage = new OutageLog(log, {}, () => clock.monotonicMs());
  }

  /** A counter was rejected. */
  full(): void {
    const { host, why } = this.#options;
    this.#outage.failed('there is no room for new counters', why);
    if (this.#timer !== undefined) return;
    host.ready(false, why);
    this.#lookLater();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  #look(): void {
    const { host, hasRoom } = this.#options;
    if (!hasRoom()) return this.#lookLater();
    this.#timer = undefined;
    host.ready(true);
    this.#outage.succeeded('there is room for new counters again');
  }
}
