import { Throttle } from '../time/throttle.ts';
import type { SpoolOptions, SpoolState } from './types.ts';

type Dropped = Pick<SpoolState, 'droppedByAge' | 'droppedWhenFull'>;

/** Logs how many records were dropped: a line a minute, and the rest when the spool closes. */
export class DropLog {
  readonly #options: SpoolOptions;
  readonly #dropped: () => Dropped;
  readonly #lines: Throttle;
  #logged: Dropped = { droppedByAge: 0, droppedWhenFull: 0 };

  constructor(options: SpoolOptions, dropped: () => Dropped) {
    this.#options = options;
    this.#dropped = dropped;
    this.#lines = new Throttle(options.monotonicMs === undefined ? {} : { nowMs: options.monotonicMs });
  }

  /** To be called now and then, since what was dropped since the last line waits for the next. `isLast`: no later call follows. */
  write(isLast = false): void {
    const { droppedByAge, droppedWhenFull } = this.#dropped();
    const tooOld = droppedByAge - this.#logged.droppedByAge;
    const toMakeRoom = droppedWhenFull - this.#logged.droppedWhenFull;
    if (tooOld + toMakeRoom === 0 || (this.#lines.admit() === 0 && !isLast)) return;
    this.#logged = { droppedByAge, droppedWhenFull };
    const { folder, maxBytes, maxAgeMs, log } = this.#options;
    log.warn('records of a spool were dropped', {
      folder,
      ...(tooOld > 0 ? { tooOld, maxAgeMs } : {}),
      ...(toMakeRoom > 0 ? { toMakeRoom, maxBytes } : {}),
    });
  }
}
