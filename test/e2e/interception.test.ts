/**
 * Applications that know of no mesh, in two pods: the kernel sends their connections through Envoy, by the rules of Istio's init
 * containers, and Envoy asks Sluice.
 */
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';
import { type Part, startChild, untilReady } from '../parts/child.ts';
import { envoyProgram } from '../parts/fetch.ts';
import { ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import {
  type Agent,
  type Namespace,
  nodeAddress,
  type NodeAndPods,
  nodeAndPods,
  podAddress,
  whyNoNamespaces,
} from '../parts/network-namespace.ts';
import { until } from './sluice.ts';

const APP_USER = 2000;
const PROXY_USER = 1337;
/** Of the services; no machine has them. */
const [REVIEWS, RATINGS, MYSQL] = ['10.96.0.1', '10.96.0.2', '10.96.0.3'];
const [CLIENT, SERVER] = [podAddress(0), podAddress(1)];
/** Of the agents, for probes of the kubelet. */
const STATUS_PORT = 15_020;
/** A port of the server's application that no service has. */
const HIDDEN = 9999;
/** Another one, which the policy closes. */
const FORBIDDEN = 9996;

const service = (name: string, ip: string, app: string, port: number, portName: string): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { clusterIP: ${ip}, selector: { app: ${app} }, ports: [{ name: ${portName}, port: ${port} }] }
`;
const pod = (app: string, ip: string): string => `
---
apiVersion: v1
kind: Pod
metadata: { name: ${app}-v1, labels: { app: ${app}, security.istio.io/tlsMode: istio } }
status: { podIP: ${ip} }
`;
const MESH = [
  service('reviews', REVIEWS, 'server', 9080, 'http'),
  service('ratings', RATINGS, 'client', 9080, 'http'),
  service('mysql', MYSQL, 'server', 3306, 'mysql'),
  service('redis', 'None', 'server', 6379, 'redis'),
  // Another service has the port that the server hides.
  service('hidden', '10.96.0.9', 'nobody', HIDDEN, 'http'),
  pod('client', CLIENT),
  pod('server', SERVER),
].join('');
const POLICY = `
handlers:
  away: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } }
rules:
  - name: unlimited
    calls: [limit]
    match: ratelimit.descriptor["request.path"] == "/unlimited"
    quota: { handler: away, limit: 1, per: 1m, key: [ratelimit.domain] }
    onError: error
  - name: closed
    match: request.url_path == "/closed" && destination.service.name == "reviews" && destination.workload.name == "server-v1"
    deny: { status: 403, body: "closed for \${source.ip}" }
  - name: forbidden
    calls: [tcp]
    match: destination.port == ${FORBIDDEN} && destination.workload.name == "server-v1" && destination.labels["app"] == "server"
    deny: {}
`;

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: server }
spec: { selector: { matchLabels: { app: server } }, mtls: { mode: STRICT }, portLevelMtls: { 3306: { mode: DISABLE } } }
`;

const whyNot = await whyNoNamespaces();
let spaces: NodeAndPods;
let folder: string;
let servers: readonly Part[] = [];
let proxies: readonly Part[] = [];
let client: Agent;
let server: Agent;
let outside: Agent;

const inside = (space: Namespace, args: readonly string[], env: NodeJS.ProcessEnv = {}): Part =>
  startChild('nsenter', ['-t', String(space.pid), '-n', ...args], { env: { ...process.env, NO_COLOR: '1', ...env } });

