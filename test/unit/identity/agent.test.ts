/** The agent beside an Envoy: an authority over TLS, and the secrets at its socket. */
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:net';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Agent, startAgent } from '../../../src/identity/agent.ts';
import { dialGrpc } from '../../../src/transport/index.ts';
import { until } from '../../e2e/sluice.ts';
import { type AuthorityServer, startAuthority } from '../../parts/identity/authority-server.ts';
import { lines, type Lines } from '../../parts/identity/lines.ts';
import { type Ends, withEnds } from '../../parts/with-ends.ts';
import { type ReceivedSecret, secretsOf } from '../../parts/secret-client.ts';

/** They wait for lifetimes of seconds, so they wait together. */
const test = withEnds.concurrent;

interface Run {
  readonly agent: Agent;
  readonly ca: AuthorityServer;
  readonly socketPath: string;
  readonly tokenFile: string;
  readonly log: Lines;
}

/** `without`: this file is missing. */
async function start(
  ends: Ends,
  { ttlMs = 2000, without }: { readonly ttlMs?: number; readonly without?: 'rootsFile' | 'tokenFile' } = {},
): Promise<Run> {
  const ca = await startAuthority({ ttlMs });
  const log = lines();
  const { folder, rootsFile } = ca;
  const files = { rootsFile, tokenFile: await ca.tokenFor('a') };
  if (without !== undefined) await rm(files[without]);
  const socketPath = join(folder, 'sds/socket');
  const agent = await startAgent({
    address: `127.0.0.1:${ca.port}`,
    ...files,
    socketPath,
    ttlMs: undefined,
    backoff: { firstMs: 50, mostMs: 200 },
    renewWithinMs: 500,
    log,
  });
  ends.push(
    () => ca.remove(),
    () => agent.close(),
  );
  return { agent, ca, socketPath, tokenFile: files.tokenFile, log };
}

