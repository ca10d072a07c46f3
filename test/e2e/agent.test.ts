/** Real Envoys whose certificates come from agents, and are replaced under load. */
import { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { Agent as HttpAgent, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { startAgent } from '../../src/identity/agent.ts';
import { type Proxy, XdsServer } from '../../src/xds/index.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { envoyProgram } from '../parts/fetch.ts';
import { freePort } from '../parts/free-port.ts';
import {
  type AuthorityServer,
  type AuthorityServerOptions,
  startAuthority,
} from '../parts/identity/authority-server.ts';
import { callingEnvoy, servingEnvoy } from '../parts/identity/mutual-envoys.ts';
import { expectNoneLost, type LastingLoad, lastingLoad, type LoadAnswer } from '../parts/lasting-load.ts';
import type { ReceivedSecret } from '../parts/secret-client.ts';
import { startUpstream } from '../parts/upstream.ts';
import { type Ends, withEnds } from '../parts/with-ends.ts';
import { program, type Program } from './command.ts';
import { until } from './sluice.ts';

/** They wait for lifetimes of seconds, so they wait together. */
const test = withEnds.concurrent;

const idOf = (account: string): string => `spiffe://cluster.local/ns/default/sa/${account}`;

async function authority(
  ends: Ends,
  ttlMs: number,
  options: Partial<AuthorityServerOptions> = {},
): Promise<AuthorityServer> {
  const ca = await startAuthority({ ttlMs, ...options });
  ends.push(() => ca.remove());
  return ca;
}

async function agentOf(ends: Ends, ca: AuthorityServer, account: string): Promise<string> {
  const socketPath = join(ca.folder, account, 'socket');
  const agent = await startAgent({
    address: `127.0.0.1:${ca.port}`,
    rootsFile: ca.rootsFile,
    tokenFile: await ca.tokenFor(account),
    ttlMs: undefined,
    backoff: { firstMs: 50, mostMs: 200 },
    socketPath,
    log: ca.log,
  });
  ends.push(() => agent.close());
  await agent.first;
  return socketPath;
}

async function envoy(ends: Ends, adminPort: number, config: object): Promise<EnvoyPart> {
  const part = await startEnvoy({ adminPort, config });
  ends.push(() => part.stop());
  return part;
}

/** Requests without pause, each on a connection that is kept. */
function load(port: number, ends: Ends): LastingLoad {
  const agent = new HttpAgent({ keepAlive: true, maxSockets: 4 });
  ends.push(() => agent.destroy());
  return lastingLoad(
    () =>
      new Promise<LoadAnswer>((resolve, reject) => {
        get({ host: '127.0.0.1', port, agent, path: '/' }, (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject);
        }).on('error', reject);
      }),
  );
}

const answers = (of: LastingLoad, more: number): Promise<true> => {
  const enough = of.answered + more;
  return until(`${more} more answers`, () => (of.answered >= enough ? true : undefined));
};

/** The Envoys of two workloads, each with an agent; `reviews` calls `ratings`. */
async function callerAndServer(ends: Ends, ca: AuthorityServer) {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const [serverPort, clientPort, ...admins] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const [serverSocket, clientSocket] = [await agentOf(ends, ca, 'ratings'), await agentOf(ends, ca, 'reviews')];
  const server = await envoy(
    ends,
    admins[0] ?? 0,
    servingEnvoy({ adminPort: admins[0] ?? 0, socketPath: serverSocket, port: serverPort }, upstream.httpPort),
  );
  const client = await envoy(
    ends,
    admins[1] ?? 0,
    callingEnvoy(
      { adminPort: admins[1] ?? 0, socketPath: clientSocket, port: clientPort },
      { port: serverPort, uri: idOf('ratings') },
    ),
  );
  return { serverPort, clientPort, admins, envoys: { client, server } };
}

test('certificates of seconds are renewed, and roots replaced in three steps, and no request is lost', async ({
  ends,
}) => {
  // Half of it is left when it is renewed; a busy machine takes seconds for that.
  const ca = await authority(ends, 20_000);
  const { clientPort, admins, envoys } = await callerAndServer(ends, ca);
  const both = (what: string, holds: (secrets: Secrets) => boolean): Promise<true> =>
    until(what, async () =>
      holds(await secretsIn(admins[0] ?? 0)) && holds(await secretsIn(admins[1] ?? 0)) ? true : undefined,
    );
  const { roots } = ca;
  const trusts = (count: number) => (secrets: Secrets) => secrets.roots.length === count;
  const running = load(clientPort, ends);
  const steps = [
    ['both roots', () => roots.trustAnother(), trusts(2)],
    ['certificates of the new root', () => roots.signByNewest(), ({ leaf }: Secrets) => isBy(roots.newest.pem, leaf)],
    ['the new root alone', () => roots.dropOthers(), trusts(1)],
  ] as const;
  for (const [what, step, isTaken] of steps) {
    step();
    await ca.publishRoots();
    await both(what, isTaken);
    await answers(running, 40); // handshakes that began before have ended, by what was trusted and presented then
  }
  const serials = (await Promise.all(admins.map(secretsIn))).map(({ leaf }) => leaf.serialNumber);
  await both('a renewal that nothing but time has caused', ({ leaf }) => !serials.includes(leaf.serialNumber));
  await expectNoneLost(running, envoys, { logged: () => ca.log.all });
  expect((await envoys.client.stats())['cluster.to.ssl.handshake']).toBeGreaterThan(10);
});

test('another root in the file of the agents is in their Envoys within seconds, by no renewal and at the cost of no request', async ({
  ends,
}) => {
  const ca = await authority(ends, 3_600_000);
  const { serverPort, clientPort, admins, envoys } = await callerAndServer(ends, ca);
  const serials = async (): Promise<readonly string[]> =>
    (await Promise.all(admins.map(secretsIn))).map(({ leaf }) => leaf.serialNumber);
  const roots = async (): Promise<readonly number[]> =>
    (await Promise.all(admins.map(secretsIn))).map((secrets) => secrets.roots.length);
  const before = await serials();
  const running = load(clientPort, ends);
  ca.roots.trustAnother();
  await ca.publishRoots();
  await until('both roots in both', async () => ((await roots()).every((count) => count === 2) ? true : undefined));
  expect(await serials()).toEqual(before);
  // The new root signs before any renewal is due: who has the roots accepts its certificates.
  ca.roots.signByNewest();
  const newer = await agentOf(ends, ca, 'newer');
  const [adminPort, port] = [await freePort(), await freePort()];
  await envoy(
    ends,
    adminPort,
    callingEnvoy({ adminPort, socketPath: newer, port }, { port: serverPort, uri: idOf('ratings') }),
  );
  expect(isBy(ca.roots.newest.pem, (await secretsIn(adminPort)).leaf)).toBe(true);
  await until('a call by a certificate of the new root', async () =>
    (await fetch(`http://127.0.0.1:${port}/`)).status === 200 ? true : undefined,
  );
  await expectNoneLost(running, envoys, { logged: () => ca.log.all });
  expect(await serials()).toEqual(before);
});

interface Secrets {
  readonly leaf: X509Certificate;
  readonly roots: readonly string[];
}

/** What an Envoy has; its dump leaves out keys. */
async function secretsIn(adminPort: number): Promise<Secrets> {
  const dump = await fetch(`http://127.0.0.1:${adminPort}/config_dump?resource=dynamic_active_secrets`);
  const { configs } = (await dump.json()) as { configs: { secret: ReceivedSecret }[] };
  const secrets = configs.map(({ secret }) => secret);
  const chain = secrets.flatMap(({ tls_certificate: own }) => own?.certificate_chain.inline_string ?? []);
  const trusted = secrets.flatMap(({ validation_context: own }) => own?.trusted_ca.inline_string ?? []);
  return {
    leaf: new X509Certificate(chain[0] ?? ''),
    roots: trusted[0]?.match(/-----BEGIN CERTIFICATE-----/g) ?? [],
  };
}

const isBy = (rootPem: string, leaf: X509Certificate): boolean => leaf.verify(new X509Certificate(rootPem).publicKey);

test('an identity that the client does not expect is refused', async ({ ends }) => {
  const ca = await authority(ends, 60_000);
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const [serverPort, clientPort, ...admins] = [await freePort(), await freePort(), await freePort(), await freePort()];
  await envoy(
    ends,
    admins[0] ?? 0,
    servingEnvoy(
      { adminPort: admins[0] ?? 0, socketPath: await agentOf(ends, ca, 'impostor'), port: serverPort },
      upstream.httpPort,
    ),
  );
  const client = await envoy(
    ends,
    admins[1] ?? 0,
    callingEnvoy(
      { adminPort: admins[1] ?? 0, socketPath: await agentOf(ends, ca, 'reviews'), port: clientPort },
      { port: serverPort, uri: idOf('ratings') },
    ),
  );
  const answer = await fetch(`http://127.0.0.1:${clientPort}/`);
  expect(answer.status).toBe(503);
  expect((await client.stats())['cluster.to.ssl.fail_verify_san']).toBeGreaterThan(0);
});

// ---------------------------------------------------------- sluice sidecar

async function sidecar(ends: Ends, ca: AuthorityServer, ready: RegExp, adminPort: number): Promise<Program> {
  const flags = {
    caAddress: `127.0.0.1:${ca.port}`,
    caCertificates: ca.rootsFile,
    tokenFile: await ca.tokenFor('reviews'),
    binaryPath: await envoyProgram(),
    proxyAdminPort: String(adminPort),
    drainDuration: '0s',
    concurrency: '1',
  };
  const started = await program(
    ['sidecar', ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])],
    ready,
    {
      env: {
        POD_NAME: 'reviews-v1',
        POD_NAMESPACE: 'default',
        INSTANCE_IP: '127.0.0.1',
        SERVICE_ACCOUNT: 'reviews',
        TMPDIR: ca.folder,
      },
    },
  );
  ends.push(() => started.stop());
  return started;
}