beforeAll(async () => {
  if (whyNot !== undefined) return;
  folder = await mkdtemp(join(tmpdir(), 'sluice-interception-'));
  // Of the proxies' user, too.
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'mesh'));
  await writeFile(join(folder, 'mesh/mesh.yaml'), MESH);
  const tokens = await tokenIssuer();
  await writeFile(join(folder, 'jwks.json'), JSON.stringify(tokens.jwks));
  await writeFile(join(folder, 'token'), await tokens.token('default:default'));
  await writeFile(join(folder, 'policy.yaml'), POLICY);
  spaces = await nodeAndPods(2);
  const [clientPod, serverPod] = spaces.pods as [Namespace, Namespace];
  [client, server, outside] = await Promise.all([
    clientPod.agent(APP_USER),
    serverPod.agent(APP_USER),
    spaces.node.agent(0),
  ]);
  await client.serve({ host: '0.0.0.0', port: 9080, name: 'ratings' });
  for (const port of [9080, HIDDEN, FORBIDDEN])
    await server.serve({ host: '0.0.0.0', port, name: `server-${port}`, closes: port === HIDDEN });
  // These speak first, as MySQL does.
  for (const port of [3306, 6379]) await server.listen({ host: '0.0.0.0', port, name: `server-${port}` });
  await outside.serve({ host: '0.0.0.0', port: 8000, name: 'outside' });
  const [mesh, engine] = [
    `mesh ${folder}/mesh --xds 0.0.0.0:15010 --sluice sluice --fail closed --secure 0.0.0.0:15012 --ca-folder ${folder}/ca ` +
      `--secure-names ${nodeAddress(0)},${nodeAddress(1)} --jwks ${folder}/jwks.json --token-issuer ${ISSUER}`,
    `serve ${folder}/policy.yaml --grpc 0.0.0.0:9091 --admin 127.0.0.1:9092`,
  ].map((command) => inside(spaces.node, [process.execPath, COMMAND, ...command.split(' ')])) as [Part, Part];
  servers = [mesh, engine];
  await untilReady('sluice mesh', mesh, async () => mesh.printed().includes('xDS '));
  await untilReady('sluice serve', engine, async () => engine.printed().includes('gRPC '));
}, 60_000);

afterAll(async () => {
  await Promise.all([...proxies, ...servers].map((part) => part.stop()));
  await spaces?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});
beforeEach((context) => {
  if (whyNot !== undefined) context.skip(whyNot);
});

const PROBERS = {
  '/app-health/app/livez': { httpGet: { path: '/live', port: 9080 } },
  '/app-health/app/readyz': { tcpSocket: { port: 6379 } },
  '/app-health/app/startupz': { tcpSocket: { port: 9081 } },
};
/** As the kubelet does: from the node, without a certificate. */
const probed = (path: string): Promise<string> =>
  outside.get({ host: SERVER, port: STATUS_PORT, path, service: `${SERVER}:${STATUS_PORT}` });

/** Envoys in both pods, and the rules that send connections to them. `hasAgent`: they have certificates. */
async function intercept(mode: 'REDIRECT' | 'TPROXY', style: '1.0' | 'today', hasAgent = false): Promise<void> {
  await Promise.all(proxies.map((one) => one.stop()));
  // As in a pod, before Envoy starts: the kernel would take what the control plane sends on an older connection for a new one, redirect it
  // and reset it, and Envoy would notice by its next ping, after 30 s.
  const rules =
    `${COMMAND} iptables -p 15001 -u ${PROXY_USER} -m ${mode} -i * -b * -d ${STATUS_PORT} --style ${style} --ipv6 off`.split(
      ' ',
    );
  await Promise.all(spaces.pods.map((space) => space.run(process.execPath, ...rules)));
  const envoy = await envoyProgram();
  proxies = spaces.pods.map((space, at) => {
    // To accept and to open connections with addresses of others needs a capability, so Envoy is known by its group.
    const user = mode === 'TPROXY' ? '' : `--reuid ${PROXY_USER} `;
    const command =
      `setpriv ${user}--regid ${PROXY_USER} --clear-groups ${process.execPath} ${COMMAND} sidecar --concurrency 1 --drainDuration 0s ` +
      (hasAgent
        ? `--caAddress ${nodeAddress(at)}:15012 --caCertificates ${folder}/root.pem --tokenFile ${folder}/token `
        : `--discoveryAddress ${nodeAddress(at)}:15010 `) +
      `--sluiceAddress ${nodeAddress(at)}:9091 --binaryPath ${envoy}`;
    return inside(space, command.split(' '), {
      POD_NAME: `${at === 0 ? 'client' : 'server'}-v1`,
      POD_NAMESPACE: 'default',
      INSTANCE_IP: podAddress(at),
      ISTIO_META_INTERCEPTION_MODE: mode,
      ISTIO_METAJSON_LABELS: JSON.stringify({ app: at === 0 ? 'client' : 'server' }),
      ISTIO_KUBE_APP_PROBERS: JSON.stringify(PROBERS),
    });
  });
  for (const [at, part] of proxies.entries())
    await untilReady('envoy', part, async () => (await admin(at, '/ready')) === '200 LIVE\n');
  // Connections to Sluice are opened by the first calls, which may come too late for it.
  await untilReady('the way to the server', proxies[1] as Part, async () =>
    (await reviews('/first')).startsWith('200 '),
  );
  await untilReady('the way to the client', proxies[0] as Part, async () =>
    (await ratings('/first')).startsWith('200 '),
  );
}

