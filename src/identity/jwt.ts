/**
 * Tokens of service accounts, checked by the public keys of their issuer.
 * **In**: a token. **Out**: the service account that it proves. **Fails**: with UNAVAILABLE while the keys are not there.
 */
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import type { KeySet } from './key-set.ts';
import { accountOf, type TokenProof, type TokenVerifier } from './token-accounts.ts';

export interface JwtOptions {
  readonly keys: KeySet;
  readonly issuer: string;
  /** A token for another service must not be of use here. */
  readonly audience: string;
  readonly nowMs?: () => number;
}

/** No algorithms with a shared secret: every holder of the secret can also sign. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const CLOCK_TOLERANCE_S = 10;
/** Checks at a time: thousands at once would hold the event loop for half a second. */
const MAX_CHECKS = 16;

export class JwtVerifier implements TokenVerifier {
  readonly #options: JwtOptions;
  readonly #checks = new AtOnce(MAX_CHECKS);

  constructor(options: JwtOptions) {
    this.#options = options;
  }

  async verify(token: string): Promise<TokenProof> {
    const { keys } = this.#options;
    try {
      return await this.#proof(token, await keys.keys());
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await keys.refetch())) return { refused: error.message };
    }
    try {
      return await this.#proof(token, await keys.keys());
    } catch (error) {
      if (error instanceof errors.JOSEError) return { refused: error.message };
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#options.keys.close();
  }

  async #proof(token: string, key: JWTVerifyGetKey): Promise<TokenProof> {
    return proofOf(await this.#checks.run(() => this.#payload(token, key)));
  }

  async #payload(token: string, key: JWTVerifyGetKey): Promise<JWTPayload> {
    const { issuer, audience, nowMs } = this.#options;
    const rules = {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_S,
      ...(nowMs === undefined ? {} : { currentDate: new Date(nowMs()) }),
    };
    try {
      return (await jwtVerify(token, key, rules)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // It names no key: any of the right kind may have signed it.
      for await (const one of error)
        try {
          return (await jwtVerify(token, one, rules)).payload;
        } catch (failure) {
          if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
        }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }
}

/** Further work waits for its turn. */
class AtOnce {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

function proofOf(payload: JWTPayload): TokenProof {
  const proof = accountOf(payload.sub ?? '');
  const claims = payload['kubernetes.io'];
  if (claims === undefined || 'refused' in proof) return proof;
  const { namespace, serviceaccount } = (claims ?? {}) as {
    readonly namespace?: unknown;
    readonly serviceaccount?: { readonly name?: unknown } | null;
  };
  return namespace === proof.namespace && serviceaccount?.name === proof.serviceAccount
    ? proof
    : { refused: 'its claims of kubernetes.io name another service account than its subject' };
}
