/** Who gets which secrets over the streams of the control plane. */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Authority } from '../../../src/identity/authority.ts';
import { CertificateService } from '../../../src/identity/service.ts';
import { WorkloadIdentities } from '../../../src/identity/workload-identities.ts';
import { ControlPlane } from '../../../src/mesh/control-plane.ts';
import { DEFAULT_SETTINGS } from '../../../src/mesh/model/mesh.ts';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { SILENT } from '../../../src/log/log.ts';
import { dialGrpc, listen, Status } from '../../../src/transport/index.ts';
import { XdsServer } from '../../../src/xds/index.ts';
import { until } from '../../e2e/sluice.ts';
import { TestRoots } from '../../parts/identity/test-roots.ts';
import { fixture, readMesh } from '../../parts/mesh/read-mesh.ts';
import { ADS, type ReceivedSecret, SDS, type SecretClientOptions, secretsOf } from '../../parts/secret-client.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const IDENTITY = 'spiffe://cluster.local/ns/default/sa/reviews';

interface Served {
  readonly authority: Authority;
  readonly roots: TestRoots;
  readonly ttl: { defaultMs: number; maxMs: number };
  readonly identities: WorkloadIdentities;
  readonly server: XdsServer;
  /** A stream on the secure port; its bearer token stands for the identity that it proves. */
  readonly ask: (
    options?: Partial<SecretClientOptions> & { readonly as?: string | undefined },
  ) => AsyncGenerator<readonly ReceivedSecret[]>;
}

async function serve(): Promise<Served> {
  const { mesh } = await readMesh(
    { 'services.yaml': fixture('services.yaml') },
    { ...DEFAULT_SETTINGS, identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } },
  );
  const roots = new TestRoots();
  const ttl = { defaultMs: 3_600_000, maxMs: 3_600_000 };
  const authority = new Authority(roots, 'cluster.local', ttl);
  const service = new CertificateService({ authority, identityOf: async () => undefined, log: SILENT });
  const identities = new WorkloadIdentities({
    authority,
    signerFor: (uri) => service.signerFor(uri),
    log: SILENT,
    lingerMs: 50,
  });
  const server = new XdsServer({
    source: new ControlPlane(mesh, '1', { identities }),
    authenticate: async (context) => context.metadata('authorization')?.slice('Bearer '.length),
  });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(
    () => identities[Symbol.dispose](),
    () => transport.drain(200),
  );
  return {
    authority,
    roots,
    ttl,
    identities,
    server,
    ask({ as, ...options } = {}) {
      const client = dialGrpc(`127.0.0.1:${transport.port}`);
      const over = new AbortController();
      ends.push(() => {
        over.abort();
        client.close();
      });
      return secretsOf(client, {
        path: ADS,
        names: ['default', 'ROOTCA'],
        id: 'sidecar~127.0.10.1~reviews-v1.default~default.svc.cluster.local',
        metadata: as === undefined ? {} : { authorization: `Bearer ${as}` },
        signal: over.signal,
        ...options,
      });
    },
  };
}

/** Both secrets, whether they come in one response or in two. */
async function both(stream: AsyncGenerator<readonly ReceivedSecret[]>) {
  const has = new Map<string, ReceivedSecret>();
  while (has.size < 2) {
    const next = await stream.next();
    if (next.done === true) throw new Error('the stream has ended');
    for (const secret of next.value) has.set(secret.name, secret);
  }
  const leaf = new X509Certificate(has.get('default')?.tls_certificate?.certificate_chain.inline_string ?? '');
  return {
    leaf,
    key: has.get('default')?.tls_certificate?.private_key.inline_string,
    roots: has.get('ROOTCA')?.validation_context?.trusted_ca.inline_string,
  };
}

test.for([ADS, SDS])(
  'a stream that has proven its identity gets the certificate of that identity: %s',
  async (path) => {
    const { ask, authority } = await serve();
    const { leaf, key, roots } = await both(ask({ as: IDENTITY, path }));
    expect(leaf.subjectAltName).toBe(`URI:${IDENTITY}`);
    expect(key).toContain('BEGIN PRIVATE KEY');
    expect(roots).toBe(authority.roots().join(''));
  },
);

