/**
 * REDIS_URL with REDIS_AUTH, as operators write them.
 * **In**: the settings of one Redis. **Out**: addresses, credentials, and whether TLS is spoken. **Fails**: with an Error that says what is
 * wrong; it never holds a user or a password.
 */

export interface RedisUrl {
  readonly type: string;
  readonly socketType: string;
  readonly url: string;
  /** PASSWORD, or USER:PASSWORD; empty for none. */
  readonly auth: string;
  /** The same, of the sentinels. */
  readonly sentinelAuth: string;
}

export interface Credentials {
  readonly username?: string;
  readonly password?: string;
}
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddresses {
  /** A URL says `rediss://`. */
  readonly isTls: boolean;
  /** None are `{}`. */
  readonly credentials: Credentials;
  readonly sentinelCredentials: Credentials;
  /** A unix socket; then there are no addresses. */
  readonly path: string | undefined;
  /** Behind sentinels: what they call the master; the addresses are theirs. */
  readonly master: string | undefined;
  /** At least one where there is no path. */
  readonly addresses: readonly HostPort[];
}

/** One of several, which commas part: `[SCHEME://][USER:PASSWORD@]REST`. */
interface Part {
  readonly scheme: string;
  readonly credentials: Credentials;
  readonly rest: string;
  readonly shown: string;
}

const SCHEMES = new Set(['', 'redis', 'rediss']);

export function readRedisUrl({ type, socketType, url, auth, sentinelAuth }: RedisUrl): RedisAddresses {
  const parts = url.split(',').map((text) => partOf(text.trim()));
  const [first] = parts as [Part];
  const shown = parts.map((part) => part.shown).join(',');
  if (type === 'SINGLE' && socketType === 'unix') {
    if (first.scheme !== '')
      throw new Error(`URL is "${shown}" and SOCKET_TYPE is unix; a path is expected, or SOCKET_TYPE=tcp`);
    return {
      isTls: false,
      credentials: credentialsOf(auth),
      sentinelCredentials: {},
      path: url,
      master: undefined,
      addresses: [],
    };
  }
  const unknown = parts.find(({ scheme }) => !SCHEMES.has(scheme));
  if (unknown !== undefined)
    throw new Error(
      `URL is "${shown}"; ${unknown.scheme}:// is not known, HOST:PORT, redis://HOST:PORT or rediss://HOST:PORT (TLS) is expected`,
    );
  const isTls = parts.some(({ scheme }) => scheme === 'rediss');
  if (isTls && parts.some(({ scheme }) => scheme === 'redis'))
    throw new Error(`URL is "${shown}"; redis:// and rediss:// are mixed, one for all is expected`);
  const isSentinel = type === 'SENTINEL';
  if (isSentinel && parts.length === 1)
    throw new Error(`URL is "${shown}", which names no sentinels; MASTER,HOST:PORT,HOST:PORT is expected`);
  if (!isSentinel && type !== 'CLUSTER' && parts.length > 1)
    throw new Error(`URL is "${shown}"; one HOST:PORT is expected, or TYPE=CLUSTER or SENTINEL`);
  const servers = isSentinel ? parts.slice(1) : parts;
  return {
    isTls,
    credentials: among('AUTH', auth, isSentinel ? [first] : parts),
    sentinelCredentials: isSentinel ? among('SENTINEL_AUTH', sentinelAuth, servers) : {},
    path: undefined,
    master: isSentinel ? first.rest : undefined,
    addresses: servers.map(addressOf),
  };
}

function partOf(text: string): Part {
  const [, scheme = '', afterScheme = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  const at = afterScheme.lastIndexOf('@');
  const rest = afterScheme.slice(at + 1);
  const shown = `${scheme === '' ? '' : `${scheme}://`}${at < 0 ? '' : '(secret)@'}${rest}`;
  if (scheme === '') return { scheme, credentials: {}, rest: text, shown };
  if (at < 0) return { scheme: scheme.toLowerCase(), credentials: {}, rest, shown };
  const [username, password] = [...afterScheme.slice(0, at).split(/:(.*)/s), ''].map((word) =>
    decoded(word, shown),
  ) as [string, string];
  return {
    scheme: scheme.toLowerCase(),
    credentials: { ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }) },
    rest,
    shown,
  };
}

function decoded(text: string, shown: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new Error(`URL is "${shown}"; a % in the user or the password has to be written %25`, { cause: error });
  }
}

function addressOf({ rest, shown }: Part): HostPort {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/@[\]]+)):(\d{1,5})\/?$/i.exec(rest) ?? [];
  const host = bracketed ?? plain;
  const expected = rest.includes('@')
    ? 'redis:// is expected before credentials'
    : rest.includes('/')
      ? 'HOST:PORT is expected, without a path or database'
      : 'HOST:PORT is expected';
  if (host === undefined) throw new Error(`URL holds "${shown}", which is no address of Redis; ${expected}`);
  return { host, port: Number(port) };
}

/** Of the setting and of all URLs: said once, or alike. */
function among(setting: string, auth: string, parts: readonly Part[]): Credentials {
  const said = [credentialsOf(auth), ...parts.map(({ credentials }) => credentials)].filter(
    ({ username, password }) => username !== undefined || password !== undefined,
  );
  const [one = {}] = said;
  if (said.some(({ username, password }) => username !== one.username || password !== one.password))
    throw new Error(`${setting} differs from the credentials in URL; give them once`);
  if (one.username !== undefined && one.password === undefined)
    throw new Error('URL holds a user without a password; USER:PASSWORD or :PASSWORD is expected before the @');
  return one;
}

/** Parted by the first colon. */
function credentialsOf(auth: string): Credentials {
  if (auth === '') return {};
  const at = auth.indexOf(':');
  const [username, password] = at < 0 ? ['', auth] : [auth.slice(0, at), auth.slice(at + 1)];
  return { ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }) };
}
