/**
 * The alerts of deploy/ beside a running server: silent while it works, also over a reload, a burst of denials and a restart; each fires
 * in the trouble that it names; all clear when that is mended. Those of `sluice mesh` are in alerts-mesh.test.ts.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callCheck, callLog } from '../../src/cli/call/index.ts';
import { type Alerting, startAlerting } from '../parts/alerts.ts';
import { type Answering, type HttpService, startHttpService } from '../parts/http-service.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { smallDisk } from '../parts/small-disk.ts';
import { withEnds } from '../parts/with-ends.ts';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { run, type Serving, serving } from './command.ts';
import { until } from './sluice.ts';

const PARTS = join(import.meta.dirname, '../parts');
/** On a busy machine the loop lags and calls are slow without any trouble of Sluice. */
const OF_THE_MACHINE = new Set(['SluiceSlow', 'SluiceEventLoopLags']);

const ends: (() => unknown)[] = [];
let workspace: Workspace;
let killed: RedisPart;
let frozen: RedisPart;
let slow: HttpService;
let lists: HttpService;
let server: Serving;
let alerting: Alerting;
let slowMs = 0;

const policyOf = (rules = ''): string => `
plugins: [${PARTS}/faulty/adapter.ts, ${PARTS}/sink/adapter.ts]
settings: { trustedHops: 1, spool: { folder: ${workspace.path('spool')} } }
handlers:
  near: { adapter: quota-memory }
  killed: { adapter: quota-redis, config: { url: "${killed.url}" }, deadline: 2s, local: { handler: near, replicas: 2 } }
  frozen: { adapter: quota-redis, config: { url: "${frozen.url}" }, deadline: 2s }
  slow: { adapter: check-http, config: { url: "${slow.url}" }, deadline: 5s }
  cached: { adapter: check-http, config: { url: "${slow.url}", validForMs: 60000 }, deadline: 5s, cache: { maxBytes: 2048 } }
  faulty: { adapter: check-faulty, config: {}, deadline: 5s }
  apart: { adapter: check-faulty, config: {}, deadline: 5s, run: worker }
  listed: { adapter: check-list, config: { url: "${lists.url}", refreshMs: 500 } }
  spooled: { adapter: log-faulty, config: { out: ${workspace.path('out')}, fault: ${workspace.path('fault')} }, spool: disk }
  refusing: { adapter: log-faulty, config: { out: ${workspace.path('other')}, fault: ${workspace.path('refusal')} } }
rules:
  - { name: local, match: request.path == "/local", quota: { handler: killed, limit: 1000000, per: 1h, key: [] }, onError: { handler: local } }
  - { name: errs, match: request.path == "/errs", quota: { handler: killed, limit: 1000000, per: 1h, key: [] }, onError: { handler: error } }
  - { name: frozen, match: request.path == "/frozen", quota: { handler: frozen, limit: 1000000, per: 1h, key: [] } }
  - { name: slow, match: request.path == "/slow", check: { handler: slow, input: {} } }
  - { name: cached, match: 'request.path.startsWith("/cached/")', check: { handler: cached, params: { path: "{p}" }, input: { p: request.path } } }
  - { name: faulty, match: 'request.path.startsWith("/faulty/")', check: { handler: faulty, input: { path: request.path } } }
  - { name: apart, match: 'request.path.startsWith("/apart/")', check: { handler: apart, input: { path: request.path } } }
  - { name: listed, match: request.path == "/listed", check: { handler: listed, input: { value: '"ann"' } } }
  - { name: closed, match: request.path == "/closed", deny: {} }
  - { name: client, match: 'request.path == "/client" && cidr("10.0.0.0/8").containsIP(origin.ip)', deny: {} }
  - { name: logs, calls: [log], report: { handler: spooled, input: { path: request.path } } }
  - { name: decided, calls: [http], match: request.path == "/decided", report: { handler: spooled, input: { path: request.path } } }
  - { name: refused, calls: [log], report: { handler: refusing, input: { path: request.path } } }
${rules}
`;

const listed: Answering = (_, response) => response.writeHead(200).end('ann\n');

const check = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
  const request = { 'request.method': 'GET', 'request.path': path, 'request.headers': headers };
  return (await callCheck(server.grpc, request)).outcome;
};
const log = async (): Promise<unknown> =>
  callLog(
    server.grpc,
    { 'request.method': 'GET', 'request.path': '/x'.repeat(2000), 'response.code': 200 },
    { timeoutMs: 500 },
  );

/** `SluiceRuleFails: errs`, or the name alone where the alert is about the server. */
const subjects = async (of = alerting): Promise<string[]> =>
  (await of.firing())
    .map(({ alertname = '', handler, rule, call, kind }) =>
      [alertname, handler ?? rule ?? call ?? kind].filter((part) => part !== undefined).join(': '),
    )
    .toSorted();

