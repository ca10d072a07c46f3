/** Interfaces between the parts of identities: signer, secret of a workload, identity of a caller. */
import type { CallContext } from '../transport/index.ts';

/** In PEM, one certificate per element. */
export interface SignedCertificate {
  /** Leaf first, then intermediates, no root. */
  readonly chain: readonly string[];
  readonly roots: readonly string[];
}

/** Signs for the identity that the caller has proven; names in the CSR have no effect. */
export interface Signer {
  /** `ttlMs` undefined: the signer's default. Rejects with a GrpcError; UNAVAILABLE and RESOURCE_EXHAUSTED may be tried again. */
  sign(csrPem: string, ttlMs: number | undefined, signal: AbortSignal): Promise<SignedCertificate>;
}

/** Istio's names of the certificate of a workload, and of the roots that it trusts. */
export const WORKLOAD_SECRET = 'default';
export const ROOTS_SECRET = 'ROOTCA';

/** What TLS of one workload needs now. The key leaves the process by SDS alone. */
export interface WorkloadSecret {
  /** Leaf first, without the root. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  /** When the first certificate of the chain ends, in milliseconds since 1970. */
  readonly expiresAtMs: number;
}

/**
 * The SPIFFE ID that a caller has proven, by its client certificate or its token; `undefined` if it presents neither.
 * Rejects with a GrpcError: UNAUTHENTICATED for an invalid proof, UNAVAILABLE while a proof cannot be checked.
 */
export type IdentityOf = (context: CallContext) => Promise<string | undefined>;
