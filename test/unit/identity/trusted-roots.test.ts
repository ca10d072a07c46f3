/** The roots that a workload trusts, from its certificate and from a file. */
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { issue, newKey } from '../../../src/identity/certificate.ts';
import type { WorkloadSecret } from '../../../src/identity/contract.ts';
import { TrustedRoots } from '../../../src/identity/trusted-roots.ts';
import { newRoot, type TestRoot } from '../../parts/identity/test-roots.ts';

const [OLD, NEW, PUBLIC] = [newRoot(Date.now()), newRoot(Date.now()), newRoot(Date.now())];
const NAMES = new Map([
  [OLD.pem, 'old'],
  [NEW.pem, 'new'],
  [PUBLIC.pem, 'public'],
]);

function secretBy(signer: TestRoot, ...roots: readonly TestRoot[]): WorkloadSecret {
  const leaf = { uri: 'spiffe://cluster.local/ns/default/sa/a', publicKey: createPublicKey(newKey()), ttlMs: 60_000 };
  const { pem } = issue(signer.signer, leaf, Date.now());
  return { chainPem: pem, keyPem: '', rootsPem: roots.map((root) => root.pem).join(''), expiresAtMs: 0 };
}

let folder: string;
let path: string;
let roots: TrustedRoots;
let changes = 0;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-trusted-'));
  path = join(folder, 'roots.pem');
  roots = new TrustedRoots(path);
  changes = 0;
  roots.onChange(() => changes++);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (...own: readonly TestRoot[]): void => writeFileSync(path, own.map(({ pem }) => pem).join(''));
const trusted = (): readonly string[] =>
  [...roots.pem.matchAll(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/g)]
    .map(([pem]) => NAMES.get(pem) ?? 'unknown')
    .toSorted();

async function begin(): Promise<void> {
  put(OLD);
  expect(await roots.read()).toBe(OLD.pem);
  roots.useSigned(secretBy(OLD, OLD));
  expect(trusted()).toEqual(['old']);
  changes = 0;
}

test('the three steps of a rotation: trusted with the file, renewed only when the file drops the own root', async () => {
  await begin();
  put(OLD, NEW);
  await roots.reload();
  expect([trusted(), roots.isRenewalDue, changes]).toEqual([['new', 'old'], false, 1]);
  roots.useSigned(secretBy(NEW, OLD, NEW));
  expect([trusted(), changes]).toEqual([['new', 'old'], 1]);
  put(NEW);
  await roots.reload();
  expect([trusted(), roots.isRenewalDue]).toEqual([['new'], false]);
});

test('a file that lags behind the certificate takes nothing away', async () => {
  await begin();
  roots.useSigned(secretBy(NEW, OLD, NEW));
  expect(trusted()).toEqual(['new', 'old']);
  put(OLD);
  await roots.reload();
  expect(trusted()).toEqual(['new', 'old']);
});

test('replaced all at once, the old root is trusted until the workload has a certificate of the new one', async () => {
  await begin();
  put(NEW);
  await roots.reload();
  expect([trusted(), roots.isRenewalDue]).toEqual([['new', 'old'], true]);
  roots.useSigned(secretBy(NEW, NEW));
  expect([trusted(), roots.isRenewalDue]).toEqual([['new'], false]);
});

test('the roots of an authority behind a public certificate are not those of workloads', async () => {
  put(PUBLIC);
  expect(await roots.read()).toBe(PUBLIC.pem);
  roots.useSigned(secretBy(OLD, OLD));
  expect(trusted()).toEqual(['old']);
  put(PUBLIC, NEW);
  await roots.reload();
  expect([trusted(), roots.isRenewalDue]).toEqual([['old'], true]);
});

test.for([
  ['an empty file', (): string => ''],
  ['no certificate', (): string => 'roots'],
  ['a malformed one', (): string => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ['a file that is still being written', (): string => `${OLD.pem}${NEW.pem.slice(0, 300)}`],
] as const)('%s keeps the last good roots', async ([, text]) => {
  await begin();
  writeFileSync(path, text());
  await expect(roots.reload()).rejects.toThrow(/^its certificate|^it has no certificate/);
  expect([trusted(), changes, await roots.read()]).toEqual([['old'], 0, OLD.pem]);
});

test('a file that was never right is an error, and one that is gone is not', async () => {
  await expect(roots.read()).rejects.toThrow('ENOENT');
  expect(roots.isKnown).toBe(false);
  await begin();
  rmSync(path);
  expect(await roots.read()).toBe(OLD.pem);
});
