/**
 * Istio's service of certificates.
 * **In**: the CSR of a caller who has proven an identity. **Out**: a certificate for that identity; names in the
 * CSR have no effect.
 * **Fails**: with UNAUTHENTICATED without an identity, INVALID_ARGUMENT for the CSR, RESOURCE_EXHAUSTED if too many calls wait,
 * UNAVAILABLE if the signing certificate has ended.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
  IstioCertificateService,
} from '../../gen/istio/v1/auth/ca_pb.ts';
import type { Log } from '../adapters/contract.ts';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import {
  type CallContext,
  GrpcError,
  type Method,
  type Methods,
  Status,
  type UnaryHandler,
} from '../transport/index.ts';
import { type Authority, TtlTooLong } from './authority.ts';
import { BadCsr, readCsr } from './certificate.ts';
import type { IdentityOf, Signer } from './contract.ts';
import { SigningQueue } from './signing-queue.ts';

export interface CertificateServiceOptions {
  readonly authority: Authority;
  readonly identityOf: IdentityOf;
  readonly log: Log;
  /** Calls at a time, and requests that wait to be signed. */
  readonly maxCalls?: number;
}

/** As istiod. */
const UNAUTHENTICATED = 'request authenticate failure';
const MAX_CALLS = 4096;
/** Seconds: more is surely no lifetime, and would be no safe number of milliseconds. */
const MAX_SECONDS = 2n ** 40n;

/** Names of further hosts in a certificate of this process itself. */
export interface HostNames {
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #queue: SigningQueue;
  readonly #maxCalls: number;
  readonly #lines = new Throttle();
  #calls = 0;
  readonly #refusals = { unauthenticated: 0, 'bad request': 0, overload: 0, unavailable: 0 };

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    this.#maxCalls = options.maxCalls ?? MAX_CALLS;
    this.#queue = new SigningQueue(this.#maxCalls);
  }

  get methods(): Methods {
    const handle: UnaryHandler = (request, context) =>
      this.#create(request.bytes.subarray(request.from, request.to), context);
    const method: Method = { kind: 'unary', handle };
    return new Map([
      [`/${IstioCertificateService.typeName}/${IstioCertificateService.method.createCertificate.name}`, method],
    ]);
  }

  /** Calls that were refused, by reason. */
  get refusals(): Readonly<Record<string, number>> {
    return this.#refusals;
  }

  /** For an identity of this process itself, or for one that a stream has proven; in turn with the others. */
  signerFor(uri: string, names: HostNames = {}): Signer {
    return {
      sign: async (csrPem, ttlMs, signal) =>
        this.#queue.run(
          () => this.#options.authority.issue({ uri, publicKey: readCsr(csrPem), ttlMs, ...names }),
          signal,
        ),
    };
  }

  async #create(bytes: Uint8Array, context: CallContext): Promise<Uint8Array> {
    if (this.#calls >= this.#maxCalls) {
      this.#refusals.overload++;
      throw new GrpcError(
        Status.RESOURCE_EXHAUSTED,
        `${this.#maxCalls} requests for certificates are waiting; try again later`,
      );
    }
    this.#calls++;
    try {
      const request = decoded(bytes);
      const uri = await this.#options.identityOf(context);
      if (uri === undefined) throw new GrpcError(Status.UNAUTHENTICATED, UNAUTHENTICATED);
      if (request.metadata !== undefined && 'ImpersonatedIdentity' in request.metadata)
        throw new GrpcError(Status.UNAUTHENTICATED, 'request impersonation authentication failure');
      const { chain, roots, notAfterMs } = await this.#queue.run(() => this.#issue(request, uri), context.signal);
      this.#options.log.debug('a certificate was issued', {
        to: uri,
        peer: context.peer,
        ends: new Date(notAfterMs).toISOString(),
      });
      // Agents take the last element for the roots; while roots are rotated it has several.
      const certChain = [...chain, roots.join('')];
      return toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain }));
    } catch (error) {
      throw this.#failure(error, context);
    } finally {
      this.#calls--;
    }
  }

  #issue({ csr, validityDuration }: IstioCertificateRequest, uri: string) {
    if (validityDuration > MAX_SECONDS) throw new TtlTooLong('the requested lifetime is too long');
    return this.#options.authority.issue({ uri, publicKey: readCsr(csr), ttlMs: Number(validityDuration) * 1000 });
  }

  #failure(error: unknown, { peer, signal }: CallContext): unknown {
    if (error instanceof BadCsr || error instanceof TtlTooLong) {
      this.#refusals['bad request']++;
      return new GrpcError(Status.INVALID_ARGUMENT, `CSR signing error (${error.message})`, { cause: error });
    }
    if (error instanceof GrpcError) {
      if (error.code === Status.UNAUTHENTICATED) this.#refusals.unauthenticated++;
      if (error.code === Status.UNAVAILABLE) this.#refusals.unavailable++;
      if (error.code === Status.RESOURCE_EXHAUSTED) this.#refusals.overload++;
      return error;
    }
    if (signal.aborted) return error;
    this.#refusals.unavailable++;
    const calls = this.#lines.admit();
    if (calls > 0) this.#options.log.error('no certificate can be issued', { peer, why: messageOf(error), calls });
    return new GrpcError(Status.UNAVAILABLE, `no certificate can be issued: ${messageOf(error)}`, { cause: error });
  }
}

function decoded(bytes: Uint8Array): IstioCertificateRequest {
  try {
    return fromBinary(IstioCertificateRequestSchema, bytes);
  } catch (error) {
    throw new GrpcError(Status.INVALID_ARGUMENT, 'the request is malformed', { cause: error });
  }
}
