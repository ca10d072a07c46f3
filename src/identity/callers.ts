/**
 * Who calls the secure port.
 * **In**: the client certificate and the token of a call. **Out**: the SPIFFE ID that one of them proves, in the trust domain of this mesh.
 * **Fails**: with UNAUTHENTICATED, whose reason is in the log alone; with UNAVAILABLE while a token cannot be checked.
 */
import type { X509Certificate } from 'node:crypto';
import type { Log } from '../adapters/contract.ts';
import { Throttle } from '../time/throttle.ts';
import { type CallContext, GrpcError, Status } from '../transport/index.ts';
import { urisOf } from './certificate.ts';
import type { IdentityOf } from './contract.ts';
import { NotSpiffe, parseWorkloadId, spiffeId } from './spiffe.ts';
import type { TokenVerifier } from './token-accounts.ts';

export interface CallersOptions {
  readonly trustDomain: string;
  /** Earlier names of the trust domain: their certificates are of this mesh too. */
  readonly aliases: readonly string[];
  /** Asked in turn. */
  readonly tokens: readonly TokenVerifier[];
  readonly log: Log;
  readonly nowMs?: () => number;
}

/** As istiod. */
const UNAUTHENTICATED = 'request authenticate failure';
/** Tokens of Kubernetes have some 1 to 2 KB; a head with a longer one than this is refused by the transport. */
const MAX_TOKEN_CHARACTERS = 12 * 1024;
const BEARER = /^bearer +([^ ]+)$/i;

type Proof = { readonly id: string } | { readonly refused: string };

export class Callers {
  readonly #options: CallersOptions;
  readonly #trusted: ReadonlySet<string>;
  readonly #nowMs: () => number;
  readonly #lines = new Throttle();
  /** All calls of a connection have the same certificate. */
  readonly #proofs = new WeakMap<X509Certificate, Proof>();
  #refused = 0;

  constructor(options: CallersOptions) {
    this.#options = options;
    this.#trusted = new Set([options.trustDomain, ...options.aliases]);
    this.#nowMs = options.nowMs ?? (() => Date.now());
  }

  /** Calls that proved nothing. */
  get refused(): number {
    return this.#refused;
  }

  readonly identityOf: IdentityOf = async (context) => {
    const certificate = context.peerCertificate;
    const ofCertificate = certificate === undefined ? undefined : this.#byCertificate(certificate);
    if (ofCertificate !== undefined && 'id' in ofCertificate) return ofCertificate.id;
    const header = context.metadata('authorization');
    if (header === undefined) {
      if (ofCertificate === undefined) return undefined;
      throw this.#refusal(context, ofCertificate.refused);
    }
    const ofToken = await this.#byToken(header, context.signal);
    if ('id' in ofToken) return ofToken.id;
    throw this.#refusal(context, ofToken.refused);
  };

  async close(): Promise<void> {
    await Promise.all(this.#options.tokens.map((verifier) => verifier.close()));
  }

  /** The handshake has verified the chain, perhaps long ago. */
  #byCertificate(certificate: X509Certificate): Proof {
    if (certificate.validToDate.getTime() <= this.#nowMs())
      return { refused: 'its certificate has ended since it connected' };
    const known = this.#proofs.get(certificate) ?? this.#proofOf(certificate);
    this.#proofs.set(certificate, known);
    return known;
  }

  #proofOf(certificate: X509Certificate): Proof {
    if (certificate.ca) return { refused: 'its certificate is that of an authority, which names no workload' };
    const uris = urisOf(certificate);
    if (uris.length !== 1)
      return { refused: `its certificate has ${uris.length} URIs; that of a workload has one, its SPIFFE ID` };
    const id = parseWorkloadId(uris[0] ?? '');
    if (id === undefined)
      return { refused: `its certificate is for no workload: ${JSON.stringify(uris[0]?.slice(0, 200))}` };
    if (!this.#trusted.has(id.trustDomain))
      return {
        refused: `its certificate is of the trust domain ${id.trustDomain}; allow it with --trust-domain-aliases`,
      };
    return { id: spiffeId({ ...id, trustDomain: this.#options.trustDomain }) };
  }

  async #byToken(header: string, signal: AbortSignal): Promise<Proof> {
    const { tokens, trustDomain } = this.#options;
    const token = BEARER.exec(header)?.[1];
    if (token === undefined) return { refused: 'its authorization is no bearer token' };
    if (token.length > MAX_TOKEN_CHARACTERS)
      return { refused: `its token has more than ${MAX_TOKEN_CHARACTERS} characters` };
    if (tokens.length === 0)
      return { refused: 'its token cannot be checked; give --jwks, --kubeconfig or --in-cluster' };
    const reasons: string[] = [];
    let unavailable: unknown;
    for (const verifier of tokens)
      try {
        const proof = await verifier.verify(token, signal);
        if ('serviceAccount' in proof) return { id: spiffeId({ ...proof, trustDomain }) };
        reasons.push(proof.refused);
      } catch (error) {
        if (error instanceof NotSpiffe) reasons.push(error.message);
        else unavailable ??= error;
      }
    if (unavailable !== undefined) throw unavailable;
    return { refused: `its token is refused: ${reasons.join('; ')}` };
  }

  #refusal({ peer }: CallContext, why: string): GrpcError {
    this.#refused++;
    const calls = this.#lines.admit();
    if (calls > 0) this.#options.log.warn('a caller of the secure port does not prove who it is', { peer, why, calls });
    return new GrpcError(Status.UNAUTHENTICATED, UNAUTHENTICATED);
  }
}
