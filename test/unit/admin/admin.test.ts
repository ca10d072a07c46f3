import { get as httpGet } from 'node:http';
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import type { HttpPort } from '../../../src/admin/http-app.ts';
import { startAdmin } from '../../../src/admin/server.ts';
import type { AdminSources } from '../../../src/admin/sources.ts';
import type { KeptVerdict } from '../../../src/core/history/summary.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { EMPTY_SOURCES } from './empty-sources.ts';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { policyOf } from '../envoy/load.ts';

const POLICY: Policy = {
  revision: 'abc123',
  attributes: new Attributes([]),
  handlers: new Map(),
  rules: [],
  enrich: [],
  plugins: [],
  decisions: { sample: 0, masks: new Map() },
  spoolFolder: undefined,
  sendsVerdictId: false,
  watched: [],
};
const verdict = (id: string, outcome: KeptVerdict['outcome'], rule: string | undefined): KeptVerdict => ({
  id,
  timeMs: 1000,
  call: 'http',
  outcome,
  rule,
  reasons: [],
  shadow: [],
  revision: 'abc123',
  at: rule === undefined ? undefined : `p.yaml:3`,
  quotaKeys: [],
  attributes: { 'request.path': '/' },
  request: {
    requestId: `r-${id}`,
    method: 'GET',
    host: 'shop',
    path: '/',
    peer: '10.0.0.1',
    client: '192.0.2.1',
    principal: null,
    domain: null,
    descriptor: null,
  },
});

let admin: HttpPort | undefined;
afterEach(() => admin?.close());

async function started(
  sources: Partial<AdminSources>,
): Promise<(path: string) => Promise<{ status: number; type: string; text: string; json: () => unknown }>> {
  const faults: string[] = [];
  admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    onReset: () => {},
    onLetters: () => {},
    onFault: (path) => faults.push(path),
    sources: {
      ...EMPTY_SOURCES,
      policy: () => POLICY,
      async *metrics() {
        yield 'x 1\n';
      },
      ...sources,
    },
  });
  const { port } = admin;
  return async (path) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    const text = await answer.text();
    return {
      status: answer.status,
      type: answer.headers.get('content-type') ?? '',
      text,
      json: () => JSON.parse(text) as unknown,
    };
  };
}

