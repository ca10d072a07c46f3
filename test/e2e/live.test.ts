/** What operators read from a running server, with one engine and with several workers as one. */
import { randomUUID } from 'node:crypto';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { makeLog } from '../../src/log/log.ts';
import { type Server, startServer } from '../../src/serve/policy/server.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { until } from './sluice.ts';

const POLICY = `handlers:
  counts: { adapter: quota-memory }
  seen: { adapter: metrics-prometheus, config: { metrics: { checks_total: { kind: counter } } } }
rules:
  - name: no-deletes
    match: request.method == "DELETE"
    deny: { status: 403 }
  - name: no-drafts
    match: request.path.startsWith("/drafts/")
    deny: { status: 404 }
    mode: shadow
  - name: by-role
    match: request.headers["x-role"] == "guest"
    onError: allow
    deny: { status: 403 }
  - name: three-a-day
    match: request.path == "/limited"
    quota: { handler: counts, limit: 3, per: 1h, key: [request.host] }
  - name: two-at-once
    match: request.path == "/leased"
    quota: { handler: counts, algorithm: concurrency, limit: 2, per: 1h, key: [request.host], once: request.id }
  - name: counted
    calls: [http]
    report: { handler: seen, params: { metric: checks_total }, input: { value: 1.0 } }
  - name: never
    match: request.method == "BREW"
    deny: { status: 418 }
`;
const CHECK = '/envoy.service.auth.v3.Authorization/Check';

interface Event {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A reader of server-sent events. */
async function reading(
  port: number,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ reply: IncomingMessage; events: Event[]; ended: Promise<void>; leave: () => void }> {
  const reply = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers, agent: false }, resolve).on('error', reject);
  });
  const events: Event[] = [];
  let text = '';
  reply.setEncoding('utf8').on('data', (piece: string) => {
    const whole = (text + piece).split('\n\n');
    text = whole.pop() ?? '';
    for (const one of whole) {
      const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(one) ?? [];
      if (event !== '') events.push({ event, data: JSON.parse(data) as Event['data'] });
    }
  });
  const ended = new Promise<void>((resolve) => {
    reply.once('close', resolve).once('error', () => resolve());
  });
  return { reply, events, ended, leave: () => reply.destroy() };
}

type Row = Readonly<Record<string, unknown>>;

interface TopRows {
  readonly limits: readonly Row[];
}

interface CountsRow {
  readonly name: string;
  readonly counts: Readonly<Record<string, unknown>> | null;
}

