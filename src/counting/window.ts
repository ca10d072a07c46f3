/** Windows of one length begin at multiples of it since 1970-01-01T00:00Z, so days are days of UTC. */
import type { Calendar } from './calendar.ts';

/** End of the window that holds `nowMs`. */
export function windowEnd(nowMs: number, perMs: number): number {
  return (Math.floor(nowMs / perMs) + 1) * perMs;
}

/** Windows of one length, in the form of a calendar's periods. */
export function spanWindow(lengthS: number): Calendar {
  return {
    lengthS,
    at(nowS) {
      const startS = nowS - (nowS % lengthS);
      return { startS, endsAtS: startS + lengthS };
    },
  };
}
