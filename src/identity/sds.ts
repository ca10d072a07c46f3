/**
 * Certificates as resources of the secret discovery service.
 * **In**: PEM. **Out**: resources, by the names that Envoys ask for. **Fails**: never.
 */
import { digestOf, encodeEnvoyJson } from '../envoy-json/encode.ts';
import { type Resource, type Resources, type ResourceSource, SECRET } from '../xds/index.ts';
import { ROOTS_SECRET, WORKLOAD_SECRET, type WorkloadSecret } from './contract.ts';
import type { TrustedRoots } from './trusted-roots.ts';
import type { WorkloadCertificate } from './workload-certificate.ts';

const secret = (name: string, fields: Readonly<Record<string, object>>): Resource => {
  const value = encodeEnvoyJson(SECRET, { name, ...fields } as never);
  return { name, version: digestOf(value), value };
};

export const certificateResource = (name: string, chainPem: string, keyPem: string): Resource =>
  secret(name, {
    tls_certificate: { certificate_chain: { inline_string: chainPem }, private_key: { inline_string: keyPem } },
  });

export const rootsResource = (name: string, rootsPem: string): Resource =>
  secret(name, { validation_context: { trusted_ca: { inline_string: rootsPem } } });

/** The secrets of one workload, which it renews by itself: for the agent beside an Envoy. */
export class WorkloadSecrets implements ResourceSource {
  readonly #certificate: WorkloadCertificate;
  readonly #roots: TrustedRoots;
  #last: { readonly of: WorkloadSecret; readonly rootsPem: string; readonly resources: Resources } | undefined;

  constructor(certificate: WorkloadCertificate, roots: TrustedRoots) {
    this.#certificate = certificate;
    this.#roots = roots;
  }

  connect(_proxy: unknown, changed: () => void): ReturnType<ResourceSource['connect']> {
    const closes = [this.#certificate.onChange(changed), this.#roots.onChange(changed)];
    return {
      resources: () => {
        const of = this.#certificate.secret;
        return {
          version: of === undefined ? 'none' : new Date(of.expiresAtMs).toISOString(),
          byType: new Map([[SECRET, of === undefined ? NONE : this.#resourcesOf(of)]]),
        };
      },
      close: () => {
        for (const close of closes) close();
      },
    };
  }

  #resourcesOf(of: WorkloadSecret): Resources {
    const { pem: rootsPem } = this.#roots;
    if (this.#last?.of !== of || this.#last.rootsPem !== rootsPem)
      this.#last = { of, rootsPem, resources: secretsOf(of, rootsPem) };
    return this.#last.resources;
  }
}

const NONE: Resources = new Map();

const secretsOf = ({ chainPem, keyPem }: WorkloadSecret, rootsPem: string): Resources =>
  new Map([
    [WORKLOAD_SECRET, certificateResource(WORKLOAD_SECRET, chainPem, keyPem)],
    [ROOTS_SECRET, rootsResource(ROOTS_SECRET, rootsPem)],
  ]);
