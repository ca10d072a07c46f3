/**
 * A certificate authority behind an address: Istio's IstioCertificateService.
 * **In**: its address, its roots, the file of a token, the certificate in force. **Out**: a {@link Signer}.
 * **Fails**: with a GrpcError or the error of a file, which name what to do; never with a token or a key.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { readFile } from 'node:fs/promises';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
  IstioCertificateService,
} from '../../gen/istio/v1/auth/ca_pb.ts';
import { messageOf } from '../text/message-of.ts';
import { dialGrpc, type DialTls, GrpcError, Status } from '../transport/index.ts';
import { certificatePem, certificatesOf } from './certificate.ts';
import type { SignedCertificate, Signer, WorkloadSecret } from './contract.ts';

export interface RemoteAuthority {
  readonly address: string;
  /** In PEM: the roots of the authority's own certificate, as they are now. */
  readonly roots: () => Promise<string>;
  /** Read again for each request, since tokens are replaced. */
  readonly tokenFile: string;
  /** Proves the identity once there is one; the token does before that, and when the authority refuses the certificate. */
  readonly own: () => WorkloadSecret | undefined;
}

const PATH = `/${IstioCertificateService.typeName}/${IstioCertificateService.method.createCertificate.name}`;
/** A long deadline, as half of the lifetime is left; retries would slow an authority down that all workloads of a cluster ask at once. */
const WITHIN_MS = 15_000;

export function remoteSigner({ address, roots, tokenFile, own }: RemoteAuthority): Signer {
  async function ask(
    request: Uint8Array,
    tls: DialTls,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const client = dialGrpc(address, { tls });
    try {
      return await client.unary(PATH, request, {
        timeoutMs: WITHIN_MS,
        signal,
        metadata: token === undefined ? {} : { authorization: `Bearer ${token}` },
      });
    } catch (error) {
      throw new GrpcError(codeOf(error), `the certificate authority ${address}: ${messageOf(error)}`, { cause: error });
    } finally {
      client.close();
    }
  }
  return {
    async sign(csrPem, ttlMs, signal) {
      const validityDuration = BigInt(Math.ceil((ttlMs ?? 0) / 1000));
      const request = toBinary(
        IstioCertificateRequestSchema,
        create(IstioCertificateRequestSchema, { csr: csrPem, validityDuration }),
      );
      const ca = Buffer.from(await named('the roots of the certificate authority', roots()));
      const secret = own();
      let refusal: unknown;
      if (secret !== undefined && secret.expiresAtMs > Date.now()) {
        const mutual = { ca, cert: Buffer.from(secret.chainPem), key: Buffer.from(secret.keyPem) };
        try {
          return signed(await ask(request, mutual, undefined, signal));
        } catch (error) {
          if (!isRefusal(error)) throw error;
          refusal = error;
        }
      }
      const token = await named('the token of the service account', readFile(tokenFile, 'utf8')).catch(
        (error: unknown) => {
          if (refusal === undefined) throw error;
          throw new GrpcError(codeOf(refusal), `${messageOf(refusal)}; and ${messageOf(error)}`, { cause: refusal });
        },
      );
      return signed(await ask(request, { ca }, token.trim(), signal));
    },
  };
}

/** A server that does not accept the certificate may end the handshake, which looks as if it were away. */
const isRefusal = (error: unknown): boolean =>
  codeOf(error) === Status.UNAUTHENTICATED || codeOf(error) === Status.UNAVAILABLE;

const codeOf = (error: unknown): number => (error instanceof GrpcError ? error.code : Status.UNKNOWN);

async function named(what: string, reading: Promise<string>): Promise<string> {
  try {
    return await reading;
  } catch (error) {
    throw new Error(`${what} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** The last element has the roots, one or, while they change, several. */
function signed(reply: Uint8Array): SignedCertificate {
  const { certChain } = fromBinary(IstioCertificateResponseSchema, reply);
  if (certChain.length < 2)
    throw new Error(`the answer has ${certChain.length} certificates; expected a leaf and its root`);
  return { chain: certChain.slice(0, -1), roots: certificatesOf(certChain.at(-1) ?? '').map(certificatePem) };
}
