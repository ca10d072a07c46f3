import { X509Certificate } from 'node:crypto';

/** A client's certificate; parsed only when a rule reads it. */
export class PeerCertificate {
  readonly pem: string;
  readonly #parsed: X509Certificate | undefined;

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

  /** The first subject alternative name of a kind. */
  alternativeName(kind: 'URI' | 'DNS'): string | undefined {
    for (const [, found, name = ''] of (this.#parsed?.subjectAltName ?? '').matchAll(
      /(?:^|, )(\w+):("(?:[^"\\]|\\.)*"|[^,]*)/g,
    )) {
      if (found === kind) return name.startsWith('"') ? unquoted(name) : name;
    }
    return undefined;
  }
}

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
