/** Istio's service of certificates, over real TLS. */
import { execFileSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  certificatePem,
  createCsr,
  issue,
  keyPem,
  newKey,
  selfSignedRoot,
  signingCertificate,
} from '../../../src/identity/certificate.ts';
import { JwtVerifier } from '../../../src/identity/jwt.ts';
import { openKeySet } from '../../../src/identity/key-set.ts';
import { SigningQueue } from '../../../src/identity/signing-queue.ts';
import { TokenReviewVerifier } from '../../../src/identity/token-review.ts';
import { Status } from '../../../src/transport/index.ts';
import { answers, startFakeKubeApi } from '../../parts/fake-kube-api.ts';
import { lines } from '../../parts/identity/lines.ts';
import {
  created,
  type Issuer,
  ISSUER,
  type SecurePort,
  securePort,
  type SecurePortOptions,
  tokenIssuer,
} from '../../parts/identity/secure-port.ts';
import { failureOf, waitUntil } from '../transport/serving.ts';
import { TLS } from '../transport/tls-of-tests.ts';

const ID = 'spiffe://cluster.local/ns/default/sa/reviews';
const key = newKey();
const csr = createCsr(key);
const FAILURE = { code: Status.UNAUTHENTICATED, message: 'request authenticate failure' };

let folder: string;
let issuer: Issuer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-service-'));
  issuer = await tokenIssuer();
  return () => rmSync(folder, { recursive: true, force: true });
});

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});
async function started(options: SecurePortOptions = {}): Promise<SecurePort> {
  const port = await securePort(options);
  stops.push(() => port.stop());
  return port;
}
async function byKeys(jwks: object = issuer.jwks, nowMs?: () => number): Promise<JwtVerifier> {
  const from = join(folder, 'jwks.json');
  writeFileSync(from, JSON.stringify(jwks));
  const keys = await openKeySet({ from, log: lines(), times: { everyMs: 20 } });
  return new JwtVerifier({ keys, issuer: ISSUER, audience: 'istio-ca', ...(nowMs === undefined ? {} : { nowMs }) });
}
const leafOf = ([leaf = '']: readonly string[]): X509Certificate => new X509Certificate(leaf);

