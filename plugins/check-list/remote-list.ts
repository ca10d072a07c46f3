/**
 * A list at a URL, loaded again at intervals.
 * **In**: the url, how to parse its text. **Out**: the last good list, `undefined` until the first is loaded. **Fails**: never; a failure
 * is a log line, a counter and a back-off.
 */
import { hash } from 'node:crypto';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { type Counter, type Host, Rejected, type Turn, Unavailable } from 'sluice/plugin';
import { type HttpAnswer, textOf, unexpected } from '../http/answer.ts';
import { CallOver } from '../http/exchange.ts';
import { type HttpPool, openPool } from '../http/pool.ts';
import { requestMaker } from '../http/request.ts';
import type { ServerConfig } from '../http/config.ts';

export interface RemoteListOptions<T> extends ServerConfig {
  readonly url: string;
  readonly refreshMs: number;
  readonly downloadTimeoutMs: number;
  readonly maxBytes: number;
  /** Throws if the text is invalid. */
  readonly parse: (text: string, turn: Turn) => Promise<T>;
  /** `why` there is no list yet; `undefined` once there is one. */
  readonly onState: (why: string | undefined) => void;
}

export interface RemoteList<T> {
  readonly current: T | undefined;
  /** The last failure, until a list is loaded. */
  readonly why: string;
  close(): Promise<void>;
}

const PLAIN_GET = { method: 'GET', path: '', query: {}, headers: {} } as const;
const FIRST_PAUSE_MS = 1000;
/** Replicas that start together spread over a fifth of the interval. */
const jittered = (ms: number): number => ms * (0.9 + Math.random() / 5);

export async function openRemoteList<T>(options: RemoteListOptions<T>, host: Host): Promise<RemoteList<T>> {
  const { url, refreshMs } = options;
  const pool = await openPool({ ...options, connections: 1 }, host);
  const list = new Downloads(options, pool, host);
  host.background(`refreshing the list of ${new URL(url).host}`, async (signal) => {
    for (let failures = 0; !signal.aborted;) {
      const retryAfterMs = await list.refresh(signal);
      failures = retryAfterMs === undefined ? 0 : failures + 1;
      const backOffMs = Math.max(retryAfterMs ?? 0, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 20));
      const pauseMs = jittered(failures === 0 ? refreshMs : Math.min(refreshMs, backOffMs));
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
  return {
    get current() {
      return list.current;
    },
    get why() {
      return list.why;
    },
    close: () => pool.close(),
  };
}

class Downloads<T> {
  current: T | undefined;
  why = 'its first download has not finished';
  readonly #options: RemoteListOptions<T>;
  readonly #pool: HttpPool;
  readonly #host: Host;
  readonly #failures: Counter;
  /** Of the text that is in force. */
  #digest: string | undefined;
  #validators: Record<string, string> = {};
  #isFailing = false;

  constructor(options: RemoteListOptions<T>, pool: HttpPool, host: Host) {
    this.#options = options;
    this.#pool = pool;
    this.#host = host;
    this.#failures = host.metrics.counter(
      'list_refresh_failures',
      'Downloads of a list that failed; the last good one stayed in use.',
    );
    options.onState(this.why);
  }

  /** `undefined` if the list is that of the service now; else how long the service asks not to be asked, or 0. */
  async refresh(signal: AbortSignal): Promise<number | undefined> {
    try {
      const isNew = await this.#download(signal);
      if (isNew || this.#isFailing) this.#log(isNew);
      this.#isFailing = false;
      this.#options.onState(undefined);
      return undefined;
    } catch (error) {
      if (signal.aborted) return undefined;
      this.#fail(
        error instanceof CallOver
          ? `no list within ${this.#options.downloadTimeoutMs} ms (downloadTimeoutMs)`
          : messageOf(error),
      );
      return error instanceof Unavailable ? error.retryAfterMs : 0;
    }
  }

  async #download(signal: AbortSignal): Promise<boolean> {
    const { url, headers, downloadTimeoutMs, maxBytes, parse } = this.#options;
    const request = requestMaker(
      { url, headers: { accept: 'text/plain, */*', ...headers, ...this.#validators } },
      PLAIN_GET,
    )({});
    const answer = await this.#pool.send(request, {
      maxBodyBytes: maxBytes,
      signal: AbortSignal.any([signal, AbortSignal.timeout(downloadTimeoutMs)]),
    });
    if (answer.status === 304 && this.current !== undefined) return false;
    if (answer.status !== 200) throw unexpected(answer, '200', this.#host.clock.nowMs());
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
    const message = isNew
      ? 'a list was loaded from its url'
      : 'a list can be loaded from its url again; it is unchanged';
    this.#host.log.info(message, { list: this.#pool.shown });
  }

  #fail(why: string): void {
    this.#failures.add();
    this.why = why;
    if (this.current === undefined) this.#options.onState(`the list of ${this.#pool.shown} is not loaded: ${why}`);
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#host.log.warn(
      this.current === undefined
        ? 'a list cannot be loaded from its url'
        : 'a list cannot be loaded from its url; the last good one stays in use',
      { list: this.#pool.shown, why },
    );
  }
}

/** Without either, an end in the middle would not be noticed, and half a list would be in force. */
function wholeText(answer: HttpAnswer): string {
  const { headers } = answer;
  if (headers['content-length'] === undefined && !/chunked/i.test(headers['transfer-encoding'] ?? ''))
    throw new Rejected(
      'its answer has neither a content-length nor chunks, so a list that was cut would not be noticed',
    );
  const text = textOf(answer);
  if (text.trim() === '') throw new Rejected('it is empty; if that is intended, write a comment into it');
  return text;
}

function validatorsOf({ headers }: HttpAnswer): Record<string, string> {
  const { etag, 'last-modified': modified } = headers;
  return {
    ...(etag === undefined ? {} : { 'if-none-match': etag }),
    ...(modified === undefined ? {} : { 'if-modified-since': modified }),
  };
}

/** The event loop has its turn every thousand lines. */
function turns(): Turn {
  let lines = 0;
  return () => (++lines % 1000 === 0 ? immediate() : undefined);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
