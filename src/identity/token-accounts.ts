/** Service accounts of Kubernetes, as tokens name them. */

/** A service account that a token has proven, or why it has not. */
export type TokenProof = { readonly namespace: string; readonly serviceAccount: string } | { readonly refused: string };

export interface TokenVerifier {
  /** Rejects with a GrpcError UNAVAILABLE while tokens cannot be checked. */
  verify(token: string, signal: AbortSignal): Promise<TokenProof>;
  close(): Promise<void>;
}

const SUBJECT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** From `sub` of a token, or from the user name of a TokenReview. */
export function accountOf(name: string): TokenProof {
  const [, namespace, serviceAccount] = SUBJECT.exec(name) ?? [];
  return namespace === undefined || serviceAccount === undefined
    ? { refused: 'it is of no service account: its subject is not system:serviceaccount:NAMESPACE:NAME' }
    : { namespace, serviceAccount };
}
