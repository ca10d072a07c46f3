import { Throttle } from '../time/throttle.ts';
import type { SpoolOptions, SpoolState } from './types.ts';

type Dropped = Pick<SpoolState, 'droppedByAge' | 'droppedWhenFull'>;

/** Logs how many records were dropped: a line a minute, and the rest when the minute is over or the spool closes. */
export class DropLog {
  readonly #options: SpoolOptions;
  readonly #dropped: () => Dropped;
  readonly #lines: Throttle;
  #noted = 0;
  #logged: Dropped = { droppedByAge: 0, droppedWhenFull: 0 };

  constructor(options: SpoolOptions, dropped: () => Dropped) {
    this.#options = options;
    this.#dropped = dropped;
    const { monotonicMs } = options;
    this.#lines = new Throttle({
      onRest: () => this.#write(),
      ...(monotonicMs === undefined ? {} : { nowMs: monotonicMs }),
    });
  }

  /** To be called after records may have been dropped. */
  note(): void {
    const { droppedByAge, droppedWhenFull } = this.#dropped();
    if (droppedByAge + droppedWhenFull === this.#noted) return;
    this.#noted = droppedByAge + droppedWhenFull;
    if (this.#lines.admit() > 0) this.#write();
  }

  /** No more are dropped. */
  end(): void {
    this.note();
    this.#lines.end();
  }

  #write(): void {
    const { droppedByAge, droppedWhenFull } = this.#dropped();
    const tooOld = droppedByAge - this.#logged.droppedByAge;
    const toMakeRoom = droppedWhenFull - this.#logged.droppedWhenFull;
    this.#logged = { droppedByAge, droppedWhenFull };
    const { folder, maxBytes, maxAgeMs, log } = this.#options;
    log.warn('records of a spool were dropped', {
      folder,
      ...(tooOld > 0 ? { tooOld, maxAgeMs } : {}),
      ...(toMakeRoom > 0 ? { toMakeRoom, maxBytes } : {}),
    });
  }
}
