/** Several workers on one port behave as one server: exact quotas, summed pages, restarts. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeLog } from '../../src/log/log.ts';
import { type Server, startServer } from '../../src/serve/policy/server.ts';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { startRedis } from '../parts/redis.ts';
import { run } from './command.ts';
import { until } from './sluice.ts';

const POLICY = `handlers:
  counts: { adapter: quota-memory }
rules:
  - name: hundred
    quota: { handler: counts, key: [request.host], limit: 100, per: 1h }
    calls: [http]
  - name: any-hour
    match: request.host == "log.example"
    quota: { handler: counts, algorithm: log, limit: 30, per: 1h, key: [request.host] }
  - name: at-once
    match: '"x-request-id" in request.headers'
    quota: { handler: counts, counter: places, algorithm: concurrency, limit: 20, per: 60s, key: [request.host], once: 'request.headers["x-request-id"]' }
  - name: answered
    calls: [log]
    match: '"x-request-id" in request.headers'
    quota: { handler: counts, counter: places, algorithm: concurrency, limit: 20, per: 60s, key: [request.host], once: 'request.headers["x-request-id"]' }
`;
const CHECK = '/envoy.service.auth.v3.Authorization/Check';
const request = (host: string, headers: Record<string, string> = {}): Uint8Array =>
  toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path: '/', host, headers } } } }),
  );

let folder: string;
let server: Server;
let threads: Worker[];
const onWorker = (worker: Worker): void => {
  threads.push(worker);
};

beforeEach(async () => {
  threads = [];
  process.on('worker', onWorker);
  folder = await mkdtemp(join(tmpdir(), 'sluice-workers-'));
  await writeFile(join(folder, 'policy.yaml'), POLICY);
  server = await startServer({
    configs: [folder],
    workers: { count: 3, log: { format: 'text', level: 'error' } },
    watch: true,
    graceMs: 1000,
    log: makeLog('text', 'error'),
    grpc: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
  });
});
afterEach(async () => {
  process.off('worker', onWorker);
  await server.drain();
  await rm(folder, { recursive: true });
});

/** The number of calls that pass, each over its own connection; `idOf`: the request id by number. */
async function passing(
  host: string,
  calls: number,
  { connections = 12, idOf }: { connections?: number; idOf?: (call: number) => string } = {},
): Promise<number> {
  const passed = await Promise.all(
    Array.from({ length: connections }, async (_, at) => {
      const client = dialGrpc(`127.0.0.1:${server.grpcPort}`);
      const mine = Array.from({ length: calls / connections }, async (__, call) => {
        const headers = idOf === undefined ? {} : { 'x-request-id': idOf((at * calls) / connections + call) };
        return fromBinary(
          CheckResponseSchema,
          await client.unary(CHECK, request(host, headers), { timeoutMs: 20_000, metadata: { 'x-at': String(at) } }),
        );
      });
      const codes = (await Promise.all(mine)).map(({ status }) => status?.code ?? 0);
      client.close();
      return codes.filter((code) => code === 0).length;
    }),
  );
  return passed.reduce((sum, one) => sum + one, 0);
}

const page = async (path: string): Promise<string> =>
  (await fetch(`http://127.0.0.1:${server.adminPort}${path}`)).text();
const valueOf = (metrics: string, series: string): number =>
  Number(
    metrics
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')
      .at(-1),
  );

