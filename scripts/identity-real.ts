/**
 * `npm run identity:real`: tokens of service accounts from a real kube-apiserver, which Go builds into .cache on first use: reviewed by it,
 * and checked by its public keys. Takes half a minute.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCsr, newKey } from '../src/identity/certificate.ts';
import { JwtVerifier } from '../src/identity/jwt.ts';
import { openKeySet } from '../src/identity/key-set.ts';
import { TokenReviewVerifier } from '../src/identity/token-review.ts';
import type { TokenProof, TokenVerifier } from '../src/identity/token-accounts.ts';
import { GrpcError, Status } from '../src/transport/index.ts';
import { lines } from '../test/parts/identity/lines.ts';
import { created, securePort } from '../test/parts/identity/secure-port.ts';
import { startKubeApiServer } from '../test/parts/kube-apiserver.ts';

const AUDIENCE = 'istio-ca';
const server = await startKubeApiServer();
const folder = await mkdtemp(join(tmpdir(), 'sluice-identity-real-'));
const log = lines();
try {
  await main();
} finally {
  await server.stop();
  await rm(folder, { recursive: true });
}

async function main(): Promise<void> {
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  for (const name of ['reviews', 'gone', 'sluice'])
    await server.call('POST', '/api/v1/namespaces/shop/serviceaccounts', { metadata: { name } });
  const token = await tokenOf('reviews', AUDIENCE);
  const own = await tokenOf('sluice');
  const read = () => Promise.resolve({ url: server.url, token: own, tls: { ca: server.ca } });
  const reviews = new TokenReviewVerifier({ server: read, audience: AUDIENCE, log, answerWithinMs: 3000 });

  const forbidden = await failure(reviews, token);
  assert.equal(forbidden.code, Status.UNAVAILABLE);
  assert.match(forbidden.message, /403.*forbidden.*grant create on this resource/);
  ok('without the right to create tokenreviews: UNAVAILABLE, with the cause');

  await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'sluice' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
    subjects: [{ kind: 'ServiceAccount', namespace: 'shop', name: 'sluice' }],
  });
  await until(async () => 'serviceAccount' in (await proof(reviews, token).catch(() => ({}))));
  assert.deepEqual(await proof(reviews, token), { namespace: 'shop', serviceAccount: 'reviews' });
  ok('with the role system:auth-delegator: the account of the token');

  const jwks = join(folder, 'jwks.json');
  await writeFile(jwks, JSON.stringify(await server.call('GET', '/openid/v1/jwks')));
  const keys = await openKeySet({ from: jwks, log });
  const byKeys = new JwtVerifier({ keys, issuer: 'https://kubernetes.default.svc', audience: AUDIENCE });
  assert.deepEqual(await proof(byKeys, token), { namespace: 'shop', serviceAccount: 'reviews' });
  ok('the same by the public keys of the server');

  for (const verifier of [reviews, byKeys]) {
    assert.ok('refused' in (await proof(verifier, own)));
    assert.ok('refused' in (await proof(verifier, `${token.slice(0, -20)}${'A'.repeat(20)}`)));
    assert.ok('refused' in (await proof(verifier, 'no token')));
  }
  ok('a token for the API server itself, one with another signature, and none are refused by both');

  const gone = await tokenOf('gone', AUDIENCE);
  await server.call('DELETE', '/api/v1/namespaces/shop/serviceaccounts/gone');
  await until(async () => 'refused' in (await proof(reviews, gone)));
  ok('a token of an account that was deleted is refused');

  const port = await securePort({ tokens: [reviews] });
  const [leaf = ''] = await created(port.client(), { csr: createCsr(newKey()), token });
  assert.equal(new X509Certificate(leaf).subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/reviews');
  ok('CreateCertificate issues a certificate for it');

  server.freeze();
  const beganAtMs = performance.now();
  assert.equal((await failure(reviews, token)).code, Status.UNAVAILABLE);
  assert.ok(performance.now() - beganAtMs < 10_000);
  server.thaw();
  await until(async () => 'serviceAccount' in (await proof(reviews, token).catch(() => ({}))));
  ok('a frozen server: UNAVAILABLE within the timeout, and served again afterwards');
  await port.stop();
  await byKeys.close();
}

async function tokenOf(name: string, audience?: string): Promise<string> {
  const spec = { expirationSeconds: 3600, ...(audience === undefined ? {} : { audiences: [audience] }) };
  const { status } = (await server.call('POST', `/api/v1/namespaces/shop/serviceaccounts/${name}/token`, { spec })) as {
    readonly status: { readonly token: string };
  };
  return status.token;
}

function proof(verifier: TokenVerifier, token: string): Promise<TokenProof> {
  return verifier.verify(token, new AbortController().signal);
}

async function failure(verifier: TokenVerifier, token: string): Promise<GrpcError> {
  const thrown = await proof(verifier, token).catch((error: unknown) => error);
  if (thrown instanceof GrpcError) return thrown;
  throw new Error(`no GrpcError, but ${JSON.stringify(thrown)}`);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + 30_000; !(await holds());) {
    if (Date.now() > endMs) throw new Error(`waited 30 s in vain for ${String(holds)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function ok(what: string): void {
  process.stdout.write(`ok  ${what}\n`);
}
