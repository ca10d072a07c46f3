/**
 * Policies of Istio for connections that are no HTTP, through real Envoys of a mesh with mutual TLS: Sluice knows for which workload a
 * connection is, and who opens it.
 */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeLog } from '../../src/log/log.ts';
import { DEFAULT_SETTINGS } from '../../src/mesh/model/mesh.ts';
import { bootstrapOf } from '../../src/mesh/sidecar/bootstrap.ts';
import { type MeshServer, startMeshServer } from '../../src/serve/mesh/server.ts';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { startEnvoy } from '../parts/envoy.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { type Issuer, ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import { provenBy } from '../parts/mesh/proven-by.ts';
import { type Issued, issued } from '../parts/mesh/workload-certificates.ts';
import { startUpstream } from '../parts/upstream.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const NET = await freeNet();
const [DB, CACHE, ORDERS] = [`${NET}.1`, `${NET}.2`, `${NET}.101`];
/** Of the workload `db`; GREETING belongs to an application that speaks first. */
const [TCP, REDIS, GREETING] = [9000, 6379, 3306];
const ports = [
  { number: TCP, name: 'tcp', protocol: 'TCP' },
  { number: REDIS, name: 'redis', protocol: 'Redis' },
  { number: GREETING, name: 'mysql', protocol: 'MySQL' },
];

const workload = (name: string, address: string, inner: Readonly<Record<number, number>>): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec:
  hosts: [${name}.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: ${JSON.stringify(ports)}
  endpoints: [{ address: ${address}, labels: { app: ${name} }, serviceAccount: ${name} }]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: ${name}, namespace: shop }
spec:
  workloadSelector: { labels: { app: ${name} } }
  ingress: ${JSON.stringify(
    ports.map((port) => ({
      port,
      bind: address,
      captureMode: 'NONE',
      defaultEndpoint: `127.0.0.1:${inner[port.number]}`,
    })),
  )}
`;

const CLIENT = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: orders, namespace: shop }
spec:
  workloadSelector: { labels: { app: orders } }
  egress: ${JSON.stringify(
    [TCP, REDIS].map((number) => ({
      port: { number, name: 'tcp', protocol: 'TCP' },
      bind: ORDERS,
      captureMode: 'NONE',
      hosts: ['shop/db.shop.svc.cluster.local'],
    })),
  )}
`;

