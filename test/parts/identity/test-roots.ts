/** Roots that a test replaces step by step. */
import { X509Certificate } from 'node:crypto';
import type { SigningSet, SigningSource } from '../../../src/identity/authority.ts';
import {
  newKey,
  selfSignedRoot,
  signingCertificate,
  type SigningCertificate,
} from '../../../src/identity/certificate.ts';

export interface TestRoot {
  readonly pem: string;
  readonly signer: SigningCertificate;
}

const YEAR_MS = 365 * 86_400_000;

export function newRoot(nowMs: number, trustDomain = 'cluster.local'): TestRoot {
  const key = newKey();
  const { pem } = selfSignedRoot({ key, trustDomain, ttlMs: YEAR_MS }, nowMs);
  return { pem, signer: signingCertificate(new X509Certificate(pem), key) };
}

export class TestRoots implements SigningSource {
  #trusted: readonly TestRoot[] = [newRoot(Date.now())];
  #signs = this.newest;
  readonly #listeners = new Set<() => void>();

  get newest(): TestRoot {
    return this.#trusted.at(-1) as TestRoot;
  }
  get current(): SigningSet {
    return { signer: this.#signs.signer, chain: [], roots: this.#trusted.map(({ pem }) => pem) };
  }
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  close = async (): Promise<void> => {};

  /** Step 1: another root is trusted beside the old. */
  trustAnother(): void {
    this.#change(() => (this.#trusted = [...this.#trusted, newRoot(Date.now())]));
  }
  /** Step 2. */
  signByNewest(): void {
    this.#change(() => (this.#signs = this.newest));
  }
  /** Step 3. */
  dropOthers(): void {
    this.#change(() => (this.#trusted = [this.newest]));
  }

  #change(step: () => void): void {
    step();
    for (const listener of this.#listeners) listener();
  }
}