/** Goes on with the work until these fire. */
async function untilFiring(
  wanted: readonly string[],
  work: () => Promise<unknown> = async () => {},
  of = alerting,
): Promise<void> {
  let missing = wanted;
  await until(
    'alerts',
    async () => {
      await work();
      const firing = new Set(await subjects(of));
      missing = wanted.filter((one) => !firing.has(one));
      return missing.length === 0 ? true : undefined;
    },
    90_000,
  ).catch((error: unknown) => {
    throw new Error(`these do not fire: ${missing.join(', ')}\n${server.err()}`, { cause: error });
  });
}

async function untilClear(work: () => Promise<unknown> = async () => {}, of = alerting): Promise<void> {
  let left: readonly string[] = [];
  await until(
    'all alerts to clear',
    async () => {
      await work();
      left = (await subjects(of)).filter((one) => !OF_THE_MACHINE.has(one.split(':')[0] ?? ''));
      return left.length === 0 ? true : undefined;
    },
    90_000,
  ).catch((error: unknown) => {
    throw new Error(`these stay: ${left.join(', ')}`, { cause: error });
  });
}

beforeAll(async () => {
  workspace = makeWorkspace();
  ends.push(() => workspace.remove());
  mkdirSync(workspace.path('spool'));
  const disk = await smallDisk(workspace.path('spool'), '1m');
  ends.push(() => disk.unmount());
  [killed, frozen] = await Promise.all([startRedis(), startRedis()]);
  slow = await startHttpService((_, response) => {
    setTimeout(() => response.writeHead(200).end('{}'), slowMs);
  });
  lists = await startHttpService(listed);
  ends.push(
    () => frozen.stop(),
    () => slow.stop(),
  );
  server = await serving([workspace.write('policy.yaml', policyOf())], { args: ['--workers', '2'] });
  alerting = await startAlerting([server.admin]);
  ends.push(
    () => server.stop(),
    () => alerting.stop(),
  );
}, 100_000);
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
}, 60_000);

const PATHS = [
  '/',
  '/local',
  '/errs',
  '/frozen',
  '/slow',
  '/faulty/none',
  '/apart/none',
  '/listed',
  '/closed',
  '/client',
];

async function ordinaryWork(): Promise<void> {
  await Promise.all([...PATHS, '/decided'].map((path) => check(path, { 'x-forwarded-for': '192.0.2.1, 10.0.0.1' })));
  await log();
}
async function forSeconds(seconds: number, work: () => Promise<unknown>): Promise<void> {
  for (const endAtMs = Date.now() + seconds * 1000; Date.now() < endAtMs; await sleep(200)) await work();
}
const firedOfSluice = async (): Promise<string[]> => (await alerting.fired()).filter((one) => !OF_THE_MACHINE.has(one));

test('none fires while it starts, works, rests, reloads and denies a burst', async () => {
  await forSeconds(4, ordinaryWork);
  const beganAtMs = Date.now();
  await Promise.all(Array.from({ length: 1000 }, () => check('/closed')));
  workspace.write('policy.yaml', policyOf('  - { name: more, match: request.path == "/more", deny: {} }'));
  await server.said(/"msg":"policy loaded"/);
  await forSeconds(6, ordinaryWork);
  await sleep(4000); // no traffic
  await forSeconds(12 - (Date.now() - beganAtMs) / 1000, ordinaryWork);
  expect(await firedOfSluice()).toEqual([]);
}, 60_000);

test('a worker that ends is the only alert', async () => {
  await check('/faulty/exit');
  await untilFiring(['SluiceWorkerRestarts'], ordinaryWork);
  await forSeconds(8, ordinaryWork);
  expect(await firedOfSluice()).toEqual(['SluiceWorkerRestarts']);
}, 60_000);

test('plugins that compute in the event loop, and slow backends', async () => {
  slowMs = 80;
  await untilFiring(['SluiceSlow: http'], () => check('/slow'));
  slowMs = 0;
  await untilFiring(['SluiceEventLoopLags'], () => Promise.all(Array.from({ length: 4 }, () => check('/faulty/busy'))));
}, 60_000);