describe.each([1, 2])('with %i engine(s)', (count) => {
  let folder: string;
  let server: Server;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-live-'));
    await writeFile(join(folder, 'policy.yaml'), POLICY);
    server = await started();
  }, 60_000);
  const started = (): Promise<Server> =>
    startServer({
      configs: [folder],
      ...(count === 1 ? {} : { workers: { count, log: { format: 'text', level: 'error' } } }),
      watch: true,
      graceMs: 1000,
      log: makeLog('text', 'error'),
      grpc: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
    });
  afterAll(async () => {
    await server.drain();
    await rm(folder, { recursive: true, force: true });
  });

  /** Each over a connection of its own, so that all workers take some. */
  async function checked(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    host = 'shop',
  ): Promise<number> {
    const client = dialGrpc(`127.0.0.1:${server.grpcPort}`);
    const http = { method, path, host, headers: { 'x-role': 'admin', ...headers } };
    const request = create(CheckRequestSchema, { attributes: { request: { http } } });
    const answer = await client.unary(CHECK, toBinary(CheckRequestSchema, request), { timeoutMs: 20_000 });
    client.close();
    return fromBinary(CheckResponseSchema, answer).status?.code ?? 0;
  }
  const page = async (path: string): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${server.adminPort}${path}`)).json();

  test('each rule says how often it applied, denied and failed, and when it last did', async () => {
    const beganAtMs = Date.now();
    const calls: [string, string, Record<string, string>?][] = [
      ...Array.from({ length: 6 }, (): [string, string] => ['DELETE', '/']),
      ...Array.from({ length: 4 }, (): [string, string] => ['GET', '/drafts/1']),
      ...Array.from({ length: 5 }, (): [string, string] => ['GET', '/limited']),
    ];
    for (const [method, path] of calls) await checked(method, path);
    const { rules } = (await page('/rules')) as { readonly rules: readonly CountsRow[] };
    const counts = new Map(rules.map((row) => [row.name, row.counts]));
    const lastAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown;
    expect(counts.get('no-deletes')).toEqual({ applied: 6, denied: 6, failed: 0, shadowDenied: 0, lastAt });
    expect(counts.get('no-drafts')).toEqual({ applied: 4, denied: 0, failed: 0, shadowDenied: 4, lastAt });
    expect(counts.get('three-a-day')).toEqual({ applied: 5, denied: 2, failed: 0, shadowDenied: 0, lastAt });
    expect(counts.get('counted')).toEqual({ applied: 15, denied: 0, failed: 0, shadowDenied: 0, lastAt });
    expect(counts.get('never')).toEqual({ applied: 0, denied: 0, failed: 0, shadowDenied: 0, lastAt: null });
    const last = Date.parse(String(counts.get('counted')?.['lastAt']));
    expect(last).toBeGreaterThanOrEqual(beganAtMs - 5);
    expect(last).toBeLessThanOrEqual(Date.now() + 5);
  });

  async function stream(filters = '', headers = {}): ReturnType<typeof reading> {
    const reader = await reading(server.adminPort ?? 0, `/verdicts/stream${filters}`, headers);
    onTestFinished(() => reader.leave());
    return reader;
  }
  const rowsOf = (events: readonly Event[]): Event['data'][] =>
    events.filter(({ event }) => event === 'verdict').map(({ data }) => data);
  /** Until a call of this path is seen: the feed is open in all workers. */
  async function isOpen(events: readonly Event[], path: string): Promise<void> {
    await until('the first decided call', async () => {
      for (let call = 0; call < 4; call++) await checked('GET', path);
      const workers = new Set(rowsOf(events).map((row) => row['worker']));
      return workers.size === count ? true : undefined;
    });
  }

  test('a stream shows each decided call, of all workers, without secrets', async () => {
    const { events, leave } = await stream();
    await isOpen(events, '/opening');
    await checked('DELETE', '/carts/7?token=abcdef', { 'x-request-id': 'r-1' });
    await checked('GET', '/drafts/9');
    const row = await until('the refusal', () => rowsOf(events).find(({ outcome }) => outcome === 'deny'));
    expect(row).toEqual({
      id: expect.stringMatching(/^\w+-\w+$/) as unknown,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
      call: 'http',
      outcome: 'deny',
      rule: 'no-deletes',
      status: 403,
      method: 'DELETE',
      host: 'shop',
      path: '/carts/7?token=(secret)',
      client: null,
      principal: null,
      requestId: 'r-1',
      shadow: [],
      tookMs: expect.any(Number) as unknown,
      worker: expect.any(Number) as unknown,
    });
    const shadow = await until('the shadow hit', () => rowsOf(events).find(({ path }) => path === '/drafts/9'));
    expect(shadow).toMatchObject({ outcome: 'allow', rule: null, status: 200, shadow: ['no-drafts'] });
    leave();
  });

  test('a stream has the filters of /verdicts, and refuses others', async () => {
    const denied = await stream('?outcome=deny&path=/only/*');
    const all = await stream('?path=/only/*');
    await isOpen(all.events, '/only/open');
    await checked('DELETE', '/other');
    await checked('DELETE', '/only/1');
    await until('the row of both filters', () => rowsOf(denied.events).at(0));
    await until('the row of one', () => rowsOf(all.events).find(({ path }) => path === '/only/1'));
    expect(rowsOf(denied.events).map(({ path }) => path)).toEqual(['/only/1']);
    for (const [filters, why] of [
      ['?limit=3', /unknown filter limit/],
      ['?outcome=maybe', /expected one of allow/],
      ['?rule=no-delete', /no rule is named no-delete; did you mean no-deletes/],
    ] as const) {
      const answer = await fetch(`http://127.0.0.1:${server.adminPort}/verdicts/stream${filters}`);
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringMatching(why)]);
    }
    denied.leave();
    all.leave();
  });

  test('a page of another origin reads no stream, and the own page does', async () => {
    const statusOf = async (headers: Record<string, string>): Promise<number | undefined> => {
      const { reply, leave } = await stream('', headers);
      leave();
      return reply.statusCode;
    };
    const own = `127.0.0.1:${server.adminPort}`;
    expect(await statusOf({ origin: 'http://elsewhere.example' })).toBe(403);
    expect(await statusOf({ origin: 'null' })).toBe(403);
    expect(await statusOf({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await statusOf({ host: 'rebound.example', origin: 'http://rebound.example' })).toBe(403);
    expect(await statusOf({ origin: `http://${own}`, host: own })).toBe(200);
    expect(await statusOf({ 'sec-fetch-site': 'same-origin' })).toBe(200);
  });

  test('the ninth reader is refused until one leaves', async () => {
    const readers = await until('eight places', async () => {
      const eight = await Promise.all(Array.from({ length: 8 }, () => stream()));
      if (eight.every(({ reply }) => reply.statusCode === 200)) return eight;
      for (const { leave } of eight) leave();
      return undefined;
    });
    const ninth = await stream();
    expect(ninth.reply.statusCode).toBe(503);
    for (const { leave } of readers) leave();
    await until('a free place', async () => {
      const { reply, leave } = await stream();
      leave();
      return reply.statusCode === 200 ? true : undefined;
    });
  });

  test('a reader that never reads holds up nobody, and a burst of calls at once is answered beside another', async () => {
    const stuck = connect(server.adminPort ?? 0, '127.0.0.1');
    stuck.pause();
    stuck.write('GET /verdicts/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    const burst = count === 1 ? 10_000 : 2000;
    const { events } = await stream();
    await isOpen(events, '/opening');
    const client = dialGrpc(`127.0.0.1:${server.grpcPort}`);
    const http = { method: 'DELETE', path: `/burst?${'x'.repeat(500)}`, host: 'shop', headers: {} };
    const request = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { request: { http } } }));
    const answers = await Promise.all(
      Array.from({ length: burst }, () => client.unary(CHECK, request, { timeoutMs: 90_000 })), // a busy machine needs a minute
    );
    client.close();
    expect(answers.every((answer) => fromBinary(CheckResponseSchema, answer).status?.code === 7)).toBe(true);
    const counted = (): number =>
      rowsOf(events).filter(({ path }) => String(path).startsWith('/burst')).length +
      events.filter(({ event }) => event === 'skipped').reduce((sum, { data }) => sum + Number(data['count']), 0);
    await until('a row or a count for each call', () => (counted() >= burst ? true : undefined));
    expect(counted()).toBe(burst);
    stuck.destroy();
  }, 120_000);

  test('calls are recorded as the policy saw them, and can be decided again', async () => {
    const admin = `http://127.0.0.1:${server.adminPort}`;
    const leaving = new AbortController();
    const reply = await fetch(`${admin}/record?share=100&max-bytes=100000`, { signal: leaving.signal });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'application/x-ndjson; charset=utf-8']);
    const lines: Record<string, unknown>[] = [];
    const read = (async () => {
      let text = '';
      for await (const piece of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const whole = (text + piece).split('\n');
        text = whole.pop() ?? '';
        lines.push(...whole.map((line) => JSON.parse(line) as Record<string, unknown>));
      }
    })();
    await until('a recorded call', async () => {
      await checked('DELETE', '/recorded?token=abcdef', { authorization: 'Bearer abcdef', 'x-tier': 'gold' });
      return lines.length > count ? true : undefined;
    });
    expect(lines[0]).toMatchObject({ sluice: 'calls', version: 1 });
    expect(lines.at(-1)).toMatchObject({
      call: 'http',
      attributes: {
        'request.method': 'DELETE',
        'request.path': '/recorded?token=(secret)',
        'request.headers': { authorization: '(secret)', 'x-tier': 'gold' },
      },
      verdict: { outcome: 'deny', rule: 'no-deletes', status: 403 },
    });
    expect(JSON.stringify(lines)).not.toContain('abcdef');
    leaving.abort();
    await read.catch(() => undefined);

    const bounded = await fetch(`${admin}/record?max-bytes=400`);
    const text = bounded.text();
    const calls = setInterval(() => void checked('GET', '/bounded'), 50);
    expect((await text).length).toBeGreaterThanOrEqual(400);
    clearInterval(calls);
    expect((await text).endsWith('}\n')).toBe(true);

    for (const [query, status, why] of [
      ['?share=0', 400, 'share is 0; expected a percentage above 0, up to 100'],
      ['?max-bytes=1k', 400, 'max-bytes is 1k; expected a whole number above 0'],
      ['?filter=a', 400, 'unknown parameter filter; expected one of share, max-bytes, bodies'],
    ] as const) {
      const answer = await fetch(`${admin}/record${query}`);
      expect([answer.status, await answer.json()]).toEqual([status, { error: why }]);
    }
    const other = await fetch(`${admin}/record`, { headers: { origin: 'http://elsewhere.example' } });
    expect(other.status).toBe(403);
  });

  test('the keys nearest to their limit are shown from the first request on', async () => {
    await page('/limits/top');
    const { limits } = await until('the charges of two hosts', async () => {
      for (const host of ['near', 'near', 'far']) await checked('GET', '/limited', {}, host);
      const top = (await page('/limits/top?limit=5')) as TopRows;
      return top.limits.length >= 2 && top.limits[0]?.['remaining'] === 0 ? top : undefined;
    });
    expect(limits[0]).toEqual({
      id: expect.stringMatching(/^[\w-]{16}$/) as unknown,
      rule: 'three-a-day',
      handler: 'counts',
      counter: 'three-a-day',
      key: { 'request.host': 'near' },
      limit: 3,
      remaining: 0,
      resetMs: expect.any(Number) as unknown,
      holders: null,
      chargedAt: expect.stringMatching(/^\d{4}-/) as unknown,
    });
    const leased = await until('the leases of a host', async () => {
      await checked('GET', '/leased', { 'x-request-id': randomUUID() }, 'busy');
      const { limits: top } = (await page('/limits/top')) as TopRows;
      return top.find(({ rule, remaining }) => rule === 'two-at-once' && remaining === 0);
    });
    expect(leased).toMatchObject({ holders: 2 });
    expect(await page('/limits/top?limit=0')).toEqual({ error: 'limit must be a whole number from 1 to 500' });
  });

  test('the calls that hold units of a key are listed, the oldest first', async () => {
    await page('/limits/top');
    const ids: string[] = [];
    const rowOf = async (): Promise<Row | undefined> =>
      ((await page('/limits/top')) as TopRows).limits.find(({ key }) => (key as Row)['request.host'] === 'held');
    const row = await until('two leases', async () => {
      const id = randomUUID();
      if ((await checked('GET', '/leased', { 'x-request-id': id }, 'held')) === 0) ids.push(id);
      const found = await rowOf();
      return ids.length === 2 && found?.['remaining'] === 0 ? found : undefined;
    });
    const held = async (query: string): Promise<unknown> => page(`/limits/holders?id=${String(row['id'])}${query}`);
    const lease = (id: string | undefined): object => ({
      id,
      units: 1,
      heldMs: expect.any(Number) as unknown,
      endsInMs: expect.any(Number) as unknown,
    });
    expect(await held('')).toEqual({
      state: { granted: false, used: 2, remaining: 0, resetMs: expect.any(Number) as unknown },
      leaseCount: 2,
      leases: ids.map(lease),
    });
    expect(await held('&from=1')).toMatchObject({ leaseCount: 2, leases: [lease(ids[1])] });
    expect(await held('&from=2')).toMatchObject({ leaseCount: 2, leases: [] });
    const inspected = await fetch(`http://127.0.0.1:${server.adminPort}/limits/inspect?from=1`, {
      method: 'POST',
      body: JSON.stringify({ http: { 'request.path': '/leased', 'request.host': 'held' } }),
    });
    expect(await inspected.json()).toMatchObject({
      rules: expect.arrayContaining([
        expect.objectContaining({ rule: 'two-at-once', leaseCount: 2, leases: [lease(ids[1])] }),
      ]) as unknown,
    });
    expect(await page('/limits/holders?id=never')).toEqual({
      error: 'no charge of that key is kept; /limits/top has the ids',
    });
    for (const query of ['', '?id=a&from=-1', '?id=a&from=x', '?id=a&limit=1'])
      expect(await page(`/limits/holders${query}`)).toEqual({
        error: expect.stringMatching(/^expected \?id=ID/) as unknown,
      });
  });

  test('the playground says what a policy would say to a call, and changes nothing', async () => {
    const play = async (body: unknown, headers = {}): Promise<{ status: number; json: unknown }> => {
      const answer = await fetch(`http://127.0.0.1:${server.adminPort}/playground`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      return { status: answer.status, json: await answer.json() };
    };
    const request = { call: 'http', attributes: { 'request.method': 'GET', 'request.path': '/limited' } };
    const applied = async (): Promise<unknown> =>
      ((await page('/rules')) as { readonly rules: readonly CountsRow[] }).rules.map(
        ({ counts }) => counts?.['applied'],
      );
    const before = await applied();
    for (let call = 0; call < 5; call++)
      expect(await play({ policy: null, request })).toMatchObject({
        status: 200,
        json: {
          explanation: {
            verdict: { outcome: 'allow' },
            notDone: [{ rule: 'three-a-day', what: 'charge' }],
          },
          findings: [],
        },
      });
    expect(await applied()).toEqual(before);

    const policy = 'rules: [{ name: gone, match: request.url_path == "/limited", deny: { status: 410 } }]';
    expect(await play({ policy, request })).toMatchObject({
      json: { explanation: { verdict: { outcome: 'deny', rule: 'gone', status: 410 } } },
    });
    expect(await play({ policy: 'rules: [{ name: a, match: request.pth == "/", deny: {} }]', request })).toMatchObject({
      status: 200,
      json: { explanation: null, findings: [{ at: 'policy.yaml:1:27', excerpt: expect.stringContaining('^^^') }] },
    });
    const files = 'handlers: { a: { adapter: check-list, config: { values: { $file: /etc/passwd } } } }\n';
    const read = await play({ policy: `${files}${policy}`, request });
    expect(JSON.stringify(read.json)).toContain('the playground reads no files');
    expect(await play({ policy: `plugins: [./evil.js]\n${policy}`, request })).toMatchObject({ status: 200 });
    expect(await play({ request: { attributes: { 'request.pth': '/' } } })).toMatchObject({ status: 400 });
    expect(await play({ request: [] })).toMatchObject({ status: 400 });
    expect(await play({ policy: null, request }, { origin: 'http://elsewhere.example' })).toMatchObject({
      status: 403,
    });
  });

  test('the playground begins with the policy in force, without its handlers, for this machine alone', async () => {
    const { policy, why } = (await page('/playground')) as { readonly policy: string; readonly why: null };
    expect([policy, why]).toEqual([expect.stringContaining('name: three-a-day'), null]);
    expect(policy).not.toMatch(/quota-memory|checks_total: /);
    const request = { call: 'http', attributes: { 'request.method': 'DELETE', 'request.path': '/limited' } };
    const verdictBy = async (text: string | null): Promise<unknown> => {
      const answer = await fetch(`http://127.0.0.1:${server.adminPort}/playground`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ policy: text, request }),
      });
      const { explanation } = (await answer.json()) as { explanation: { readonly verdict: object } };
      return { ...explanation, verdict: { ...explanation.verdict, id: '' } };
    };
    expect(await verdictBy(policy)).toEqual(await verdictBy(null));
    const others = await fetch(`http://127.0.0.1:${server.adminPort}/playground`, {
      headers: { origin: 'http://elsewhere.example' },
    });
    expect(others.status).toBe(403);
  });

  test('a kept call comes back with all attributes that its proxy sent, and is decided alike', async () => {
    const id = randomUUID();
    await checked('DELETE', '/kept', { 'x-request-id': id, 'x-unread': 'yes', authorization: 'Bearer top-secret' });
    const { request } = (await page(`/playground?id=${id}`)) as { readonly request: object };
    expect(request).toMatchObject({
      call: 'http',
      attributes: {
        'request.method': 'DELETE',
        'request.path': '/kept',
        'request.headers': { 'x-unread': 'yes', authorization: '(secret)' },
      },
      hidden: ['request.headers["authorization"]'],
    });
    const again = await fetch(`http://127.0.0.1:${server.adminPort}/playground`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ policy: null, request, id }),
    });
    expect(await again.json()).toMatchObject({
      explanation: { verdict: { outcome: 'deny', rule: 'no-deletes' }, attributes: { 'request.method': 'DELETE' } },
    });
    expect(await page('/playground?id=unknown')).toMatchObject({ request: null });
  });

  test('a reload keeps the streams, and the drain ends them', async () => {
    const own = await started();
    const reader = await reading(own.adminPort ?? 0, '/verdicts/stream');
    const stuck = connect(own.adminPort ?? 0, '127.0.0.1');
    stuck.pause();
    stuck.write('GET /verdicts/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    expect(await own.reload()).toBe(true);
    await until('a call after the reload', async () => {
      const client = dialGrpc(`127.0.0.1:${own.grpcPort}`);
      const http = { method: 'DELETE', path: '/', host: 'shop', headers: {} };
      const request = create(CheckRequestSchema, { attributes: { request: { http } } });
      await client.unary(CHECK, toBinary(CheckRequestSchema, request), { timeoutMs: 20_000 });
      client.close();
      return rowsOf(reader.events).at(0);
    });
    const beganAtMs = performance.now();
    await own.drain();
    await reader.ended;
    expect(reader.reply.complete).toBe(true);
    expect(performance.now() - beganAtMs).toBeLessThan(20_000); // a reader that never reads is left after 60 s
    stuck.destroy();
  }, 60_000);
});
