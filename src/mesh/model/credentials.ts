/**
 * Certificates for gateways, and for clients by rules of TLS, from Secrets.
 * **In**: Secrets of Kubernetes, whose keys are those of kubectl (`tls.crt`, `tls.key`, `ca.crt`) or Istio's own (`cert`, `key`, `cacert`);
 * a CA may stand in a Secret of its own, whose name ends in `-cacert`. **Out**: the credential of a name. **Fails**: never; for a Secret
 * of no use there is a sentence that says why, without its content.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { MeshObject } from '../sources/objects.ts';
import type { Origin } from './model.ts';

/** In PEM; `certificate` has the leaf first. */
export interface Credential {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string | undefined;
  readonly origin: Origin;
}

/** `problem`: a sentence without its full stop. */
export type CredentialOrProblem = Credential | { readonly problem: string };

/** Of the peers of whoever has the credential. */
export interface Authorities {
  /** In PEM. */
  readonly ca: string;
  readonly origin: Origin;
}

const CA_KEYS = ['cacert', 'ca.crt'];

export class Credentials {
  readonly #secrets: ReadonlyMap<string, MeshObject<'Secret'>>;
  readonly #found = new Map<string, CredentialOrProblem>();

  constructor(secrets: readonly MeshObject<'Secret'>[]) {
    this.#secrets = new Map(secrets.map((one) => [`${one.origin.namespace}/${one.origin.name}`, one]));
  }

  find(name: string, namespace: string): CredentialOrProblem {
    const key = `${namespace}/${name}`;
    let found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, (found = this.#read(key)));
    return found;
  }

  /** The authorities alone, in PEM; their Secret may have no certificate. */
  findCa(name: string, namespace: string): Authorities | { readonly problem: string } {
    const key = `${namespace}/${name}`;
    const secret = this.#secrets.get(`${key}-cacert`) ?? this.#secrets.get(key);
    if (secret === undefined) return { problem: `there is no Secret ${key}` };
    return read(secret, () => {
      const ca = valueOf(secret, CA_KEYS);
      if (ca === undefined) throw new UnusableSecret('needs ca.crt');
      certificateIn(ca, 'ca.crt');
      return { ca, origin: secret.origin };
    });
  }

  #read(key: string): CredentialOrProblem {
    const secret = this.#secrets.get(key);
    if (secret === undefined) return { problem: `there is no Secret ${key}` };
    const own = this.#secrets.get(`${key}-cacert`) ?? secret;
    return read(secret, () => {
      const certificate = valueOf(secret, ['tls.crt', 'cert']);
      const privateKey = valueOf(secret, ['tls.key', 'key']);
      if (certificate === undefined || privateKey === undefined) throw new UnusableSecret('needs tls.crt and tls.key');
      check(certificate, privateKey);
      const ca = valueOf(own, CA_KEYS);
      if (ca !== undefined) certificateIn(ca, 'ca.crt');
      return { certificate, key: privateKey, ca, origin: secret.origin };
    });
  }
}

class UnusableSecret extends Error {}

function read<T>(secret: MeshObject<'Secret'>, parse: () => T): T | { readonly problem: string } {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof UnusableSecret)) throw error;
    const { namespace, name } = secret.origin;
    return { problem: `the Secret ${namespace}/${name} ${error.message}` };
  }
}

/** The value of the first key that there is. */
function valueOf({ spec: { data, stringData } }: MeshObject<'Secret'>, keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const written = stringData?.[key];
    if (typeof written === 'string' && written !== '') return written;
    const encoded = data?.[key];
    if (typeof encoded === 'string' && encoded !== '') return decoded(encoded, key);
  }
  return undefined;
}

function decoded(text: string, key: string): string {
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) throw new UnusableSecret(`has a ${key} that is not base64`);
  return Buffer.from(text, 'base64').toString();
}

function certificateIn(pem: string, key: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new UnusableSecret(`has a ${key} that is no certificate in PEM`);
  }
}

/** Names of OpenSSL. */
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Envoy refuses a pair that does not belong together, and with it the whole listener. */
function check(certificate: string, key: string): void {
  const leaf = certificateIn(certificate, 'tls.crt');
  const { modulusLength, namedCurve } = leaf.publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength === undefined ? !CURVES.includes(namedCurve) : modulusLength < 2048)
    throw new UnusableSecret('has a key that Envoy does not take; use RSA of 2048 bits, or P-256');
  let privateKey;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    // The reason of OpenSSL may quote the key.
    throw new UnusableSecret('has a tls.key that is no private key in PEM');
  }
  if (!leaf.checkPrivateKey(privateKey)) throw new UnusableSecret('has a tls.key that does not belong to its tls.crt');
}
