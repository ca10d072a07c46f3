/** Headers of requests that are made from configs and inputs. */

/** Headers that frame a message or name its host; the client writes them. */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export function headerNameProblem(name: string): string | undefined {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return `"${name}" is not a name of a header`;
  const lower = name.toLowerCase();
  if (lower === 'host') return 'the host is that of the url; for TLS, tls.serverName names another';
  return FRAMING.has(lower) ? `${lower} is written by the HTTP client` : undefined;
}

// oxlint-disable-next-line no-control-regex -- it finds control characters
const CONTROL = /[\0-\x1f\x7f]/;

/** Control characters, line breaks among them, would end the header and begin another. */
export const headerValueProblem = (value: string): 'control characters' | undefined =>
  CONTROL.test(value) ? 'control characters' : undefined;

/** As on the wire: UTF-8, one character for each byte. */
export const headerBytes = (value: string): string => Buffer.from(value).toString('latin1');