test('a quota in memory is exact across workers, and the pages include all of them', async () => {
  expect(await passing('a.example', 600)).toBe(100);
  expect(await passing('b.example', 60)).toBe(60);
  const metrics = await page('/metrics');
  expect(valueOf(metrics, 'sluice_calls_total{call="http",outcome="allow"}')).toBe(160);
  expect(valueOf(metrics, 'sluice_calls_total{call="http",outcome="deny"}')).toBe(500);
  expect(valueOf(metrics, 'sluice_rule_denied_total{rule="hundred"}')).toBe(500);
  expect([
    valueOf(metrics, 'sluice_workers'),
    valueOf(metrics, 'sluice_handler_ready{handler="counts"}'),
    valueOf(metrics, 'sluice_policy_rules'),
  ]).toEqual([3, 1, 4]);
  expect(metrics.match(/^# TYPE sluice_calls_total /gm)).toHaveLength(1);
  expect((JSON.parse(await page('/readyz')) as { ready: boolean }).ready).toBe(true);
  const { verdicts } = JSON.parse(await page('/verdicts')) as { verdicts: { outcome: string }[] };
  expect(verdicts.filter(({ outcome }) => outcome === 'deny').length).toBeGreaterThan(90);
  expect(await passing('log.example', 60)).toBe(30);
});

test('all workers together limit concurrent requests, and admit the next when one has been answered', async () => {
  expect(await passing('a.example', 60, { idOf: (call) => `id ${call}` })).toBe(20);
  expect(await passing('b.example', 12, { idOf: () => 'one' })).toBe(12);
  const places = async (from: string): Promise<number> =>
    passing('b.example', 36, { idOf: (call) => `${from} ${call}` });
  expect(await places('first')).toBe(19);
  const entry = JSON.stringify({
    'request.host': 'b.example',
    'request.path': '/',
    'request.headers': { 'x-request-id': 'one' },
  });
  expect(
    await run(['call', 'log', '--to', `127.0.0.1:${server.grpcPort}`, '--request', '-'], { stdin: entry }),
  ).toMatchObject({ code: 0, err: '' });
  await until('its place is free', async () =>
    (await passing('b.example', 1, { connections: 1, idOf: () => 'next' })) === 1 ? true : undefined,
  );
  expect(await places('more')).toBe(0);
});

test('a dead worker is restarted and counted; the counts survive', async () => {
  expect(await passing('a.example', 60)).toBe(60);
  const dead = threads[1];
  await dead?.terminate();
  const untilMs = Date.now() + 50_000;
  while (threads.length < 4 || valueOf(await page('/metrics'), 'sluice_workers') < 3) {
    if (Date.now() > untilMs) throw new Error('it was not started again');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(valueOf(await page('/metrics'), 'sluice_worker_restarts_total')).toBe(1);
  expect(await passing('a.example', 600)).toBe(40);
});

test('a changed policy is loaded by all workers, one with errors by none', async () => {
  await writeFile(join(folder, 'policy.yaml'), POLICY.replace('limit: 100', 'limit: "many"'));
  expect(await server.reload()).toBe(false);
  await writeFile(
    join(folder, 'policy.yaml'),
    POLICY.replace('limit: 100', 'limit: 30').replace('name: hundred', 'name: thirty'),
  );
  expect(await server.reload()).toBe(true);
  expect(await passing('c.example', 120)).toBe(30);
  expect(await page('/rules')).toContain('thirty');
});

test('quotas are inspected and reset as in one server, in memory and in Redis', async () => {
  const limits = async (depth: string, host: string): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${server.adminPort}/limits/${depth}`, {
      method: 'POST',
      body: JSON.stringify({ 'request.host': host }),
    });
    return (
      (await answer.json()) as {
        rules: readonly { state?: { used: number }; applies: boolean; reset?: boolean; failure?: string }[];
      }
    ).rules
      .filter(({ applies }) => applies)
      .map(({ state, reset, failure }) => [state?.used, reset, failure]);
  };
  const redis = await startRedis();
  try {
    for (const handler of [
      'quota-memory',
      `quota-redis, deadline: 5s, config: { url: "${redis.url}", timeoutMs: 5000 }`,
    ]) {
      await writeFile(
        join(folder, 'policy.yaml'),
        POLICY.replace('quota-memory', handler).replace('limit: 100', 'limit: 50'),
      );
      expect(await server.reload()).toBe(true);
      expect(await passing('a.example', 60)).toBe(50);
      expect(await passing('b.example', 24)).toBe(24);
      expect([await limits('inspect', 'a.example'), await limits('inspect', 'a.example')]).toEqual([
        [[50, undefined, undefined]],
        [[50, undefined, undefined]],
      ]);
      expect(await limits('reset', 'a.example')).toEqual([[50, true, undefined]]);
      expect([await limits('inspect', 'a.example'), await limits('inspect', 'b.example')]).toEqual([
        [[0, undefined, undefined]],
        [[24, undefined, undefined]],
      ]);
      expect(await passing('a.example', 60)).toBe(50);
      expect(await passing('log.example', 60)).toBe(30);
      expect(await limits('reset', 'log.example')).toEqual([
        [30, true, undefined],
        [30, true, undefined],
      ]);
      expect(await passing('log.example', 60)).toBe(30);
    }
  } finally {
    await redis.stop();
  }
});

test('invalid requests are answered as by one server', async () => {
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/limits/inspect`, {
    method: 'POST',
    body: '{"request.pth": "/"}',
  });
  expect([answer.status, await answer.json()]).toEqual([
    400,
    { error: 'no attribute is named request.pth; did you mean request.path?' },
  ]);
});

test('recent verdicts of all workers are one list, with the filters of one server', async () => {
  await writeFile(
    join(folder, 'policy.yaml'),
    `rules:
  - { name: closed, match: 'request.host.startsWith("closed")', deny: { status: 403 } }
  - { name: watched, match: 'request.host.endsWith(".watched")', deny: { status: 403 }, mode: shadow }
`,
  );
  expect(await server.reload()).toBe(true);
  expect(await passing('closed.example', 36)).toBe(0);
  expect(await passing('closed.other', 12)).toBe(0);
  expect(await passing('open.watched', 12)).toBe(12);
  const kept = async (query: string): Promise<{ time: string; outcome: string; host: string }[]> =>
    (
      JSON.parse(await page(`/verdicts?limit=500&${query}`)) as {
        verdicts: { time: string; outcome: string; host: string }[];
      }
    ).verdicts;
  const closed = await kept('rule=closed');
  expect(closed).toHaveLength(48);
  expect(closed.map(({ time }) => time)).toEqual(
    closed
      .map(({ time }) => time)
      .toSorted()
      .toReversed(),
  );
  expect(await kept('outcome=deny')).toEqual(closed);
  expect(new Set((await kept('host=closed.other')).map(({ host }) => host))).toEqual(new Set(['closed.other']));
  expect(await kept('host=closed.other&outcome=deny')).toHaveLength(12);
  expect(await kept('rule=watched')).toHaveLength(12);
  expect(await kept('rule=closed&host=open.watched')).toEqual([]);
  const { verdicts } = JSON.parse(await page('/verdicts?outcome=deny&limit=5')) as { verdicts: unknown[] };
  expect(verdicts).toHaveLength(5);
  expect((await fetch(`http://127.0.0.1:${server.adminPort}/verdicts?rule=clsed`)).status).toBe(400);
});

// ---------------------------------------------------------- all workers have the same policy

const rule = (name: string): string =>
  `rules: [{ name: ${name}, match: 'request.url_path == "/"', deny: { status: 403, body: ${name} } }]\n`;
const writePolicy = async (name: string): Promise<void> =>
  writeFile(
    join(folder, 'policy.yaml'),
    name === '' ? 'rules: [{ name: x, match: request.pth, deny: {} }]\n' : rule(name),
  );

/** Answers of calls over separate connections, so that each worker gets some. */
async function bodies(connections = 24): Promise<string[]> {
  const seen = await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = dialGrpc(`127.0.0.1:${server.grpcPort}`);
      try {
        const { httpResponse } = fromBinary(
          CheckResponseSchema,
          await client.unary(CHECK, request('a.example'), { timeoutMs: 20_000 }),
        );
        return httpResponse.case === 'deniedResponse' ? httpResponse.value.body : 'allowed';
      } finally {
        client.close();
      }
    }),
  );
  return [...new Set(seen)];
}
const restarts = async (): Promise<number> => valueOf(await page('/metrics'), 'sluice_worker_restarts_total');
const serving = async (): Promise<number> => valueOf(await page('/metrics'), 'sluice_workers');

