/**
 * The address of a Redis, as REDIS_... or REDIS_PERSECOND_... name it.
 * **In**: the settings. **Out**: its address, with credentials and TLS. **Fails**: with an Error that says what is wrong, or why a file of
 * TLS cannot be read; it never holds a user or a password.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { RedisAddress } from '../../counting/redis/config.ts';
import { named } from '../../text/server-name.ts';
import type { Settings } from '../settings/settings.ts';

type Credentials = Pick<RedisAddress, 'username' | 'password'>;

/** One of several in URL, which commas part: `[SCHEME://][USER:PASSWORD@]REST`. */
interface Part {
  readonly scheme: string;
  readonly credentials: Credentials;
  readonly rest: string;
  readonly shown: string;
}

const SCHEMES = new Set(['', 'redis', 'rediss']);
const LIKE_HOST_PORT = /^[^/]*:\d{1,5}$/;

export function redisAddress(settings: Settings, setting: 'REDIS' | 'REDIS_PERSECOND'): RedisAddress {
  const type = settings[`${setting}_TYPE`];
  const url = settings[`${setting}_URL`];
  const auth = settings[`${setting}_AUTH`];
  const parts = url.split(',').map((text) => partOf(text.trim()));
  const [first] = parts as [Part];
  const isUnix = type === 'SINGLE' && settings[`${setting}_SOCKET_TYPE`] === 'unix';
  if (isUnix) checkPath(url, parts, setting);
  else checkParts(parts, type);
  const isTls = settings[`${setting}_TLS`] || (!isUnix && parts.some(({ scheme }) => scheme === 'rediss'));
  const common = {
    db: 0,
    connectTimeout: settings.REDIS_TIMEOUT,
    ...(isTls ? { tls: tlsOf(settings) } : {}),
  };
  if (isUnix) return { ...common, ...authOf(auth), path: url };
  if (type === 'SENTINEL') {
    const servers = parts.slice(1);
    const { username, password } = among('SENTINEL_AUTH', settings[`${setting}_SENTINEL_AUTH`], servers);
    return {
      ...common,
      ...among('AUTH', auth, [first]),
      name: first.rest,
      sentinels: servers.map(hostPortOf),
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(password === undefined ? {} : { sentinelPassword: password }),
    };
  }
  const own = { ...common, ...among('AUTH', auth, parts) };
  if (type === 'CLUSTER') return { ...own, cluster: parts.map(hostPortOf) };
  const { host, port } = hostPortOf(first);
  return { ...own, ...(own.tls === undefined ? {} : { tls: { ...named(host), ...own.tls } }), host, port };
}

function checkPath(url: string, parts: readonly Part[], setting: string): void {
  const is = `URL is "${shownOf(parts)}" and ${setting}_SOCKET_TYPE is unix`;
  if (parts[0]?.scheme !== '') throw new Error(`${is}; a path is expected, or ${setting}_SOCKET_TYPE=tcp`);
  // A socket may have any path, and may be made after the start; hardly one that looks like a host and a port.
  if (LIKE_HOST_PORT.test(url) && !existsSync(url))
    throw new Error(`${is}, its default; no such file is there, set ${setting}_SOCKET_TYPE=tcp for a host and port`);
}

const shownOf = (parts: readonly Part[]): string => parts.map(({ shown }) => shown).join(',');

function checkParts(parts: readonly Part[], type: string): void {
  const shown = shownOf(parts);
  const unknown = parts.find(({ scheme }) => !SCHEMES.has(scheme));
  if (unknown !== undefined)
    throw new Error(
      `URL is "${shown}"; ${unknown.scheme}:// is not known, HOST:PORT, redis://HOST:PORT or rediss://HOST:PORT (TLS) is expected`,
    );
  if (['redis', 'rediss'].every((one) => parts.some(({ scheme }) => scheme === one)))
    throw new Error(`URL is "${shown}"; redis:// and rediss:// are mixed, one for all is expected`);
  if (type === 'SENTINEL' && parts.length === 1)
    throw new Error(`URL is "${shown}", which names no sentinels; MASTER,HOST:PORT,HOST:PORT is expected`);
  if (type === 'SINGLE' && parts.length > 1)
    throw new Error(`URL is "${shown}"; one HOST:PORT is expected, or TYPE=CLUSTER or SENTINEL`);
}

function partOf(text: string): Part {
  const [, scheme = '', afterScheme = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  const at = afterScheme.lastIndexOf('@');
  const rest = afterScheme.slice(at + 1);
  const shown = `${scheme === '' ? '' : `${scheme}://`}${at < 0 ? '' : '(secret)@'}${rest}`;
  const part = { scheme: scheme.toLowerCase(), rest: scheme === '' ? text : rest, shown };
  if (scheme === '' || at < 0) return { ...part, credentials: {} };
  const [username, password] = [...afterScheme.slice(0, at).split(/:(.*)/s), ''].map((word) =>
    decoded(word, shown),
  ) as [string, string];
  return { ...part, credentials: credentialsOf(username, password) };
}

function decoded(text: string, shown: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new Error(`URL is "${shown}"; a % in the user or the password has to be written %25`, { cause: error });
  }
}

function hostPortOf({ rest, shown }: Part): { readonly host: string; readonly port: number } {
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
  const given = [authOf(auth), ...parts.map(({ credentials }) => credentials)].filter(
    ({ username, password }) => username !== undefined || password !== undefined,
  );
  const [one = {}] = given;
  if (given.some(({ username, password }) => username !== one.username || password !== one.password))
    throw new Error(`${setting} differs from the credentials in URL; give them once`);
  if (one.username !== undefined && one.password === undefined)
    throw new Error('URL holds a user without a password; USER:PASSWORD or :PASSWORD is expected before the @');
  return one;
}

/** Parted by the first colon. */
function authOf(auth: string): Credentials {
  const at = auth.indexOf(':');
  return credentialsOf(auth.slice(0, Math.max(0, at)), auth.slice(at + 1));
}

const credentialsOf = (username: string, password: string): Credentials => ({
  ...(username === '' ? {} : { username }),
  ...(password === '' ? {} : { password }),
});

function tlsOf(settings: Settings): ConnectionOptions {
  const { REDIS_TLS_CACERT: ca, REDIS_TLS_CLIENT_CERT: cert, REDIS_TLS_CLIENT_KEY: key } = settings;
  return {
    ...(ca === '' ? {} : { ca: readFileSync(ca) }),
    ...(cert === '' ? {} : { cert: readFileSync(cert), key: readFileSync(key) }),
    ...(settings.REDIS_TLS_SKIP_HOSTNAME_VERIFICATION ? { checkServerIdentity: () => undefined } : {}),
  };
}
