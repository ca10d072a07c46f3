/**
 * Public keys of an issuer of tokens (RFC 7517).
 * **In**: a file, which is watched, or an https URL, which is polled. **Out**: its last good keys.
 * **Fails**: a file with an {@link AuthorityError} when it is opened; a URL with UNAVAILABLE until it has been fetched once.
 */
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Log } from '../adapters/contract.ts';
import { OutageLog } from '../adapters/outage-log.ts';
import { stampOf, startWatching } from '../files/watch.ts';
import { messageOf } from '../text/message-of.ts';
import { GrpcError, Status } from '../transport/index.ts';
import { AuthorityError } from './authority-error.ts';

export interface KeySet {
  /** Rejects with a GrpcError while there are none. */
  keys(): Promise<JWTVerifyGetKey>;
  /** For a token whose key is unknown. False: there are no newer keys. */
  refetch(): Promise<boolean>;
  close(): Promise<void>;
}

export interface KeySetOptions {
  /** A path, or an https URL. */
  readonly from: string;
  readonly log: Log;
  /** Authorities for the URL, in PEM. Default: those of Node. */
  readonly ca?: string | undefined;
  readonly times?: Partial<KeySetTimes>;
}

export interface KeySetTimes {
  readonly everyMs: number;
  /** Least time between two fetches, which a token with an unknown key causes. */
  readonly pauseMs: number;
  readonly answerWithinMs: number;
}

const TIMES: KeySetTimes = { everyMs: 600_000, pauseMs: 10_000, answerWithinMs: 5000 };
const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 100;

export const openKeySet = (options: KeySetOptions): Promise<KeySet> | KeySet =>
  /^https?:\/\//i.test(options.from) ? new FetchedKeySet(options) : openKeyFile(options);

function parsed(text: string): JWTVerifyGetKey {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new Error('it is no JSON', { cause: error });
  }
  const keys = (document as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || keys.length === 0)
    throw new Error('it is no JSON Web Key Set with keys: {"keys": [...]}');
  if (keys.length > MAX_KEYS) throw new Error(`it has ${keys.length} keys; at most ${MAX_KEYS} are taken`);
  return createLocalJWKSet(document as JSONWebKeySet);
}

async function openKeyFile({ from, log, times = {} }: KeySetOptions): Promise<KeySet> {
  const stamp = (): Promise<string> => stampOf(from);
  const known = await stamp();
  const read = async (): Promise<JWTVerifyGetKey> => parsed(await readFile(from, 'utf8'));
  let current: JWTVerifyGetKey;
  try {
    current = await read();
  } catch (error) {
    throw new AuthorityError(
      `--jwks ${from} cannot be read: ${messageOf(error)}; name the key set of the issuer of tokens`,
      error,
    );
  }
  const watching = startWatching({
    stamp,
    known,
    everyMs: times.everyMs,
    onChange: async () => {
      try {
        current = await read();
        log.info('the key set for tokens was read again', { path: from });
      } catch (error) {
        log.error('the key set for tokens cannot be read; the last good one stays', {
          path: from,
          why: messageOf(error),
        });
      }
    },
  });
  return {
    keys: () => Promise.resolve(current),
    refetch: () => Promise.resolve(false),
    close: () => watching.close(),
  };
}

class FetchedKeySet implements KeySet {
  readonly #url: URL;
  readonly #ca: string | undefined;
  readonly #times: KeySetTimes;
  readonly #outage: OutageLog;
  readonly #over = new AbortController();
  readonly #refreshing: NodeJS.Timeout;
  #current: JWTVerifyGetKey | undefined;
  #text: string | undefined;
  #triedAtMs = -Infinity;
  #fetching: Promise<void> | undefined;
  #why = 'they were not fetched yet';

  constructor({ from, log, ca, times }: KeySetOptions) {
    this.#url = httpsUrl(from);
    this.#ca = ca;
    this.#times = { ...TIMES, ...times };
    this.#outage = new OutageLog(log, { url: from });
    this.#refreshing = setInterval(() => void this.#fetch(), this.#times.everyMs).unref();
    void this.#fetch();
  }

  async keys(): Promise<JWTVerifyGetKey> {
    if (this.#current === undefined) await this.#fetchIfDue();
    if (this.#current === undefined)
      throw new GrpcError(
        Status.UNAVAILABLE,
        `tokens cannot be checked: the keys of their issuer are not there: ${this.#why}`,
      );
    return this.#current;
  }

  async refetch(): Promise<boolean> {
    const before = this.#current;
    await this.#fetchIfDue();
    return this.#current !== before;
  }

  async close(): Promise<void> {
    clearInterval(this.#refreshing);
    this.#over.abort();
    await this.#fetching;
  }

  #fetchIfDue(): Promise<void> | undefined {
    return this.#fetching ?? (performance.now() - this.#triedAtMs < this.#times.pauseMs ? undefined : this.#fetch());
  }

  #fetch(): Promise<void> {
    this.#triedAtMs = performance.now();
    return (this.#fetching ??= this.#fetchNow().finally(() => {
      this.#fetching = undefined;
    }));
  }

  async #fetchNow(): Promise<void> {
    try {
      const signal = AbortSignal.any([this.#over.signal, AbortSignal.timeout(this.#times.answerWithinMs)]);
      const text = await fetched(this.#url, this.#ca, signal);
      // Equal text keeps its keys, so that `refetch` can tell that nothing is newer.
      if (text !== this.#text) this.#current = parsed(text);
      this.#text = text;
      this.#outage.succeeded('the keys for tokens can be fetched again');
    } catch (error) {
      if (this.#over.signal.aborted) return;
      this.#why = messageOf(error);
      this.#outage.failed(
        this.#current === undefined
          ? 'the keys for tokens cannot be fetched, so callers with tokens are not served'
          : 'the keys for tokens cannot be fetched; the last good ones stay',
        this.#why,
      );
    }
  }
}

function httpsUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.protocol !== 'https:' || url.username !== '')
    throw new AuthorityError(
      `--jwks ${text} is not an https URL; over http an attacker on the path could replace the keys`,
    );
  return url;
}

/** Not redirected, since only the named host is trusted. */
function fetched(url: URL, ca: string | undefined, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(signal.aborted ? new Error('it did not answer in time') : (error as Error));
    const sent = request(url, { signal, headers: { accept: 'application/json' }, ...(ca === undefined ? {} : { ca }) });
    sent.on('error', fail);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      if (response.statusCode !== 200) sent.destroy(new Error(`it answers ${response.statusCode}`));
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_BYTES) sent.destroy(new Error(`its answer is longer than ${MAX_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    });
    sent.end();
  });
}
