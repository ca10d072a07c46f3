/**
 * Classifies error replies of Redis. Each begins with a code (redis.io/docs: RESP errors); an error within a script
 * carries the code of the command that failed.
 */

/** The connection is useless until it leads to another server, or until this one changes its role. */
const GIVES_UP = new Set(['READONLY', 'LOADING', 'NOAUTH', 'WRONGPASS', 'MASTERDOWN']);
/** What the connection leads to. */
export type ServerKind = 'server' | 'cluster' | 'proxy';
/** Of one of many servers: on a cluster ioredis retries elsewhere; a proxy keeps its own connections. */
const PASSES: Readonly<Record<ServerKind, ReadonlySet<string>>> = {
  server: new Set(),
  cluster: new Set(['LOADING', 'MASTERDOWN']),
  proxy: new Set(['LOADING', 'MASTERDOWN', 'READONLY']),
};
/** Errors of the whole server: every command fails, whatever its key. */
const OF_THE_SERVER = new Set([
  ...GIVES_UP,
  'OOM',
  'CLUSTERDOWN',
  'MISCONF',
  'NOREPLICAS',
  'BUSY',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'NOPERM',
  'NOPROTO',
]);
const ALSO_OF_THE_SERVER =
  /^ERR (max number of clients reached|unknown command|invalid password|Client sent AUTH|DISABLED)/i;
/** Of a proxy whose server is away: Envoy's words, and twemproxy's, which are those of the system. */
const OF_A_PROXY =
  /^(no upstream host|upstream (failure|protocol error)|ERR (Connection (refused|timed out|reset by peer)|No route to host|Host is down|Broken pipe))/i;

/** `READONLY You can't ...`, and of Redis 6 and older `ERR Error running script ...: -READONLY You can't ...`. */
function codeOf(reply: string): string {
  const [, inScript] = /^ERR Error running script .*?-([A-Z]+) /.exec(reply) ?? [];
  return inScript ?? /^[A-Z]+/.exec(reply)?.[0] ?? '';
}

/** An ACL allows some keys, and not this one. */
const OF_ONE_KEY = /^NOPERM .*\baccess (a|one of the) keys?\b/;

/** False if the reply is about one key or script. */
export const isOfServer = (reply: string): boolean =>
  !OF_ONE_KEY.test(reply) &&
  (OF_THE_SERVER.has(codeOf(reply)) || ALSO_OF_THE_SERVER.test(reply) || OF_A_PROXY.test(reply));

/** Whether to close the connection and connect again. */
export function givesUpConnection(reply: string, kind: ServerKind): boolean {
  const code = codeOf(reply);
  return GIVES_UP.has(code) && !PASSES[kind].has(code);
}

/** `role`: the reply to ROLE. Whether a server that refused with this reply would serve now. */
export function isServing(role: unknown, refusal: string): boolean {
  if (!Array.isArray(role) || role[0] !== 'slave') return true;
  switch (codeOf(refusal)) {
    case 'READONLY':
      return false;
    case 'MASTERDOWN':
      return role[3] === 'connected';
    default:
      return true;
  }
}

export const hasCode = (reply: string): boolean => !['', 'ERR'].includes(codeOf(reply));

/** Of PING: an ACL without it, or a disk that is full; the next command decides. */
export const isPassing = (reply: string): boolean => hasCode(reply) && !givesUpConnection(reply, 'server');
