import { X509Certificate } from 'node:crypto';

/** A client's certificate; parsed only when a rule reads it. */
export class PeerCertificate {
  readonly pem: string;
  readonly #parsed: X509Certificate | undefined;
  #names: { readonly uris: readonly string[]; readonly dns: readonly string[] } | undefined;

  /** `encoded`: URL-encoded PEM, as Envoy sends it. */
  constructor(encoded: string) {
    this.pem = unescaped(encoded);
    this.#parsed = parsed(this.pem);
  }

  get subject(): string | undefined {
    return rfc2253(this.#parsed?.subject);
  }

  get issuer(): string | undefined {
    return rfc2253(this.#parsed?.issuer);
  }

  get sha256(): string | undefined {
    return this.#parsed?.fingerprint256.replaceAll(':', '').toLowerCase();
  }

  /** The URI SANs, in their order. */
  get uris(): readonly string[] {
    return this.#alternativeNames().uris;
  }

  /** The DNS SANs, in their order. */
  get dns(): readonly string[] {
    return this.#alternativeNames().dns;
  }

  #alternativeNames(): { readonly uris: readonly string[]; readonly dns: readonly string[] } {
    if (this.#names !== undefined) return this.#names;
    const uris: string[] = [];
    const dns: string[] = [];
    const text = this.#parsed?.subjectAltName ?? '';
    for (const [, kind, written = ''] of text.matchAll(/(?:^|, )(\w[\w ]*):("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
      const name = written.startsWith('"') ? unquoted(written) : written;
      if (name === undefined) continue;
      if (kind === 'URI') uris.push(name);
      else if (kind === 'DNS') dns.push(name);
    }
    return (this.#names = { uris, dns });
  }
}

const MAX_CERTIFICATES = 256;
const certificates = new Map<string, PeerCertificate>();

/**
 * A certificate that was parsed before, since all calls of a connection have the same one: parsing takes tens of microseconds.
 * A longer text than real certificates have is not kept.
 */
export function peerCertificate(encoded: string): PeerCertificate {
  const known = certificates.get(encoded);
  if (known !== undefined) return known;
  const certificate = new PeerCertificate(encoded);
  if (encoded.length > MAX_CHARACTERS) return certificate;
  if (certificates.size >= MAX_CERTIFICATES)
    for (const oldest of certificates.keys()) {
      certificates.delete(oldest);
      break;
    }
  certificates.set(encoded, certificate);
  return certificate;
}

const MAX_CHARACTERS = 16_384;

function unescaped(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** Node quotes a name that contains a comma or a quote; `undefined` if it is not JSON. */
function unquoted(name: string): string | undefined {
  try {
    return JSON.parse(name) as string;
  } catch {
    return undefined;
  }
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** Node writes one attribute per line, outermost first; RFC 2253 has them innermost first, separated by commas. */
function rfc2253(lines: string | undefined): string | undefined {
  const name = lines?.split('\n').toReversed().join(',');
  return name === '' ? undefined : name;
}
