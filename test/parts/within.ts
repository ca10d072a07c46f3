/** Bounds on waits for other processes: one that hangs fails its test with the name of what did not come, and not the whole run. */

/** Longer than any answer takes on a busy machine. */
export const ANSWER_MS = 60_000;

/** Rejects with `what` after `ms`; the work itself goes on. */
export async function within<T>(what: string, work: Promise<T>, ms = ANSWER_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The body has as long as the answer. */
export const fetchWithin = (url: string, init: RequestInit = {}): Promise<Response> =>
  within(
    `the answer to ${init.method ?? 'GET'} ${url}`,
    fetch(url, { ...init, signal: AbortSignal.timeout(2 * ANSWER_MS) }),
  );
