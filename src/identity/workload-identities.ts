/**
 * Certificates for proxies that have no agent: the control plane makes their keys, and keeps them in memory alone.
 * **In**: the authority, and identities that callers have proven. **Out**: for each the resources of its secrets, newer ones by a call.
 * **Fails**: never; while the authority cannot sign, the last certificate stays.
 *
 * Proxies of one identity share a key, as those of one service account did with Citadel: a stolen key of one
 * replica proves the identity of all, and replicas add no renewals. A workload that wants a key of its own runs an agent.
 */
import type { Log } from '../adapters/contract.ts';
import { TimeSlice } from '../time/time-slice.ts';
import type { Resource, Resources } from '../xds/index.ts';
import type { Authority } from './authority.ts';
import { ROOTS_SECRET, type Signer, WORKLOAD_SECRET, type WorkloadSecret } from './contract.ts';
import { certificateResource, rootsResource } from './sds.ts';
import { WorkloadCertificate } from './workload-certificate.ts';

export interface WorkloadIdentitiesOptions {
  readonly authority: Pick<Authority, 'roots' | 'onRootsChanged'>;
  readonly signerFor: (uri: string) => Signer;
  readonly log: Log;
  /** Default: the authority's. */
  readonly ttlMs?: number | undefined;
  /** A proxy that comes back within this time finds the certificate that it has. */
  readonly lingerMs?: number;
}

/** The secrets of one stream, until it is released. */
export interface SecretsLease {
  /** Equal objects while nothing has changed. */
  resources(): Resources;
  release(): void;
}

interface Identity {
  readonly certificate: WorkloadCertificate;
  /** A call for each stream. */
  readonly streams: Set<() => void>;
  forget: NodeJS.Timeout | undefined;
  own: { readonly of: WorkloadSecret | undefined; readonly resource: Resource | undefined };
  made: { readonly own: Resource | undefined; readonly roots: Resource; readonly resources: Resources } | undefined;
}

const LINGER_MS = 60_000;
/** Per identity, when changed roots renew all of them; leaves the event loop free between signatures. */
const SPREAD_MS = 10;

export class WorkloadIdentities implements Disposable {
  readonly #options: WorkloadIdentitiesOptions;
  readonly #identities = new Map<string, Identity>();
  readonly #unlisten: () => void;
  readonly #slice = new TimeSlice();
  #queue: Promise<void> = Promise.resolve();
  #roots: { readonly of: readonly string[]; readonly resource: Resource } | undefined;

  constructor(options: WorkloadIdentitiesOptions) {
    this.#options = options;
    this.#unlisten = options.authority.onRootsChanged(() => this.#rootsChanged());
  }

  /** Identities whose certificates are kept fresh. */
  get size(): number {
    return this.#identities.size;
  }

  /** `changed`: the resources are newer. */
  lease(uri: string, changed: () => void): SecretsLease {
    const identity = this.#identities.get(uri) ?? this.#begin(uri);
    clearTimeout(identity.forget);
    const listener = (): void => changed();
    identity.streams.add(listener);
    return {
      resources: () => this.#resources(identity),
      release: () => {
        if (!identity.streams.delete(listener) || identity.streams.size > 0) return;
        const { lingerMs = LINGER_MS } = this.#options;
        identity.forget = setTimeout(() => {
          identity.certificate[Symbol.dispose]();
          this.#identities.delete(uri);
        }, lingerMs).unref();
      },
    };
  }

  [Symbol.dispose](): void {
    this.#unlisten();
    for (const { certificate, forget } of this.#identities.values()) {
      clearTimeout(forget);
      certificate[Symbol.dispose]();
    }
    this.#identities.clear();
  }

  #begin(uri: string): Identity {
    const { log, ttlMs, signerFor } = this.#options;
    const turn = (): Promise<void> =>
      (this.#queue = this.#queue.then(() => (this.#slice.isOver ? this.#slice.next() : undefined)));
    const certificate = new WorkloadCertificate({ signer: signerFor(uri), ttlMs, log, identity: uri, turn });
    const identity: Identity = { certificate, streams: new Set(), forget: undefined, own: NOT_YET, made: undefined };
    certificate.onChange(() => notify(identity));
    this.#identities.set(uri, identity);
    return identity;
  }

  /** Pushes the roots at once; renewals are spread over a time. */
  #rootsChanged(): void {
    const withinMs = this.#identities.size * SPREAD_MS;
    for (const identity of this.#identities.values()) {
      identity.certificate.renew(withinMs);
      notify(identity);
    }
  }

  #resources(identity: Identity): Resources {
    const { secret } = identity.certificate;
    if (identity.own.of !== secret) identity.own = { of: secret, resource: resourceOf(secret) };
    const { resource: own } = identity.own;
    const roots = this.#rootsResource();
    if (identity.made === undefined || identity.made.own !== own || identity.made.roots !== roots)
      identity.made = {
        own,
        roots,
        resources: new Map([own, roots].flatMap((one) => (one === undefined ? [] : [[one.name, one]]))),
      };
    return identity.made.resources;
  }

  #rootsResource(): Resource {
    const of = this.#options.authority.roots();
    if (this.#roots?.of !== of || this.#roots === undefined)
      this.#roots = { of, resource: rootsResource(ROOTS_SECRET, of.join('')) };
    return this.#roots.resource;
  }
}

const NOT_YET = { of: undefined, resource: undefined };

const resourceOf = (secret: WorkloadSecret | undefined): Resource | undefined =>
  secret === undefined ? undefined : certificateResource(WORKLOAD_SECRET, secret.chainPem, secret.keyPem);

function notify({ streams }: Identity): void {
  for (const changed of streams) changed();
}
