/** Signing certificates from files, made by OpenSSL, as an administrator would. */
import { execFileSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Authority, type SigningSource, TtlTooLong } from '../../../src/identity/authority.ts';
import { newKey } from '../../../src/identity/certificate.ts';
import { openSigningFiles } from '../../../src/identity/signing-files.ts';
import { lines } from '../../parts/identity/lines.ts';
import { waitUntil } from '../transport/serving.ts';

const ID = 'spiffe://cluster.local/ns/default/sa/a';
const HOUR = 3_600_000;

/** NAME.pem and NAME.key of roots a and b, of intermediates: a1 by a, a2 by a1, b1 by b; and of a leaf by a. */
let made: string;
beforeAll(() => {
  made = mkdtempSync(join(tmpdir(), 'sluice-signing-made-'));
  const openssl = (command: string): void => {
    execFileSync('openssl', command.split(' '), { cwd: made, stdio: 'pipe' });
  };
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  writeFileSync(
    join(made, 'ca.ext'),
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash',
  );
  writeFileSync(join(made, 'leaf.ext'), 'basicConstraints=critical,CA:FALSE');
  for (const root of ['a', 'b'])
    openssl(`req -x509 ${key} -keyout ${root}.key -out ${root}.pem -days 30 -subj /O=root-${root}`);
  const sign = (name: string, by: string, days: number, extensions = 'ca.ext'): void => {
    openssl(`req ${key} -keyout ${name}.key -out ${name}.csr -subj /O=signer-${name}`);
    openssl(
      `x509 -req -in ${name}.csr -CA ${by}.pem -CAkey ${by}.key -CAcreateserial -days ${days} -extfile ${extensions} -out ${name}.pem`,
    );
  };
  sign('a1', 'a', 20);
  sign('a2', 'a1', 25);
  sign('b1', 'b', 20);
  sign('leaf', 'a', 20, 'leaf.ext');
  return () => rmSync(made, { recursive: true, force: true });
});

