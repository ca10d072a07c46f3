/**
 * `x-forwarded-client-cert`, as Envoy writes it: elements separated by commas, the nearest proxy's at the right; an element is
 * `Key=value` pairs separated by semicolons; a value may be in double quotes, with `\"` for a quote.
 * **In**: the header. **Out**: the certificate in one element. **Fails**: never; a malformed header has no element.
 */
import { peerCertificate } from './peer-certificate.ts';

export interface ForwardedCertificate {
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly subject: string | undefined;
  /** Lower-case hex. */
  readonly sha256: string | undefined;
}

/** By lower-case key, in the order of the element. */
type Element = readonly (readonly [key: string, value: string])[];

/**
 * `undefined` if the header is malformed anywhere: an element that cannot be delimited may hide another. A subject keeps its escapes,
 * which are those of RFC 2253: without them, a comma in a name would read as the end of the name.
 */
export function elementsOf(header: string): readonly Element[] | undefined {
  const elements: Element[] = [];
  let pairs: [string, string][] = [];
  let at = 0;
  while (true) {
    PAIR.lastIndex = at;
    const match = PAIR.exec(header);
    if (match === null) return undefined;
    const [all, name = '', quoted, plain = '', end] = match;
    const key = name.toLowerCase();
    pairs.push([key, quoted === undefined ? plain.trim() : key === 'subject' ? quoted : quoted.replaceAll('\\"', '"')]);
    at += all.length;
    if (end === ';') continue;
    elements.push(pairs);
    if (end === '') return elements;
    pairs = [];
  }
}

/** A key, a quoted or plain value, and its end: a semicolon, a comma, or the end of the header. Matches in linear time. */
const PAIR = /[ \t]*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"[ \t]*|([^",;]*))(;|,|$)/y;

/** The certificate in the element `hops` + 1 from the right; `undefined` if there is none, or its pairs contradict each other. */
export function forwardedCertificate(header: string, hops: number): ForwardedCertificate | undefined {
  if (last.header === header && last.hops === hops) return last.certificate;
  const element = elementsOf(header)?.at(-1 - hops);
  last = { header, hops, certificate: element === undefined ? undefined : certificateOf(element) };
  return last.certificate;
}

/** The attributes of one call read the same header. */
let last: { header: string; hops: number; certificate: ForwardedCertificate | undefined } = {
  header: '',
  hops: 0,
  certificate: undefined,
};

/** Names that Envoy was not configured to write are taken from the certificate itself, if that is there. */
function certificateOf(element: Element): ForwardedCertificate | undefined {
  const valuesOf = (wanted: string): readonly string[] =>
    element.filter(([key, value]) => key === wanted && value !== '').map(([, value]) => value);
  const [hash, ...otherHashes] = valuesOf('hash');
  const [subject, ...otherSubjects] = valuesOf('subject');
  const [encoded, ...otherCertificates] = valuesOf('cert');
  if (otherHashes.length + otherSubjects.length + otherCertificates.length > 0) return undefined;
  const whole = encoded === undefined ? undefined : peerCertificate(encoded);
  const [uris, dns] = [valuesOf('uri'), valuesOf('dns')];
  return {
    uris: uris.length === 0 ? (whole?.uris ?? []) : uris,
    dns: dns.length === 0 ? (whole?.dns ?? []) : dns,
    subject: subject ?? whole?.subject,
    sha256: hash?.toLowerCase() ?? whole?.sha256,
  };
}
