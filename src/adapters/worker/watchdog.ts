import { readFileSync } from 'node:fs';

/** How often the process gives a sign of life, and the host looks for one. */
export const BEAT_MS = 100;
const MIB = 1024 * 1024;

export interface Watched {
  readonly pid: number;
  /** Time without a sign of life after which the process is ended. */
  readonly silentAfterMs: number;
  /** Of the whole process; V8 keeps the limit of its heap itself. */
  readonly mostBytes: number;
  /** Whether it was heard since the last call. */
  readonly heard: () => boolean;
}

/**
 * Watches a process by the ticks of this thread: while this thread is busy it does not tick, so its own blocking does not count as the
 * other's silence.
 */
export function watch({ pid, silentAfterMs, mostBytes, heard }: Watched, end: (why: string) => void): () => void {
  const silentTicks = Math.ceil(silentAfterMs / BEAT_MS);
  let silent = 0;
  const timer = setInterval(() => {
    const bytes = residentBytes(pid);
    if (bytes > mostBytes) return end(tooMuch(bytes, mostBytes));
    silent = heard() ? 0 : silent + 1;
    return silent < silentTicks
      ? undefined
      : end(`it was blocked for ${silentAfterMs} ms, by an endless loop or by work that takes so long`);
  }, BEAT_MS).unref();
  return () => clearInterval(timer);
}

/** 0 where there is no /proc; then V8's limit of the heap is the only one. */
function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

export const tooMuch = (bytes: number | undefined, limitBytes: number): string =>
  `it needed ${bytes === undefined ? 'more memory' : `${Math.round(bytes / MIB)} MiB, more`} than its limit of ${Math.round(limitBytes / MIB)} MiB`;