let folder: string;
let log = lines();
let source: SigningSource | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-signing-'));
  log = lines();
});
afterEach(async () => {
  await source?.close();
  source = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const text = (...names: readonly string[]): string =>
  names.map((name) => readFileSync(join(made, name), 'utf8')).join('');
const path = (name: string): string => join(folder, name);
const FILES = () => ({
  rootCert: path('root-cert.pem'),
  signingCert: path('signing-cert.pem'),
  signingKey: path('signing-key.pem'),
  certChain: path('cert-chain.pem'),
});
function write({ roots = ['a.pem'], cert = 'a1.pem', key = 'a1.key', chain = [cert] as readonly string[] }): void {
  writeFileSync(path('root-cert.pem'), text(...roots));
  writeFileSync(path('signing-cert.pem'), text(cert));
  writeFileSync(path('signing-key.pem'), text(key));
  writeFileSync(path('cert-chain.pem'), text(...chain));
}
const opened = async (nowMs?: () => number): Promise<SigningSource> =>
  (source = await openSigningFiles({ files: FILES(), log, everyMs: 20, ...(nowMs === undefined ? {} : { nowMs }) }));
const issued = (of: SigningSource) =>
  new Authority(of, 'cluster.local').issue({ uri: ID, publicKey: createPublicKey(newKey()) });

function verify(chain: readonly string[], roots: readonly string[]): string {
  writeFileSync(path('v-leaf.pem'), chain[0] ?? '');
  writeFileSync(path('v-between.pem'), chain.slice(1).join('') || '\n');
  writeFileSync(path('v-roots.pem'), roots.join(''));
  const between = chain.length > 1 ? ['-untrusted', 'v-between.pem'] : [];
  return execFileSync('openssl', ['verify', '-CAfile', 'v-roots.pem', ...between, 'v-leaf.pem'], {
    cwd: folder,
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

describe('files of Citadel', () => {
  test.each([
    ['a root that signs itself', { cert: 'a.pem', key: 'a.key', chain: [] as string[] }, 1],
    ['an intermediate, which the chain file repeats', { cert: 'a1.pem', key: 'a1.key', chain: ['a1.pem', 'a.pem'] }, 2],
    ['an intermediate of an intermediate', { cert: 'a2.pem', key: 'a2.key', chain: ['a2.pem', 'a1.pem'] }, 3],
    [
      'an intermediate among roots of others',
      { roots: ['b.pem', 'a.pem'], cert: 'a1.pem', key: 'a1.key', chain: [] as string[] },
      2,
    ],
  ])('%s: the chain is complete, without the root, and OpenSSL verifies it', async (_what, files, length) => {
    write({ ...files, chain: files.chain.length === 0 ? ['a1.pem'] : files.chain });
    const { chain, roots } = issued(await opened());
    expect(chain).toHaveLength(length);
    expect(verify(chain, roots)).toContain('OK');
    expect(chain).not.toContain(text('a.pem'));
  });

  test('a leaf ends with the first that ends between it and its root', async () => {
    write({ cert: 'a2.pem', key: 'a2.key', chain: ['a1.pem'] }); // a2 ends after a1
    const authority = new Authority(await opened(), 'cluster.local', { defaultMs: HOUR, maxMs: 24_000 * HOUR });
    const { chain, notAfterMs } = authority.issue({
      uri: ID,
      publicKey: createPublicKey(newKey()),
      ttlMs: 24 * 40 * HOUR,
    });
    expect(notAfterMs).toBe(new X509Certificate(text('a1.pem')).validToDate.getTime());
    expect(verify(chain, authority.roots())).toContain('OK');
  });

  test.each([
    [{ key: 'a2.key' }, /--signing-cert .*signing-cert.pem and --signing-key .*: the key does not belong/],
    [{ cert: 'leaf.pem', key: 'leaf.key' }, /may not sign others: it needs basicConstraints CA:TRUE/],
    [{ roots: ['b.pem'] }, /no certificate of --root-cert .* has issued "O=signer-a1".*add its issuer "O=root-a"/],
    [{ cert: 'a2.pem', key: 'a2.key', chain: ['a2.pem'] }, /has issued "O=signer-a2".*add its issuer "O=signer-a1"/],
    [{ roots: ['leaf.pem'] }, /has a certificate that is no authority \("O=signer-leaf"\); remove it/],
    [{ roots: ['a.key'] }, /--root-cert .*: it has no certificate in PEM/],
    [{ key: 'a1.pem' }, /--signing-key .* is no private key in PEM without a password/],
  ])('%j stop the start, with the file and what to do', async (files, why) => {
    write(files);
    await expect(opened()).rejects.toThrow(why);
  });

  test('that are missing, or have ended, stop the start', async () => {
    write({});
    rmSync(path('signing-key.pem'));
    await expect(opened()).rejects.toThrow(/--signing-key .*signing-key.pem cannot be read: ENOENT/);
    write({});
    await expect(opened(() => Date.now() + 21 * 24 * HOUR)).rejects.toThrow(
      /the certificate "O=signer-a1" between .* ended at .*; replace it/,
    );
  });

  test('a key is never in a line of the log nor in an error, however bad its file is', async () => {
    const key = text('a1.key');
    for (const bad of [key.slice(0, 150), key.replace('PRIVATE', 'PUBLIC'), key.split('\n')[1] ?? '', `${key}${key}`]) {
      write({});
      writeFileSync(path('signing-key.pem'), bad);
      const error = await opened().catch((thrown: unknown) => thrown as Error);
      await source?.close();
      const said = error instanceof Error ? `${error.message} ${String(error.cause)}` : '';
      expect(`${said} ${log.text}`).not.toContain((key.split('\n')[1] ?? '').slice(0, 20));
    }
  });
});

describe('files that change', () => {
  test('a root is rotated in three steps, and old and new verify each other at each', async () => {
    write({});
    const authority = new Authority(await opened(), 'cluster.local');
    const heard: number[] = [];
    authority.onRootsChanged((roots) => heard.push(roots.length));
    const leaf = () => authority.issue({ uri: ID, publicKey: createPublicKey(newKey()) });
    const old = leaf();
    writeFileSync(path('root-cert.pem'), text('a.pem', 'b.pem'));
    await waitUntil(() => authority.roots().length === 2, 'both are trusted');
    const first = leaf();
    expect([verify(old.chain, first.roots), verify(first.chain, old.roots)].join()).toMatch(/OK.*OK/s);
    write({ roots: ['a.pem', 'b.pem'], cert: 'b1.pem', key: 'b1.key' });
    await waitUntil(() => leaf().chain[1] === text('b1.pem'), 'the new one signs');
    const second = leaf();
    expect([verify(first.chain, second.roots), verify(second.chain, first.roots)].join()).toMatch(/OK.*OK/s);
    writeFileSync(path('root-cert.pem'), text('b.pem'));
    await waitUntil(() => authority.roots().length === 1, 'the old one is dropped');
    expect(verify(second.chain, authority.roots())).toContain('OK');
    expect(() => verify(old.chain, authority.roots())).toThrow();
    expect(heard).toEqual([2, 1]);
    expect(log.of('error')).toEqual([]);
    expect(log.of('warn')).toEqual([]);
  });

  test('half of a change is not taken: the last good files sign until the other half is there', async () => {
    write({ roots: ['a.pem', 'b.pem'] });
    const own = await opened();
    writeFileSync(path('signing-cert.pem'), text('b1.pem'));
    await waitUntil(() => log.of('the last good ones stay').length === 1, 'the line is there');
    expect(log.of('the last good ones stay')[0]).toMatch(
      /signing-cert.pem and --signing-key .*the key does not belong/,
    );
    expect(verify(issued(own).chain, own.current.roots)).toContain('OK');
    expect(issued(own).chain[1]).toBe(text('a1.pem'));
    writeFileSync(path('signing-key.pem'), text('b1.key'));
    await waitUntil(() => issued(own).chain[1] === text('b1.pem'), 'the change is taken');
    expect(verify(issued(own).chain, own.current.roots)).toContain('OK');
    expect(log.of('error')).toHaveLength(1);
  });

  test('a key that can no longer be read leaves the one in memory, and one line', async () => {
    write({});
    const own = await opened();
    rmSync(path('signing-key.pem'));
    await waitUntil(() => log.of('cannot be read: ENOENT').length === 1, 'the line is there');
    expect(verify(issued(own).chain, own.current.roots)).toContain('OK');
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(log.of('error')).toHaveLength(1);
  });

  test('roots that are all replaced at once are taken, and a warning says what that does', async () => {
    write({});
    await opened();
    cpSync(join(made, 'b.pem'), path('root-cert.pem'));
    write({ roots: ['b.pem'], cert: 'b1.pem', key: 'b1.key' });
    await waitUntil(() => log.of('all roots were replaced at once').length === 1, 'the warning is there');
  });

  test('the same texts in new files are no change', async () => {
    write({});
    const own = await opened();
    const before = own.current;
    write({});
    chmodSync(path('signing-key.pem'), 0o600);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(own.current).toBe(before);
    expect(log.all).toEqual([]);
  });
});

test('a signing certificate that ends soon is said once', async () => {
  write({});
  await opened(() => Date.now() + 17 * 24 * HOUR);
  expect(log.of('ends soon')).toHaveLength(1);
});

test('lifetimes: none and 0 are the default, more than the longest is refused', async () => {
  write({});
  const nowMs = Date.now();
  const authority = new Authority(await opened(), 'cluster.local', { defaultMs: HOUR, maxMs: 2 * HOUR }, () => nowMs);
  const endOf = (ttlMs?: number): number =>
    Math.ceil((authority.issue({ uri: ID, publicKey: createPublicKey(newKey()), ttlMs }).notAfterMs - nowMs) / 1000);
  expect([undefined, 0, -5, 1_800_000, 2 * HOUR].map(endOf)).toEqual([3600, 3600, 3600, 1800, 7200]);
  expect(() => endOf(2 * HOUR + 1)).toThrow(TtlTooLong);
  expect(authority.state.issued).toBe(5);
});
