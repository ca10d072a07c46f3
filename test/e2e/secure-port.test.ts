/** `sluice mesh --secure`: certificates for workloads, in a process of its own, over real TLS. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCsr, keyPem, newKey } from '../../src/identity/certificate.ts';
import { dialGrpc, GrpcError, type GrpcClient, Status } from '../../src/transport/index.ts';
import { CLUSTER, SECRET } from '../../src/xds/index.ts';
import { type FakeKubeApi, startFakeKubeApi } from '../parts/fake-kube-api.ts';
import { asked } from '../parts/identity/asked.ts';
import { created, type Issuer, ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { type Program, program, run } from './command.ts';
import { until } from './sluice.ts';

const MESH = serviceEntry('reviews', [{ address: '127.0.0.1' }]);

let issuer: Issuer;
beforeAll(async () => {
  issuer = await tokenIssuer();
});

let folder: string;
const ends: (() => Promise<unknown>)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-secure-'));
  writeFileSync(join(folder, 'mesh.yaml'), MESH);
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify(issuer.jwks));
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string): string => join(folder, name);
const roots = (): string => readFileSync(path('ca/root-cert.pem'), 'utf8');

interface Served extends Program {
  readonly xds: string;
  readonly secure: string;
  readonly admin: string;
}

const ARGS = ['--xds', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--secure', '127.0.0.1:0'];
async function served(...flags: readonly string[]): Promise<Served> {
  const tokens = ['--jwks', path('jwks.json'), '--token-issuer', ISSUER];
  const own = flags.includes('--root-cert') ? [] : ['--ca-folder', path('ca')];
  const running = await program(['mesh', path('mesh.yaml'), ...ARGS, ...tokens, ...own, ...flags], /Ctrl-C stops it/);
  ends.push(() => running.stop());
  const at = (name: string): string =>
    new RegExp(`${name} +(?:http://)?(127.0.0.1:\\d+)`).exec(running.err())?.[1] ?? '';
  return { ...running, xds: at('xDS'), secure: at('secure'), admin: at('admin') };
}

function client(address: string, pair?: { readonly key: string; readonly cert: string }, ca = roots()): GrpcClient {
  const made = dialGrpc(address, {
    tls: {
      ca: Buffer.from(ca),
      ...(pair === undefined ? {} : { key: Buffer.from(pair.key), cert: Buffer.from(pair.cert) }),
    },
  });
  ends.push(() => Promise.resolve(made.close()));
  return made;
}

async function workload(
  at: GrpcClient,
  account = 'default:reviews',
): Promise<{ readonly key: string; readonly cert: string }> {
  const key = newKey();
  const chain = await created(at, { csr: createCsr(key), token: await issuer.token(account) });
  return { key: keyPem(key), cert: chain.slice(0, -1).join('') };
}

/** A cluster with the namespace shop, and the flags that lead to it. */
async function cluster(): Promise<{ readonly api: FakeKubeApi; readonly flags: readonly string[] }> {
  const api = await startFakeKubeApi();
  ends.push(() => api.stop());
  api.put('namespaces', { metadata: { name: 'shop', namespace: '' } });
  const ca = Buffer.from(api.ca).toString('base64');
  const config = {
    'current-context': 'fake',
    contexts: [{ name: 'fake', context: { cluster: 'fake' } }],
    clusters: [{ name: 'fake', cluster: { server: api.url, 'certificate-authority-data': ca } }],
  };
  writeFileSync(path('kubeconfig'), JSON.stringify(config));
  return { api, flags: ['--kubeconfig', path('kubeconfig')] };
}
/** The roots in the ConfigMap of the namespace shop. */
const rootsOfShop = (api: FakeKubeApi): string | undefined =>
  (api.all('configmaps')[0] as { data?: Record<string, string> } | undefined)?.data?.['root-cert.pem'];

const failure = async (call: Promise<unknown>): Promise<GrpcError> => {
  const thrown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof GrpcError) return thrown;
  throw new Error(`no GrpcError, but ${String(thrown)}`);
};

