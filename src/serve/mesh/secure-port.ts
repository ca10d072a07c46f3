/**
 * The secure port of `sluice mesh`: a certificate authority for workloads, and the discovery service with their secrets.
 * **In**: an address, the origin of the authority's root, verifiers of tokens. **Out**: a TLS port whose own certificate the authority
 * issues and renews. **Fails**: at the start with a {@link StartError}; later never.
 *
 * Loaded with `--secure` alone, since the library of certificates takes its time.
 */
import { isIP } from 'node:net';
import { Authority, type TtlLimits } from '../../identity/authority.ts';
import { AuthorityError } from '../../identity/authority-error.ts';
import { Callers } from '../../identity/callers.ts';
import type { IdentityOf, WorkloadSecret } from '../../identity/contract.ts';
import { openOwnRoot } from '../../identity/own-root.ts';
import { CertificateService } from '../../identity/service.ts';
import { openSigningFiles, type SigningFiles } from '../../identity/signing-files.ts';
import { spiffeId } from '../../identity/spiffe.ts';
import type { TokenVerifier } from '../../identity/token-accounts.ts';
import { TokenReviewVerifier } from '../../identity/token-review.ts';
import { WorkloadCertificate } from '../../identity/workload-certificate.ts';
import { WorkloadIdentities } from '../../identity/workload-identities.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { ReadApiServer } from '../../kubernetes/index.ts';
import type { OwnLog } from '../../log/log.ts';
import type { Address, Methods, TlsOptions, Transport } from '../../transport/index.ts';
import { StartError } from '../errors.ts';
import { listenGrpc } from '../grpc-listener.ts';
import { RefusedConnections } from '../refused-connections.ts';
import { identityFamilies, type IdentitySources } from './meters.ts';

export interface SecureOptions {
  /** Port 0: any free port. */
  readonly address: Address;
  /** Hosts and IP addresses by which clients know it, beside those of Istio. */
  readonly names: readonly string[];
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly signing: OwnRootPlace | SigningFiles;
  readonly ttl: TtlLimits;
  readonly jwt?: JwtSettings | undefined;
  readonly audience: string;
  /** Whether the roots are written into each namespace of the mesh's API server. */
  readonly rootConfigMaps: boolean;
  /** Reviews tokens. */
  readonly apiServer?: (() => ReadApiServer) | undefined;
  /** Poll interval of files. */
  readonly everyMs?: number;
}

/** `undefined`: in memory. */
export interface OwnRootPlace {
  readonly folder: string | undefined;
  readonly rootTtlMs: number;
}
export interface JwtSettings {
  /** A file, or an https URL. */
  readonly jwks: string;
  readonly issuer: string;
}

/** As istiod. A stream keeps the identity that it proved at its start, so a reconnect forces a new proof. */
const MAX_CONNECTION_AGE_MS = 30 * 60_000;
/** As clients of Istio know its control plane. */
const ISTIO_NAMES = ['istiod', 'istio-pilot', 'istio-citadel'].map((name) => `${name}.istio-system.svc`);
const [NAMESPACE, ACCOUNT] = ['istio-system', 'sluice'];

export class SecurePort implements AsyncDisposable {
  readonly authority: Authority;
  readonly workloads: WorkloadIdentities;
  readonly identityOf: IdentityOf;
  readonly #options: SecureOptions;
  readonly #service: CertificateService;
  readonly #log: OwnLog;
  readonly #refused: RefusedConnections;
  readonly #opened: AsyncDisposableStack;