/** A page of the Envoy of a pod, which its application may see. */
const admin = async (at: number, path: string): Promise<string> =>
  (at === 0 ? client : server).get({ host: '127.0.0.1', port: 15_000, path, service: 'admin' });

async function statOf(at: number, name: string): Promise<number> {
  const text = await admin(at, `/stats?filter=${encodeURIComponent(`^${name.replaceAll('|', '\\|')}$`)}`);
  return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
}

const reviews = (path: string): Promise<string> =>
  client.get({ host: REVIEWS, port: 9080, path, service: 'reviews:9080' });
const ratings = (path: string): Promise<string> => client.get({ host: RATINGS, port: 9080, path, service: 'ratings' });

describe.each(['today', '1.0'] as const)('with the rules of %s', (style) => {
  const seen = style === 'today' ? '127.0.0.6' : '127.0.0.1';

  test('a call by the address of a service goes through both Envoys, and Sluice is asked', async () => {
    await intercept('REDIRECT', style);
    expect(await reviews('/1')).toBe(`200 server-9080 from ${seen} for reviews:9080/1`);
    expect(await reviews('/closed')).toBe(`403 closed for ${CLIENT}`);
    expect(await ratings('/2')).toBe(`200 ratings from ${seen} for ratings/2`);
    expect(
      await statOf(0, 'cluster.outbound|9080||reviews.default.svc.cluster.local.upstream_rq_total'),
    ).toBeGreaterThanOrEqual(3);
    const inbound = style === 'today' ? 'inbound|9080||' : 'inbound|9080||reviews.default.svc.cluster.local';
    expect(await statOf(1, `cluster.${inbound}.upstream_rq_total`)).toBeGreaterThanOrEqual(2);
  }, 60_000);

  test('an application that calls its own service may be answered by itself', async () => {
    const to = { host: REVIEWS, port: 9080, path: '/self', service: 'reviews' };
    expect(await server.get(to)).toBe(`200 server-9080 from ${seen} for reviews/self`);
    expect(await server.get({ ...to, path: '/closed' })).toBe(`403 closed for ${SERVER}`);
    expect(await server.get({ ...to, host: SERVER })).toMatch(/^200 /);
  });

  test('a server that speaks first is heard at once', async () => {
    expect(await client.connect({ host: MYSQL, port: 3306 })).toBe(`server-3306 from ${seen}`);
    expect(await client.connect({ host: SERVER, port: 6379 })).toBe(`server-6379 from ${seen}`);
    expect(await statOf(0, 'cluster.outbound|6379||redis.default.svc.cluster.local.upstream_cx_total')).toBe(1);
  });

  test('hosts that the mesh does not know are called as they are', async () => {
    const to = { host: nodeAddress(0), port: 8000, path: '/3', service: 'outside' };
    expect(await client.get(to)).toBe(`200 outside from ${CLIENT} for outside/3`);
    expect(await statOf(0, 'cluster.PassthroughCluster.upstream_cx_total')).toBeGreaterThan(0);
  });

  test('a client without Envoy is served, and Sluice is asked about it', async () => {
    const to = { host: SERVER, port: 9080, service: 'reviews' };
    expect(await outside.get({ ...to, path: '/4' })).toBe(`200 server-9080 from ${seen} for reviews/4`);
    expect(await outside.get({ ...to, path: '/closed' })).toBe(`403 closed for ${nodeAddress(1)}`);
  });

  test('a port that no service has is reached under the rules of today if Sluice allows it, and never goes round', async () => {
    const to = { host: SERVER, path: '/5', service: 'hidden' };
    const answer = await outside.get({ ...to, port: HIDDEN });
    if (style === 'today') {
      expect(answer).toBe(`200 server-${HIDDEN} from ${seen} for hidden/5`);
      const denied = await statOf(1, 'ext_authz.inbound_0.denied');
      expect(await outside.get({ ...to, port: FORBIDDEN })).toMatch(CLOSED);
      expect((await statOf(1, 'ext_authz.inbound_0.denied')) - denied).toBe(1);
    } else expect(answer).toMatch(/^503 /);
    const before = await connections();
    expect(await outside.connect({ host: SERVER, port: 9998 })).toMatch(CLOSED);
    expect((await connections()) - before).toBeLessThan(8);
  });

  test.each([15_001, 15_006])('a call to port %i is refused', async (port) => {
    const before = await connections();
    for (const [from, host] of [
      [client, SERVER],
      [server, SERVER],
      [outside, SERVER],
    ] as const)
      expect(await from.connect({ host, port })).toMatch(CLOSED);
    expect((await connections()) - before).toBeLessThan(20);
  });
});

