/**
 * The certificate authority of the mesh.
 * **In**: signing certificates, from a source that may replace them at any time. **Out**: certificates for workloads, and the
 * roots to trust.
 * **Fails**: with {@link TtlTooLong}, or with an Error while the signing certificate has ended.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { issue, type SigningCertificate } from './certificate.ts';
import type { SignedCertificate } from './contract.ts';

/** The signing certificate in force, with the roots to trust. Immutable; a change replaces it as a whole. */
export interface SigningSet {
  readonly signer: SigningCertificate;
  /** In PEM: sent after each leaf, from the signing certificate up to its root, without the root. */
  readonly chain: readonly string[];
  /** In PEM. Several while roots are rotated. */
  readonly roots: readonly string[];
}

/** The origin of signing certificates: a root of our own, or files. */
export interface SigningSource {
  readonly current: SigningSet;
  /** Returns what removes the listener. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}

export interface TtlLimits {
  /** For callers that ask for none. */
  readonly defaultMs: number;
  readonly maxMs: number;
}

/** As istiod. */
const DEFAULT_TTL: TtlLimits = { defaultMs: 24 * 3_600_000, maxMs: 90 * 24 * 3_600_000 };

export class TtlTooLong extends Error {}

export interface Request {
  /** The SPIFFE ID of the caller, proven. */
  readonly uri: string;
  readonly publicKey: KeyObject;
  /** Undefined, or not above 0: the default. */
  readonly ttlMs?: number | undefined;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

export interface Issued extends SignedCertificate {
  readonly notAfterMs: number;
}

/** For metrics and the admin port. */
export interface AuthorityState {
  readonly issued: number;
  readonly signerEndsAtMs: number;
  readonly roots: readonly { readonly subject: string; readonly sha256: string; readonly endsAtMs: number }[];
}

export class Authority {
  readonly trustDomain: string;
  readonly ttl: TtlLimits;
  readonly #source: SigningSource;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<(roots: readonly string[]) => void>();
  #roots: readonly string[];
  #issued = 0;

  constructor(
    source: SigningSource,
    trustDomain: string,
    ttl: TtlLimits = DEFAULT_TTL,
    nowMs = (): number => Date.now(),
  ) {
    this.#source = source;
    this.trustDomain = trustDomain;
    this.ttl = ttl;
    this.#nowMs = nowMs;
    this.#roots = source.current.roots;
    source.onChange(() => {
      const { roots } = source.current;
      if (sameTexts(roots, this.#roots)) return;
      this.#roots = roots;
      for (const listener of this.#listeners) listener(roots);
    });
  }

  /** In PEM. */
  roots(): readonly string[] {
    return this.#roots;
  }

  /** Returns what removes the listener. */
  onRootsChanged(listener: (roots: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes about a millisecond, on this thread. */
  issue({ uri, publicKey, ttlMs = 0, dnsNames = [], ipAddresses = [] }: Request): Issued {
    const { defaultMs, maxMs } = this.ttl;
    if (ttlMs > maxMs)
      throw new TtlTooLong(
        `the requested lifetime of ${ttlMs / 1000} s is longer than the maximum of ${maxMs / 1000} s`,
      );
    const { signer, chain, roots } = this.#source.current;
    const leaf = { uri, publicKey, dnsNames, ipAddresses, ttlMs: ttlMs > 0 ? ttlMs : defaultMs };
    const { pem, notAfterMs } = issue(signer, leaf, this.#nowMs());
    this.#issued++;
    return { chain: [pem, ...chain], roots, notAfterMs };
  }

  get state(): AuthorityState {
    const { signer, roots } = this.#source.current;
    return { issued: this.#issued, signerEndsAtMs: signer.endsAtMs, roots: roots.map(rootState) };
  }

  close(): Promise<void> {
    this.#listeners.clear();
    return this.#source.close();
  }
}

function rootState(pem: string): AuthorityState['roots'][number] {
  const { subject, fingerprint256, validToDate } = new X509Certificate(pem);
  return { subject, sha256: fingerprint256.replaceAll(':', '').toLowerCase(), endsAtMs: validToDate.getTime() };
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, at) => text === b[at]);
