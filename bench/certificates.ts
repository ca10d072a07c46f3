/**
 * Cost of a certificate: a CSR read and its certificate issued, beside the signature and the check of one that node:crypto alone makes; and
 * `sluice mesh --secure` on one core, with 10 000 requests at once by client certificate and by token, while a proxy asks for its
 * configuration again and again.
 *
 *   node bench/certificates.ts [REQUESTS]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCsr, keyPem, newKey, readCsr } from '../src/identity/certificate.ts';
import { Authority } from '../src/identity/authority.ts';
import { openOwnRoot } from '../src/identity/own-root.ts';
import { dialGrpc, GrpcError, type GrpcClient } from '../src/transport/index.ts';
import { asked } from '../test/parts/identity/asked.ts';
import { created, ISSUER, tokenIssuer } from '../test/parts/identity/secure-port.ts';
import { lines } from '../test/parts/identity/lines.ts';
import { serviceEntry } from '../test/parts/mesh/service-entry.ts';
import { median } from './figures.ts';
import { startOnCore } from './process.ts';

const REQUESTS = Number(process.argv[2] ?? 10_000);
const [TURNS, OF_TURN] = [7, 1000];
const CONNECTIONS = 10;
const ID = 'spiffe://cluster.local/ns/default/sa/reviews';
const CLUSTERS = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

/** Least CPU time of some turns, in microseconds for each. */
function cpuUs(work: () => void): number {
  const turns = Array.from({ length: TURNS }, () => {
    const before = process.cpuUsage();
    for (let at = 0; at < OF_TURN; at++) work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / OF_TURN;
  });
  return Math.min(...turns);
}

async function alone(): Promise<void> {
  const log = lines();
  const source = await openOwnRoot({ trustDomain: 'cluster.local', rootTtlMs: 1e12, maxTtlMs: 1e10, log });
  const authority = new Authority(source, 'cluster.local');
  const key = newKey();
  const publicKey = createPublicKey(key);
  const csr = createCsr(key);
  const content = randomBytes(500);
  const signature = sign('sha256', content, key);
  const bare = cpuUs(() => {
    sign('sha256', content, key);
    verify('sha256', content, publicKey, signature);
  });
  const read = cpuUs(() => void readCsr(csr));
  const issued = cpuUs(() => void authority.issue({ uri: ID, publicKey }));
  await authority.close();
  console.log('| in this thread | CPU us | of the signatures |\n|---|---:|---:|');
  const row = (name: string, us: number): void =>
    console.log(`| ${name} | ${us.toFixed(0)} | ${(us / bare).toFixed(2)} |`);
  row('a signature and a check by node:crypto', bare);
  row('a CSR read and checked', read);
  row('a certificate issued', issued);
  row('both', read + issued);
}

/** Asks from a process of its own, since this one is busy with its requests. The result ends it, with the milliseconds of each answer. */
async function watcher(
  address: string,
  roots: string,
  pair: { readonly key: string; readonly cert: string },
): Promise<() => Promise<readonly number[]>> {
  const child = fork(import.meta.filename, ['--watch', address, roots, JSON.stringify(pair)], {
    stdio: ['ignore', 'inherit', 'ignore', 'ipc'],
  });
  await once(child, 'message');
  return async () => {
    child.send('end');
    const [waits] = (await once(child, 'message')) as [readonly number[]];
    return waits;
  };
}

async function watch(address: string, roots: string, pair: string): Promise<void> {
  const { key, cert } = JSON.parse(pair) as { readonly key: string; readonly cert: string };
  const client = dialGrpc(address, {
    tls: { ca: await readFile(roots), key: Buffer.from(key), cert: Buffer.from(cert) },
  });
  await asked(client, CLUSTERS);
  let isOver = false;
  process.once('message', () => {
    isOver = true;
  });
  process.send?.('ready');
  const waits: number[] = [];
  while (!isOver) {
    const beganAtMs = performance.now();
    await asked(client, CLUSTERS);
    waits.push(performance.now() - beganAtMs);
    await sleep(20);
  }
  client.close();
  process.send?.(waits, () => process.disconnect());
}