const CLOSED = /^(ECONNRESET|)$/;
/** That the Envoy of the server took. */
const connections = async (): Promise<number> =>
  (await statOf(1, 'listener.0.0.0.0_15001.downstream_cx_total')) +
  (await statOf(1, 'listener.0.0.0.0_15006.downstream_cx_total'));

/**
 * Answers of Sluice that came too late, by Envoy's clock or by its own: Envoy asks twice for each call, and answers 503 to it where either
 * answer is missing. Its ratelimit filter waits 20 ms, a tenth of what ext_authz waits, and counts at the cluster of the route alone.
 */
async function late(): Promise<{ readonly checks: number; readonly limits: number }> {
  const [failed, denied, limits] = await Promise.all([
    statOf(1, 'http.inbound_9080.ext_authz.error'),
    statOf(1, 'http.inbound_9080.ext_authz.denied'),
    statOf(1, 'cluster.inbound|9080||.ratelimit.error'),
  ]);
  return { checks: failed + denied, limits };
}
const sumOf = ({ checks, limits }: Awaited<ReturnType<typeof late>>): number => checks + limits;

/** What both Envoys have refused since they started, and what the servers have said: it tells where an answer of 503 is from. */
async function refusals(): Promise<string> {
  const pages = await Promise.all([0, 1].map((at) => admin(at, '/stats?usedonly')));
  const counts = pages.map((page) =>
    page
      .split('\n')
      .filter((line) => /5xx|_503|timeout: |no_cluster|no_route|ext_authz|ratelimit|overflow|reset: |fail/.test(line)),
  );
  return [...counts.flat(), ...servers.map((one) => one.printed().slice(-1000))].join('\n');
}

/** At once: the mesh of half a file would have fewer services. */
async function replaceMesh(text: string): Promise<void> {
  await writeFile(join(folder, 'mesh.new'), text);
  await rename(join(folder, 'mesh.new'), join(folder, 'mesh/mesh.yaml'));
}

describe('while calls go', () => {
  beforeAll(async () => {
    if (whyNot === undefined) await intercept('REDIRECT', 'today');
  }, 60_000);

  test('while Sluice is away nobody gets in, since it was told to fail closed', async () => {
    const [, engine] = servers as [Part, Part];
    const before = await late();
    engine.freeze();
    try {
      expect(await reviews('/away')).toMatch(/^503 /);
      expect(await late()).toEqual({ ...before, checks: before.checks + 1 });
    } finally {
      engine.thaw();
    }
    await untilReady('Sluice', engine, async () => (await reviews('/back')).startsWith('200 '));
  });

  test('a limit without an answer closes its call, and is counted at the cluster of the route alone', async () => {
    const before = await late();
    expect(await reviews('/unlimited')).toBe('503 ');
    expect(await late()).toEqual({ ...before, limits: before.limits + 1 });
    expect(await reviews('/others')).toMatch(/^200 /);
  });

  test('a service that comes while calls go is called, and none of them fails', async () => {
    const newcomer = { host: '10.96.0.5', port: 80, path: '/late', service: 'late' };
    let calls = 0;
    const [failed, before]: [string[], number] = [[], sumOf(await late())];
    let isOver = false;
    const calling = (async () => {
      for (; !isOver; calls++) {
        const answer = await reviews('/loop');
        if (!answer.startsWith('200 ')) failed.push(answer);
      }
    })();
    const port = `{ name: http, port: 80, targetPort: ${HIDDEN} }`;
    const added = service('late', newcomer.host, 'server', 80, 'http').replace('{ name: http, port: 80 }', port);
    await replaceMesh(MESH + added);
    try {
      const [mesh] = servers as [Part];
      await untilReady('the late service', mesh, async () => (await client.get(newcomer)).startsWith('200 '));
      expect(await client.get(newcomer)).toMatch(new RegExp(`^200 server-${HIDDEN} from .* for late/late$`));
      // The server's Envoy may be later than the client's. Until then it passes connections of the port through, which stay so while they
      // last.
      await untilReady('its port', mesh, async () => {
        await client.get(newcomer);
        return (await statOf(1, `http.inbound_${HIDDEN}.downstream_rq_2xx`)) > 0;
      });
      await until('calls in the meantime', async () => calls > 20 || undefined);
    } finally {
      isOver = true;
      await calling;
      await replaceMesh(MESH);
    }
    // On a machine with too much to do, Sluice may be late for a check, which closes this call alone.
    const refused = sumOf(await late()) - before;
    const seen = failed.length === refused ? '' : await refusals();
    expect(
      failed.filter((answer) => answer !== '503 '),
      seen,
    ).toEqual([]);
    expect(failed, seen).toHaveLength(refused);
  });

  test('while the control plane is away all goes on', async () => {
    const [mesh] = servers as [Part];
    mesh.freeze();
    try {
      expect(await reviews('/away')).toMatch(/^200 /);
      expect(await reviews('/closed')).toMatch(/^403 /);
    } finally {
      mesh.thaw();
    }
  });
});