  private constructor(
    options: SecureOptions,
    authority: Authority,
    callers: Callers,
    log: OwnLog,
    opened: AsyncDisposableStack,
  ) {
    this.#options = options;
    this.authority = authority;
    this.#log = log;
    this.#opened = opened;
    this.#service = new CertificateService({ authority, identityOf: callers.identityOf, log });
    this.#refused = new RefusedConnections(log, '--xds');
    this.workloads = opened.use(
      new WorkloadIdentities({ authority, signerFor: (uri) => this.#service.signerFor(uri), log }),
    );
    this.identityOf = callers.identityOf;
  }

  /** Reads or makes the root. Nothing listens yet. */
  static async open(options: SecureOptions, log: OwnLog): Promise<SecurePort> {
    const { trustDomain, trustDomainAliases: aliases, signing, ttl, everyMs } = options;
    const every = everyMs === undefined ? {} : { everyMs };
    await using stack = new AsyncDisposableStack();
    try {
      const source =
        'signingCert' in signing
          ? await openSigningFiles({ files: signing, log, ...every })
          : await openOwnRoot({ ...signing, trustDomain, maxTtlMs: ttl.maxMs, log, ...every });
      const authority = new Authority(source, trustDomain, ttl);
      stack.defer(() => authority.close());
      const callers = new Callers({ trustDomain, aliases, tokens: await verifiers(options, log), log });
      stack.defer(() => callers.close());
      return new SecurePort(options, authority, callers, log, stack.move());
    } catch (error) {
      if (error instanceof AuthorityError) throw new StartError('CLI_CA', error.message, { cause: error });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }

  /** `methods`: beside that of the authority. */
  async listen(methods: Methods, graceMs: number): Promise<Address> {
    const { address } = this.#options;
    const certificate = this.#opened.use(
      new WorkloadCertificate({
        signer: this.#service.signerFor(this.#ownId, this.#names),
        log: this.#log,
        identity: this.#ownId,
      }),
    );
    const transport = await listenGrpc({
      methods: new Map([...this.#service.methods, ...methods]),
      address,
      tls: this.#tlsOf(await certificate.first),
      maxConnectionAgeMs: MAX_CONNECTION_AGE_MS,
      reusePort: false,
      refused: this.#refused,
      log: this.#log,
    });
    this.#opened.defer(() => transport.drain(graceMs));
    const renew = (): void => this.#renew(transport, certificate.secret);
    certificate.onChange(renew);
    this.#opened.defer(
      this.authority.onRootsChanged(() => {
        renew(); // callers with a certificate of a new root are trusted at once
        certificate.renew();
      }),
    );
    return { host: transport.host, port: transport.port };
  }

  /** For the admin port. */
  get state(): object {
    const { issued, signerEndsAtMs, roots } = this.authority.state;
    return {
      trustDomain: this.authority.trustDomain,
      roots: roots.map(({ endsAtMs, ...others }) => ({ ...others, ends: new Date(endsAtMs).toISOString() })),
      signerEnds: new Date(signerEndsAtMs).toISOString(),
      issued,
      refused: this.#service.refusals,
      workloads: this.workloads.size,
      refusedConnections: this.#refused.total,
    };
  }

  families(rootConfigMaps: IdentitySources['rootConfigMaps']): readonly MetricFamily[] {
    return identityFamilies({
      authority: () => this.authority.state,
      refusals: () => this.#service.refusals,
      refusedConnections: this.#refused.family,
      workloads: () => this.workloads.size,
      rootConfigMaps,
    });
  }

  get #ownId(): string {
    return spiffeId({ trustDomain: this.#options.trustDomain, namespace: NAMESPACE, serviceAccount: ACCOUNT });
  }

  get #names(): { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] } {
    const { address, names } = this.#options;
    const all = [...new Set([address.host, ...names, 'localhost', '127.0.0.1', ...ISTIO_NAMES])];
    return {
      dnsNames: all.filter((name) => isIP(name) === 0),
      ipAddresses: all.filter((name) => isIP(name) !== 0 && name !== '0.0.0.0' && name !== '::'),
    };
  }

  #tlsOf({ chainPem, keyPem }: WorkloadSecret): TlsOptions {
    return { cert: chainPem, key: keyPem, ca: this.authority.roots().join(''), clientCertificate: 'optional' };
  }

  #renew(transport: Transport, secret: WorkloadSecret | undefined): void {
    if (secret !== undefined) transport.renewTls(this.#tlsOf(secret));
  }
}

async function verifiers({ jwt, audience, apiServer }: SecureOptions, log: OwnLog): Promise<readonly TokenVerifier[]> {
  const made: TokenVerifier[] = [];
  if (jwt !== undefined) {
    const [{ openKeySet }, { JwtVerifier }] = await Promise.all([
      import('../../identity/key-set.ts'),
      import('../../identity/jwt.ts'),
    ]);
    made.push(new JwtVerifier({ keys: await openKeySet({ from: jwt.jwks, log }), issuer: jwt.issuer, audience }));
  }
  if (apiServer !== undefined) made.push(new TokenReviewVerifier({ server: apiServer(), audience, log }));
  return made;
}
