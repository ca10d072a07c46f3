/** A candidate beside the policy in force: what it would do to real calls, and how it comes into force. */
import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { makeLog } from '../../src/log/log.ts';
import { type Server, startServer } from '../../src/serve/policy/server.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { startRedis } from '../parts/redis.ts';
import { run } from './command.ts';
import { serveSluice, until } from './sluice.ts';

const CHECK = '/envoy.service.auth.v3.Authorization/Check';
const ADMIN_RULE = (more = ''): string => `rules:
  - name: no-admin
    match: request.url_path.startsWith("/admin")${more}
    deny: { status: 403 }
`;

interface Row {
  readonly rule: string | null;
  readonly now: string;
  readonly then: string;
  readonly count: number;
}
interface CandidatePage {
  readonly revision: string | null;
  readonly against: string | null;
  readonly inForce: boolean;
  readonly refusal: {
    readonly why: string;
    readonly findings: readonly { readonly at: string; readonly code: string }[];
  } | null;
  readonly compared: number;
  readonly differing: number;
  readonly otherHeaders: number;
  readonly skipped: number;
  readonly waiting: number;
  readonly byRule: readonly Row[];
  readonly samples: readonly {
    readonly request: Readonly<Record<string, unknown>>;
    readonly now: { readonly outcome: string; readonly rule: string | null };
    readonly then: { readonly outcome: string; readonly rule: string | null };
    readonly why: string;
    readonly values: Readonly<Record<string, unknown>>;
  }[];
  readonly notCompared: readonly { readonly rule: string; readonly why: string }[];
}

let folder: string;
let server: Server;
let isServing = false;
let threads: Worker[];
const onWorker = (worker: Worker): void => {
  threads.push(worker);
};

beforeEach(async () => {
  threads = [];
  process.on('worker', onWorker);
  folder = await mkdtemp(join(tmpdir(), 'sluice-candidate-'));
});
afterEach(async () => {
  process.off('worker', onWorker);
  if (isServing) await server.drain();
  isServing = false;
  await rm(folder, { recursive: true });
});

const live = (): string => join(folder, 'live.yaml');
const next = (): string => join(folder, 'next.yaml');

/** `candidate` is loaded when it returns, unless it has errors. */
async function start(policy: string, candidate: string, { workers = 1, share = 1 } = {}): Promise<void> {
  await writeFile(live(), policy);
  await writeFile(next(), candidate);
  server = await startServer({
    configs: [live()],
    candidate: { configs: [next()], share },
    ...(workers === 1 ? {} : { workers: { count: workers, log: { format: 'text', level: 'error' } } }),
    watch: true,
    graceMs: 2000,
    log: makeLog('text', 'error'),
    grpc: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
  });
  isServing = true;
  await until('the candidate is loaded', async () => {
    const { revision, refusal } = await candidatePage();
    expect(refusal).toBe(null);
    return revision === null ? undefined : true;
  });
}

