/** The agent beside an Envoy: an authority over TLS, and the secrets at its socket. */
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:net';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Agent, startAgent } from '../../../src/identity/agent.ts';
import { dialGrpc } from '../../../src/transport/index.ts';
import { until } from '../../e2e/sluice.ts';
import { type CertificateServer, serveCertificates } from '../../parts/identity/certificate-server.ts';
import { newRoot, type TestSigner, testSigner } from '../../parts/identity/test-signer.ts';
import { type ReceivedSecret, secretsOf } from '../../parts/secret-client.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Run {
  readonly agent: Agent;
  readonly signer: TestSigner;
  readonly server: CertificateServer;
  readonly socketPath: string;
  readonly rootsFile: string;
  readonly tokenFile: string;
  readonly lines: string[];
}

async function start({ ttlMs = 2000, port }: { readonly ttlMs?: number; readonly port?: number } = {}): Promise<Run> {
  const signer = testSigner(Date.now, { ttlMs });
  const server = await serveCertificates(signer);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-agent-'));
  const [rootsFile, tokenFile, socketPath] = ['roots.pem', 'token', 'sds/socket'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(rootsFile, signer.trusted.join(''));
  await writeFile(tokenFile, 'first token\n');
  const lines: string[] = [];
  const line =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const agent = await startAgent({
    address: `127.0.0.1:${port ?? server.port}`,
    rootsFile,
    tokenFile,
    socketPath,
    ttlMs: undefined,
    backoff: { firstMs: 50, mostMs: 200 },
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
  });
  ends.push(
    () => rm(folder, { recursive: true, force: true }),
    () => server.stop(),
    () => agent.close(),
  );
  return { agent, signer, server, socketPath, rootsFile, tokenFile, lines };
}

/** What an Envoy has now. */
function subscribe({ socketPath }: Run, names: readonly string[] = ['default', 'ROOTCA']) {
  const client = dialGrpc(`unix:${socketPath}`);
  const over = new AbortController();
  const has = new Map<string, ReceivedSecret>();
  const reading = (async () => {
    for await (const secrets of secretsOf(client, { names, signal: over.signal }))
      for (const secret of secrets) has.set(secret.name, secret);
  })();
  ends.push(async () => {
    over.abort();
    await reading;
    client.close();
  });
  return {
    serial: (): string | undefined => {
      const chain = has.get('default')?.tls_certificate?.certificate_chain.inline_string;
      return chain === undefined ? undefined : new X509Certificate(chain).serialNumber;
    },
    roots: (): number => has.get('ROOTCA')?.validation_context?.trusted_ca.inline_string.match(/BEGIN/g)?.length ?? 0,
    has,
  };
}

const other = (found: () => string | undefined, than: string | undefined): Promise<string> =>
  until(`a certificate other than ${than}`, async () => {
    const now = found();
    return now === undefined || now === than ? undefined : now;
  });

test('the first request is by the token, those for renewals by the certificate, and Envoy gets each', async () => {
  const run = await start();
  const { serial, roots } = subscribe(run);
  const first = await other(serial, undefined);
  const second = await other(serial, first);
  await other(serial, second);
  expect(roots()).toBe(1);
  expect(run.server.callers.slice(0, 3)).toEqual(['token', 'certificate', 'certificate']);
  expect(run.lines.filter((line) => !line.startsWith('info the workload has a new certificate'))).toEqual([]);
  expect(run.lines[0]).toContain('spiffe://cluster.local/ns/default/sa/a');
  expect(run.lines.join()).not.toContain('PRIVATE');
});

test('the folder of the socket is open to its owner alone, and nothing else is written', async () => {
  const run = await start();
  await run.agent.first;
  const folder = join(run.socketPath, '..');
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect(await readdir(folder)).toEqual(['socket']);
  expect((await readdir(join(folder, '..'))).toSorted()).toEqual(['roots.pem', 'sds', 'token']);
});

test('an authority that refuses the certificate gets the token, as it is now', async () => {
  const run = await start();
  const { serial } = subscribe(run);
  const first = await other(serial, undefined);
  // The authority starts over with other roots, and tokens have rotated.
  const next = newRoot(Date.now());
  run.signer.issuer = next.signer;
  run.signer.trusted = [next.pem];
  run.server.renewTls();
  run.server.tokens.clear();
  run.server.tokens.set('second token', 'spiffe://cluster.local/ns/default/sa/a');
  await writeFile(run.tokenFile, 'second token');
  await writeFile(run.rootsFile, next.pem);
  await other(serial, first);
  expect(run.server.callers).toEqual(['token', 'token']);
});

test('while the authority is away the certificate stays; after its end the token asks for another', async () => {
  const run = await start();
  await run.agent.first;
  const { serial } = subscribe(run);
  const first = await other(serial, undefined);
  await run.server.stop();
  await until('the failure', async () => run.lines.find((line) => line.startsWith('warn')));
  expect(run.lines.find((line) => line.startsWith('warn'))).toMatch(
    /cannot be renewed.*certificate authority 127\.0\.0\.1:\d+/,
  );
  await until('the end', async () => run.lines.find((line) => line.startsWith('error')));
  expect(serial()).toBe(first);
  await rm(run.rootsFile);
  const back = await serveCertificates(run.signer, { port: run.server.port });
  ends.push(() => back.stop());
  await writeFile(run.rootsFile, run.signer.trusted.join(''));
  await other(serial, first);
  expect(back.callers).toEqual(['token']); // the certificate has ended
  expect(run.lines.filter((line) => line.includes('renewed again'))).toHaveLength(1);
});

test.for([
  ['rootsFile', 'the roots of the certificate authority cannot be read: ENOENT'],
  ['tokenFile', 'the token of the service account cannot be read: ENOENT'],
] as const)('a missing %s is named', async ([file, why]) => {
  const signer = testSigner(Date.now);
  const server = await serveCertificates(signer);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-agent-'));
  const files = { rootsFile: join(folder, 'roots.pem'), tokenFile: join(folder, 'token') };
  await writeFile(files.rootsFile, signer.trusted.join(''));
  await writeFile(files.tokenFile, 'first token');
  await rm(files[file]);
  const lines: string[] = [];
  const keep = (message: string, fields: object = {}): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const agent = await startAgent({
    address: `127.0.0.1:${server.port}`,
    ...files,
    ttlMs: undefined,
    socketPath: join(folder, 'sds/socket'),
    backoff: { firstMs: 20, mostMs: 50 },
    log: { debug: keep, info: keep, warn: keep, error: keep },
  });
  ends.push(
    () => rm(folder, { recursive: true, force: true }),
    () => server.stop(),
    () => agent.close(),
  );
  await until('the line', async () => lines.find((line) => line.includes(why)));
  await writeFile(files[file], file === 'tokenFile' ? 'first token' : signer.trusted.join(''));
  await agent.first;
});

test('changed roots in the file renew at once', async () => {
  const run = await start({ ttlMs: 3_600_000 });
  const { serial, roots } = subscribe(run);
  const first = await other(serial, undefined);
  const next = newRoot(Date.now());
  run.signer.trusted = [...run.signer.trusted, next.pem];
  run.server.renewTls();
  await writeFile(run.rootsFile, run.signer.trusted.join(''));
  await other(serial, first);
  await until('both roots', async () => (roots() === 2 ? true : undefined));
});

test('closing ends a request that an authority never answers', async () => {
  const run = await start();
  await run.agent.first;
  run.signer.gate = new Promise(() => undefined);
  await until('a request', async () => (run.signer.asked.length > 1 ? true : undefined));
  const beganAtMs = performance.now();
  await run.agent.close();
  expect(performance.now() - beganAtMs).toBeLessThan(3000);
  ends.pop();
});

test('an Envoy that reads nothing delays neither renewals nor another reader', async () => {
  const run = await start({ ttlMs: 2000 });
  const silent = connect({ path: run.socketPath });
  silent.on('error', () => undefined);
  ends.push(() => void silent.destroy());
  const client = dialGrpc(`unix:${run.socketPath}`);
  const over = new AbortController();
  ends.push(() => {
    over.abort();
    client.close();
  });
  const stuck = secretsOf(client, { names: ['default'], signal: over.signal });
  await stuck.next(); // and accepts no later one
  const { serial } = subscribe(run);
  let last = await other(serial, undefined);
  for (let renewal = 0; renewal < 3; renewal++) last = await other(serial, last);
  expect(run.lines.filter((line) => !line.startsWith('info'))).toEqual([]);
});

test('a path that no unix socket may have is refused', async () => {
  await expect(
    startAgent({
      address: '127.0.0.1:1',
      rootsFile: '',
      tokenFile: '',
      ttlMs: undefined,
      socketPath: `/tmp/${'a'.repeat(120)}`,
      log: { debug() {}, info() {}, warn() {}, error() {} },
    }),
  ).rejects.toThrow('at most 107 bytes');
});
