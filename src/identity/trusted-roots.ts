/**
 * The roots that a workload trusts: those that came with its certificate, and those of a file, which brings a change earlier.
 * **In**: the path of the file, each certificate of the workload. **Out**: roots in PEM, and a call to listeners when they have changed.
 * **Fails**: {@link TrustedRoots.read} with the error of the file, while it was never right; a file that goes bad changes nothing.
 *
 * The file has the roots of the authority's own certificate, which need not be those of workloads (an authority behind a public
 * certificate). Once it has shared a root with a certificate's, it is taken for the roots of the mesh.
 */
import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { certificatePem, certificatesOf } from './certificate.ts';
import type { WorkloadSecret } from './contract.ts';

/** By certificate in PEM, in one spelling. */
type Roots = ReadonlyMap<string, X509Certificate>;
const rootsOf = (pem: string): Roots => new Map(certificatesOf(pem).map((one) => [certificatePem(one), one]));

const NONE: Roots = new Map();

export class TrustedRoots {
  readonly #path: string;
  readonly #listeners = new Set<() => void>();
  #file: Roots | undefined;
  #isOfMesh = false;
  /** Of the newest certificate. */
  #signed: Roots = NONE;
  /** Removed from the file since then. */
  readonly #dropped = new Set<string>();
  /** Signed by the root: the end of the chain of the newest certificate. */
  #top: X509Certificate | undefined;
  #pem = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** What TLS of the workload trusts; empty before its first certificate. */
  get pem(): string {
    return this.#pem;
  }

  /** The file was right once. */
  get isKnown(): boolean {
    return this.#file !== undefined;
  }

  /** A new certificate is due: the file has dropped its root, or has changed and says nothing about workloads. */
  get isRenewalDue(): boolean {
    return !this.#isOfMesh || !this.#isSignedBy(this.#file ?? NONE);
  }

  /** Returns what removes the listener. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The roots in the file as it is now; the last good ones if it is broken. Rejects if there are none. */
  async read(): Promise<string> {
    try {
      await this.reload();
    } catch (error) {
      if (this.#file === undefined) throw error;
    }
    return [...(this.#file ?? NONE).keys()].join('');
  }

  /** Rejects if the file is broken; the last good roots stay. */
  async reload(): Promise<void> {
    const file = rootsOf(await readFile(this.#path, 'utf8'));
    for (const root of this.#file?.keys() ?? []) if (!file.has(root)) this.#dropped.add(root);
    for (const root of file.keys()) this.#dropped.delete(root);
    this.#file = file;
    this.#work();
  }

  /** The workload has a new certificate. */
  useSigned({ chainPem, rootsPem }: WorkloadSecret): void {
    this.#signed = rootsOf(rootsPem);
    this.#top = certificatesOf(chainPem).at(-1);
    this.#dropped.clear();
    this.#work();
  }

  #work(): void {
    const file = this.#file ?? NONE;
    this.#isOfMesh ||= [...this.#signed.keys()].some((root) => file.has(root));
    const roots = this.#isOfMesh ? new Set([...this.#kept(), ...file.keys()]) : this.#signed.keys();
    const pem = this.#signed.size === 0 ? '' : [...roots].join('');
    if (pem === this.#pem) return;
    this.#pem = pem;
    for (const listener of this.#listeners) listener();
  }

  /** A dropped root is trusted while the own certificate is from it, as those of peers may be. */
  #kept(): readonly string[] {
    return [...this.#signed]
      .filter(([pem, root]) => !this.#dropped.has(pem) || this.#isSignedBy(new Map([[pem, root]])))
      .map(([pem]) => pem);
  }

  #isSignedBy(roots: Roots): boolean {
    const top = this.#top;
    return top !== undefined && [...roots.values()].some((root) => top.checkIssued(root) && top.verify(root.publicKey));
  }
}