test('a worker that dies after an invalid edit is restarted with the policy in force, not with the files on disk', async () => {
  await writePolicy('good');
  expect(await server.reload()).toBe(true);
  await writePolicy('');
  expect(await server.reload()).toBe(false);
  await threads[1]?.terminate();
  await until(
    'it is replaced',
    async () => ((await restarts()) === 1 && (await serving()) === 3 ? true : undefined),
    30_000,
  );
  expect(await bodies()).toEqual(['good']);
  expect(await page('/metrics')).toMatch(/^sluice_policy_last_load_successful 0$/m);
  expect(JSON.parse(await page('/policy'))).toMatchObject({
    pending: { findings: [{ code: 'EXPRESSION_UNKNOWN_ATTRIBUTE' }] },
  });
}, 60_000);

test('a policy that arrives while a worker starts reaches it, too', async () => {
  await writePolicy('first');
  expect(await server.reload()).toBe(true);
  const before = threads.length;
  await threads[0]?.terminate();
  await until('another starts', () => (threads.length > before ? true : undefined), 30_000);
  await writePolicy('second');
  expect(await server.reload()).toBe(true);
  await until('it serves', async () => ((await serving()) === 3 ? true : undefined), 30_000);
  expect(await bodies()).toEqual(['second']);
}, 60_000);