describe('the secure port', () => {
  test('gives a token a certificate, and the secrets of that identity to a stream with it; the plain port gives neither', async () => {
    const server = await served();
    const first = client(server.secure);
    const pair = await workload(first);
    writeFileSync(path('leaf.pem'), pair.cert);
    expect(
      execFileSync('openssl', ['verify', '-CAfile', path('ca/root-cert.pem'), path('leaf.pem')], { encoding: 'utf8' }),
    ).toContain('OK');
    const [secret = ''] = await asked(client(server.secure, pair), SECRET, ['default']);
    expect(secret).toContain('BEGIN PRIVATE KEY');
    const [leaf = ''] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(secret) ?? [];
    expect(new X509Certificate(leaf).subjectAltName).toBe('URI:spiffe://cluster.local/ns/default/sa/reviews');

    const plain = dialGrpc(server.xds);
    ends.push(() => Promise.resolve(plain.close()));
    expect(await failure(created(plain, { csr: createCsr(newKey()), token: await issuer.token() }))).toMatchObject({
      code: Status.UNIMPLEMENTED,
    });
    expect((await asked(plain, CLUSTER)).length).toBeGreaterThan(0);

    const state = (await (await fetch(`http://${server.admin}/mesh/identity`)).json()) as object;
    expect(state).toMatchObject({
      trustDomain: 'cluster.local',
      roots: [{ subject: 'O=cluster.local' }],
      refused: { unauthenticated: 0 },
    });
    expect(server.err()).not.toContain('PRIVATE');
    expect(await server.stop()).toBe(0);
  });

  test('is that of a control plane of Istio, by name', async () => {
    const server = await served('--secure-names', 'mesh.example,10.0.0.7');
    const [, port] = server.secure.split(':');
    for (const servername of ['istiod.istio-system.svc', 'istio-pilot.istio-system.svc', 'localhost', 'mesh.example']) {
      const socket = connect({ host: '127.0.0.1', port: Number(port), servername, ca: roots(), ALPNProtocols: ['h2'] });
      await new Promise((resolve, reject) => {
        socket.once('secureConnect', resolve).once('error', reject);
      });
      expect(socket.authorized).toBe(true);
      socket.destroy();
    }
  });

  test('keeps its root over a restart: certificates of the first run are known in the second', async () => {
    const server = await served();
    const pair = await workload(client(server.secure));
    await server.stop();
    const again = await served();
    const chain = await created(client(again.secure, pair), { csr: createCsr(newKey()) });
    expect(new X509Certificate(chain[0] ?? '').subjectAltName).toContain('/sa/reviews');
  });

  test('writes its roots into no namespace with --root-config-maps off', async () => {
    const { api, flags } = await cluster();
    const server = await served(...flags, '--root-config-maps', 'off');
    expect(await (await fetch(`http://${server.admin}/mesh/identity`)).json()).toMatchObject({ rootConfigMaps: null });
    expect(api.requests.filter((one) => /namespaces|configmaps/.test(one.path))).toEqual([]);
  });

  test('serves while its root is rotated by files, with certificates of the old and the new, takes the certificate of the new itself, and writes all roots into each namespace', async () => {
    const openssl = (command: string): void => {
      execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'pipe' });
    };
    const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9';
    for (const name of ['a', 'b']) openssl(`req -x509 ${key} -keyout ${name}.key -out ${name}.pem -subj /O=${name}`);
    const put = (trusted: readonly string[], signs: string): void => {
      cpSync(path(`${signs}.pem`), path('cert.pem'));
      cpSync(path(`${signs}.key`), path('key.pem'));
      writeFileSync(path('roots.pem'), trusted.map((name) => readFileSync(path(`${name}.pem`), 'utf8')).join(''));
    };
    put(['a'], 'a');
    const { api, flags } = await cluster();
    const server = await served(
      ...flags,
      '--root-cert',
      path('roots.pem'),
      '--signing-cert',
      path('cert.pem'),
      '--signing-key',
      path('key.pem'),
    );
    const [rootA = '', rootB = ''] = ['a', 'b'].map((name) => readFileSync(path(`${name}.pem`), 'utf8'));
    const all = rootA + rootB;
    await until('the root is in the namespace', () => rootsOfShop(api) === rootA);
    let pair = await workload(client(server.secure, undefined, all));
    let isOver = false;
    const failures: string[] = [];
    let calls = 0;
    // A workload that trusts what it was told last, and connects anew for each certificate.
    const working = (async () => {
      for (let trusted = all; !isOver; calls++) {
        const own = newKey();
        const at = dialGrpc(server.secure, {
          tls: { ca: Buffer.from(trusted), key: Buffer.from(pair.key), cert: Buffer.from(pair.cert) },
        });
        try {
          const chain = await created(at, { csr: createCsr(own), timeoutMs: 10_000 });
          pair = { key: keyPem(own), cert: chain.slice(0, -1).join('') };
          trusted = chain.at(-1) ?? '';
        } catch (error) {
          failures.push(String(error));
        } finally {
          at.close();
        }
      }
    })();
    const issuers = (): string | undefined => new X509Certificate(pair.cert).issuer;
    const count = async (): Promise<number> =>
      ((await (await fetch(`http://${server.admin}/mesh/identity`)).json()) as { readonly roots: readonly object[] })
        .roots.length;
    put(['a', 'b'], 'a');
    await until('both are trusted', async () => (await count()) === 2);
    await until('both are in the namespace', () => rootsOfShop(api) === all);
    put(['a', 'b'], 'b');
    await until('the new one signs', () => issuers() === 'O=b');
    put(['b'], 'b');
    await until('the old one is dropped', async () => (await count()) === 1);
    await until('the new one alone is in the namespace', () => rootsOfShop(api) === rootB);
    const at = calls;
    await until('calls go on', () => calls > at + 5);
    isOver = true;
    await working;
    expect(failures).toEqual([]);
    // Its own certificate is of the new root by now.
    await client(server.secure, pair, readFileSync(path('b.pem'), 'utf8'))
      .unary('/none/None', new Uint8Array())
      .catch((error: GrpcError) => {
        expect(error.code).toBe(Status.UNIMPLEMENTED);
      });
  }, 60_000);

  test.each([
    [['--ca-folder', 'FOLDER/mesh.yaml'], /CLI_CA .*--ca-folder/],
    [['--jwks', 'FOLDER/none.json', '--token-issuer', 'x'], /CLI_CA .*--jwks .*none.json cannot be read/],
    [['--root-cert', 'x'], /CLI_USAGE .*go together/],
  ])('%j do not start, with the reason', async (flags, why) => {
    const { code, err } = await run([
      'mesh',
      path('mesh.yaml'),
      ...ARGS,
      ...flags.map((flag) => flag.replace('FOLDER', folder)),
    ]);
    expect(code).not.toBe(0);
    expect(err.replaceAll('\n', ' ')).toMatch(why);
  });
});