describe('the admin port', () => {
  test('is ready while a policy is in force, and shows its revision', async () => {
    const get = await started({});
    const ready = await get('/readyz');
    expect(ready.status).toBe(200);
    expect(ready.json()).toEqual({ ready: true, why: null, revision: 'abc123', handlers: [] });
  });

  test('says what workers did not answer, and of other faults only where the reason is', async () => {
    const failing = (error: Error) => started({ letters: () => Promise.reject(error) });
    const late = await (await failing(Object.assign(new Error('1 of 2 workers'), { statusCode: 503 })))('/deadletters');
    expect([late.status, late.json()]).toEqual([503, { error: '1 of 2 workers' }]);
    await admin?.close();
    const fault = await (await failing(new Error('EIO: /secret/path')))('/deadletters');
    expect([fault.status, fault.json()]).toEqual([500, { error: 'internal error; the log has the reason' }]);
  });

  test('shows the policy in force, and what is wrong with the one read since', async () => {
    const finding = {
      severity: 'error',
      position: { file: '/p/a.yaml', line: 3, column: 7 },
      code: 'RULES_VALUE',
      message: 'is wrong',
      excerpt: 'deny: { url: redis://:hunter2@a }\n      ^^^',
    } as const;
    const get = await started({
      loading: () => ({
        atMs: 1000,
        configs: ['/p'],
        history: [{ revision: 'abc123', atMs: 1000, origin: 'rollback' }],
        refusal: { atMs: 2000, why: 'the policy has 1 error', findings: [finding] },
      }),
    });
    expect((await get('/policy')).json()).toEqual({
      revision: 'abc123',
      loadedAt: '1970-01-01T00:00:01.000Z',
      ageMs: expect.any(Number) as unknown,
      configs: ['/p'],
      origin: 'rollback',
      history: [{ revision: 'abc123', loadedAt: '1970-01-01T00:00:01.000Z', origin: 'rollback' }],
      pending: {
        refusedAt: '1970-01-01T00:00:02.000Z',
        why: 'the policy has 1 error',
        findings: [
          {
            at: '/p/a.yaml:3:7',
            severity: 'error',
            code: 'RULES_VALUE',
            message: 'is wrong',
            excerpt: 'deny: { url: redis://(secret)@a }\n      ^^^',
          },
        ],
      },
    });
    expect((await (await started({}))('/policy')).json()).toMatchObject({ pending: null });
  });

  test('shows the configuration of Envoy that the policy needs', async () => {
    const policy = await policyOf('rules: [{ name: body, match: has(request.body), deny: {} }]');
    const page = await (await started({ policy: () => policy }))('/policy/envoy');
    expect(page.text).toContain('# rule body\n        with_request_body:');
    expect((await (await started({ policy: () => undefined }))('/policy/envoy')).status).toBe(404);
  });

  test('is live but not ready without a policy and while stopping', async () => {
    let isDraining = false;
    const get = await started({ policy: () => undefined, isDraining: () => isDraining });
    expect((await get('/readyz')).json()).toMatchObject({ ready: false, why: 'no policy is in force' });
    isDraining = true;
    const ready = await get('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.json()).toMatchObject({ why: 'stopping' });
    expect((await get('/healthz')).status).toBe(200);
  });

  test('is not ready while workers start, and says how many serve', async () => {
    const get = await started({ policy: () => undefined, startingWhy: () => 'workers are starting: 1 of 4 serve' });
    expect((await get('/readyz')).json()).toMatchObject({ ready: false, why: 'workers are starting: 1 of 4 serve' });
  });

  test('an unavailable handler is listed with the reason, and the server stays ready', async () => {
    const get = await started({
      handlers: () => [
        {
          name: 'limits',
          adapter: 'quota-redis',
          ready: false,
          why: 'Redis is away',
          breaker: 'open',
          running: 0,
          waiting: 0,
          queued: 0,
          runs: 'inline',
          durations: [],
          restarts: 0,
          reports: undefined,
          deadLetters: undefined,
          lastError: undefined,
        },
      ],
    });
    const ready = await get('/readyz');
    expect(ready.status).toBe(200);
    expect(ready.json()).toMatchObject({ handlers: [{ name: 'limits', ready: false, why: 'Redis is away' }] });
    expect((await get('/handlers')).json()).toMatchObject({ handlers: [{ name: 'limits', breaker: 'open' }] });
  });

  test('no page shows the credentials of a URL', async () => {
    const why = 'redis://user:hunter2@10.0.0.1:6379 does not answer';
    const handlers = new Map([
      ['limits', { shown: { url: 'redis://:hunter2@10.0.0.1', servers: [{ at: 'kafka://a:hunter2@b' }] } }],
    ]) as unknown as Policy['handlers'];
    const get = await started({
      policy: () => ({ ...POLICY, handlers }),
      handlers: () => [
        {
          name: 'limits',
          adapter: 'quota-redis',
          ready: false,
          why,
          breaker: 'open',
          running: 0,
          waiting: 0,
          queued: 0,
          runs: 'inline',
          durations: [],
          restarts: 0,
          reports: undefined,
          deadLetters: undefined,
          lastError: undefined,
        },
      ],
    });
    const [page, ready] = [(await get('/handlers')).text, (await get('/readyz')).text];
    expect(`${page}${ready}`).not.toContain('hunter2');
    expect(JSON.parse(page)).toMatchObject({
      handlers: [
        {
          why: 'redis://(secret)@10.0.0.1:6379 does not answer',
          config: { url: 'redis://(secret)@10.0.0.1', servers: [{ at: 'kafka://(secret)@b' }] },
        },
      ],
    });
  });

  test('metrics are text of the version that Prometheus reads', async () => {
    const metrics = await (await started({}))('/metrics');
    expect(metrics.type).toContain('text/plain; version=0.0.4');
    expect(metrics.text).toBe('x 1\n');
  });

  test('metrics are in the format and coding that the scraper accepts', async () => {
    await started({
      async *metrics() {
        yield '# TYPE a_total counter\na_total 1 # {trace_id="x"} 1\n';
      },
    });
    const scrape = async (headers: Record<string, string>) => {
      const { body, ...answer } = await new Promise<{ type: unknown; coding: unknown; body: Buffer }>(
        (resolve, reject) => {
          httpGet({ port: admin?.port, host: '127.0.0.1', path: '/metrics', headers, agent: false }, (reply) => {
            const chunks: Buffer[] = [];
            reply.on('data', (chunk: Buffer) => chunks.push(chunk));
            reply.on('error', reject);
            reply.on('end', () =>
              resolve({
                type: reply.headers['content-type'],
                coding: reply.headers['content-encoding'],
                body: Buffer.concat(chunks),
              }),
            );
          }).on('error', reject);
        },
      );
      return { ...answer, text: (answer.coding === 'gzip' ? gunzipSync(body) : body).toString() };
    };
    const accept = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';
    const openMetrics = '# TYPE a counter\na_total 1 # {trace_id="x"} 1\n# EOF\n';
    const type = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
    expect(await scrape({ accept, 'accept-encoding': 'gzip' })).toEqual({ type, coding: 'gzip', text: openMetrics });
    expect(await scrape({ accept })).toEqual({ type, coding: undefined, text: openMetrics });
    expect(await scrape({ 'accept-encoding': 'gzip;q=0, br' })).toEqual({
      type: 'text/plain; version=0.0.4; charset=utf-8',
      coding: undefined,
      text: '# TYPE a_total counter\na_total 1\n',
    });
  });

  test('a reader who leaves in the middle of a page ends it', async () => {
    let hasEnded = false;
    await started({
      async *metrics() {
        try {
          for (let at = 0; ; at++) yield `a_total{at="${at}"} 1\n`.repeat(1000);
        } finally {
          hasEnded = true;
        }
      },
    });
    for (const coding of ['gzip', 'identity']) {
      hasEnded = false;
      await new Promise<void>((resolve, reject) => {
        const options = {
          port: admin?.port,
          host: '127.0.0.1',
          path: '/metrics',
          headers: { 'accept-encoding': coding },
        };
        const request = httpGet({ ...options, agent: false }, (reply) => {
          reply.once('data', () => request.destroy());
          reply.on('close', resolve).on('error', () => {});
        }).on('error', reject);
      });
      await eventually(() => expect(hasEnded).toBe(true));
    }
  });

  test('verdicts are listed flat, by the filters of the query', async () => {
    const filters: unknown[] = [];
    const get = await started({
      verdicts: (filter) => {
        filters.push(filter);
        return [verdict('3', 'deny', 'a')];
      },
    });
    expect((await get('/verdicts?rule=a&outcome=deny&id=3&host=shop&path=/*&call=http&limit=7')).json()).toEqual({
      verdicts: [
        {
          id: '3',
          time: '1970-01-01T00:00:01.000Z',
          call: 'http',
          outcome: 'deny',
          rule: 'a',
          at: 'p.yaml:3',
          revision: 'abc123',
          requestId: 'r-3',
          method: 'GET',
          host: 'shop',
          path: '/',
          peer: '10.0.0.1',
          client: '192.0.2.1',
          principal: null,
          domain: null,
          descriptor: null,
          quotaKeys: [],
          reasons: [],
          shadow: [],
          attributes: { 'request.path': '/' },
        },
      ],
    });
    await get('/verdicts');
    expect(filters).toEqual([
      { rule: 'a', outcome: 'deny', id: '3', host: 'shop', path: '/*', call: 'http', limit: 7 },
      { limit: 100 },
    ]);
  });

  test.each([
    ['?outcome=denied', /outcome is denied; expected one of allow, deny, failed, error/],
    ['?verdict=3', /unknown filter verdict; expected one of id, rule, outcome, call, host, principal, path, limit/],
    ['?limit=nonsense', /limit is nonsense; expected a whole number from 1 to 500/],
    ['?limit=0', /whole number/],
    ['?call=htpp', /call is htpp.*http/],
    ['?rule=gone', /no rule is named gone; \/rules lists them/],
    ['?host=a&host=b', /host is given 2 times/],
    ['?path=', /path is empty/],
  ])('verdicts%s is refused, with what is allowed', async (query, says) => {
    const get = await started({ verdicts: () => [] });
    const answer = await get(`/verdicts${query}`);
    expect(answer.status).toBe(400);
    expect((answer.json() as { error: string }).error).toMatch(says);
  });

  test('an unknown page lists the known ones; one that fails says so without details', async () => {
    const get = await started({
      // oxlint-disable-next-line require-yield -- it fails before the first piece
      async *metrics() {
        throw new Error('secret inside');
      },
    });
    expect((await get('/nothing')).json()).toMatchObject({
      error: 'no such page',
      pages: { '/metrics': expect.any(String) as string },
    });
    const failed = await get('/metrics');
    expect(failed.status).toBe(500);
    expect(failed.text).not.toContain('secret inside');
  });
});

describe('the host by which it is addressed', () => {
  const status = async (host: string | undefined): Promise<number | undefined> => {
    await started({});
    const { port } = admin ?? { port: 0 };
    const socket = connect(port, '127.0.0.1');
    socket.end(
      host === undefined
        ? 'GET /rules HTTP/1.0\r\n\r\n'
        : `GET /rules HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    );
    let answer = '';
    for await (const chunk of socket.setEncoding('latin1')) answer += String(chunk);
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  };

  test.each(['127.0.0.1', '127.0.0.1:15014', '[::1]:15014', 'localhost', 'LOCALHOST:1', '10.2.3.4:15014', undefined])(
    '%s is answered',
    async (host) => {
      expect(await status(host)).toBe(200);
    },
  );

  test.each(['evil.example', 'evil.example:15014', '127.0.0.1.evil.example', 'localhost.evil.example', ''])(
    '%j is refused',
    async (host) => {
      expect(await status(host)).toBe(403);
    },
  );
});

test('an endless request is aborted', async () => {
  admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    requestTimeoutMs: 100,
    onReset: () => {},
    onLetters: () => {},
    onFault: () => undefined,
    sources: {} as AdminSources,
  });
  const socket = connect(admin.port, '127.0.0.1');
  socket.write(
    'POST /limits/explain HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  );
  let answer = '';
  for await (const chunk of socket.setEncoding('latin1')) answer += String(chunk);
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
});
