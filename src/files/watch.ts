/**
 * Watches files by polling. System events are lost when a folder is replaced or a link is swapped (Kubernetes ConfigMaps), and
 * network file systems send none, so stamps of the files are compared at intervals.
 */
import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../text/message-of.ts';

export interface WatchOptions {
  /** A text that changes whenever a watched file does; `undefined` while there is nothing to read. */
  readonly stamp: () => Promise<string | undefined>;
  /** The stamp of the content that is already loaded; if absent, the first stamp counts as a change. */
  readonly known?: string | undefined;
  /** Returns false if the change could not be loaded; it is called again at the next poll. */
  readonly onChange: (stamp: string) => Promise<boolean | void> | boolean | void;
  readonly everyMs?: number | undefined;
  readonly signal: AbortSignal;
}

const EVERY_MS = 500;
/** Polling takes at most 2 % of the time, however many files are watched. */
const PAUSE_PER_COST = 50;
/** The cost of a poll is that of the fastest of the last ones: a busy machine slows polls down, and is no reason to poll less. */
const COST_POLLS = 8;

/**
 * Calls `onChange` once per change, after two consecutive equal polls, so that a file is not read while it is being written.
 * Resolves when `signal` aborts; rejects if `stamp` or `onChange` does.
 */
export async function watchFiles({ stamp, known, onChange, everyMs = EVERY_MS, signal }: WatchOptions): Promise<void> {
  let taken = known;
  let last: string | undefined;
  const tookMs: number[] = [];
  for (;;) {
    const costMs = tookMs.length < 2 ? 0 : Math.min(...tookMs);
    await sleep(Math.max(everyMs, costMs * PAUSE_PER_COST), undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const beganAtMs = performance.now();
    const now = await stamp();
    tookMs.push(performance.now() - beganAtMs);
    if (tookMs.length > COST_POLLS) tookMs.shift();
    const isStable = now === last;
    last = now;
    if (signal.aborted || !isStable || now === undefined || now === taken) continue;
    if ((await onChange(now)) !== false) taken = now;
  }
}

export interface Watching {
  /** Settles when no change is being taken. */
  close(): Promise<void>;
}

/** {@link watchFiles} until it is closed. `onFailure`: it has ended, since `stamp` or `onChange` rejected. */
export function startWatching(options: Omit<WatchOptions, 'signal'>, onFailure?: (error: unknown) => void): Watching {
  const over = new AbortController();
  const watching = watchFiles({ ...options, signal: over.signal }).catch(onFailure);
  return {
    async close() {
      over.abort();
      await watching;
    },
  };
}

/** The stamps of several files. */
export const stampsOf = async (paths: readonly string[]): Promise<string> =>
  (await Promise.all(paths.map(stampOf))).join('\n');

/** The stamp of a file; the error's code if it cannot be read. */
export async function stampOf(path: string): Promise<string> {
  try {
    return stampOfStats(await stat(path, { bigint: true }));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? messageOf(error);
  }
}

/** Changes when a file is written or replaced, or its link is swapped. */
export const stampOfStats = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