const admin = (path: string, init?: RequestInit): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.adminPort}${path}`, init);
const candidatePage = async (): Promise<CandidatePage> => (await admin('/candidate')).json() as Promise<CandidatePage>;
const post = async (path: string): Promise<{ status: number; body: { revision?: string; error?: string } }> => {
  const answer = await admin(path, { method: 'POST' });
  return { status: answer.status, body: (await answer.json()) as { revision?: string; error?: string } };
};

interface Asked {
  readonly path: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
const bytesOf = ({ path, host = 'h', headers = {} }: Asked): Uint8Array =>
  toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path, host, headers } } } }),
  );

/** The codes of the calls, each connection with its part of them; workers share the connections. */
async function ask(calls: readonly Asked[], connections = 8, port = server.grpcPort): Promise<number[]> {
  const codes = await Promise.all(
    Array.from({ length: Math.min(connections, calls.length) }, async (_, at) => {
      const client = dialGrpc(`127.0.0.1:${port}`);
      const own = calls.filter((_call, index) => index % connections === at);
      const answers = await Promise.all(own.map((call) => client.unary(CHECK, bytesOf(call), { timeoutMs: 20_000 })));
      client.close();
      return answers.map((answer) => fromBinary(CheckResponseSchema, answer).status?.code ?? 0);
    }),
  );
  return codes.flat();
}
const times = (count: number, path: string): Asked[] => Array.from({ length: count }, () => ({ path }));

/** `RULE: OUTCOME IN FORCE, OUTCOME IN THE CANDIDATE: COUNT`. */
const rowsOf = ({ byRule }: CandidatePage): string[] =>
  byRule.map(({ rule, now, then, count }) => `${rule}: ${now}, ${then}: ${count}`);

/** The page when so many calls are compared or skipped. */
const settled = (calls: number): Promise<CandidatePage> =>
  until(`${calls} calls are compared`, async () => {
    const page = await candidatePage();
    return page.waiting === 0 && page.compared + page.skipped >= calls ? page : undefined;
  });
const metric = async (series: string): Promise<number> =>
  Number(
    (await (await admin('/metrics')).text())
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')
      .at(-1),
  );

describe.each([1, 2])('with %i workers', (workers) => {
  test('differences are counted by rule, with samples that say which condition differs', async () => {
    await start(ADMIN_RULE(), ADMIN_RULE(' || request.url_path == "/secret"'), { workers });
    const secret = { path: '/secret?token=abcdef', headers: { authorization: 'Bearer abcdef' } };
    await ask([...times(10, '/a'), ...times(5, '/admin'), ...Array.from({ length: 7 }, () => secret)]);
    const page = await settled(22);
    expect(page).toMatchObject({
      compared: 22,
      differing: 7,
      otherHeaders: 0,
      skipped: 0,
      inForce: false,
      refusal: null,
    });
    expect(rowsOf(page)).toEqual(['no-admin: allow, deny: 7']);
    expect(page.byRule[0]).toMatchObject({ ruleNow: null, ruleThen: 'no-admin' });
    expect(page.samples.length).toBeGreaterThanOrEqual(5);
    expect(page.samples[0]).toMatchObject({
      request: { method: 'GET', host: 'h', path: '/secret?token=(secret)' },
      now: { outcome: 'allow', rule: null },
      values: { 'request.url_path': '/secret' },
    });
    expect(page.samples[0]?.then).toEqual({ outcome: 'deny', rule: 'no-admin' });
    expect(page.samples[0]?.why).toContain('in force `request.url_path.startsWith("/admin")` is false');
    expect(page.samples[0]?.why).toContain('in the candidate `request.url_path == "/secret"` is true');
    expect(JSON.stringify(page)).not.toContain('abcdef');
    expect([
      await metric('sluice_candidate_calls_total{result="same"}'),
      await metric('sluice_candidate_calls_total{result="differs"}'),
      await metric(
        'sluice_candidate_differences_total{rule_now="",rule_then="no-admin",outcome_now="allow",outcome_then="deny"}',
      ),
      await metric(`sluice_candidate_info{revision="${page.revision}"}`),
    ]).toEqual([15, 7, 7, 1]);
  });

  test('promotion under load loses no call, is in all workers, and in one that is restarted', async () => {
    await start(ADMIN_RULE(), ADMIN_RULE(' || request.url_path == "/secret"'), { workers });
    const { revision } = await candidatePage();
    let isOver = false;
    const load = (async () => {
      const codes: number[] = [];
      while (!isOver) codes.push(...(await ask(times(64, '/secret'))));
      return codes;
    })();
    await until('some calls are compared', async () => ((await candidatePage()).compared > 0 ? true : undefined));
    expect(await post('/candidate/promote?revision=0')).toEqual({
      status: 409,
      body: { error: `the candidate has changed: it is of revision ${revision}, not 0` },
    });
    expect(await post(`/candidate/promote?revision=${revision}`)).toEqual({ status: 200, body: { revision } });
    isOver = true;
    const codes = await load;
    expect(codes.every((code) => code === 0 || code === 7)).toBe(true);
    expect(new Set(await ask(times(64, '/secret'), 32))).toEqual(new Set([7]));
    expect(await admin('/policy').then((answer) => answer.json())).toMatchObject({
      revision,
      origin: 'candidate',
      history: [{ revision, origin: 'candidate' }, { origin: 'files' }],
    });
    expect(await candidatePage()).toMatchObject({ inForce: true, compared: 0 });
    expect((await post('/candidate/promote')).status).toBe(409);
    if (workers === 1) return;
    await threads[0]?.terminate();
    await until('the worker is back', async () =>
      threads.length > workers && (await metric('sluice_workers')) === workers ? true : undefined,
    );
    expect(new Set(await ask(times(64, '/secret'), 32))).toEqual(new Set([7]));
    expect((await post('/policy/rollback')).status).toBe(200);
    expect(new Set(await ask(times(64, '/secret'), 32))).toEqual(new Set([0]));
    // The restarted worker compares too: all calls are compared, over whichever connections they come.
    expect(await settled(64)).toMatchObject({ compared: 64, differing: 64 });
  });
});

test('other headers of the same outcome are counted apart', async () => {
  const policy = (tier: string): string =>
    `rules: [{ name: tier, onAllow: { request: { set: { x-tier: "${tier}" } } } }]\n`;
  await start(policy('gold'), policy('silver'));
  await ask(times(6, '/a'));
  expect(await settled(6)).toMatchObject({ compared: 6, differing: 0, otherHeaders: 6, byRule: [] });
});

test('a candidate with errors is refused with its findings, and the last good one goes on', async () => {
  await start(ADMIN_RULE(), ADMIN_RULE(' || request.url_path == "/secret"'));
  const { revision } = await candidatePage();
  await writeFile(next(), ADMIN_RULE(' || request.pth == "/secret"'));
  const refused = await until('it is refused', async () => {
    const page = await candidatePage();
    return page.refusal === null ? undefined : page;
  });
  expect(refused.revision).toBe(revision);
  expect(refused.refusal?.findings[0]).toMatchObject({ at: expect.stringMatching(/next\.yaml:3:/) as string });
  expect(await ask(times(4, '/secret'))).toEqual([0, 0, 0, 0]);
  expect(await settled(4)).toMatchObject({ differing: 4 });
  expect((await (await admin('/policy')).json()) as object).toMatchObject({ pending: null, origin: 'files' });
  await writeFile(next(), ADMIN_RULE(' || request.url_path == "/other"'));
  await until('it is loaded', async () => {
    const page = await candidatePage();
    return page.refusal === null && page.revision !== revision ? true : undefined;
  });
  await ask(times(4, '/secret'));
  expect(await settled(4)).toMatchObject({ compared: 4, differing: 0 });
});

test('a burst of 10 000 calls is answered rightly, and what does not fit is skipped', async () => {
  await start(ADMIN_RULE(), ADMIN_RULE(' || request.url_path == "/secret"'));
  const codes = await ask([...times(5000, '/admin/a'), ...times(5000, '/secret')]);
  expect([codes.filter((code) => code === 7).length, codes.filter((code) => code === 0).length]).toEqual([5000, 5000]);
  const { compared, skipped, differing } = await settled(10_000);
  expect(compared + skipped).toBe(10_000);
  expect(differing).toBeGreaterThan(0);
  expect(differing).toBeLessThanOrEqual(5000);
  expect(await metric('sluice_candidate_calls_total{result="skipped"}')).toBe(skipped);
});

test('quotas of the candidate charge nothing, and its reports are not written', async () => {
  const redis = await startRedis();
  try {
    const policy = (limit: number, more = ''): string => `handlers:
  counts: { adapter: quota-redis, config: { url: "${redis.url}" } }
  audit: { adapter: log-file, config: { path: "${join(folder, 'audit.log')}" } }