test('a policy that one worker cannot load is loaded by none, and the reason is logged', async () => {
  await writePolicy('first');
  expect(await server.reload()).toBe(true);
  const [, one] = threads;
  const send = one?.postMessage.bind(one);
  if (one === undefined || send === undefined) throw new Error('there is no second worker');
  one.postMessage = (message: { what?: string; given?: { files: { files: { file: string; text: string }[] } } }) => {
    if (message.what !== 'prepare' || message.given === undefined) return send(message);
    const files = message.given.files.files.map(({ file, text }) => ({
      file,
      text: text.replace('second', 'second]'),
    }));
    send({ ...message, given: { ...message.given, files: { ...message.given.files, files } } }); // damaged in transit
  };
  await writePolicy('second');
  expect(await server.reload()).toBe(false);
  expect(await bodies()).toEqual(['first']);
  expect(JSON.parse(await page('/policy'))).toMatchObject({
    pending: { why: expect.stringContaining('worker 2') as string },
  });
  one.postMessage = send;
  expect(await server.reload()).toBe(true);
  expect(await bodies()).toEqual(['second']);
}, 60_000);

test('process metrics appear once, and counts do not fall when a worker dies', async () => {
  const before = await passing('a.example', 60);
  expect(before).toBe(60);
  const calls = async (): Promise<number> =>
    valueOf(await page('/metrics'), 'sluice_calls_total{call="http",outcome="allow"}');
  expect(await calls()).toBe(60);
  const metrics = await page('/metrics');
  const seconds = valueOf(metrics, 'process_start_time_seconds');
  expect(Math.abs(seconds - (Date.now() / 1000 - process.uptime()))).toBeLessThan(60);
  expect(valueOf(metrics, 'process_resident_memory_bytes')).toBeLessThan(process.memoryUsage().rss * 1.5);
  await threads[2]?.terminate();
  expect(await calls()).toBe(60);
  await until(
    'it is replaced',
    async () => ((await restarts()) === 1 && (await serving()) === 3 ? true : undefined),
    30_000,
  );
  expect(await calls()).toBe(60);
}, 60_000);

test('what rules count is one page of all workers in both formats, and does not fall when one dies', async () => {
  const counting = `handlers:
  m: { adapter: metrics-prometheus, config: { metrics: { hosts_total: { kind: counter, labels: [host] }, latest: { kind: gauge, labels: [host], merge: max } } } }
rules:
  - { name: hosts, calls: [http], report: { handler: m, params: { metric: [hosts_total, latest] }, input: { values: { latest: "7" }, labels: { host: 'request.host + ",b"' }, exemplar: { trace_id: '"4bf9"' } } } }
`;
  await writeFile(join(folder, 'policy.yaml'), counting);
  expect(await server.reload()).toBe(true);
  await passing('a.example', 60);
  const hosts = async (): Promise<number> => valueOf(await page('/metrics'), 'hosts_total{host="a.example,b"}');
  await until('all are counted', async () => ((await hosts()) === 60 ? true : undefined));
  const accept = 'application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5';
  const text = await (
    await fetch(`http://127.0.0.1:${server.adminPort}/metrics`, { headers: { accept, 'accept-encoding': 'gzip' } })
  ).text();
  expect(text).toMatch(
    /^# TYPE hosts counter\nhosts_total\{host="a.example,b"\} 60 # \{trace_id="4bf9"\} 1 \d+(\.\d+)?$/m,
  );
  expect(text).toContain('\nlatest{host="a.example,b"} 7\n');
  expect(text.match(/^# EOF$/gm)).toHaveLength(1);
  expect(text.endsWith('# EOF\n')).toBe(true);
  await threads[0]?.terminate();
  expect(await hosts()).toBe(60);
  await until('it is replaced', async () => ((await restarts()) === 1 && (await serving()) === 3 ? true : undefined));
  await passing('a.example', 60);
  await until('all are counted', async () => ((await hosts()) === 120 ? true : undefined));
}, 60_000);