describe('a burst', () => {
  const residentBytes = (pid: number): number =>
    Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;

  /** The code of each call. */
  async function burst(at: readonly GrpcClient[], calls: number, token: string): Promise<Map<number, number>> {
    const csr = createCsr(newKey());
    const codes = new Map<number, number>();
    await Promise.all(
      Array.from({ length: calls }, async (_, one) => {
        const code = await created(at[one % at.length] as GrpcClient, { csr, token, timeoutMs: 60_000 }).then(
          () => Status.OK,
          (error: GrpcError) => error.code,
        );
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }),
    );
    return codes;
  }

  test('is served, memory stays bounded, and proxies get their configuration meanwhile', async () => {
    const server = await served();
    const [own = client(server.secure), ...clients] = Array.from({ length: 9 }, () => client(server.secure));
    const pair = await workload(own);
    const proxy = client(server.secure, pair);
    await asked(proxy, CLUSTER);
    const before = residentBytes(server.pid);
    let isOver = false;
    let most = 0;
    const waits: number[] = [];
    const watching = (async () => {
      while (!isOver) {
        const beganAtMs = performance.now();
        await asked(proxy, CLUSTER);
        waits.push(performance.now() - beganAtMs);
        most = Math.max(most, residentBytes(server.pid));
        await sleep(50);
      }
    })();
    const codes = await burst(clients, 800, await issuer.token());
    isOver = true;
    await watching;
    expect([...codes]).toEqual([[Status.OK, 800]]);
    expect(waits.length).toBeGreaterThan(3);
    expect((most - before) / 1024 / 1024).toBeLessThan(300);
    await workload(own); // served as before
  }, 120_000);

  test('is cut by SIGTERM: calls end, the process stops in time', async () => {
    const server = await served();
    const clients = Array.from({ length: 4 }, () => client(server.secure));
    await workload(clients[0] as GrpcClient);
    const bursting = burst(clients, 1000, await issuer.token());
    await sleep(300);
    const beganAtMs = performance.now();
    expect(await server.stop()).toBe(0);
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    const codes = await bursting;
    expect([...codes.values()].reduce((sum, count) => sum + count)).toBe(1000);
    expect(server.err()).not.toMatch(/internal error/);
  }, 60_000);
});
