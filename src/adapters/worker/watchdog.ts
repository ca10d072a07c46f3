import { BEAT_MS, type VitalSigns } from './vital-signs.ts';

export interface WatchdogLimits {
  /** Time without a sign after which the thread is ended. */
  readonly silentAfterMs: number;
  /** Outside of the heap, whose limit V8 keeps. */
  readonly externalBytes: number;
}

/** Garbage may fill the limit until it is collected, so it must hold for some beats. */
const BEATS_ABOVE = 5;

/**
 * Watches a thread by the ticks of this one: while this thread is busy itself it does not tick, so its own blocking does not count as the
 * other's silence.
 */
export function watch(
  signs: VitalSigns,
  { silentAfterMs, externalBytes }: WatchdogLimits,
  end: (why: string) => void,
): () => void {
  const silentTicks = Math.ceil(silentAfterMs / BEAT_MS);
  let beats = signs.beats;
  let silent = 0;
  let above = 0;
  const timer = setInterval(() => {
    const now = signs.beats;
    if (now !== beats) {
      beats = now;
      silent = 0;
      above = signs.externalBytes > externalBytes ? above + 1 : 0;
      if (above >= BEATS_ABOVE) end(tooMuch(signs.externalBytes, externalBytes));
    } else if (++silent >= silentTicks)
      end(`its thread was blocked for ${silentAfterMs} ms, by an endless loop or by work that takes so long`);
  }, BEAT_MS).unref();
  return () => clearInterval(timer);
}

const MIB = 1024 * 1024;

export const tooMuch = (bytes: number | undefined, limitBytes: number): string =>
  `its thread needed ${bytes === undefined ? 'more memory' : `${Math.round(bytes / MIB)} MiB, more`} than its limit of ${Math.round(limitBytes / MIB)} MiB`;