rules:
  - name: per-host
    quota: { handler: counts, key: [request.host], limit: ${limit}, per: 1h }
${more}`;
    const more = `  - name: per-path
    quota: { handler: counts, key: [request.path], limit: 1, per: 1h }
  - name: audit
    report: { handler: audit, input: { path: request.path } }
`;
    await start(policy(10), policy(4, more).replace('audit.log', 'candidate.log'));
    expect((await ask(times(12, '/a'), 1)).filter((code) => code === 0)).toHaveLength(10);
    const page = await settled(12);
    // In force 10 pass, in the candidate 4: six differ, though the counter has moved on when the candidate is asked.
    expect(rowsOf(page)).toEqual(['per-host: allow, deny: 6']);
    expect(page.samples[0]?.why).toContain('in the candidate it always applies, over the limit of 4 in 3600 s');
    expect(page.notCompared).toMatchObject([{ rule: 'per-path' }]);
    const keys = (await redisKeys(redis.port)).filter((key) => !key.includes('lock'));
    expect(keys.filter((key) => key.includes('per-path'))).toEqual([]);
    expect((await ask(times(1, '/a'), 1))[0]).toBe(8);
    expect(existsSync(join(folder, 'candidate.log'))).toBe(false);
    expect(existsSync(join(folder, 'audit.log'))).toBe(true);
  } finally {
    await redis.stop();
  }
});

test('an unchanged quota in memory differs in no call, though the counter is full', async () => {
  const policy = (more = ''): string => `handlers: { counts: { adapter: quota-memory } }
