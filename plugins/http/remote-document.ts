/**
 * A document at a URL, loaded again at intervals and on request.
 * **In**: the url, how to parse its text. **Out**: the last good content, `undefined` until the first is loaded. **Fails**: never; a
 * failure is a log line, a counter and a back-off.
 */
import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Counter, type Host, Rejected, type Turn, turns, Unavailable } from 'sluice/plugin';
import { type HttpAnswer, textOf, unexpected } from '../http/answer.ts';
import { CallOver } from '../http/exchange.ts';
import { type HttpPool, openPool } from '../http/pool.ts';
import { requestMaker } from '../http/request.ts';
import type { ServerConfig } from '../http/config.ts';

export interface RemoteDocumentOptions<T> extends ServerConfig {
  readonly url: string;
  /** Its name in messages: `list`. */
  readonly what: string;
  readonly accept: string;
  /** How often it is loaded, give or take a tenth. */
  readonly refreshMs: number;
  /** Another interval after this answer. */
  readonly freshForMs?: (answer: HttpAnswer) => number | undefined;
  readonly downloadTimeoutMs: number;
  readonly maxBytes: number;
  /** Throws if the text is invalid. */
  readonly parse: (text: string, turn: Turn) => T | Promise<T>;
  readonly failures: Counter;
  /** `why` there is no content yet; `undefined` once there is. */
  readonly onState: (why: string | undefined) => void;
}

export interface RemoteDocument<T> {
  readonly current: T | undefined;
  /** The last failure, until it is loaded. */
  readonly why: string;
  /** Loads it now, or waits for the download that runs. Never rejects. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

const PLAIN_GET = { method: 'GET', path: '', query: {}, headers: {} } as const;
const FIRST_PAUSE_MS = 1000;
const LONGEST_BACK_OFF_MS = 60_000;
/** Replicas that start together spread over a fifth of the interval. */
const jittered = (ms: number): number => ms * (0.9 + Math.random() / 5);

export async function openRemoteDocument<T>(options: RemoteDocumentOptions<T>, host: Host): Promise<RemoteDocument<T>> {
  const pool = await openPool({ ...options, connections: 1 }, host);
  const downloads = new Downloads(options, pool, host);
  const closing = new AbortController();
  host.background(`refreshing the ${options.what} of ${new URL(options.url).host}`, async (ofHost) => {
    const signal = AbortSignal.any([ofHost, closing.signal]);
    while (!signal.aborted) {
      const pauseMs = jittered(await downloads.refresh(signal));
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
  return {
    get current() {
      return downloads.current;
    },
    get why() {
      return downloads.why;
    },
    refresh: async () => {
      await downloads.refresh(AbortSignal.any([host.signal, closing.signal]));
    },
    close: () => {
      closing.abort();
      return pool.close();
    },
  };
}

class Downloads<T> {
  current: T | undefined;
  why = 'its first download has not finished';
  readonly #options: RemoteDocumentOptions<T>;
  readonly #pool: HttpPool;
  readonly #host: Host;
  #pauseMs: number;
  /** Of the text that is in force. */
  #digest: string | undefined;
  #validators: Record<string, string> = {};
  #failuresInARow = 0;
  #running: Promise<number> | undefined;

  constructor(options: RemoteDocumentOptions<T>, pool: HttpPool, host: Host) {
    this.#options = options;
    this.#pool = pool;
    this.#host = host;
    this.#pauseMs = options.refreshMs;
    options.onState(`the ${options.what} of ${pool.shown} is not loaded: ${this.why}`);
  }

  /** Milliseconds until the next is due. Those that wait at the same time share one download. */
  refresh(signal: AbortSignal): Promise<number> {
    this.#running ??= this.#refresh(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #refresh(signal: AbortSignal): Promise<number> {
    const { refreshMs, downloadTimeoutMs, what, onState } = this.#options;
    try {
      const isNew = await this.#download(signal);
      if (isNew || this.#failuresInARow > 0) this.#log(isNew);
      this.#failuresInARow = 0;
      onState(undefined);
      return this.#pauseMs;
    } catch (error) {
      if (signal.aborted) return refreshMs;
      this.#fail(
        error instanceof CallOver ? `no ${what} within ${downloadTimeoutMs} ms (downloadTimeoutMs)` : messageOf(error),
      );
      const retryAfterMs = error instanceof Unavailable ? error.retryAfterMs : 0;
      const backOffMs = Math.max(retryAfterMs, FIRST_PAUSE_MS * 2 ** Math.min(this.#failuresInARow - 1, 20));
      return Math.min(refreshMs, Math.max(retryAfterMs, LONGEST_BACK_OFF_MS), backOffMs);
    }
  }

  async #download(signal: AbortSignal): Promise<boolean> {
    const { url, accept, headers, downloadTimeoutMs, maxBytes, parse, refreshMs, freshForMs } = this.#options;
    const request = requestMaker({ url, headers: { accept, ...headers, ...this.#validators } }, PLAIN_GET)({});
    const answer = await this.#pool.send(request, {
      maxBodyBytes: maxBytes,
      signal: AbortSignal.any([signal, AbortSignal.timeout(downloadTimeoutMs)]),
    });
    const isUnchanged = answer.status === 304 && this.current !== undefined;
    if (answer.status !== 200 && !isUnchanged) throw unexpected(answer, '200', this.#host.clock.nowMs());
    this.#pauseMs = freshForMs?.(answer) ?? refreshMs;
    if (isUnchanged) return false;
    const digest = hash('sha256', answer.body);
    if (digest !== this.#digest) {
      const text = wholeText(answer);
      this.current = await parse(text, turns());
    }
    const isNew = digest !== this.#digest;
    this.#digest = digest;
    this.#validators = validatorsOf(answer);
    return isNew;
  }

  #log(isNew: boolean): void {
    const { what } = this.#options;
    const message = isNew
      ? `a ${what} was loaded from its url`
      : `a ${what} can be loaded from its url again; it is unchanged`;
    this.#host.log.info(message, { from: this.#pool.shown });
  }

  #fail(why: string): void {
    const { what, failures, onState } = this.#options;
    failures.add();
    this.why = why;
    if (this.current === undefined) onState(`the ${what} of ${this.#pool.shown} is not loaded: ${why}`);
    if (++this.#failuresInARow > 1) return;
    this.#host.log.warn(
      this.current === undefined
        ? `a ${what} cannot be loaded from its url`
        : `a ${what} cannot be loaded from its url; the last good one stays in use`,
      { from: this.#pool.shown, why },
    );
  }
}

/** Without either, an end in the middle would not be noticed, and half of it would be in force. */
function wholeText(answer: HttpAnswer): string {
  const { headers } = answer;
  if (headers['content-length'] === undefined && !/chunked/i.test(headers['transfer-encoding'] ?? ''))
    throw new Rejected('its answer has neither a content-length nor chunks, so one that was cut would not be noticed');
  return textOf(answer);
}

function validatorsOf({ headers }: HttpAnswer): Record<string, string> {
  const { etag, 'last-modified': modified } = headers;
  return {
    ...(etag === undefined ? {} : { 'if-none-match': etag }),
    ...(modified === undefined ? {} : { 'if-modified-since': modified }),
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
