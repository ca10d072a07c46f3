/**
 * Certificates of many workloads, renewed under load while roots are replaced in three steps.
 * Usage: npm run rotation -- [--workloads 100] [--seconds 60] [--lifetime 60]
 *
 * Half of the workloads have agents, which make their keys and give them over unix sockets; the others get their secrets over a stream of
 * the control plane. All call each other by mutual TLS, each call with a handshake of its own, and verify whom they call. Any failed call
 * fails it.
 */
import { X509Certificate } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { startAgent } from '../src/identity/agent.ts';
import { WorkloadIdentities } from '../src/identity/workload-identities.ts';
import { makeLog } from '../src/log/log.ts';
import { ControlPlane } from '../src/mesh/control-plane.ts';
import { DEFAULT_SETTINGS, meshOf } from '../src/mesh/model/mesh.ts';
import { noObjects } from '../src/mesh/sources/objects.ts';
import { dialGrpc, type GrpcClient } from '../src/transport/index.ts';
import { XdsServer } from '../src/xds/index.ts';
import { type AuthorityServer, startAuthority } from '../test/parts/identity/authority-server.ts';
import { ADS, type ReceivedSecret, SDS, secretsOf } from '../test/parts/secret-client.ts';

const { values } = parseArgs({
  options: {
    workloads: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '60' },
    lifetime: { type: 'string', default: '60' },
  },
});
const [count, seconds, lifetimeMs] = [Number(values.workloads), Number(values.seconds), Number(values.lifetime) * 1000];
const CALLERS = 4;
const log = makeLog('text', 'warn');

await using stack = new AsyncDisposableStack();
const over = new AbortController();
stack.defer(() => over.abort());

interface Workload {
  readonly uri: string;
  readonly server: Server;
  readonly port: number;
  cert: string;
  key: string;
  ca: string;
  renewals: number;
}

const ca: AuthorityServer = await startAuthority({
  ttlMs: lifetimeMs,
  methods: (callers, service, authority) => {
    const identities = stack.use(
      new WorkloadIdentities({ authority, signerFor: (uri) => service.signerFor(uri), log }),
    );
    const plane = new ControlPlane(meshOf(noObjects(), DEFAULT_SETTINGS), '1', { identities });
    return new XdsServer({ source: plane, authenticate: (context) => callers.identityOf(context) }).methods;
  },
});
stack.defer(() => ca.remove());

/** Pods do not start in the same millisecond, so their certificates do not end in the same one. */
const workloads: Workload[] = [];
for (let at = 0; at < count; at++) {
  workloads.push(await start(`w${at}`, at % 2 === 0));
  await sleep(lifetimeMs / 4 / count);
}

