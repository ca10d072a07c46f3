/** A server of certificates by a {@link TestSigner}, over TLS: it knows callers by a certificate of its roots, or by tokens. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '../../../gen/istio/v1/auth/ca_pb.ts';
import { issue, keyPem, newKey } from '../../../src/identity/certificate.ts';
import { createPublicKey } from 'node:crypto';
import {
  type CallContext,
  GrpcError,
  listen,
  type Methods,
  Status,
  type Transport,
} from '../../../src/transport/index.ts';
import type { TestSigner } from './test-signer.ts';

export interface CertificateServer {
  readonly port: number;
  /** How each caller was known. */
  readonly callers: ('certificate' | 'token')[];
  /** With the identities that they prove. */
  readonly tokens: Map<string, string>;
  /** Takes the roots that the signer trusts now. */
  renewTls(): void;
  stop(): Promise<void>;
}

/** Of the caller's certificate. */
export const identityOf = ({ peerCertificate }: CallContext): string | undefined =>
  peerCertificate?.subjectAltName?.replace('URI:', '');

export const CREATE_CERTIFICATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

export async function serveCertificates(
  signer: TestSigner,
  { port = 0, methods = new Map() }: { readonly port?: number; readonly methods?: Methods } = {},
): Promise<CertificateServer> {
  const callers: CertificateServer['callers'] = [];
  const tokens = new Map([['first token', 'spiffe://cluster.local/ns/default/sa/a']]);
  const tls = () => {
    const key = newKey();
    const { pem } = issue(
      signer.issuer,
      {
        publicKey: createPublicKey(key),
        uri: 'spiffe://cluster.local/ns/istio-system/sa/sluice',
        dnsNames: ['localhost'],
        ipAddresses: ['127.0.0.1'],
        ttlMs: 86_400_000,
      },
      Date.now(),
    );
    return { cert: pem, key: keyPem(key), ca: signer.trusted.join(''), clientCertificate: 'optional' } as const;
  };
  const transport: Transport = await listen(
    new Map([
      ...methods,
      [
        CREATE_CERTIFICATE,
        {
          kind: 'unary',
          async handle({ bytes, from, to }, context) {
            const request = fromBinary(IstioCertificateRequestSchema, bytes.slice(from, to));
            const token = context.metadata('authorization')?.slice('Bearer '.length) ?? '';
            const id = identityOf(context) ?? tokens.get(token);
            if (id === undefined) throw new GrpcError(Status.UNAUTHENTICATED, 'request authenticate failure');
            callers.push(context.peerCertificate === undefined ? 'token' : 'certificate');
            const { csr, validityDuration } = request;
            const ttlMs = validityDuration === 0n ? undefined : Number(validityDuration) * 1000;
            const { chain, roots } = await signer.signFor(id, csr, ttlMs);
            return toBinary(
              IstioCertificateResponseSchema,
              create(IstioCertificateResponseSchema, { certChain: [...chain, roots.join('')] }),
            );
          },
        },
      ],
    ]),
    {
      host: '127.0.0.1',
      port,
      tls: tls(),
      maxMessageBytes: 1 << 20,
      onFault: (path, error) => {
        throw new Error(path, { cause: error });
      },
    },
  );
  return {
    port: transport.port,
    callers,
    tokens,
    renewTls: () => transport.renewTls(tls()),
    stop: () => transport.drain(200),
  };
}
