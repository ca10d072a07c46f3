/** Every output is read by OpenSSL, and by Node's own reader. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  BadCsr,
  certificatePem,
  certificatesOf,
  createCsr,
  issue,
  keyPem,
  newKey,
  readCsr,
  selfSignedRoot,
  type SigningCertificate,
  signingCertificate,
} from '../../../src/identity/certificate.ts';

const ID = 'spiffe://cluster.local/ns/default/sa/reviews';
const HOUR_MS = 3_600_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-certificate-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text?: string): string => {
  const path = join(folder, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
};
const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const shown = (pem: string): string => openssl('x509', '-in', file('shown.pem', pem), '-noout', '-text');

function root(key: KeyObject = newKey(), ttlMs = 24 * HOUR_MS, nowMs = Date.now()): SigningCertificate {
  const { pem } = selfSignedRoot({ key, trustDomain: 'cluster.local', ttlMs }, nowMs);
  return signingCertificate(new X509Certificate(pem), key);
}

describe('a leaf', () => {
  test('has the fields of an X.509-SVID, and verifies by OpenSSL as a server and as a client', () => {
    const signer = root();
    const key = newKey();
    const nowMs = Date.now();
    const { pem, notAfterMs } = issue(signer, { publicKey: createPublicKey(key), uri: ID, ttlMs: HOUR_MS }, nowMs);
    const text = shown(pem);
    expect(text).toContain('Version: 3 (0x2)');
    expect(text).toMatch(/Subject: *\n/);
    expect(text).toMatch(/Issuer: O = cluster.local/);
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature, Key Encipherment\s/);
    expect(text).toMatch(/X509v3 Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(text).toMatch(new RegExp(`X509v3 Subject Alternative Name: critical\\s+URI:${ID}\n`));
    expect(text).toContain('ASN1 OID: prime256v1');
    const caPath = file('root.pem', certificatePem(signer.certificate));
    for (const purpose of ['sslserver', 'sslclient'])
      expect(
        openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', caPath, file('leaf.pem', pem)),
      ).toContain('OK');
    const read = new X509Certificate(pem);
    expect(read.subjectAltName).toBe(`URI:${ID}`);
    expect(read.checkPrivateKey(key)).toBe(true);
    expect(read.verify(signer.certificate.publicKey)).toBe(true);
    expect(read.validFromDate.getTime()).toBe(Math.floor((nowMs - 120_000) / 1000) * 1000);
    expect(read.validToDate.getTime()).toBe(notAfterMs);
    expect(notAfterMs).toBe(Math.floor((nowMs + HOUR_MS) / 1000) * 1000);
  });

  test('may have names of hosts and addresses beside its one URI', () => {
    const { pem } = issue(
      root(),
      {
        publicKey: createPublicKey(newKey()),
        uri: ID,
        dnsNames: ['localhost', 'istiod.istio-system.svc'],
        ipAddresses: ['127.0.0.1', '::1', '2001:db8::1:0:0:7'],
        ttlMs: HOUR_MS,
      },
      Date.now(),
    );
    const read = new X509Certificate(pem);
    expect(read.checkHost('istiod.istio-system.svc')).toBe('istiod.istio-system.svc');
    expect(['127.0.0.1', '::1', '2001:db8::1:0:0:7'].map((ip) => read.checkIP(ip))).not.toContain(undefined);
    expect(read.subjectAltName?.match(/URI:/g)).toHaveLength(1);
  });

  test('ends with its signer', () => {
    const signer = root(newKey(), HOUR_MS);
    const { notAfterMs } = issue(
      signer,
      { publicKey: createPublicKey(newKey()), uri: ID, ttlMs: 24 * HOUR_MS },
      Date.now(),
    );
    expect(notAfterMs).toBe(signer.endsAtMs);
  });

  test('is not issued by a signer that has ended', () => {
    const signer = root(newKey(), HOUR_MS, Date.now() - 2 * HOUR_MS);
    expect(() => issue(signer, { publicKey: createPublicKey(newKey()), uri: ID, ttlMs: HOUR_MS }, Date.now())).toThrow(
      /the signing certificate ended at/,
    );
  });

  test('has a serial number of its own, positive and without padding', () => {
    const signer = root();
    const publicKey = createPublicKey(newKey());
    const serials = Array.from(
      { length: 200 },
      () => new X509Certificate(issue(signer, { publicKey, uri: ID, ttlMs: HOUR_MS }, Date.now()).pem).serialNumber,
    );
    expect(new Set(serials).size).toBe(200);
    expect(serials.every((serial) => /^[4-7][0-9A-F]{31}$/.test(serial))).toBe(true);
  });

  test.each(['rsa', 'secp384r1'])('is signed by an intermediate of OpenSSL with a key of %s', (kind) => {
    const algorithm = kind === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', `ec_paramgen_curve:${kind}`];
    const subject = '/C=DE/ST=Bayern/L=München/O=Acme, Inc./OU=Netz/CN=Zwischen-CA/emailAddress=ca@example.com';
    openssl('req', '-x509', '-newkey', ...algorithm, '-nodes', '-keyout', 'r.key', '-out', 'r.pem', '-subj', '/O=Acme');
    openssl('req', '-newkey', ...algorithm, '-nodes', '-utf8', '-keyout', 'i.key', '-out', 'i.csr', '-subj', subject);
    file(
      'i.ext',
      'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      'i.csr',
      '-CA',
      'r.pem',
      '-CAkey',
      'r.key',
      '-CAcreateserial',
      '-extfile',
      'i.ext',
      '-out',
      'i.pem',
    );
    const signer = signingCertificate(
      new X509Certificate(readFileSync(file('i.pem'))),
      createPrivateKey(readFileSync(file('i.key'))),
    );
    const { pem } = issue(signer, { publicKey: createPublicKey(newKey()), uri: ID, ttlMs: HOUR_MS }, Date.now());
    file('leaf.pem', pem);
    expect(openssl('verify', '-CAfile', 'r.pem', '-untrusted', 'i.pem', 'leaf.pem')).toContain('OK');
    expect(new X509Certificate(pem).checkIssued(signer.certificate)).toBe(true);
  });
});

describe('a root', () => {
  test('names its trust domain, and signs certificates alone', () => {
    const { certificate } = root();
    const text = shown(certificatePem(certificate));
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:TRUE/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign\s/);
    expect(text).toMatch(/X509v3 Subject Alternative Name:\s+URI:spiffe:\/\/cluster.local\n/);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
  });

  test('may end beyond 2049, where X.509 changes its form of time', () => {
    const nowMs = Date.now();
    const { certificate } = root(newKey(), 30 * 365 * 24 * HOUR_MS, nowMs);
    expect(certificate.validToDate.getUTCFullYear()).toBeGreaterThan(2050);
    expect(openssl('x509', '-in', file('far.pem', certificatePem(certificate)), '-noout', '-enddate')).toContain(
      String(certificate.validToDate.getUTCFullYear()),
    );
  });

  test('is no signer with the key of another, nor is a leaf', () => {
    const signer = root();
    expect(() => signingCertificate(signer.certificate, newKey())).toThrow('the key does not belong');
    const key = newKey();
    const { pem } = issue(signer, { publicKey: createPublicKey(key), uri: ID, ttlMs: HOUR_MS }, Date.now());
    expect(() => signingCertificate(new X509Certificate(pem), key)).toThrow('may not sign others');
  });
});

describe('a CSR', () => {
  const key = newKey();

  test('is written as OpenSSL reads it, and read as OpenSSL writes it', () => {
    const ours = createCsr(key);
    expect(openssl('req', '-in', file('ours.csr', ours), '-noout', '-verify', '-text')).toContain('prime256v1');
    expect(readCsr(ours).equals(createPublicKey(key))).toBe(true);
    file('own.key', keyPem(key));
    openssl(
      'req',
      '-new',
      '-key',
      'own.key',
      '-subj',
      '/CN=evil',
      '-addext',
      `subjectAltName=URI:${ID},DNS:a`,
      '-out',
      'theirs.csr',
    );
    expect(readCsr(readFileSync(file('theirs.csr'), 'utf8')).equals(createPublicKey(key))).toBe(true);
  });

  test.each(['rsa:2048', 'ec -pkeyopt ec_paramgen_curve:secp384r1'])('is read with a key of %s', (kind) => {
    openssl('req', '-newkey', ...kind.split(' '), '-nodes', '-keyout', 'k.key', '-subj', '/O=x', '-out', 'k.csr');
    expect(readCsr(readFileSync(file('k.csr'), 'utf8')).equals(createPublicKey(readFileSync(file('k.key'))))).toBe(
      true,
    );
  });

  test.each([
    ['rsa:512', /the key is RSA with 512 bits; use P-256/],
    ['rsa:1024', /the key is RSA with 1024 bits; use P-256/],
    ['ec -pkeyopt ec_paramgen_curve:secp521r1', /the key is of type ec secp521r1; use P-256/],
    ['ec -pkeyopt ec_paramgen_curve:secp256k1', /the key is of type ec secp256k1; use P-256/],
    ['ec -pkeyopt ec_paramgen_curve:prime256v1 -pkeyopt ec_param_enc:explicit', /explicit parameters/],
    ['ed25519', /the key is of type ed25519; use P-256/],
    ['ec -pkeyopt ec_paramgen_curve:prime256v1 -sha1', /is signed by the algorithm 1.2.840.10045.4.1; use SHA-256/],
  ])('with a key of %s is refused', (kind, why) => {
    openssl('req', '-newkey', ...kind.split(' '), '-nodes', '-keyout', 'k.key', '-subj', '/O=x', '-out', 'k.csr');
    expect(() => readCsr(readFileSync(file('k.csr'), 'utf8'))).toThrow(why);
  });

  test('that another key has signed is refused', () => {
    const other = createCsr(newKey());
    const [own, others] = [createCsr(key), other].map((pem) =>
      Buffer.from(pem.replaceAll(/-----.*-----/g, ''), 'base64'),
    );
    // The same layout: the signature of the one is put behind the content of the other.
    const mixed = Buffer.concat([own!.subarray(0, own!.length - 60), others!.subarray(others!.length - 60)]);
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${mixed.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(() => readCsr(pem)).toThrow(BadCsr);
  });

  const blockOf = (der: Buffer): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  test.each([
    ['', /is not one PEM block/],
    ['-----BEGIN CERTIFICATE REQUEST-----\n\n-----END CERTIFICATE REQUEST-----', /malformed/],
    [blockOf(Buffer.alloc(100)), /malformed/],
    [blockOf(Buffer.from('3080'.repeat(5000), 'hex')), /malformed/],
    [blockOf(Buffer.from('30820fff'.repeat(2500), 'hex')), /malformed/],
    [createCsr(key).repeat(2), /is not one PEM block/],
    [keyPem(key), /is not one PEM block/],
    ['x'.repeat(16 * 1024 + 1), /more than 16384 characters/],
  ])('that is none is refused: %#', (text, why) => {
    const beganAtMs = performance.now();
    expect(() => readCsr(text)).toThrow(BadCsr);
    expect(() => readCsr(text)).toThrow(why);
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
  });

  test('with any octet changed is refused', () => {
    const der = Buffer.from(createCsr(key).replaceAll(/-----.*-----/g, ''), 'base64');
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ 0x41;
      expect(() => readCsr(blockOf(changed)), `octet ${at}`).toThrow(BadCsr);
    }
  });
});

test('a text with several certificates is read in order; one without any, or with a broken one, is an error', () => {
  const [a, b] = [root(), root()].map(({ certificate }) => certificatePem(certificate));
  expect(certificatesOf(`# two\n${a}\n\n${b}`).map(certificatePem)).toEqual([a, b]);
  expect(() => certificatesOf('')).toThrow('it has no certificate in PEM');
  expect(() => certificatesOf(`${a}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----`)).toThrow(
    'its certificate 2 of 2 is malformed',
  );
});