async function start(account: string, hasAgent: boolean): Promise<Workload> {
  const server = createServer({ requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => socket.end(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const uri = `spiffe://cluster.local/ns/default/sa/${account}`;
  const workload: Workload = { uri, server, port, cert: '', key: '', ca: '', renewals: 0 };
  const client = hasAgent ? await agentOf(account) : secureClient();
  stack.defer(() => client.close());
  const metadata: Record<string, string> = hasAgent ? {} : { authorization: `Bearer token-of-${account}` };
  if (!hasAgent) await ca.tokenFor(account);
  void (async () => {
    const stream = secretsOf(client, {
      path: hasAgent ? SDS : ADS,
      id: `sidecar~127.0.0.1~${account}.default~default.svc.cluster.local`,
      names: ['default', 'ROOTCA'],
      metadata,
      signal: over.signal,
    });
    for await (const secrets of stream) take(workload, secrets);
  })();
  while (workload.cert === '' || workload.ca === '') await sleep(10);
  return workload;
}

async function agentOf(account: string): Promise<GrpcClient> {
  const socketPath = join(ca.folder, account, 'socket');
  const agent = await startAgent({
    address: `localhost:${ca.port}`,
    rootsFile: ca.rootsFile,
    tokenFile: await ca.tokenFor(account),
    ttlMs: undefined,
    socketPath,
    log,
  });
  stack.defer(() => agent.close());
  return dialGrpc(`unix:${socketPath}`);
}

function secureClient(): GrpcClient {
  return dialGrpc(`localhost:${ca.port}`, { tls: { ca: Buffer.from(ca.authority.roots().join('')) } });
}

function take(workload: Workload, secrets: readonly ReceivedSecret[]): void {
  for (const { tls_certificate: pair, validation_context: roots } of secrets) {
    if (pair !== undefined) {
      workload.cert = pair.certificate_chain.inline_string;
      workload.key = pair.private_key.inline_string;
      workload.renewals++;
    }
    if (roots !== undefined) workload.ca = roots.trusted_ca.inline_string;
  }
  const { cert, key, ca: trusted, server } = workload;
  if (cert !== '' && trusted !== '') server.setSecureContext({ cert, key, ca: trusted });
}

// ---------------------------------------------------------- load

const results = { calls: 0, failures: new Map<string, number>() };

/** One call with a handshake; the client verifies the identity of the server, as a sidecar does. */
function call({ cert, key, ca: trusted }: Workload, to: Workload): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({
      host: '127.0.0.1',
      port: to.port,
      cert,
      key,
      ca: trusted,
      checkServerIdentity: (_host, { subjectaltname }) =>
        subjectaltname === `URI:${to.uri}` ? undefined : new Error(`it is ${subjectaltname}`),
    });
    let answer = '';
    socket.on('error', reject);
    socket.on('secureConnect', () => socket.write('hello'));
    socket.on('data', (bytes) => (answer += String(bytes)));
    socket.on('close', () => (answer === 'hello' ? resolve() : reject(new Error('closed without an answer'))));
  });
}

const any = (): Workload => workloads[Math.floor(Math.random() * workloads.length)] as Workload;
let isLoading = true;
const load = Array.from({ length: CALLERS }, async () => {
  while (isLoading) {
    results.calls++;
    try {
      await call(any(), any());
    } catch (error) {
      const why = (error as Error).message;
      results.failures.set(why, (results.failures.get(why) ?? 0) + 1);
    }
  }
});

// ---------------------------------------------------------- rotation

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
const beganAtMs = performance.now();

async function step(name: string, change: () => void, isDone: (workload: Workload) => boolean): Promise<void> {
  await sleep((seconds * 1000) / 4);
  const fromMs = performance.now();
  change();
  await ca.publishRoots();
  while (!workloads.every(isDone)) await sleep(20);
  console.log(`${name}: in force at all ${count} workloads after ${Math.round(performance.now() - fromMs)} ms`);
}

const trusts =
  (roots: number) =>
  (workload: Workload): boolean =>
    workload.ca.match(/BEGIN/g)?.length === roots;
const isOfNewest = ({ cert }: Workload): boolean =>
  new X509Certificate(cert).checkIssued(new X509Certificate(ca.roots.newest.pem)) &&
  new X509Certificate(cert).verify(new X509Certificate(ca.roots.newest.pem).publicKey);

await step('1. another root is trusted', () => ca.roots.trustAnother(), trusts(2));
await step('2. the new root signs', () => ca.roots.signByNewest(), isOfNewest);
await step('3. the old root is dropped', () => ca.roots.dropOthers(), trusts(1));
await sleep((seconds * 1000) / 4);
isLoading = false;
await Promise.all(load);

const tookS = (performance.now() - beganAtMs) / 1000;
const renewals = workloads.map((one) => one.renewals);
const failures = [...results.failures.values()].reduce((sum, one) => sum + one, 0);
console.log(
  `${count} workloads, certificates of ${lifetimeMs / 1000} s: ${renewals.reduce((sum, one) => sum + one, 0)} certificates ` +
    `(${Math.min(...renewals)} to ${Math.max(...renewals)} each) in ${tookS.toFixed(0)} s; ` +
    `${results.calls} calls with a handshake each, ${failures} failed; event loop p99 ${(delay.percentile(99) / 1e6).toFixed(0)} ms`,
);
for (const [why, times] of results.failures) console.log(`  ${times} x ${why}`);
if (failures > 0) process.exitCode = 1;
