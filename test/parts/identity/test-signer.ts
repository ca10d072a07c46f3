/** A signer in this process, whose roots and failures a test chooses. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { issue, readCsr, type SigningCertificate } from '../../../src/identity/certificate.ts';
import type { SignedCertificate, Signer } from '../../../src/identity/contract.ts';
import { newRoot } from './test-roots.ts';

export interface TestSigner extends Signer {
  /** Instead of the key in the CSR. */
  ofKey?: KeyObject;
  clockBehindMs?: number;
  /** Instead of an answer. */
  failure: Error | undefined;
  /** Signs and trusts. */
  issuer: SigningCertificate;
  trusted: readonly string[];
  readonly asked: string[];
  /** Answers wait until it is resolved. */
  gate: Promise<unknown>;
}

export function testSigner(
  nowMs: () => number,
  {
    ttlMs = 60_000,
    uri = 'spiffe://cluster.local/ns/default/sa/a',
  }: { readonly ttlMs?: number; readonly uri?: string } = {},
): TestSigner {
  const root = newRoot(nowMs());
  return {
    failure: undefined,
    issuer: root.signer,
    trusted: [root.pem],
    asked: [],
    gate: Promise.resolve(),
    async sign(csrPem, asked = ttlMs): Promise<SignedCertificate> {
      this.asked.push(csrPem);
      const { issuer, trusted } = this;
      await this.gate;
      if (this.failure !== undefined) throw this.failure;
      const publicKey = this.ofKey === undefined ? readCsr(csrPem) : createPublicKey(this.ofKey);
      const { pem } = issue(issuer, { publicKey, uri, ttlMs: asked }, nowMs() - (this.clockBehindMs ?? 0));
      return { chain: [pem], roots: trusted };
    },
  };
}
