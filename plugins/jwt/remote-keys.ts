/**
 * Public keys from a URL, which the config names or OpenID discovery finds.
 * **In**: an issuer. **Out**: its last good keys. **Fails**: with `Unavailable` or `Rejected` until the first are loaded.
 */
import type { JWTVerifyGetKey } from 'jose';
import { type Host, Rejected, Unavailable } from 'sluice/plugin';
import type { HttpAnswer } from '../http/answer.ts';
import { openRemoteDocument, type RemoteDocument, type RemoteDocumentOptions } from '../http/remote-document.ts';
import { validityOf } from '../http/validity.ts';
import type { IssuerConfig } from './config.ts';
import type { Keys } from './issuer.ts';

export interface RemoteKeysOptions {
  /** Throws if there is no usable key. */
  readonly parse: (text: string) => JWTVerifyGetKey;
  /** `why` there are no keys. */
  readonly onState: (why: string | undefined) => void;
  /** Whether tokens of other issuers can be verified. */
  readonly othersWork: () => boolean;
}

export interface RemoteKeys extends Keys {
  readonly isLoaded: boolean;
  close(): Promise<void>;
}

/** Before it is stale (RFC 9111); a service may neither stop the refresh nor be asked without a pause. */
const FRESH_SHARE = 0.8;
const [LEAST_FRESH_MS, MAX_FRESH_MS] = [30_000, 3_600_000];
/** Calls that wait for a key; further tokens with an unknown key are refused at once, so that they take no other call's place. */
const MAX_WAITING = 100;

export async function openRemoteKeys(
  config: IssuerConfig,
  { parse, onState, othersWork }: RemoteKeysOptions,
  host: Host,
): Promise<RemoteKeys> {
  const failures = host.metrics.counter(
    'jwks_refresh_failures',
    'Downloads of key sets and OpenID configurations that failed; the last good keys stayed in use.',
  );
  const document = <T>(
    url: string,
    what: string,
    options: Pick<RemoteDocumentOptions<T>, 'parse' | 'onState'>,
  ): Promise<RemoteDocument<T>> =>
    openRemoteDocument(
      {
        ...config,
        ...options,
        url,
        what,
        accept: 'application/json',
        maxBytes: config.maxKeysBytes,
        failures,
        freshForMs: (answer) => freshForMs(answer, host.clock.nowMs()),
      },
      host,
    );
  const keySet = (url: string): Promise<RemoteDocument<JWTVerifyGetKey>> =>
    document(url, 'key set', { parse, onState });

  const source =
    config.url === undefined
      ? await discovered(config, { document, keySet, onState })
      : await fixed(keySet(config.url));
  let triedAtMs = -Infinity;
  let waiting = 0;

  return {
    get isLoaded() {
      return source.keys()?.current !== undefined;
    },
    get current() {
      const { current, why } = source.keys() ?? { current: undefined, why: source.why() };
      if (current !== undefined) return current;
      const text = `the keys of ${config.issuer} are not loaded: ${why}`;
      // Unavailable opens the breaker of the handler, which would refuse the tokens of other issuers too.
      throw othersWork() ? new Rejected(text) : new Unavailable(text);
    },
    async refetch() {
      const keys = source.keys();
      const nowMs = host.clock.monotonicMs();
      const isDue = nowMs - triedAtMs >= config.refetchMs;
      if (keys === undefined || waiting >= MAX_WAITING || (!isDue && waiting === 0)) return false;
      if (isDue) triedAtMs = nowMs;
      const before = keys.current;
      waiting++;
      try {
        await keys.refresh();
      } finally {
        waiting--;
      }
      return keys.current !== before;
    },
    close: () => source.close(),
  };
}

interface Source {
  keys(): RemoteDocument<JWTVerifyGetKey> | undefined;
  /** Why there are none yet. */
  why(): string;
  close(): Promise<void>;
}

async function fixed(opening: Promise<RemoteDocument<JWTVerifyGetKey>>): Promise<Source> {
  const keys = await opening;
  return { keys: () => keys, why: () => keys.why, close: () => keys.close() };
}

interface Openers {
  readonly document: <T>(
    url: string,
    what: string,
    options: Pick<RemoteDocumentOptions<T>, 'parse' | 'onState'>,
  ) => Promise<RemoteDocument<T>>;
  readonly keySet: (url: string) => Promise<RemoteDocument<JWTVerifyGetKey>>;
  readonly onState: (why: string | undefined) => void;
}

/** OpenID Connect Discovery 1.0, section 4. The keys of an earlier `jwks_uri` serve until those of the next are loaded. */
async function discovered({ issuer = '' }: IssuerConfig, { document, keySet, onState }: Openers): Promise<Source> {
  let keys: RemoteDocument<JWTVerifyGetKey> | undefined;
  let url: string | undefined;
  const use = async (next: string): Promise<string> => {
    if (next === url) return next;
    const opened = await keySet(next);
    await opened.refresh();
    if (opened.current === undefined && keys !== undefined) {
      const { why } = opened;
      await opened.close();
      throw new Error(`its jwks_uri changed to ${next}, which cannot be loaded: ${why}`);
    }
    await keys?.close();
    keys = opened;
    url = next;
    return next;
  };
  const configuration = await document(
    `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
    'discovery document',
    {
      parse: (text) => use(jwksUriOf(text, issuer)),
      onState: (why) => {
        if (keys?.current === undefined) onState(why ?? keys?.why);
      },
    },
  );
  return {
    keys: () => keys,
    why: () => configuration.why,
    close: async () => {
      await configuration.close();
      await keys?.close();
    },
  };
}

function jwksUriOf(text: string, issuer: string): string {
  const { issuer: stated, jwks_uri: uri } = JSON.parse(text) as {
    readonly issuer?: unknown;
    readonly jwks_uri?: unknown;
  };
  if (stated !== issuer) throw new Error('its issuer is another one');
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('it has no jwks_uri');
  const { protocol } = new URL(uri);
  if (protocol !== 'https:' && (protocol !== 'http:' || issuer.startsWith('https:')))
    throw new Error('its jwks_uri must be https, as the issuer is');
  return uri;
}

function freshForMs(answer: HttpAnswer, nowMs: number): number | undefined {
  const { validForMs } = validityOf(answer, {}, false, nowMs);
  return validForMs === undefined || validForMs === 0
    ? undefined
    : Math.min(MAX_FRESH_MS, Math.max(LEAST_FRESH_MS, validForMs * FRESH_SHARE));
}