rules:
  - { name: per-host, quota: { handler: counts, key: [request.host], limit: 20, per: 1h } }
${more}`;
  await start(policy(), policy('  - { name: never, match: "request.path == \\"/x\\"", deny: {} }\n'), { workers: 2 });
  // Fewer than MAX_WAITING, so that none is skipped when one worker gets all.
  const codes = await ask(times(100, '/a'));
  expect(codes.filter((code) => code === 0)).toHaveLength(20);
  expect(await settled(100)).toMatchObject({ compared: 100, differing: 0, notCompared: [] });
});

test('a handler of the candidate that never answers costs the calls nothing', async () => {
  const silent = await silentServer();
  try {
    await start(ADMIN_RULE(), asking(silent.port));
    expect(new Set(await ask(times(300, '/a')))).toEqual(new Set([0]));
    const page = await settled(300);
    expect(page.differing).toBe(page.compared);
    expect(rowsOf(page)).toEqual([`ask: allow, failed: ${page.compared}`]);
    expect(await admin('/readyz').then(({ status }) => status)).toBe(200);
  } finally {
    silent.close();
  }
});

test('a rollback goes back step by step, and ten policies are kept', async () => {
  const policy = (number: number): string =>
    `rules: [{ name: r${number}, match: request.path == "/${number}", deny: {} }]\n`;
  await start(policy(0), ADMIN_RULE());
  expect((await post('/policy/rollback')).body.error).toContain('there is no earlier policy');
  const revisions = [server.policy().revision];
  for (let number = 1; number <= 12; number++) {
    await writeFile(live(), policy(number));
    expect(await server.reload()).toBe(true);
    revisions.unshift(server.policy().revision);
  }
  const history = async (): Promise<string[]> =>
    ((await (await admin('/policy')).json()) as { history: { revision: string }[] }).history.map(
      ({ revision }) => revision,
    );
  expect(await history()).toEqual(revisions.slice(0, 11));
  expect(await post('/policy/rollback')).toEqual({ status: 200, body: { revision: revisions[1] } });
  expect(await post('/policy/rollback')).toEqual({ status: 200, body: { revision: revisions[2] } });
  expect(await ask([{ path: '/12' }, { path: '/10' }], 1)).toEqual([0, 7]);
  expect(await history()).toEqual(revisions.slice(2, 11));
  expect(await post('/policy/rollback?steps=9')).toMatchObject({
    status: 409,
    body: { error: 'there is no policy 9 steps back: 8 earlier policies are kept, of at most 10' },
  });
  const printed = await run(['rollback', '--steps', '8', '--to', `127.0.0.1:${server.adminPort}`]);
  expect(printed).toMatchObject({ code: 0, out: `revision ${revisions[10]} is in force\n` });
  // A change of the files takes over.
  await writeFile(live(), policy(99));
  await until('the files are loaded', () => (server.policy().rules[0]?.name === 'r99' ? true : undefined));
  expect(await history()).toHaveLength(2);
});

test('a promotion waits for a load of the files, and one that cannot be opened is refused with its findings', async () => {
  await start(ADMIN_RULE(), ADMIN_RULE(' || request.url_path == "/secret"'));
  const first = server.policy().revision;
  const { revision } = await candidatePage();
  await writeFile(live(), ADMIN_RULE(' || request.url_path == "/later"'));
  const [isLoaded, promoted] = await Promise.all([server.reload(), post('/candidate/promote')]);
  expect([isLoaded, promoted]).toEqual([true, { status: 200, body: { revision } }]);
  const { history } = (await (await admin('/policy')).json()) as { history: { revision: string; origin: string }[] };
  expect(history.map(({ origin }) => origin)).toEqual(['candidate', 'files', 'files']);
  expect([history[0]?.revision, history[2]?.revision]).toEqual([revision, first]);
  // Handlers of reports are opened by a promotion alone.
  await writeFile(
    next(),
    `handlers: { audit: { adapter: log-elasticsearch, config: { url: "https://127.0.0.1:1", index: audit, tls: { ca: no.pem } } } }