describe('CreateCertificate', () => {
  test('answers a token with a leaf for its account, leaf first and root last, which OpenSSL verifies', async () => {
    const port = await started({ tokens: [await byKeys()] });
    const chain = await created(port.client(), { csr, token: await issuer.token() });
    expect(chain).toHaveLength(2);
    expect(chain.every((pem) => /^-----BEGIN CERTIFICATE-----\n[^]*\n-----END CERTIFICATE-----\n$/.test(pem))).toBe(
      true,
    );
    const leaf = leafOf(chain);
    expect(leaf.subjectAltName).toBe(`URI:${ID}`);
    expect(leaf.checkPrivateKey(key)).toBe(true);
    expect(leaf.validToDate.getTime() - Date.now()).toBeGreaterThan(24 * 3_600_000 - 60_000);
    expect(leaf.validToDate.getTime() - Date.now()).toBeLessThanOrEqual(24 * 3_600_000);
    expect(Date.now() - leaf.validFromDate.getTime()).toBeGreaterThanOrEqual(120_000);
    writeFileSync(join(folder, 'leaf.pem'), chain[0] ?? '');
    writeFileSync(join(folder, 'root.pem'), chain.at(-1) ?? '');
    expect(
      execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'root.pem', 'leaf.pem'], {
        cwd: folder,
        encoding: 'utf8',
      }),
    ).toContain('OK');
    expect(port.log.text).not.toContain('BEGIN');
  });

  test('signs for the caller, whatever names the CSR asks for', async () => {
    writeFileSync(join(folder, 'evil.key'), keyPem(key));
    execFileSync(
      'openssl',
      [
        'req',
        '-new',
        '-key',
        'evil.key',
        '-subj',
        '/CN=evil',
        '-addext',
        'subjectAltName=URI:spiffe://cluster.local/ns/default/sa/admin,DNS:bank.example',
        '-addext',
        'basicConstraints=critical,CA:TRUE',
        '-out',
        'evil.csr',
      ],
      { cwd: folder, stdio: 'pipe' },
    );
    const port = await started({ tokens: [await byKeys()] });
    const evil = execFileSync('cat', ['evil.csr'], { cwd: folder, encoding: 'utf8' });
    const leaf = leafOf(await created(port.client(), { csr: evil, token: await issuer.token() }));
    expect([leaf.subjectAltName, leaf.subject, leaf.ca]).toEqual([`URI:${ID}`, undefined, false]);
  });

  test('renews by the certificate that it has issued, without a token', async () => {
    const port = await started({ tokens: [await byKeys()] });
    const first = await created(port.client(), { csr, token: await issuer.token() });
    const client = port.client({ key: keyPem(key), cert: first[0] ?? '' });
    const next = newKey();
    const leaf = leafOf(await created(client, { csr: createCsr(next), seconds: 600n }));
    expect(leaf.subjectAltName).toBe(`URI:${ID}`);
    expect(leaf.checkPrivateKey(next)).toBe(true);
    expect(leaf.validToDate.getTime() - Date.now()).toBeLessThanOrEqual(600_000);
  });

  test.each([
    ['no CSR', { csr: '' }, /^CSR signing error \(the CSR is not one PEM block/],
    [
      "a CSR of a stranger's size",
      { csr: 'x'.repeat(1_000_000) },
      /^CSR signing error \(the CSR has more than 16384 characters\)/,
    ],
    [
      'a broken signature',
      { csr: csr.replace(/^(.{64}\n)(.)/m, (_, line: string, one: string) => `${line}${one === 'A' ? 'B' : 'A'}`) },
      /^CSR signing error/,
    ],
    [
      '100 days',
      { csr, seconds: 8_640_000n },
      /^CSR signing error \(the requested lifetime of 8640000 s is longer than the maximum of 7776000 s\)/,
    ],
    [
      'the longest int64 of seconds',
      { csr, seconds: 2n ** 63n - 1n },
      /^CSR signing error \(the requested lifetime is too long\)/,
    ],
  ])('%s is INVALID_ARGUMENT', async (_what, request, message) => {
    const port = await started({ tokens: [await byKeys()] });
    const failure = await failureOf(created(port.client(), { ...request, token: await issuer.token() }));
    expect(failure.code).toBe(Status.INVALID_ARGUMENT);
    expect(failure.message).toMatch(message);
    expect(port.service.refusals['bad request']).toBe(1);
  });

  test('less than a second of lifetime, or a negative one, is the default', async () => {
    const port = await started({ tokens: [await byKeys()] });
    const leaf = leafOf(await created(port.client(), { csr, seconds: -5n, token: await issuer.token() }));
    expect(leaf.validToDate.getTime() - Date.now()).toBeGreaterThan(23 * 3_600_000);
  });

  test('a caller that proves nothing, or wants to act for another, is UNAUTHENTICATED', async () => {
    const port = await started({ tokens: [await byKeys()] });
    expect(await failureOf(created(port.client(), { csr }))).toMatchObject(FAILURE);
    const impersonating = {
      csr,
      token: await issuer.token(),
      metadata: { ImpersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b' },
    };
    expect(await failureOf(created(port.client(), impersonating))).toMatchObject({ code: Status.UNAUTHENTICATED });
  });

  test('bytes that are no request are INVALID_ARGUMENT', async () => {
    const port = await started();
    const call = port
      .client()
      .unary('/istio.v1.auth.IstioCertificateService/CreateCertificate', new Uint8Array([10, 200, 1]));
    expect(await failureOf(call)).toMatchObject({ code: Status.INVALID_ARGUMENT, message: 'the request is malformed' });
  });

  test('a signing certificate that has ended is UNAVAILABLE, and a line of the log', async () => {
    const port = await started({ tokens: [await byKeys()], rootTtlMs: 2000 });
    const client = port.client();
    const token = await issuer.token();
    await created(client, { csr, token });
    await port.authority.close(); // a clock that jumps: no new root is made in time
    await waitUntil(() => Date.now() > port.authority.state.signerEndsAtMs, 'it has ended');
    expect(await failureOf(created(client, { csr, token }))).toMatchObject({ code: Status.UNAVAILABLE });
    expect(port.log.of('no certificate can be issued')).toHaveLength(1);
  });
});