test('sluice sidecar starts Envoy with its first certificate, and Envoy proves its identity to the control plane', async ({
  ends,
}) => {
  const connected: Proxy[] = [];
  const xds = new XdsServer({
    source: {
      connect: (proxy) => {
        connected.push(proxy);
        return { resources: () => ({ version: '1', byType: new Map() }) };
      },
    },
    authenticate: (context) => ca.callers.identityOf(context),
  });
  const ca: AuthorityServer = await authority(ends, 60_000, {
    methods: () => xds.methods,
    maxConnectionAgeMs: 1500,
  });
  const gate = Promise.withResolvers<void>();
  ca.gate = gate.promise;
  const adminPort = await freePort();
  const started = await sidecar(ends, ca, /asks for the first certificate/, adminPort);
  await until('the request', () => (ca.asked.length > 0 ? true : undefined));
  await sleep(200);
  expect(started.err()).not.toContain('starts Envoy');
  gate.resolve();
  await until('Envoy is ready', async () =>
    (await fetch(`http://127.0.0.1:${adminPort}/ready`).catch(() => undefined))?.ok === true ? true : undefined,
  );
  await until('a second stream, as the connection has reached its age', () =>
    connected.length > 1 ? true : undefined,
  );
  for (const one of connected)
    expect(one).toMatchObject({ identity: idOf('reviews'), metadata: { SDS_CLUSTER: 'sds-grpc' } });
  started.signal('SIGTERM');
  expect(await started.ended).toBe(0);
  expect(started.err()).not.toContain('PRIVATE');
  expect((await readdir(ca.folder)).toSorted()).toEqual(['reviews.token', 'roots.pem']);
});

test('SIGTERM while the first certificate is asked for ends sluice sidecar, and leaves nothing behind', async ({
  ends,
}) => {
  const ca = await authority(ends, 60_000);
  ca.gate = new Promise(() => undefined);
  const started = await sidecar(ends, ca, /asks for the first certificate/, await freePort());
  await until('the request', () => (ca.asked.length > 0 ? true : undefined));
  const beganAtMs = performance.now();
  started.signal('SIGTERM');
  expect(await started.ended).toBe(0);
  expect(performance.now() - beganAtMs).toBeLessThan(10_000);
  expect(started.err()).not.toContain('starts Envoy');
  expect((await readdir(ca.folder)).toSorted()).toEqual(['reviews.token', 'roots.pem']);
});
