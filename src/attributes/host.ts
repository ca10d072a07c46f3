/** The parts of a request's authority: `request.host`, `request.port`. */
import { ipv4Number, parseIp } from './network.ts';

const [DOT, BRACKET] = [0x2e, 0x5b];

/**
 * The host of an authority in the form for comparisons: lower case, without the port and the trailing dot (RFC 9110 section 4.2.3, RFC 3986
 * section 3.2.2); an IPv6 address as RFC 5952 writes it, in brackets, and one that maps an IPv4 address as that. `undefined` if there is
 * none.
 */
export function hostOf(authority: string): string | undefined {
  if (authority !== recent.authority) recent = { authority, host: nameIn(authority) };
  return recent.host;
}

/** A cache of one: consecutive calls often have the same host. */
let recent: { readonly authority: string; readonly host: string | undefined } = { authority: '', host: undefined };

/**
 * What no host has: the user of a URL, the comma by which Envoy joins two Host headers, delimiters, blanks; escapes (`%61dmin`) and letters
 * beyond ASCII (the full-width ones of `admin`), which a parser of URLs turns into others. Servers differ in what they make of it, so such
 * an authority names no host, and a rule on it fails instead of taking it for another host.
 */
const NO_HOST = /[@%,/\\?#<>"^`{|}\s\p{Cc}]|[^\0-\x7f]/u;

/** Outside of brackets: an address that lacks them, or what follows them. */
const NO_NAME = /[[\]]|:[^:]*:/;

/** By its last label a parser of URLs takes it for an IPv4 address: `127.1`, `0x7f.1` and `2130706433` are 127.0.0.1. */
const NUMBER = /^(?:\d+|0x[\da-f]*)$/;

/** Most authorities; one pattern costs half of the others. */
const PLAIN = /^[\w.-]+(?::\d*)?$/;

function nameIn(authority: string): string | undefined {
  if (!PLAIN.test(authority)) {
    if (NO_HOST.test(authority)) return undefined;
    if (authority.charCodeAt(0) === BRACKET) return addressIn(authority);
    if (NO_NAME.test(authority)) return undefined;
  }
  let last = nameEnd(authority);
  while (last > 0 && authority.charCodeAt(last - 1) === DOT) last--;
  if (last === 0) return undefined;
  const written = last === authority.length ? authority : authority.slice(0, last);
  const name = /[A-Z]/.test(written) ? written.toLowerCase() : written;
  return isNumber(name) && ipv4Number(name) === undefined ? undefined : name;
}

function isNumber(name: string): boolean {
  const label = name.lastIndexOf('.') + 1;
  const first = name.charCodeAt(label);
  return first >= 0x30 && first <= 0x39 && NUMBER.test(name.slice(label));
}

function addressIn(authority: string): string | undefined {
  const [, text = ''] = /^\[([^\]]*:[^\]]*)\](?::[^:]*)?$/.exec(authority) ?? [];
  const address = parseIp(text);
  if (address === undefined) return undefined;
  return address.family === 4 ? address.toString() : `[${address.toString()}]`;
}

/** The port of an authority. */
export function portOf(authority: string): number | undefined {
  const port = authority.slice(nameEnd(authority) + 1);
  return /^\d{1,5}$/.test(port) && Number(port) <= 65_535 ? Number(port) : undefined;
}

/** The end of the host: only an IPv6 address, which is in brackets, contains a colon. */
function nameEnd(authority: string): number {
  const from = authority.charCodeAt(0) === BRACKET ? Math.max(0, authority.indexOf(']')) : 0;
  const colon = authority.indexOf(':', from);
  return colon < 0 ? authority.length : colon;
}