describe('with TPROXY', () => {
  test('the application sees the address of its client', async () => {
    await intercept('TPROXY', 'today');
    expect(await reviews('/1')).toBe(`200 server-9080 from ${CLIENT} for reviews:9080/1`);
    expect(await reviews('/closed')).toBe(`403 closed for ${CLIENT}`);
    expect(await client.connect({ host: MYSQL, port: 3306 })).toBe(`server-3306 from ${CLIENT}`);
    expect(await probed('/app-health/app/livez')).toBe(`200 server-9080 from 127.0.0.6 for ${SERVER}:9080/live`);
    expect(await outside.get({ host: SERVER, port: HIDDEN, path: '/2', service: 'hidden' })).toBe(
      `200 server-${HIDDEN} from ${nodeAddress(1)} for hidden/2`,
    );
  }, 60_000);

  test('and under the rules of 1.0 is called as it was by Istio 1.0', async () => {
    await intercept('TPROXY', '1.0');
    expect(await reviews('/1')).toBe('200 server-9080 from 127.0.0.1 for reviews:9080/1');
    expect(await reviews('/closed')).toBe(`403 closed for ${CLIENT}`);
  }, 60_000);
});

describe('with mutual TLS', () => {
  const seen = '127.0.0.6';
  beforeAll(async () => {
    if (whyNot !== undefined) return;
    await copyFile(join(folder, 'ca/root-cert.pem'), join(folder, 'root.pem'));
    await chmod(join(folder, 'root.pem'), 0o644);
    await writeFile(join(folder, 'mesh/strict.yaml'), STRICT);
    await intercept('REDIRECT', 'today', true);
    const plainly = { host: SERVER, port: 9080, path: '/0', service: 'reviews' };
    await until('STRICT to be in force', async () => (await outside.get(plainly)) === 'ECONNRESET' || undefined);
  }, 60_000);

  test('calls between the pods are encrypted, on HTTP ports and others', async () => {
    expect(await reviews('/1')).toBe(`200 server-9080 from ${seen} for reviews:9080/1`);
    expect(await reviews('/closed')).toBe(`403 closed for ${CLIENT}`);
    expect(await client.connect({ host: SERVER, port: 6379 })).toBe(`server-6379 from ${seen}`);
    for (const [service, port] of [
      ['reviews', 9080],
      ['redis', 6379],
    ])
      expect(
        await statOf(0, `cluster.outbound|${port}||${service}.default.svc.cluster.local.ssl.handshake`),
      ).toBeGreaterThan(0);
  });

  test('probes of the kubelet fail at the application, and reach it through the agent, past Envoy', async () => {
    const refused = async (): Promise<number> => statOf(1, 'listener.0.0.0.0_15006.no_filter_chain_match');
    const before = [await connections(), await refused()] as const;
    expect(await outside.get({ host: SERVER, port: 9080, path: '/live', service: SERVER })).toBe('ECONNRESET');
    expect(await refused()).toBe(before[1] + 1);
    expect(await probed('/app-health/app/livez')).toBe(`200 server-9080 from 127.0.0.6 for ${SERVER}:9080/live`);
    expect(await probed('/app-health/app/readyz')).toBe('200 ');
    // Envoy would accept the connection.
    expect(await probed('/app-health/app/startupz')).toMatch(`500 connect ECONNREFUSED ${SERVER}:9081`);
    expect(await probed('/healthz/ready')).toBe('200 ');
    expect([await connections(), await refused()]).toEqual([before[0], before[1] + 1]);
  });

  test('cleartext is refused, also at a port that no service has, and taken where the port says so', async () => {
    for (const port of [6379, HIDDEN])
      expect(await outside.get({ host: SERVER, port, path: '/2', service: 'reviews' })).toMatch(CLOSED);
    expect(await outside.connect({ host: SERVER, port: 3306 })).toBe(`server-3306 from ${seen}`);
    expect(await client.connect({ host: MYSQL, port: 3306 })).toBe(`server-3306 from ${seen}`);
  });
});
