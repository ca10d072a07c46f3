/**
 * DNS names, e-mail addresses and URIs as Mixer validates and compares them (`mixer/pkg/lang/externs.go`).
 * **In**: text. **Out**: the reason why it is invalid, or whether two are equal. **Fails**: never.
 */
import { domainToASCII } from 'node:url';

/** Labels of letters, digits and inner hyphens after IDNA; one trailing dot is allowed. */
export function dnsProblem(text: string): string | undefined {
  const ascii = asciiOf(text);
  if (ascii === '') return 'idna: invalid label';
  const labels = ascii.replace(/\.$/, '').split('.');
  if (ascii.length > 254 || labels.some((label) => label.length > 63 || label.length === 0))
    return 'idna: invalid label length';
  return labels.every((label) => /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(label)) ? undefined : 'idna: disallowed rune';
}

const asciiOf = (text: string): string => (/^[\x21-\x7e]*$/.test(text) ? text.toLowerCase() : domainToASCII(text));
const comparable = (text: string): string => asciiOf(text).replace(/\.$/, '');
export const equalDns = (a: string, b: string): boolean => comparable(a) === comparable(b);

/** RFC 5322, without a display name. */
export function emailProblem(text: string): string | undefined {
  const at = text.lastIndexOf('@');
  if (at < 0) return 'mail: missing phrase';
  const local = text.slice(0, at);
  if (
    !/^(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+)*|"(?:[^"\\\r\n]|\\.)*")$/.test(
      local,
    )
  )
    return 'mail: no address';
  return dnsProblem(text.slice(at + 1));
}

export function equalEmail(a: string, b: string): boolean {
  const [one, other] = [a.lastIndexOf('@'), b.lastIndexOf('@')];
  return a.slice(0, one) === b.slice(0, other) && equalDns(a.slice(one + 1), b.slice(other + 1));
}

interface Uri {
  readonly scheme: string;
  readonly authority: string | undefined;
  readonly rest: string;
}

/** The parts of RFC 3986; `undefined` if Go's url.Parse would refuse the text. */
function uriOf(text: string): Uri | undefined {
  // eslint-disable-next-line no-control-regex
  if (text === '' || /[\u0000-\u001f\u007f]/.test(text) || /%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  const match = /^(?:([^:/?#]*):)?(?:\/\/([^/?#]*))?(.*)$/s.exec(text);
  if (match === null) return undefined;
  const [, scheme, authority, rest = ''] = match;
  if (scheme !== undefined && !/^[A-Za-z][A-Za-z0-9+.-]*$/.test(scheme)) return undefined;
  if (
    authority !== undefined &&
    (/[ <>"]/.test(authority) || !/^(?:[^@]*@)?(?:\[[^\]]*\]|[^:]*)(?::\d*)?$/.test(authority))
  )
    return undefined;
  return { scheme: (scheme ?? '').toLowerCase(), authority, rest };
}

export function uriProblem(text: string): string | undefined {
  if (text === '') return 'error converting string to uri: empty string';
  return uriOf(text) === undefined
    ? `error converting string to uri '${text}': 'parse ${text}: invalid URI'`
    : undefined;
}

/** For http and https, hosts are compared as DNS names and an empty port equals no port; everything else is compared as text. */
export function equalUri(a: string, b: string): boolean {
  const [one, other] = [uriOf(a), uriOf(b)];
  if (one === undefined || other === undefined || one.scheme !== other.scheme || one.rest !== other.rest) return false;
  if (one.authority === other.authority) return true;
  if (one.scheme !== 'http' && one.scheme !== 'https') return false;
  const [x, y] = [authorityOf(one.authority), authorityOf(other.authority)];
  return x.user === y.user && x.port === y.port && equalDns(x.host, y.host);
}

function authorityOf(text = ''): { readonly user: string; readonly host: string; readonly port: string } {
  const [, user = '', host = '', port = ''] = /^(?:([^@]*)@)?(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(text) ?? [];
  return { user, host, port };
}