rules: [{ name: audit, report: { handler: audit, input: { path: request.path } } }]
`,
  );
  await until('it is loaded', async () => ((await candidatePage()).revision === revision ? undefined : true));
  const refused = await post('/candidate/promote');
  expect([refused.status, refused.body.error]).toEqual([409, expect.stringContaining('could not be opened')]);
  expect(server.policy().revision).toBe(revision);
  expect(await ask(times(1, '/secret'), 1)).toEqual([7]);
});

test('SIGTERM ends a server whose candidate has a full backlog', async () => {
  const silent = await silentServer();
  await using again = await serveSluice(ADMIN_RULE(), {
    args: ['--candidate', next(), '--candidate-share', '100%'],
  });
  try {
    await writeFile(next(), asking(silent.port));
    const page = async (): Promise<CandidatePage> => (await again.admin('/candidate')).json() as Promise<CandidatePage>;
    await until('the candidate is loaded', async () => ((await page()).revision === null ? undefined : true));
    const codes = await ask(times(3000, '/a'), 8, again.grpcPort);
    expect(new Set(codes)).toEqual(new Set([0]));
    expect((await page()).skipped).toBeGreaterThan(0); // it was full
    const cut = ask(times(50_000, '/a'), 8, again.grpcPort).catch(() => undefined);
    await sleep(100);
    expect(await again.stop()).toBe(0);
    await cut;
    expect(again.log.filter((line) => line.includes('in time'))).toEqual([]);
  } finally {
    await again.stop('SIGKILL');
    silent.close();
  }
});

/** A service that takes connections, and never answers. */
async function silentServer(): Promise<{ readonly port: number; close(): void }> {
  const silent: TcpServer = createServer(() => undefined);
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  return { port: (silent.address() as { port: number }).port, close: () => silent.close() };
}

const asking = (port: number): string => `handlers:
  asked:
    adapter: check-http
    config: { url: "http://127.0.0.1:${port}/" }
    breaker: { failures: 1000000 }
rules: [{ name: ask, check: { handler: asked } }]
`;

async function redisKeys(port: number): Promise<string[]> {
  const { createConnection } = await import('node:net');
  const socket = createConnection(port, '127.0.0.1');
  socket.write('KEYS *\r\n');
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) {
    text += String(chunk);
    const count = Number(/^\*(\d+)/.exec(text)?.[1]);
    if (text.split('\r\n').length > 2 * count + 1) break;
  }
  return text.split('\r\n').filter((line) => line !== '' && !/^[*$]/.test(line));
}
