/** Background work of a handler: restarted when it fails, awaited at the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from './contract.ts';
import { messageOf } from '../text/message-of.ts';
import { settlesWithin } from '../time/settles-within.ts';

export interface Background {
  start(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** The current failure, for operators; `undefined` if all work runs. */
  failing(): string | undefined;
  /** Settles when all work has ended, at the latest after `withinMs`; logs work that still runs. */
  ended(withinMs: number): Promise<void>;
}

const FIRST_PAUSE_MS = 500; // long enough that a permanent failure does not fill the log
const LONGEST_PAUSE_MS = 30_000;

export interface BackgroundOptions {
  readonly firstPauseMs?: number | undefined;
  /** Called when {@link Background.failing} may have changed. */
  readonly onChange?: (() => void) | undefined;
}

export function superviseBackground(
  signal: AbortSignal,
  log: Log,
  { firstPauseMs = FIRST_PAUSE_MS, onChange }: BackgroundOptions = {},
): Background {
  const failures = new Map<symbol, string>();
  const running = new Map<symbol, Promise<void>>();

  async function supervise(id: symbol, name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!signal.aborted) {
      // Work that has run as long as the last pause counts as recovered.
      const settled = setTimeout(() => {
        if (failures.delete(id)) onChange?.();
        pauseMs = firstPauseMs;
      }, pauseMs);
      settled.unref();
      try {
        await work(signal);
        if (failures.delete(id)) onChange?.();
        return;
      } catch (error) {
        if (signal.aborted) return;
        const why = messageOf(error);
        failures.set(id, `${name} failed: ${why}`);
        onChange?.();
        log.error('background work failed and is started again', { work: name, error, pauseMs });
      } finally {
        clearTimeout(settled);
      }
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }

  return {
    start(name, work) {
      const id = Symbol(name);
      running.set(
        id,
        Promise.resolve()
          .then(() => supervise(id, name, work))
          .finally(() => running.delete(id)),
      );
    },
    failing: () => failures.values().next().value,
    async ended(withinMs) {
      if (running.size === 0) return;
      if (!(await settlesWithin(withinMs, Promise.all(running.values()))))
        log.warn('background work ignores its abort signal and is abandoned', {
          work: [...running.keys()].map(({ description }) => description),
          waitedMs: withinMs,
        });
    },
  };
}
