/**
 * Watches files by polling. Events of the system are lost where a folder is replaced or a link is swapped (Kubernetes
 * ConfigMaps), and network file systems send none; so stamps of the files are compared at intervals.
 */
import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../text/message-of.ts';

export interface WatchOptions {
  /** A text that differs whenever a watched file does; `undefined` while there is nothing to read. */
  readonly stamp: () => Promise<string | undefined>;
  /** Of what has been read already; absent, the first stamp counts as a change. */
  readonly known?: string | undefined;
  /** Returns false where the change could not be taken; it is called again at the next poll. */
  readonly onChange: (stamp: string) => Promise<boolean | void> | boolean | void;
  readonly everyMs?: number;
  readonly signal: AbortSignal;
}

const EVERY_MS = 500;
/** Polling takes at most one part in 50 of the time, however many files there are. */
const PAUSE_PER_COST = 50;

/**
 * Calls `onChange` once per change, when two polls in a row agree: a file that is still being written is left alone.
 * Resolves when `signal` aborts; rejects where `stamp` or `onChange` does.
 */
export async function watchFiles({ stamp, known, onChange, everyMs = EVERY_MS, signal }: WatchOptions): Promise<void> {
  let taken = known;
  let last: string | undefined;
  let costMs = 0;
  let lastTookMs = Infinity;
  for (;;) {
    await sleep(Math.max(everyMs, costMs * PAUSE_PER_COST), undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const beganAtMs = performance.now();
    const now = await stamp();
    const tookMs = performance.now() - beganAtMs;
    costMs = Math.min(tookMs, lastTookMs); // of two polls the faster: one that waited for a busy machine costs no more
    lastTookMs = tookMs;
    const isStable = now === last;
    last = now;
    if (signal.aborted || !isStable || now === undefined || now === taken) continue;
    if ((await onChange(now)) !== false) taken = now;
  }
}

/** Of one file; the error's code where it cannot be read. */
export async function stampOf(path: string): Promise<string> {
  try {
    return stampOfStats(await stat(path, { bigint: true }));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? messageOf(error);
  }
}

/** Differs where a file was written, replaced, or is reached through another link. */
export const stampOfStats = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