test('a stream that has proven nothing gets no secret, whatever it says of itself', async () => {
  const { ask, authority } = await serve();
  const stream = ask({ nodeMetadata: { NAMESPACE: 'default', SERVICE_ACCOUNT: 'reviews' } });
  expect(await Promise.race([stream.next(), sleep(300, 'nothing')])).toBe('nothing');
  expect(authority.state.issued).toBe(0);
});

test('the identity of a proxy with an agent gets no key, which the agent has', async () => {
  const { ask, authority } = await serve();
  const stream = ask({ as: IDENTITY, nodeMetadata: { SDS_CLUSTER: 'sds-grpc' } });
  expect(await Promise.race([stream.next(), sleep(300, 'nothing')])).toBe('nothing');
  expect(authority.state.issued).toBe(0);
});

test.for([
  [
    'a node id of another namespace',
    { id: 'sidecar~127.0.10.1~reviews-v1.prod~prod.svc.cluster.local' },
    'claims the namespace "prod"',
  ],
  ['another namespace', { nodeMetadata: { NAMESPACE: 'prod' } }, 'claims the namespace "prod"'],
  ['another service account', { nodeMetadata: { SERVICE_ACCOUNT: 'admin' } }, 'claims the service account "admin"'],
  [
    'an identity of another trust domain',
    { as: 'spiffe://evil.example/ns/default/sa/reviews' },
    'of another trust domain',
  ],
  [
    'an identity that is not of a workload',
    { as: 'spiffe://cluster.local/machine/7' },
    'is not the identity of a workload',
  ],
] as const)('%s is refused', async ([, options, why]) => {
  const { ask, authority } = await serve();
  await expect(ask({ as: IDENTITY, ...options }).next()).rejects.toMatchObject({
    code: Status.PERMISSION_DENIED,
    message: expect.stringContaining(why),
  });
  expect(authority.state.issued).toBe(0);
});

test('a node that does not name its service account has the one that it has proven', async () => {
  const { mesh } = await readMesh({ 'services.yaml': fixture('services.yaml') });
  const id = 'sidecar~127.0.10.1~reviews-v1.default~default.svc.cluster.local';
  expect(memberOf({ id, metadata: {}, identity: IDENTITY }, mesh)).toMatchObject({ serviceAccount: 'reviews' });
  expect(memberOf({ id, metadata: {}, identity: undefined }, mesh)).toMatchObject({ serviceAccount: 'default' });
});

test('replicas share a certificate, and it is forgotten some time after the last has gone', async () => {
  const { ask, authority, identities } = await serve();
  const streams = [ask({ as: IDENTITY }), ask({ as: IDENTITY })];
  const [first, second] = await Promise.all(streams.map(both));
  expect(first?.key).toBe(second?.key);
  expect(authority.state.issued).toBe(1);
  const other = await both(ask({ as: 'spiffe://cluster.local/ns/default/sa/ratings' }));
  expect(other.key).not.toBe(first?.key);
  expect(identities.size).toBe(2);
  for (const end of ends.splice(2)) await end(); // the streams
  await until('nothing is kept', () => (identities.size === 0 ? true : undefined));
});

test('a renewal reaches the streams of its identity alone', async () => {
  const { ask, ttl } = await serve();
  ttl.defaultMs = 3000;
  const short = ask({ as: IDENTITY });
  const first = await both(short);
  ttl.defaultMs = 3_600_000;
  const long = ask({ as: 'spiffe://cluster.local/ns/default/sa/ratings' });
  await both(long);
  const renewed = (await short.next()).value as readonly ReceivedSecret[];
  expect(renewed.map(({ name }) => name)).toEqual(['default']);
  expect(renewed[0]?.tls_certificate?.private_key.inline_string).not.toBe(first.key);
  expect(await Promise.race([long.next(), sleep(300, 'nothing')])).toBe('nothing');
});

test('changed roots reach all streams, and all certificates are renewed', async () => {
  const { ask, roots: ofMesh } = await serve();
  const streams = [ask({ as: IDENTITY }), ask({ as: 'spiffe://cluster.local/ns/default/sa/ratings' })];
  const before = await Promise.all(streams.map(both));
  ofMesh.trustAnother();
  const after = await Promise.all(streams.map(both));
  for (const [at, { key, roots }] of after.entries()) {
    expect(roots?.match(/BEGIN/g)).toHaveLength(2);
    expect(key).not.toBe(before[at]?.key);
  }
});