test('each fires in the trouble that it names, and clears when that is over', async () => {
  await killed.kill();
  frozen.freeze();
  await lists.stop();
  rmSync(workspace.path('policy.yaml'));
  workspace.write('policy.yaml', 'rules: [{ name: closed, deni: {} }]\n');
  workspace.write('fault', 'away');
  workspace.write('refusal', 'reject');
  let round = 0;
  const trouble = async (): Promise<void> => {
    round++;
    await Promise.all([
      ...[...PATHS, '/decided', '/faulty/timer'].map((path) => check(path, { 'x-forwarded-for': '192.0.2.1' })),
      ...Array.from({ length: 20 }, (_, at) => check(`/cached/${round}-${at}`)),
      log(),
    ]);
    if (round % 3 === 0) await check('/apart/exit'); // more than three times in fifteen seconds, also on a busy machine
    connect(Number(server.grpc.split(':')[1]), '127.0.0.1')
      .on('error', () => undefined)
      .end('GET / HTTP/1.1\r\n\r\n');
  };
  const lasting = [
    'SluiceCallsFail: http',
    'SluiceEscapedErrors',
    'SluiceForeignPeers: http1',
    'SluiceForwardedForShort',
    'SluiceHandlerBreakerOpen: frozen',
    'SluiceHandlerBreakerOpen: killed',
    'SluiceHandlerNotReady: frozen',
    'SluiceHandlerNotReady: killed',
    'SluiceHandlerNotReady: spooled',
    'SluiceHandlerRestarts: apart',
    'SluiceLimitsAreLocal: local',
    'SluiceListIsStale: listed',
    'SluicePolicyRefused',
    'SluiceReportsLost: refusing',
    'SluiceReportsWait: spooled',
    'SluiceRuleFails: errs',
    'SluiceRuleFails: frozen',
  ];
  await untilFiring(lasting, trouble);
  workspace.write('spool/filler', '');
  expect(() => {
    for (;;) appendFileSync(workspace.path('spool/filler'), Buffer.alloc(4096));
  }).toThrow('ENOSPC');
  const ofFullDisk = [
    'SluiceReportsDropped: decided',
    'SluiceSpoolDiskFails: spooled',
    'SluiceStreamsStop: spooled',
    'SluiceCacheTooSmall: cached',
  ];
  await untilFiring([...lasting, ...ofFullDisk], trouble);

  rmSync(workspace.path('spool/filler'));
  rmSync(workspace.path('fault'));
  rmSync(workspace.path('refusal'));
  workspace.write('policy.yaml', policyOf());
  frozen.thaw();
  const [redis, service] = [
    await startRedis({ port: killed.port }),
    await startHttpService(listed, { port: lists.port }),
  ];
  ends.push(
    () => redis.stop(),
    () => service.stop(),
  );
  await untilClear(ordinaryWork);
}, 240_000);

withEnds('policies that differ, and a server that ends', { timeout: 120_000 }, async ({ ends: own }) => {
  const folder = makeWorkspace();
  own.push(() => folder.remove());
  const policy = (name: string): string =>
    folder.write('policy.yaml', `rules: [{ name: ${name}, match: request.path == "/${name}", deny: {} }]\n`);
  const start = async (): Promise<Serving> => {
    const started = await serving([policy('a')]);
    own.push(() => started.stop());
    return started;
  };
  const [one, other] = [await start(), await start()];
  const both = await startAlerting([one.admin, other.admin]);
  own.push(() => both.stop());
  policy('b');
  await Promise.all([one, other].map((each) => each.said(/"msg":"policy loaded"/)));
  expect(await run(['rollback', '--to', one.admin])).toMatchObject({ code: 0 });
  await untilFiring(['SluicePoliciesDiffer'], undefined, both);
  expect(await both.fired()).toEqual(['SluicePoliciesDiffer']);
  policy('c');
  await untilClear(undefined, both);
  await other.stop();
  await untilFiring(['SluiceDown'], undefined, both);
});

withEnds(
  'that no server is scraped',
  async ({ ends: own }) => {
    const none = await startAlerting([]);
    own.push(() => none.stop());
    await untilFiring(['SluiceAbsent'], undefined, none);
  },
  60_000,
);

withEnds(
  'reports that a damaged disk has lost, though a server finds that before it is scraped',
  async ({ ends: own }) => {
    const folder = makeWorkspace();
    own.push(() => folder.remove());
    const policy = folder.write(
      'policy.yaml',
      `plugins: [${PARTS}/sink/adapter.ts]
settings: { spool: { folder: ${folder.path('spool')} } }
handlers: { out: { adapter: log-faulty, config: { out: ${folder.path('out')}, fault: ${folder.path('fault')} }, spool: disk } }
rules: [{ name: logs, calls: [log], report: { handler: out, input: { path: request.path } } }]
`,
    );
    folder.write('fault', 'away');
    const before = await serving([policy], { args: ['--grace', '1'] });
    own.push(() => before.stop());
    for (let at = 0; at < 20; at++)
      await callLog(before.grpc, { 'request.method': 'GET', 'request.path': `/${at}`, 'response.code': 200 });
    await before.stop();
    const segment = folder.path('spool/out/1/0000000001.spool');
    const bytes = readFileSync(segment);
    bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 8);
    writeFileSync(segment, bytes);
    const after = await serving([policy]);
    own.push(() => after.stop());
    const watching = await startAlerting([after.admin]);
    own.push(() => watching.stop());
    await untilFiring(['SluiceReportsLost: out'], undefined, watching);
    rmSync(folder.path('fault'));
    await untilClear(undefined, watching);
  },
  90_000,
);
