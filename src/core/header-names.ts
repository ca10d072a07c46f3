/** Names of headers that a policy or a plugin may set. */

/** Headers that route or delimit a message (RFC 9110 section 7.6.1); changing them could split it in two. */
export const OF_THE_PROXY: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** In lower case: an RFC 9110 token that is not reserved for the proxy. */
export const isChangeableHeader = (name: string): boolean =>
  /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && !OF_THE_PROXY.has(name);