describe('a caller with a certificate', () => {
  const identity = async (port: SecurePort, uri: string, options?: { readonly ttlMs?: number }) =>
    leafOf(await created(port.client(port.pairOf(uri, options)), { csr })).subjectAltName;

  test('of an alias of the trust domain gets one of the trust domain itself', async () => {
    const port = await started({ aliases: ['old.example'] });
    expect(await identity(port, 'spiffe://old.example/ns/a/sa/b')).toBe('URI:spiffe://cluster.local/ns/a/sa/b');
  });

  test.each([
    [
      'of another trust domain',
      'spiffe://other.example/ns/a/sa/b',
      /is of the trust domain other.example; allow it with --trust-domain-aliases/,
    ],
    ['of no workload', 'spiffe://cluster.local/something', /is for no workload/],
    ['of the trust domain itself', 'spiffe://cluster.local', /is for no workload/],
    ['that is no SPIFFE ID', 'https://cluster.local/ns/a/sa/b', /is for no workload/],
  ])('%s is refused, and the log says why', async (_what, uri, why) => {
    const port = await started();
    expect(await failureOf(created(port.client(port.pairOf(uri)), { csr }))).toMatchObject(FAILURE);
    expect(port.log.of('does not prove who it is')).toEqual([expect.stringMatching(why)]);
    expect(port.callers.refused).toBe(1);
  });

  test('with a token too is who its certificate says, or else who its token says', async () => {
    const port = await started({ tokens: [await byKeys()] });
    const [good, strange] = [
      port.pairOf('spiffe://cluster.local/ns/a/sa/b'),
      port.pairOf('spiffe://other.example/ns/a/sa/b'),
    ];
    const token = await issuer.token();
    expect(leafOf(await created(port.client(good), { csr, token })).subjectAltName).toContain('/ns/a/sa/b');
    expect(leafOf(await created(port.client(strange), { csr, token })).subjectAltName).toBe(`URI:${ID}`);
  });

  test('that ends while it is connected is refused from then on', async () => {
    const port = await started();
    const client = port.client(port.pairOf(ID, { ttlMs: 2000 }));
    await created(client, { csr });
    await waitUntil(
      () => port.log.of('has ended since it connected').length > 0 || Date.now() % 50 < 10,
      'time passes',
    );
    await new Promise((resolve) => setTimeout(resolve, 2100));
    expect(await failureOf(created(client, { csr }))).toMatchObject(FAILURE);
    expect(port.log.of('has ended since it connected')).toHaveLength(1);
  });

  test('of another authority does not even connect', async () => {
    const port = await started();
    const rootKey = newKey();
    const { pem } = selfSignedRoot({ key: rootKey, trustDomain: 'cluster.local', ttlMs: 3_600_000 }, Date.now());
    const other = signingCertificate(new X509Certificate(pem), rootKey);
    const forged = {
      key: keyPem(key),
      cert: issue(other, { publicKey: createPublicKey(key), uri: ID, ttlMs: 60_000 }, Date.now()).pem,
    };
    expect(await failureOf(created(port.client(forged), { csr, timeoutMs: 3000 }))).not.toMatchObject({
      code: Status.OK,
    });
    expect(port.authority.state.issued).toBe(1); // its own
    // A root may authenticate nobody, though it verifies.
    expect(certificatePem(other.certificate)).toBe(pem);
  });
});

