/**
 * Requests to the admin port that serves the page.
 * **In**: a path. **Out**: JSON, asked again while a view shows it. **Fails**: with a state that views draw: the server is gone, it is
 * draining, or it has no such endpoint.
 */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import type { Readiness } from './api.ts';

export type Connection =
  | { readonly state: 'connecting' | 'up' }
  | { readonly state: 'gone'; readonly retryAt: number }
  | { readonly state: 'not-ready'; readonly why: string };

export const connection = signal<Connection>({ state: 'connecting' });
export const revision = signal<string | null>(null);

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 15_000;
const CHECK_MS = 3000;
/** While no policy is in force, or the server drains. */
const CHECK_NOT_READY_MS = 500;
/** For readiness, while nothing else arrives either. */
const ANSWER_MS = 8000;

/** Back-off with jitter, so that the pages of a team do not all return at once. */
export const backOffMs = (failures: number): number =>
  Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.75 + Math.random() / 2);

/** An answer with an error status. */
export class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const JSON_ONLY = { accept: 'application/json' };

/** Rejects with an HttpError, or a TypeError if the server does not answer. */
export const ask = async <T>(path: string, init: RequestInit = {}): Promise<T> =>
  JSON.parse(await textOf(await answered(path, { headers: JSON_ONLY, ...init }))) as T;

/** An answer and the tag of its text. */
export interface Tagged<T> {
  readonly data: T;
  readonly tag: string | null;
}

/** As {@link ask}; the value that is kept, if the server's is still the same: then nothing is sent or parsed. */
async function askAgain<T>(path: string, kept: Tagged<T> | undefined, of: AbortSignal): Promise<Tagged<T>> {
  const condition = typeof kept?.tag === 'string' ? { 'if-none-match': kept.tag } : {};
  const response = await fetch(path, { headers: { ...JSON_ONLY, ...condition }, signal: of });
  if (response.status === 304 && kept !== undefined) {
    heard();
    return kept;
  }
  if (!response.ok) throw new HttpError(response.status, await errorOf(response));
  return { data: JSON.parse(await textOf(response)) as T, tag: response.headers.get('etag') };
}

export const askText = async (path: string): Promise<string> => textOf(await answered(path, {}));

/** A large answer takes its time on a slow network, where readiness waits behind it. */
async function textOf({ body }: Response): Promise<string> {
  let text = '';
  if (body !== null)
    for await (const part of body.pipeThrough(new TextDecoderStream())) {
      heard();
      text += part;
    }
  return text;
}

/** Aborts a request on which nothing arrives: a server that hangs, and a tunnel that drops what it gets, close no connection. */
export class Silence {
  readonly #tooLong = new AbortController();
  readonly #ms: number;
  readonly signal: AbortSignal = this.#tooLong.signal;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(ms: number) {
    this.#ms = ms;
    this.broken();
  }

  broken(): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tooLong.abort(), this.#ms);
  }

  over(): void {
    clearTimeout(this.#timer);
    this.#isOver = true;
  }
}

/** Of the request for readiness that waits. */
let silence: Silence | undefined;
/** Something has come from the server. */
export const heard = (): void => silence?.broken();

async function answered(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(path, init);
  if (!response.ok) throw new HttpError(response.status, await errorOf(response));
  return response;
}

export const post = async <T>(path: string, body: unknown): Promise<T> =>
  ask(path, {
    method: 'POST',
    headers: { ...JSON_ONLY, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** The `error` of a JSON answer. */
export async function errorOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return error;
  } catch {
    // not JSON: a proxy between page and server has answered
  }
  return `the server answered ${response.status}`;
}

export const messageOf = (error: unknown): string =>
  error instanceof HttpError ? error.message : 'The server does not answer.';

const isOutage = (error: unknown): boolean => !(error instanceof HttpError);

let wake: (() => void) | undefined;
/** Ends the wait before the next attempt. */
export const retryNow = (): void => wake?.();

/** Resolves early if `retryNow` is called. */
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });

/** Asks for readiness for as long as the page is open. */
export async function watchServer(): Promise<never> {
  let failures = 0;
  for (;;) {
    let waitMs = CHECK_MS;
    silence = new Silence(ANSWER_MS);
    try {
      const response = await fetch('/readyz', { headers: JSON_ONLY, signal: silence.signal });
      const { ready, why, revision: now } = (await response.json()) as Readiness;
      failures = 0;
      revision.value = now;
      if (!ready) {
        waitMs = CHECK_NOT_READY_MS;
        connection.value = { state: 'not-ready', why: why ?? 'not ready' };
      } else if (connection.value.state !== 'up') connection.value = { state: 'up' };
    } catch {
      waitMs = backOffMs(failures++);
      connection.value = { state: 'gone', retryAt: Date.now() + waitMs };
    } finally {
      silence.over();
    }
    await pause(waitMs);
  }
}

export type Loaded<T> =
  | { readonly state: 'loading' }
  /** `isStale`: the last attempt failed. */
  | { readonly state: 'ready'; readonly data: T; readonly isStale: boolean }
  | { readonly state: 'missing' | 'failed'; readonly why: string };

const LOADING = { state: 'loading' } as const;

export interface Resource<T> {
  readonly answer: Loaded<T>;
  readonly reload: () => void;
}

/** Of a server that needs long for its answer, which is asked the less often. */
const SHARE_OF_TIME = 50;

/** Loads `path` at once, then every `everyMs` while the page is visible. */
export function useResource<T>(path: string | undefined, everyMs = 3000): Resource<T> {
  const [{ of, answer }, setAnswer] = useState<{ of: string | undefined; answer: Loaded<T> }>({
    of: path,
    answer: LOADING,
  });
  const [generation, setGeneration] = useState(0);
  const { state } = connection.value;
  const policy = revision.value; // what a view shows depends on it
  const isAsked = state !== 'gone' && state !== 'connecting'; // before the first revision is known, all would be loaded twice
  useEffect(() => {
    if (path === undefined || !isAsked) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let kept: Tagged<T> | undefined;
    const controller = new AbortController();
    const load = async (): Promise<void> => {
      const beganAt = performance.now();
      if (!document.hidden) {
        const next = await loaded<T>(async () => {
          kept = await askAgain(path, kept, controller.signal);
          return kept.data;
        });
        if (controller.signal.aborted) return;
        setAnswer((last) => ({ of: path, answer: merged(last.of === path ? last.answer : LOADING, next) }));
      }
      timer = setTimeout(() => void load(), Math.max(everyMs, (performance.now() - beganAt) * SHARE_OF_TIME));
    };
    void load();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs, generation, policy, isAsked]);
  return {
    answer: of === path ? answer : LOADING,
    reload: () => setGeneration((now) => now + 1),
  };
}

/** `undefined`: the server is away. */
export async function loaded<T>(request: () => Promise<T>): Promise<Loaded<T> | undefined> {
  try {
    return { state: 'ready', data: await request(), isStale: false };
  } catch (error) {
    if (isOutage(error)) return undefined;
    const { status, message } = error as HttpError;
    return { state: status === 404 ? 'missing' : 'failed', why: message };
  }
}

/** The last answer stays while the server is away. */
const merged = <T>(last: Loaded<T>, next: Loaded<T> | undefined): Loaded<T> =>
  next === undefined
    ? last.state === 'ready'
      ? { ...last, isStale: true }
      : last
    : last.state === 'ready' && next.state === 'ready' && last.data === next.data && !last.isStale
      ? last // nothing is drawn again
      : next;
