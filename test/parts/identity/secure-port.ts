/** An authority behind a port as `sluice mesh --secure` opens it, with tokens of a test. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createPublicKey } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '../../../gen/istio/v1/auth/ca_pb.ts';
import { Authority, type TtlLimits } from '../../../src/identity/authority.ts';
import { Callers, type CallersOptions } from '../../../src/identity/callers.ts';
import { keyPem, newKey } from '../../../src/identity/certificate.ts';
import { openOwnRoot } from '../../../src/identity/own-root.ts';
import { CertificateService } from '../../../src/identity/service.ts';
import { dialGrpc, type GrpcClient, listen, type Methods, type Transport } from '../../../src/transport/index.ts';
import { lines, type Lines } from './lines.ts';

const CREATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const HOUR_MS = 3_600_000;
const LIMITS: TtlLimits = { defaultMs: 24 * HOUR_MS, maxMs: 90 * 24 * HOUR_MS };

export interface KeyAndChain {
  readonly key: string;
  readonly cert: string;
}

export interface SecurePort {
  readonly port: number;
  readonly authority: Authority;
  readonly callers: Callers;
  readonly service: CertificateService;
  readonly transport: Transport;
  readonly log: Lines;
  /** A certificate that proves this, from the authority itself. */
  pairOf(uri: string, options?: { readonly ttlMs?: number }): KeyAndChain;
  client(pair?: KeyAndChain): GrpcClient;
  stop(): Promise<void>;
}

export interface SecurePortOptions extends Partial<Pick<CallersOptions, 'aliases' | 'tokens' | 'nowMs'>> {
  readonly maxCalls?: number;
  readonly limits?: TtlLimits;
  readonly rootTtlMs?: number;
  /** Beside the service. */
  readonly methods?: Methods;
}

export async function securePort(options: SecurePortOptions = {}): Promise<SecurePort> {
  const log = lines();
  const source = await openOwnRoot({
    trustDomain: 'cluster.local',
    rootTtlMs: options.rootTtlMs ?? 3650 * 24 * HOUR_MS,
    maxTtlMs: LIMITS.maxMs,
    log,
  });
  const authority = new Authority(source, 'cluster.local', options.limits ?? LIMITS);
  const callers = new Callers({ trustDomain: 'cluster.local', aliases: [], tokens: [], log, ...options });
  const { maxCalls } = options;
  const { identityOf } = callers;
  const service = new CertificateService({
    authority,
    identityOf,
    log,
    ...(maxCalls === undefined ? {} : { maxCalls }),
  });
  const clients: GrpcClient[] = [];
  const pairOf = (uri: string, { ttlMs }: { readonly ttlMs?: number } = {}, names: object = {}): KeyAndChain => {
    const key = newKey();
    const { chain } = authority.issue({ uri, publicKey: createPublicKey(key), ttlMs, ...names });
    return { key: keyPem(key), cert: chain.join('') };
  };
  const own = pairOf(
    'spiffe://cluster.local/ns/istio-system/sa/sluice',
    {},
    { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
  );
  const transport = await listen(new Map([...service.methods, ...(options.methods ?? [])]), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 4 * 1024 * 1024,
    onFault: (path, error) => log.error('fault', { path, error: String(error) }),
    tls: { ...own, ca: authority.roots().join(''), clientCertificate: 'optional' },
  });
  return {
    port: transport.port,
    authority,
    callers,
    service,
    transport,
    log,
    pairOf,
    client(pair) {
      const made = dialGrpc(`127.0.0.1:${transport.port}`, {
        tls: {
          ca: Buffer.from(authority.roots().join('')),
          ...(pair === undefined ? {} : { cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) }),
        },
      });
      clients.push(made);
      return made;
    },
    async stop() {
      for (const client of clients) client.close();
      await transport.drain(0);
      await callers.close();
      await authority.close();
    },
  };
}

export interface CertificateRequest {
  readonly csr: string;
  readonly seconds?: bigint;
  readonly token?: string;
  readonly metadata?: Record<string, string>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The answer's PEMs; rejects with a GrpcError. */
export async function created(
  client: GrpcClient,
  { csr, seconds = 0n, token, metadata, timeoutMs = 20_000, signal }: CertificateRequest,
): Promise<readonly string[]> {
  const request = create(IstioCertificateRequestSchema, {
    csr,
    validityDuration: seconds,
    ...(metadata === undefined ? {} : { metadata }),
  });
  const reply = await client.unary(CREATE, toBinary(IstioCertificateRequestSchema, request), {
    timeoutMs,
    ...(signal === undefined ? {} : { signal }),
    ...(token === undefined ? {} : { metadata: { authorization: `Bearer ${token}` } }),
  });
  return fromBinary(IstioCertificateResponseSchema, reply).certChain;
}

export interface Issuer {
  readonly jwks: { readonly keys: readonly object[] };
  /** As Kubernetes writes it; `claims` are added or replace. */
  token(account?: string, claims?: Record<string, unknown>): Promise<string>;
}

export const ISSUER = 'https://kubernetes.default.svc.cluster.local';

export async function tokenIssuer(kid = 'one', algorithm = 'RS256'): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return {
    jwks: { keys: [{ ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' }] },
    token(account = 'default:reviews', claims = {}) {
      const [namespace, name] = account.split(':');
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({
        iss: ISSUER,
        aud: ['istio-ca'],
        sub: `system:serviceaccount:${account}`,
        iat: now,
        exp: now + 3600,
        'kubernetes.io': { namespace, serviceaccount: { name, uid: 'a' }, pod: { name: 'reviews-v1', uid: 'b' } },
        ...claims,
      })
        .setProtectedHeader({ alg: algorithm, ...(kid === '' ? {} : { kid }) })
        .sign(privateKey);
    },
  };
}