/** What an Envoy has now. */
function subscribe(ends: Ends, { socketPath }: Run, names: readonly string[] = ['default', 'ROOTCA']) {
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

test('the first request is by the token, those for renewals by the certificate, and Envoy gets each', async ({
  ends,
}) => {
  const run = await start(ends);
  const { serial, roots } = subscribe(ends, run);
  const first = await other(serial, undefined);
  const second = await other(serial, first);
  await other(serial, second);
  expect(roots()).toBe(1);
  expect(run.ca.asked.slice(0, 3)).toEqual(['token', 'certificate', 'certificate']);
  expect(run.log.all.filter((line) => !line.startsWith('info the workload has a new certificate'))).toEqual([]);
  expect(run.log.all[0]).toContain('spiffe://cluster.local/ns/default/sa/a');
  expect(run.log.text).not.toContain('PRIVATE');
});

test('the folder of the socket is open to its owner alone, and nothing else is written', async ({ ends }) => {
  const { agent, socketPath, ca } = await start(ends);
  await agent.first;
  const folder = join(socketPath, '..');
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect(await readdir(folder)).toEqual(['socket']);
  expect((await readdir(ca.folder)).toSorted()).toEqual(['a.token', 'roots.pem', 'sds']);
});

test('an authority that refuses the certificate gets the token, as it is now', async ({ ends }) => {
  const run = await start(ends);
  const { serial } = subscribe(ends, run);
  const first = await other(serial, undefined);
  // The authority starts over with other roots, and tokens have rotated.
  run.ca.roots.trustAnother();
  run.ca.roots.signByNewest();
  run.ca.roots.dropOthers();
  await run.ca.replaceTokens();
  await run.ca.publishRoots();
  await other(serial, first);
  expect(run.ca.asked).toEqual(['token', 'token']);
});

test('while the authority is away the certificate stays; after its end the token asks for another', async ({
  ends,
}) => {
  const run = await start(ends);
  const { serial } = subscribe(ends, run);
  const first = await other(serial, undefined);
  await run.ca.stop();
  await until('the failure', () => run.log.of('cannot be renewed')[0]);
  expect(run.log.of('cannot be renewed')).toMatchObject([
    expect.stringMatching(/certificate authority 127\.0\.0\.1:\d+: /),
  ]);
  await until('the end', () => run.log.of('has ended')[0]);
  expect(serial()).toBe(first);
  run.ca.asked.length = 0;
  await run.ca.start();
  await other(serial, first);
  expect(run.ca.asked[0]).toBe('token'); // the certificate has ended
  expect(run.log.of('renewed again')).toHaveLength(1);
});

test('while the authority is away and the token is missing as well, the line names both', async ({ ends }) => {
  const run = await start(ends);
  await run.agent.first;
  await rm(run.tokenFile);
  await run.ca.stop();
  expect(await until('the failure', () => run.log.of('cannot be renewed')[0])).toMatch(
    /certificate authority 127\.0\.0\.1:\d+: .*; and the token of the service account cannot be read: ENOENT/,
  );
});

test.for([
  ['rootsFile', 'the roots of the certificate authority cannot be read: ENOENT'],
  ['tokenFile', 'the token of the service account cannot be read: ENOENT'],
] as const)('a missing %s is named, and read as soon as it is there', async ([without, why], { ends }) => {
  const { agent, ca, log } = await start(ends, { without });
  await until('the line', () => log.of(why)[0]);
  await ca.tokenFor('a');
  await ca.publishRoots();
  await agent.first;
});

test('another root in the file is trusted at once, and renews nothing', async ({ ends }) => {
  const run = await start(ends, { ttlMs: 3_600_000 });
  const { serial, roots } = subscribe(ends, run);
  const first = await other(serial, undefined);
  run.ca.roots.trustAnother();
  await run.ca.publishRoots();
  await until('both roots', () => (roots() === 2 ? true : undefined));
  await until('the line', () => run.log.of('the file of roots has changed')[0]);
  expect(serial()).toBe(first);
  expect(run.ca.asked).toEqual(['token']);
});

test('a file that drops the root of the certificate renews it', async ({ ends }) => {
  const run = await start(ends, { ttlMs: 3_600_000 });
  const { serial, roots } = subscribe(ends, run);
  const first = await other(serial, undefined);
  run.ca.roots.trustAnother();
  run.ca.roots.signByNewest();
  run.ca.roots.dropOthers();
  await run.ca.publishRoots();
  await other(serial, first);
  await until('the new root alone', () => (roots() === 1 ? true : undefined));
});

test('a broken file of roots is one line, and renewals go on by the last good ones', async ({ ends }) => {
  const run = await start(ends);
  const { serial, roots } = subscribe(ends, run);
  const first = await other(serial, undefined);
  await writeFile(run.ca.rootsFile, '');
  await until('the line', () => run.log.of('the file of roots is unusable')[0]);
  await other(serial, await other(serial, first));
  expect(roots()).toBe(1);
  expect(run.log.all.filter((line) => !line.startsWith('info'))).toEqual([
    expect.stringMatching(
      /^warn the file of roots is unusable; the last good roots stay trusted .*no certificate in PEM/,
    ),
  ]);
});

test('closing ends a request that an authority never answers', async ({ ends }) => {
  const { agent, ca } = await start(ends);
  await agent.first;
  ca.gate = new Promise(() => undefined);
  await until('a request', () => (ca.asked.length > 1 ? true : undefined));
  const beganAtMs = performance.now();
  await agent.close();
  expect(performance.now() - beganAtMs).toBeLessThan(10_000);
  ends.pop();
});

test('an Envoy that reads nothing delays neither renewals nor another reader', async ({ ends }) => {
  const run = await start(ends);
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
  const { serial } = subscribe(ends, run);
  let last = await other(serial, undefined);
  for (let renewal = 0; renewal < 3; renewal++) last = await other(serial, last);
  expect(run.log.all.filter((line) => !line.startsWith('info'))).toEqual([]);
});

test('a path that no unix socket may have is refused', async () => {
  await expect(
    startAgent({
      address: '127.0.0.1:1',
      rootsFile: '',
      tokenFile: '',
      ttlMs: undefined,
      socketPath: `/tmp/${'a'.repeat(120)}`,
      log: lines(),
    }),
  ).rejects.toThrow('at most 107 bytes');
});