describe('a caller with a token', () => {
  test.each([
    ['of another audience', async () => issuer.token('default:reviews', { aud: ['kubernetes'] })],
    ['without an audience', async () => issuer.token('default:reviews', { aud: undefined })],
    ['of another issuer', async () => issuer.token('default:reviews', { iss: 'https://evil.example' })],
    ['that has ended', async () => issuer.token('default:reviews', { exp: Math.floor(Date.now() / 1000) - 60 })],
    ['that never ends', async () => issuer.token('default:reviews', { exp: undefined })],
    [
      'that is not valid yet',
      async () => issuer.token('default:reviews', { nbf: Math.floor(Date.now() / 1000) + 600 }),
    ],
    ['of no service account', async () => issuer.token('x', { sub: 'alice' })],
    [
      'whose claims disagree',
      async () =>
        issuer.token('default:reviews', {
          'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'admin' } },
        }),
    ],
    [
      'with a namespace that no SPIFFE ID has',
      async () => issuer.token('a/sa/admin:b', { 'kubernetes.io': undefined }),
    ],
    ['signed by another key of the same name', async () => (await tokenIssuer()).token()],
    ['signed by a key that nobody knows', async () => (await tokenIssuer('two')).token()],
    ['that is cut', async () => (await issuer.token()).slice(0, -10)],
    ['that is no token', () => Promise.resolve('abc')],
    ['that is too long', async () => issuer.token('default:reviews', { more: 'x'.repeat(10_000) })],
    [
      'without a signature',
      async () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await issuer.token()).split('.')[1]}.`,
    ],
  ])('%s is refused', async (_what, token) => {
    const port = await started({ tokens: [await byKeys()] });
    const failure = await failureOf(created(port.client(), { csr, token: await token() }));
    expect(failure).toMatchObject(FAILURE);
    expect(port.authority.state.issued).toBe(1);
    const [line = ''] = port.log.of('does not prove');
    expect(line.length).toBeLessThan(600);
  });

  test('signed with the public key as a shared secret is refused', async () => {
    const port = await started({
      tokens: [await byKeys({ keys: [...issuer.jwks.keys, { kty: 'oct', k: 'AAAA', kid: 'shared', alg: 'HS256' }] })],
    });
    const head = Buffer.from('{"alg":"HS256","kid":"shared"}').toString('base64url');
    expect(
      await failureOf(created(port.client(), { csr, token: `${head}.${(await issuer.token()).split('.')[1]}.AAAA` })),
    ).toMatchObject(FAILURE);
  });

  test('without a key id is tried with each key of the set', async () => {
    const [a, b] = [await tokenIssuer('', 'ES256'), await tokenIssuer('', 'ES256')];
    const keys = [...a.jwks.keys, ...b.jwks.keys].map((one) => ({ ...one, kid: undefined }));
    const port = await started({ tokens: [await byKeys({ keys })] });
    expect(leafOf(await created(port.client(), { csr, token: await b.token() })).subjectAltName).toBe(`URI:${ID}`);
    expect(
      await failureOf(created(port.client(), { csr, token: await (await tokenIssuer('', 'ES256')).token() })),
    ).toMatchObject(FAILURE);
  });

  test('is refused where no tokens are checked, and the log names the flags', async () => {
    const port = await started();
    expect(await failureOf(created(port.client(), { csr, token: await issuer.token() }))).toMatchObject(FAILURE);
    expect(port.log.text).toContain('give --jwks, --kubeconfig or --in-cluster');
  });

  test('of a new key is served once the file of the key set has it; a bad file changes nothing', async () => {
    const port = await started({ tokens: [await byKeys()] });
    const next = await tokenIssuer('two');
    writeFileSync(join(folder, 'jwks.json'), '{"keys": [');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await created(port.client(), { csr, token: await issuer.token() });
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [...issuer.jwks.keys, ...next.jwks.keys] }));
    const token = await next.token();
    await expect
      .poll(() =>
        created(port.client(), { csr, token }).then(
          () => 'served',
          () => 'refused',
        ),
      )
      .toBe('served');
  });
});

describe('a key set at a URL', () => {
  interface Web {
    readonly url: string;
    /** Or `hang`. */
    answer: string;
    asked: number;
    stop(): Promise<unknown>;
  }
  async function web(port = 0): Promise<Web> {
    const server = createServer(TLS, (_request, response) => {
      made.asked++;
      if (made.answer === 'hang') return;
      response.end(made.answer);
    });
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    const made: Web = {
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
      answer: JSON.stringify(issuer.jwks),
      asked: 0,
      stop: () =>
        new Promise((resolve) => {
          server.close(resolve);
          server.closeAllConnections();
        }),
    };
    stops.push(() => made.stop());
    return made;
  }
  const verifierOf = (url: string, log = lines()) => {
    const keys = openKeySet({
      from: url,
      ca: TLS.cert,
      log,
      times: { everyMs: 60_000, pauseMs: 50, answerWithinMs: 300 },
    });
    return Promise.resolve(keys).then(
      (opened) => new JwtVerifier({ keys: opened, issuer: ISSUER, audience: 'istio-ca' }),
    );
  };

  test('that is away, or hangs, is UNAVAILABLE within its timeout, and is served once it answers', async () => {
    const site = await web();
    site.answer = 'hang';
    const log = lines();
    const port = await started({ tokens: [await verifierOf(site.url, log)] });
    const token = await issuer.token();
    const beganAtMs = performance.now();
    const failure = await failureOf(created(port.client(), { csr, token }));
    expect(failure).toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringContaining('it did not answer in time') as string,
    });
    expect(performance.now() - beganAtMs).toBeLessThan(9000);
    expect(log.of('cannot be fetched')).toHaveLength(1);
    site.answer = JSON.stringify(issuer.jwks);
    await expect
      .poll(() =>
        created(port.client(), { csr, token }).then(
          () => 'served',
          () => 'refused',
        ),
      )
      .toBe('served');
    await site.stop();
    await created(port.client(), { csr, token }); // the keys stay
    const other = await (await tokenIssuer('two')).token();
    expect(await failureOf(created(port.client(), { csr, token: other }))).toMatchObject(FAILURE);
    await created(port.client(), { csr, token });
  });

  test('is fetched again for an unknown key, and a flood of unknown keys is one fetch', async () => {
    const site = await web();
    const port = await started({ tokens: [await verifierOf(site.url)] });
    await created(port.client(), { csr, token: await issuer.token() });
    const next = await tokenIssuer('two');
    site.answer = JSON.stringify({ keys: [...issuer.jwks.keys, ...next.jwks.keys] });
    await new Promise((resolve) => setTimeout(resolve, 60));
    await created(port.client(), { csr, token: await next.token() });
    const unknown = await (await tokenIssuer('three')).token();
    const before = site.asked;
    const client = port.client();
    await Promise.all(Array.from({ length: 100 }, () => failureOf(created(client, { csr, token: unknown }))));
    expect(site.asked - before).toBeLessThan(10);
  });

  test.each([
    ['html', '<html>'],
    ['no keys', '{"keys":[]}'],
    ['300 KB', 'x'.repeat(300_000)],
  ])('with %s is UNAVAILABLE', async (_what, answer) => {
    const site = await web();
    site.answer = answer;
    const port = await started({ tokens: [await verifierOf(site.url)] });
    expect(await failureOf(created(port.client(), { csr, token: await issuer.token() }))).toMatchObject({
      code: Status.UNAVAILABLE,
    });
  });

  test('over http is refused at the start', () => {
    expect(() => openKeySet({ from: 'http://127.0.0.1/keys', log: lines() })).toThrow('is not an https URL');
  });
});

describe('a token review', () => {
  const USER = 'system:serviceaccount:default:reviews';
  async function reviewed(options: { readonly answerWithinMs?: number } = {}) {
    const api = await startFakeKubeApi();
    stops.push(() => api.stop());
    const server = () => Promise.resolve({ url: api.url, token: 'ours', tls: { ca: api.ca } });
    const log = lines();
    const port = await started({
      tokens: [new TokenReviewVerifier({ server, audience: 'istio-ca', log, ...options })],
    });
    const answer = (status: object): void => {
      api.always = () => (response) => {
        response.writeHead(201, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ kind: 'TokenReview', status }));
      };
    };
    return { api, port, log, answer };
  }

  test('names the account of a token, which the server itself does not read', async () => {
    const { api, port, answer } = await reviewed();
    answer({ authenticated: true, user: { username: USER }, audiences: ['istio-ca'] });
    expect(leafOf(await created(port.client(), { csr, token: 'opaque' })).subjectAltName).toBe(`URI:${ID}`);
    expect(api.requests[0]).toMatchObject({
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      headers: { authorization: 'Bearer ours' },
    });
  });

  test.each([
    ['is not authenticated', { authenticated: false, error: 'token has expired' }],
    ['is of a person', { authenticated: true, user: { username: 'alice' }, audiences: ['istio-ca'] }],
    ['is for another audience', { authenticated: true, user: { username: USER }, audiences: ['kubernetes'] }],
    ['is of a server that knows no audiences', { authenticated: true, user: { username: USER } }],
    ['has no status', {}],
  ])('a token that %s is refused', async (_what, status) => {
    const { port, answer } = await reviewed();
    answer(status);
    expect(await failureOf(created(port.client(), { csr, token: 'opaque' }))).toMatchObject(FAILURE);
  });

  test('of a server that is away, hangs or forbids it is UNAVAILABLE, with one line and one when it is back', async () => {
    const { api, port, log, answer } = await reviewed({ answerWithinMs: 300 });
    api.always = () => answers(403, 'tokenreviews is forbidden');
    expect((await failureOf(created(port.client(), { csr, token: 'opaque' }))).message).toMatch(
      /403.*is forbidden.*grant create on this resource/,
    );
    api.always = () => () => undefined; // hangs
    expect((await failureOf(created(port.client(), { csr, token: 'opaque' }))).message).toMatch(
      /has not reviewed a token within 300 ms|is silent/,
    );
    expect(log.of('does not review tokens')).toHaveLength(1);
    answer({ authenticated: true, user: { username: USER }, audiences: ['istio-ca'] });
    await created(port.client(), { csr, token: 'opaque' });
    expect(log.of('reviews tokens again')).toHaveLength(1);
  });

  test('reads our own credentials again when the server does not take them', async () => {
    const { api, port, answer } = await reviewed();
    answer({ authenticated: true, user: { username: USER }, audiences: ['istio-ca'] });
    api.next.push(answers(401));
    await created(port.client(), { csr, token: 'opaque' });
  });
});

describe('many requests at once', () => {
  test('beyond the limit are RESOURCE_EXHAUSTED at once, and the others are served', async () => {
    const port = await started({ tokens: [await byKeys()], maxCalls: 100 });
    const clients = Array.from({ length: 4 }, () => port.client());
    const token = await issuer.token();
    const codes = await Promise.all(
      Array.from({ length: 1000 }, (_, at) =>
        created(clients[at % 4] as (typeof clients)[number], { csr, token }).then(
          () => 'served',
          (error: { readonly code: number }) => error.code,
        ),
      ),
    );
    expect(new Set(codes)).toEqual(new Set(['served', Status.RESOURCE_EXHAUSTED]));
    expect(codes.filter((code) => code === 'served').length).toBeGreaterThanOrEqual(100);
    expect(port.service.refusals['overload']).toBe(codes.filter((code) => code !== 'served').length);
    await created(port.client(), { csr, token });
  });

  test('whose callers have left are not signed', async () => {
    const port = await started({ tokens: [await byKeys()] });
    const client = port.client();
    const token = await issuer.token();
    await created(client, { csr, token });
    const before = port.authority.state.issued;
    const leaving = new AbortController();
    const calls = Array.from({ length: 500 }, () =>
      created(client, { csr, token, signal: leaving.signal }).catch(() => 'left'),
    );
    await waitUntil(() => port.authority.state.issued > before + 10, 'some are signed');
    leaving.abort();
    await Promise.all(calls);
    const after = port.authority.state.issued;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(port.authority.state.issued - after).toBeLessThan(50); // those under way
    expect(after - before).toBeLessThan(500);
    expect(port.log.of('error fault')).toEqual([]);
  });

  test('leave turns of the event loop to others', async () => {
    const queue = new SigningQueue();
    let turns = 0;
    let isOver = false;
    const others = (async () => {
      for (; !isOver; turns++) await new Promise(setImmediate);
    })();
    const { signal } = new AbortController();
    const spin = (): void => {
      for (const endMs = performance.now() + 2; performance.now() < endMs;);
    };
    await Promise.all(Array.from({ length: 100 }, () => queue.run(spin, signal)));
    isOver = true;
    await others;
    expect(turns).toBeGreaterThan(20); // 200 ms of work, a turn at least each 7 ms
  });

  test('wait in a bounded queue, whose work may throw', async () => {
    const queue = new SigningQueue(2);
    const { signal } = new AbortController();
    const bad = (): never => {
      throw new Error('bad');
    };
    const all = await Promise.allSettled([queue.run(() => 1, signal), queue.run(bad, signal)]);
    expect(all).toMatchObject([{ value: 1 }, { reason: new Error('bad') }]);
    await expect(queue.run(() => 2, AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
    const slow = (): void => {
      for (const endMs = performance.now() + 10; performance.now() < endMs;);
    };
    // After it the slice is over: one is at its turn, two wait.
    expect(() => Array.from({ length: 5 }, () => queue.run(slow, signal))).toThrow(
      '2 requests for certificates are waiting',
    );
  });
});