/** Of the workload `db`, unless `selector` says otherwise. */
const policy = (spec: string, selector = '{ matchLabels: { app: db } }', namespace = 'shop', name = 'db'): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: { selector: ${selector}, ${spec} }
`;
const FOR_ORDERS = policy(
  `rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/orders] } }], to: [{ operation: { ports: ["${TCP}"] } }] }]`,
);
/** A label that Envoy would change in a header, or cut off. */
const ODD = '50% %PROTOCOL% "\\ \u00f6';
const CLOSED = 'closed';

/** What comes back for `hello`, or that the connection was closed. `first`: the server speaks before. */
async function talk(socket: Socket, first = ''): Promise<string> {
  let back = '';
  const isOver = new Promise<void>((resolve) => {
    socket.on('error', () => resolve()).on('close', () => resolve());
    socket.setEncoding('utf8').on('data', (text: string) => {
      if (back === '' && first !== '') socket.write('hello');
      back += text;
      if (back === `${first}hello`) resolve();
    });
  });
  if (first === '') socket.write('hello');
  await isOver;
  socket.destroy();
  return back === `${first}hello` ? back : `${back}${CLOSED}`;
}

describe('connections of a mesh with mutual TLS', () => {
  const ends: (() => Promise<unknown>)[] = [];
  const certificates = new Map<string, Issued>();
  let authority: Authority;
  let plane: MeshServer;
  let tokens: Issuer;
  let sluice: ServedSluice;
  let folder: string;
  let enforced = FOR_ORDERS;

  /** By the certificate of this account, without a sidecar. `undefined`: in cleartext. */
  const opened = (account: string | undefined, port: number, host = DB): Socket => {
    if (account === undefined) return connect({ host, port });
    const own = certificates.get(account);
    return connectTls({
      host,
      port,
      servername: 'db.shop.svc.cluster.local',
      ALPNProtocols: ['istio'],
      rejectUnauthorized: false,
      cert: own?.certificate,
      key: own?.key,
    });
  };
  const ask = (account: string | undefined, port: number, host = DB): Promise<string> =>
    talk(opened(account, port, host));
  /** Through the sidecar of `orders`. */
  const orders = (port: number): Promise<string> => talk(connect({ host: ORDERS, port }));

  /** Puts it in force. */
  async function enforce(...documents: readonly string[]): Promise<void> {
    const revision = async (): Promise<unknown> =>
      ((await (await sluice.admin('/policy')).json()) as { revision: string }).revision;
    const text = documents.join('---');
    if (text === enforced) return;
    enforced = text;
    const before = await revision();
    await writeFile(sluice.policyFile, text);
    sluice.child.kill('SIGHUP');
    await until('the policy', async () => ((await revision()) === before ? undefined : true));
  }
  const lastDenial = async (): Promise<unknown> =>
    ((await (await sluice.admin('/verdicts?outcome=deny')).json()) as { verdicts: unknown[] }).verdicts[0];

  const startPlane = (failOpen: boolean, secure: boolean): Promise<MeshServer> =>
    startMeshServer(
      {
        configs: [join(folder, 'mesh.yaml')],
        settings: {
          ...DEFAULT_SETTINGS,
          ...(secure ? { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } } : {}),
          sluice: { cluster: 'sluice', checkTimeoutMs: 3000, limitTimeoutMs: 1000, failOpen, limitDomain: 'mesh' },
        },
        xds: { host: '127.0.0.1', port: 0 },
        secure: secure
          ? {
              address: { host: '127.0.0.1', port: 0 },
              names: [],
              trustDomain: 'cluster.local',
              trustDomainAliases: [],
              signing: {
                rootCert: authority.ca,
                signingCert: authority.ca,
                signingKey: join(authority.folder, 'ca.key'),
              },
              ttl: { defaultMs: 3_600_000, maxMs: 7_200_000 },
              jwt: { jwks: join(authority.folder, 'jwks.json'), issuer: ISSUER },
              audience: 'istio-ca',
              rootConfigMaps: false,
            }
          : undefined,
        admin: { host: '127.0.0.1', port: 0 },
        log: makeLog('json', 'error'),
        graceMs: 500,
      },
      new AbortController().signal,
    );

  async function startProxy(name: string, address: string, of: MeshServer): Promise<void> {
    const adminPort = await freePort();
    const at = of.secure ?? of.xds;
    if (!('port' in at)) throw new Error('no port');
    const config = bootstrapOf({
      member: {
        type: 'sidecar',
        address,
        pod: `${name}-0`,
        namespace: 'shop',
        domain: 'shop.svc.cluster.local',
        serviceCluster: name,
        metadata: { LABELS: { app: name, odd: ODD }, INTERCEPTION_MODE: 'NONE', SERVICE_ACCOUNT: name },
      },
      discovery: { host: '127.0.0.1', port: at.port as number },
      sluice: { host: '127.0.0.1', port: sluice.grpcPort },
      adminPort,
      connectMs: 1000,
      isDelta: false,
    });
    const envoy = await startEnvoy({
      config: of.secure === undefined ? config : provenBy(await tokens.token(`shop:${name}`), authority.ca, config),
      adminPort,
      args: ['--drain-time-s', '5', '--drain-strategy', 'immediate'], // as `sluice sidecar` starts it
    });
    ends.push(() => envoy.stop());
  }
  const synced = (of: MeshServer, proxies: number): Promise<true> =>
    until('all proxies to have the newest state', async () => {
      const page = await fetch(
        `http://127.0.0.1:${of.admin !== undefined && 'port' in of.admin ? of.admin.port : 0}/mesh/proxies`,
      );
      const all = ((await page.json()) as { proxies: { state: string }[] }).proxies;
      return all.length === proxies && all.every(({ state }) => state === 'synced') ? true : undefined;
    });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-connection-policies-'));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    [authority, tokens, sluice] = await Promise.all([makeAuthority(), tokenIssuer(), serveSluice(FOR_ORDERS)]);
    ends.push(
      () => authority.remove(),
      () => sluice.stop(),
    );
    await writeFile(join(authority.folder, 'jwks.json'), JSON.stringify(tokens.jwks));
    for (const account of ['shop/sa/orders', 'shop/sa/web', 'front/sa/orders'])
      certificates.set(account, await issued(authority, `spiffe://cluster.local/ns/${account}`));
    const app = await startUpstream();
    const greeter = createServer((socket) =>
      socket
        .on('error', () => socket.destroy())
        .pipe(socket)
        .write('welcome,'),
    );
    greeter.listen(0, '127.0.0.1');
    await once(greeter, 'listening');
    ends.push(
      () => app.stop(),
      async () => greeter.close(),
    );
    const inner = { [TCP]: app.tcpPort, [REDIS]: app.tcpPort, [GREETING]: (greeter.address() as AddressInfo).port };
    const mesh = join(folder, 'mesh.yaml');
    await writeFile(mesh, [workload('db', DB, inner), workload('cache', CACHE, inner), CLIENT].join('---'));
    const open = await startPlane(true, false);
    plane = await startPlane(false, true);
    ends.push(
      () => plane.drain(),
      () => open.drain(),
    );
    await Promise.all([
      startProxy('db', DB, plane),
      startProxy('orders', ORDERS, plane),
      startProxy('cache', CACHE, open),
    ]);
    await Promise.all([synced(plane, 2), synced(open, 1)]);
  }, 60_000);
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test('an AuthorizationPolicy lets in the principal that it names, at the port that it names', async () => {
    expect([await orders(TCP), await ask('shop/sa/orders', TCP)]).toEqual(['hello', 'hello']);
    expect(await orders(REDIS)).toBe(CLOSED);
    expect([await ask('shop/sa/web', TCP), await ask('front/sa/orders', TCP)]).toEqual([CLOSED, CLOSED]);
    expect(await ask(undefined, TCP)).toBe(CLOSED);
    expect(await lastDenial()).toMatchObject({ outcome: 'deny', rule: 'ns[shop]-policy[db]' });
    expect(await ask(undefined, TCP, CACHE), 'a workload that no policy selects').toBe('hello');
  });

  test('namespaces and service accounts of the certificate, of any principal in them', async () => {
    await enforce(policy('rules: [{ from: [{ source: { namespaces: [shop] } }] }]'));
    expect([await orders(TCP), await orders(REDIS), await ask('shop/sa/web', TCP)]).toEqual([
      'hello',
      'hello',
      'hello',
    ]);
    expect([await ask('front/sa/orders', TCP), await ask(undefined, TCP)]).toEqual([CLOSED, CLOSED]);
    await enforce(policy('rules: [{ from: [{ source: { serviceAccounts: [front/orders] } }] }]'));
    expect([await ask('front/sa/orders', TCP), await orders(TCP)]).toEqual(['hello', CLOSED]);
  });

  test('fields that need HTTP allow no connection, and deny more of them', async () => {
    await enforce(policy('rules: [{ to: [{ operation: { methods: [GET] } }] }]'));
    expect(await orders(TCP)).toBe(CLOSED);
    await enforce(policy(`action: DENY, rules: [{ to: [{ operation: { methods: [GET], ports: ["${TCP}"] } }] }]`));
    expect([await orders(TCP), await orders(REDIS)]).toEqual([CLOSED, 'hello']);
    expect(await lastDenial()).toMatchObject({ rule: 'ns[shop]-policy[db]-rule[0]-tcp' });
  });

  test('the namespace and labels of the workload select it, in the root namespace its labels alone', async () => {
    const deny = 'action: DENY, rules: [{}]';
    await enforce(
      policy(deny, '{ matchLabels: { app: db } }', 'front'),
      policy(deny, '{ matchLabels: { app: other } }'),
    );
    expect(await orders(TCP)).toBe('hello');
    await enforce(policy(deny, '{ matchLabels: { app: cache } }', 'istio-system'));
    expect([await orders(TCP), await ask(undefined, TCP, CACHE)]).toEqual(['hello', CLOSED]);
  });

  test('a label of any text arrives as it is', async () => {
    const match = `destination.labels[?"odd"].orValue("") == ${JSON.stringify(ODD)}`;
    await enforce(`rules: [{ name: odd, calls: [tcp], match: ${JSON.stringify(match)}, deny: {} }]\n`);
    expect(await orders(TCP)).toBe(CLOSED);
    expect(await lastDenial()).toMatchObject({ rule: 'odd' });
  });

  test('a changed policy holds for new connections, and open ones go on', async () => {
    await enforce(FOR_ORDERS);
    const open = opened('shop/sa/orders', TCP);
    open.write('one');
    await once(open, 'data');
    await enforce(policy('rules: []'));
    expect([await orders(TCP), await ask('shop/sa/orders', TCP)]).toEqual([CLOSED, CLOSED]);
    open.write('two');
    expect(String((await once(open, 'data'))[0])).toBe('two');
    open.destroy();
    await enforce(FOR_ORDERS);
    expect(await orders(TCP)).toBe('hello');
  });

  test('each connection of a burst gets its own verdict', async () => {
    await enforce(FOR_ORDERS);
    const burst = Array.from({ length: 150 }, async (_, at): Promise<string> => {
      const [who, answer] = (
        [
          ['shop/sa/orders', 'hello'],
          ['shop/sa/web', CLOSED],
          [undefined, CLOSED],
        ] as const
      )[at % 3] as readonly [string | undefined, string];
      return (await ask(who, TCP)) === answer ? 'right' : `${who} was wrong`;
    });
    expect(new Set(await Promise.all(burst))).toEqual(new Set(['right']));
  });

  test('roles and bindings of RBAC v1alpha1 know the service and the port', async () => {
    await enforce(`
apiVersion: rbac.istio.io/v1alpha1
kind: ClusterRbacConfig
metadata: { name: default }
spec: { mode: ON_WITH_INCLUSION, inclusion: { services: [db.shop.svc.cluster.local] } }
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRole
metadata: { name: talker, namespace: shop }
spec: { rules: [{ services: [db.shop.svc.cluster.local], constraints: [{ key: destination.port, values: ["${TCP}"] }] }] }
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRoleBinding
metadata: { name: orders, namespace: shop }
spec: { subjects: [{ user: cluster.local/ns/shop/sa/orders }], roleRef: { kind: ServiceRole, name: talker } }
`);
    expect([await orders(TCP), await orders(REDIS), await ask('shop/sa/web', TCP)]).toEqual(['hello', CLOSED, CLOSED]);
    expect(await ask(undefined, TCP, CACHE), 'a service that is not included').toBe('hello');
  });

  test('what a server says first is heard before the check, which comes with the first bytes of the client', async () => {
    await enforce(policy(`rules: [{ from: [{ source: { principals: ["*/sa/web"] } }] }]`));
    const greeted = (account: string): Promise<string> => talk(opened(account, GREETING), 'welcome,');
    expect(await greeted('shop/sa/web')).toBe('welcome,hello');
    expect(await greeted('shop/sa/orders')).toBe(`welcome,${CLOSED}`);
  });

  test('while Sluice hangs connections wait for the timeout of their check, and then as if it were away', async () => {
    await enforce(FOR_ORDERS);
    sluice.child.kill('SIGSTOP');
    try {
      expect(await Promise.all([orders(TCP), ask(undefined, TCP, CACHE)])).toEqual([CLOSED, 'hello']);
    } finally {
      sluice.child.kill('SIGCONT');
    }
    await until('a check', async () => ((await orders(TCP)) === 'hello' ? true : undefined));
  });

  test('while Sluice is away connections are closed or pass, as the mesh says, and are checked once it is back', async () => {
    await enforce(FOR_ORDERS, policy('action: DENY, rules: [{}]', '{ matchLabels: { app: cache } }', 'shop', 'cache'));
    expect([await orders(TCP), await ask(undefined, TCP, CACHE)]).toEqual(['hello', CLOSED]);
    const { grpcPort } = sluice;
    await sluice.stop('SIGKILL');
    expect([await orders(TCP), await ask(undefined, TCP, CACHE)]).toEqual([CLOSED, 'hello']);
    sluice = await serveSluice(FOR_ORDERS, { grpcPort });
    await until('a check', async () => ((await orders(TCP)) === 'hello' ? true : undefined));
    expect(await ask('shop/sa/web', TCP)).toBe(CLOSED);
  });
});
