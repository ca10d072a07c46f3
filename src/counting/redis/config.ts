/** Config of a Redis, for every adapter that uses one. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { z } from 'zod';
import { named, namedBy } from '../../text/server-name.ts';

const tlsSchema = z.strictObject({
  ca: z.string().min(1).optional().describe('File of trusted CA certificates (PEM). Default: those of Node.'),
  cert: z.string().min(1).optional().describe('File of the client certificate (PEM), if Redis requires one.'),
  key: z.string().min(1).optional().describe("File of the client certificate's private key (PEM)."),
  serverName: z
    .string()
    .min(1)
    .optional()
    .describe("Host name expected in Redis's certificate. Default: the host of `url`."),
  anyName: z
    .boolean()
    .default(false)
    .describe("Accepts any host name in Redis's certificate; its signature is still verified."),
});

const UNIX = 'redis+unix:';
const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/;

/** Keys of a config; {@link checkRedis} looks at them together. */
export const redisShape = {
  url: z
    .string()
    .describe(
      'Address of Redis: redis://HOST:PORT, or rediss:// for TLS. Default port: 6379. A unix socket is redis+unix:///PATH. With sentinels: redis://MASTER, the name of the master.',
    ),
  sentinels: z
    .array(z.string().regex(ADDRESS, 'expected HOST:PORT'))
    .min(1)
    .optional()
    .describe('Addresses of the sentinels, HOST:PORT each.')
    .meta({ examples: [['10.0.0.1:26379', '10.0.0.2:26379']] }),
  cluster: z
    .array(z.string().regex(ADDRESS, 'expected HOST:PORT'))
    .optional()
    .describe(
      'Redis is a cluster, and `url` one of its nodes. Further nodes to start from, HOST:PORT each; may be empty.',
    )
    .meta({ examples: [['10.0.0.2:6379', '10.0.0.3:6379']] }),
  sentinelUsername: z.string().min(1).optional().describe('ACL user of the sentinels. Default: their default user.'),
  sentinelPassword: z
    .string()
    .min(1)
    .optional()
    .meta({ secret: true, description: 'Password of the sentinels, if they have one.' }),
  username: z.string().min(1).optional().describe('ACL user of Redis. Default: the default user.'),
  password: z.string().min(1).optional().meta({ secret: true, description: 'Password, best as { $env: NAME }.' }),
  db: z.int().min(0).default(0).describe('Number of the database.'),
  tls: tlsSchema.optional().describe('Certificates for rediss://.'),
  timeoutMs: z
    .int()
    .min(1)
    .max(60_000)
    .default(200)
    .describe(
      "Longest silence of Redis while commands wait. After it, the connection is closed and opened again; until then calls fail at once. The timeout of a rule's call is set on the handler.",
    ),
  connectTimeoutMs: z.int().min(1).max(60_000).default(1000).describe('Timeout for opening a connection.'),
};

export type RedisConfig = z.output<z.ZodObject<typeof redisShape>>;

/** For `.check()` of a config that has {@link redisShape}. */
export function checkRedis({
  value: { url, db, tls, sentinels, sentinelUsername, sentinelPassword, cluster },
  issues,
}: {
  readonly value: RedisConfig;
  readonly issues: z.core.$ZodRawIssue[];
}): void {
  const wrong = (path: string, message: string): void => {
    issues.push({ code: 'custom', path: [path], message, input: undefined });
  };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isUnix = parsed?.protocol === UNIX;
  if (
    parsed === undefined ||
    (isUnix
      ? parsed.hostname !== '' || parsed.pathname === ''
      : !['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '')
  ) {
    wrong('url', 'expected redis://HOST:PORT, rediss://HOST:PORT or redis+unix:///PATH');
    return;
  }
  if (parsed.username !== '' || parsed.password !== '')
    wrong('url', 'it holds a user or a password; put them under username and password, which is hidden everywhere');
  if (isUnix && (sentinels !== undefined || cluster !== undefined))
    wrong('url', 'a unix socket is of one server; sentinels and clusters are found by redis://');
  if ((!isUnix && !['', '/'].includes(parsed.pathname)) || parsed.search !== '')
    wrong('url', 'nothing may follow the port; the database is named by db');
  if (sentinels !== undefined && parsed.port !== '')
    wrong('url', 'with sentinels it is redis://MASTER, the name that they know the master by, without a port');
  if (sentinels === undefined && sentinelPassword !== undefined) wrong('sentinelPassword', 'it goes with sentinels');
  if (sentinelPassword === undefined && sentinelUsername !== undefined)
    wrong('sentinelUsername', 'it goes with sentinelPassword');
  if (cluster !== undefined && sentinels !== undefined)
    wrong('cluster', 'Redis is a cluster or behind sentinels, not both');
  if (cluster !== undefined && db !== 0) wrong('db', 'a cluster has the database 0 alone');
  if (tls !== undefined && parsed.protocol !== 'rediss:')
    wrong('tls', 'tls is for rediss://; write the url so, or leave tls away');
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) wrong('tls', 'cert and key go together');
}

/** The part of ioredis's options that an operator decides. */
export interface RedisAddress {
  /** For messages: `127.0.0.1:6379`, or `mymaster (of 10.0.0.1:26379)`; absent to leave the address out. */
  readonly shown?: string;
  readonly host?: string;
  readonly port?: number;
  /** Behind sentinels: the master's name. */
  readonly name?: string;
  readonly sentinels?: { readonly host: string; readonly port: number }[];
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
  /** A unix socket. */
  readonly path?: string;
  /** Nodes to begin with. */
  readonly cluster?: { readonly host: string; readonly port: number }[];
  readonly db: number;
  readonly connectTimeout: number;
  readonly username?: string;
  readonly password?: string;
  /** Of the sentinels, too. */
  readonly tls?: TlsOptions;
}

/** Reads the files that the config names, relative to its folder. */
export async function connectionOptions(config: RedisConfig, folder: string): Promise<RedisAddress> {
  const { sentinels, sentinelUsername, sentinelPassword, cluster, username, password, db, tls } = config;
  const { protocol, hostname, port, pathname } = new URL(config.url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const read = async (file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : readFile(resolve(folder, file), 'utf8');
  const [ca, cert, key] = await Promise.all([tls?.ca, tls?.cert, tls?.key].map(read));
  const secure = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(tls?.serverName === undefined ? {} : namedBy(tls.serverName)),
    ...(tls?.anyName === true ? { checkServerIdentity: () => undefined } : {}),
  };
  const isTls = protocol === 'rediss:';
  const common = {
    db,
    connectTimeout: config.connectTimeoutMs,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  if (protocol === UNIX) return { ...common, shown: decodeURIComponent(pathname), path: decodeURIComponent(pathname) };
  if (sentinels !== undefined) {
    return {
      ...common,
      shown: `${host} (of ${sentinels.join(', ')})`,
      name: decodeURIComponent(host),
      sentinels: sentinels.map(addressOf),
      ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
      ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
      ...(isTls ? { tls: secure } : {}),
    };
  }
  const at = port === '' ? 6379 : Number(port);
  return {
    ...common,
    shown: `${host}:${at}`,
    host,
    port: at,
    ...(cluster === undefined ? {} : { cluster: [{ host, port: at }, ...cluster.map(addressOf)] }),
    ...(isTls ? { tls: { ...named(host), ...secure } } : {}),
  };
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain = '', port] = ADDRESS.exec(text) ?? [];
  return { host: bracketed ?? plain, port: Number(port) };
}