const MESH = serviceEntry('reviews', [{ address: '127.0.0.1' }]);

async function atOnce(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-certificates-'));
  const path = (name: string): string => join(folder, name);
  const issuer = await tokenIssuer('one', 'ES256');
  await writeFile(path('mesh.yaml'), MESH);
  await writeFile(path('jwks.json'), JSON.stringify(issuer.jwks));
  const server = await startOnCore(
    0,
    [
      'src/cli/bin.ts',
      'mesh',
      path('mesh.yaml'),
      '--xds',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
      '--secure',
      '127.0.0.1:0',
      '--ca-folder',
      path('ca'),
    ].concat(['--jwks', path('jwks.json'), '--token-issuer', ISSUER]),
    /secure +(127\.0\.0\.1:\d+)[\s\S]*Ctrl-C/,
  );
  const clients: GrpcClient[] = [];
  const ca = await readFile(path('ca/root-cert.pem'));
  const dial = (pair?: { readonly key: string; readonly cert: string }): GrpcClient => {
    const tls = { ca, ...(pair === undefined ? {} : { key: Buffer.from(pair.key), cert: Buffer.from(pair.cert) }) };
    const made = dialGrpc(server.match[1] ?? '', { tls });
    clients.push(made);
    return made;
  };
  const resident = async (): Promise<number> =>
    (Number((await readFile(`/proc/${server.child.pid}/statm`, 'utf8')).split(' ')[1]) * 4096) / 1e6;
  try {
    const key = newKey();
    const csr = createCsr(key);
    const token = await issuer.token();
    const chain = await created(dial(), { csr, token });
    const pair = { key: keyPem(key), cert: chain[0] ?? '' };
    console.log(
      '\n| requests at once | issued | refused | issued/s | CPU us each | memory, MB more | configuration meanwhile, ms, median and longest |',
    );
    console.log('|---|---:|---:|---:|---:|---:|---:|');
    for (const [name, proof] of [
      ['by client certificate', undefined],
      ['by token (ES256)', token],
    ] as const) {
      const at = Array.from({ length: CONNECTIONS }, () => dial(proof === undefined ? pair : undefined));
      await Promise.all(at.map((one) => created(one, { csr, ...(proof === undefined ? {} : { token: proof }) })));
      const before = await resident();
      const watch = await watcher(server.match[1] ?? '', path('ca/root-cert.pem'), pair);
      let most = before;
      const looking = setInterval(() => void resident().then((now) => (most = Math.max(most, now))), 50);
      const cpuBefore = server.cpuUs();
      const beganAtMs = performance.now();
      let [issued, refused] = [0, 0];
      await Promise.all(
        Array.from({ length: REQUESTS }, (_, call) =>
          created(at[call % CONNECTIONS] as GrpcClient, {
            csr,
            timeoutMs: 120_000,
            ...(proof === undefined ? {} : { token: proof }),
          }).then(
            () => issued++,
            (error: unknown) => {
              if (!(error instanceof GrpcError) || error.code !== 8) throw error; // RESOURCE_EXHAUSTED
              refused++;
            },
          ),
        ),
      );
      const seconds = (performance.now() - beganAtMs) / 1000;
      const cpu = (server.cpuUs() - cpuBefore) / issued;
      clearInterval(looking);
      const waits = await watch();
      console.log(
        `| ${name} | ${issued} | ${refused} | ${(issued / seconds).toFixed(0)} | ${cpu.toFixed(0)} | ${(most - before).toFixed(0)} | ` +
          `${median(waits).toFixed(0)}, ${Math.max(...waits).toFixed(0)} |`,
      );
    }
  } finally {
    for (const client of clients) client.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--watch') await watch(process.argv[3] ?? '', process.argv[4] ?? '', process.argv[5] ?? '');
else {
  await alone();
  await atOnce();
}
