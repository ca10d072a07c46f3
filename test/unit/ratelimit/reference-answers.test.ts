/** Answers of envoyproxy/ratelimit (f2fb157) to cases found by comparing random files and requests. */
import { expect, test } from 'vitest';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fastify from 'fastify';
import { RateLimitRequestSchema, RateLimitResponseSchema } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { rateLimitServiceMethods } from '../../../src/frontends/ratelimit/service-call.ts';
import { answerJson } from '../../../src/frontends/ratelimit/service-json.ts';
import { type ThreadEngine, openEngine } from '../../../src/ratelimit/serve/engine.ts';
import { readConfigs } from '../../../src/ratelimit/config/read.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { addDebug, addService } from '../../../src/ratelimit/serve/pages.ts';
import { configDump } from '../../../src/ratelimit/config/config-dump.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';

const NOW_MS = Date.parse('2026-02-10T12:00:00Z');
type Entries = readonly (readonly [key: string, value: string])[];
interface Asked {
  readonly entries: Entries;
  readonly hits?: number;
  readonly limit?: { readonly requestsPerUnit: number; readonly unit: number };
}

async function serving(descriptors: string, env: Readonly<Record<string, string>> = {}) {
  const { settings, problems } = readSettings({ BACKEND_TYPE: 'memory', ...env });
  expect(problems).toEqual([]);
  const { domains, findings } = readConfigs(
    [{ file: 'f', text: `domain: d\ndescriptors:\n${descriptors.replaceAll(/^/gm, '  ')}` }],
    { mergeDomains: false, calendarMonths: settings.USE_CALENDAR_MONTH_RATE_LIMIT },
  );
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  const metrics = new RatelimitMetrics();
  const engine: ThreadEngine = await openEngine({
    settings,
    metrics,
    nowMs: () => NOW_MS,
    answerJson,
  });
  engine.use([], domains);
  const [[, method] = []] = rateLimitServiceMethods(engine.service, () => undefined);
  if (method?.kind !== 'unary') throw new Error('a rate limit service has one unary method');
  const send = async (octets: Uint8Array) =>
    fromBinary(RateLimitResponseSchema, await method.handle(rangeOf(octets), {} as never));
  const ask = async (descriptors: readonly Asked[], domain = 'd') =>
    send(
      toBinary(
        RateLimitRequestSchema,
        create(RateLimitRequestSchema, {
          domain,
          descriptors: descriptors.map(({ entries, hits, limit }) => ({
            entries: entries.map(([key, value]) => ({ key, value })),
            ...(hits === undefined ? {} : { hitsAddend: BigInt(hits) }),
            ...(limit === undefined ? {} : { limit }),
          })) as never,
        }),
      ),
    );
  const counted = (): Record<string, number> =>
    Object.fromEntries(
      [...metrics.counters()]
        .filter(([name, value]) => value > 0 && name.includes('.rate_limit.'))
        .map(([name, value]) => [name.replace('ratelimit.service.rate_limit.', ''), value]),
    );
  return { ask, send, counted, engine, domains, metrics };
}

const LIMITS =
  '- { key: open, rate_limit: { unit: day, requests_per_unit: 100 } }\n- { key: shadow, shadow_mode: true, rate_limit: { unit: day, requests_per_unit: 2 } }\n- { key: quota, quota_mode: true, rate_limit: { unit: day, requests_per_unit: 2 } }\n';
const left = ({ statuses }: { readonly statuses: readonly { readonly limitRemaining: number }[] }): number[] =>
  statuses.map(({ limitRemaining }) => limitRemaining);

test.each(['shadow', 'quota'])(
  'STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: a %s rule that is over leaves the others uncharged',
  async (key) => {
    const { ask } = await serving(LIMITS, { STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: 'true' });
    const both = [{ entries: [['open', '']] }, { entries: [[key, '']] }] as const;
    expect([left(await ask(both)), left(await ask(both)), left(await ask(both)), left(await ask(both))]).toEqual([
      [99, 1],
      [98, 0],
      [98, 0],
      [98, 0],
    ]);
  },
);

test('shadow_mode counts the hits beyond the limit', async () => {
  const { ask, counted } = await serving(LIMITS);
  await ask([{ entries: [['shadow', '']], hits: 5 }]);
  await ask([{ entries: [['shadow', '']], hits: 4 }]);
  expect(counted()).toMatchObject({ 'd.shadow.shadow_mode': 3 + 4, 'd.shadow.over_limit': 3 + 4 });
});

test('a limit in a request without entries is counted under an empty name', async () => {
  const { ask, counted } = await serving(LIMITS);
  await ask([{ entries: [], limit: { requestsPerUnit: 3, unit: 4 } }]);
  expect(counted()).toMatchObject({ 'd..total_hits': 1 });
});

test('a limit in the request without a unit is an error where it applies, and ignored for an unknown domain', async () => {
  const { ask } = await serving(LIMITS);
  const asked = [{ entries: [['k', 'v']], limit: { requestsPerUnit: 3, unit: 0 } }] as const;
  expect((await ask(asked, 'elsewhere')).overallCode).toBe(1);
  await expect(ask(asked)).rejects.toThrow(
    'the limit of a descriptor has the unit 0, which is none of SECOND (1) to WEEK (7)',
  );
});

test.each([
  [{ requestsPerUnit: 5, unit: 2 }, 'requests_per_unit:5 unit:MINUTE'],
  [{ requestsPerUnit: 0, unit: 4 }, 'unit:DAY'],
  [{ requestsPerUnit: 5, unit: 7 }, 'requests_per_unit:5 unit:7'],
])('%j in dynamic metadata is %s', async (limit, expected) => {
  const { ask } = await serving(LIMITS, { RESPONSE_DYNAMIC_METADATA: 'true' });
  expect((await ask([{ entries: [['k', 'v']], limit }])).dynamicMetadata).toMatchObject({
    descriptors: [{ limit: expected }],
  });
});

test('bytes that are not a message are INTERNAL', async () => {
  const { send } = await serving(LIMITS);
  await expect(send(Uint8Array.of(0x0a, 0x05, 0x41))).rejects.toMatchObject({ code: 13 });
});

test('metadata that JSON cannot represent is sent by gRPC, and is an error of /json', async () => {
  const { ask, engine } = await serving(
    '- { key: k, metadata: { most: .inf }, rate_limit: { unit: day, requests_per_unit: 9 } }\n',
    { RESPONSE_DYNAMIC_METADATA: 'true' },
  );
  expect((await ask([{ entries: [['k', '']] }])).dynamicMetadata).toMatchObject({ metadata: { most: Infinity } });
  expect(await engine.answerJson('{"domain":"d","descriptors":[{"entries":[{"key":"k"}]}]}', {})).toEqual({
    status: 500,
    contentType: 'text/plain; charset=utf-8',
    body: 'Internal Server Error\n',
  });
});

test('/rlconfig prints quota_mode of the file, whatever QUOTA_MODE is', async () => {
  const { domains } = await serving(LIMITS, { QUOTA_MODE: 'true' });
  expect(configDump(domains).match(/quota_mode: \w+/g)).toEqual([
    'quota_mode: false',
    'quota_mode: false',
    'quota_mode: true',
  ]);
});

test.each([
  ['a star in the key', '- { key: "k*", rate_limit: { unit: day, requests_per_unit: 9 } }', 'd.key_k*.total_hits'],
  [
    'a star in the key, shared',
    '- { key: "k*", share_threshold: true, rate_limit: { unit: day, requests_per_unit: 9 } }',
    'd.key_k*.total_hits',
  ],
  [
    'a star in the middle',
    '- { key: key, value: "a*.c", rate_limit: { unit: day, requests_per_unit: 9 } }',
    'd.key_a*.c.total_hits',
  ],
  [
    'a value in the metric',
    '- { key: key, value_to_metric: true, rate_limit: { unit: day, requests_per_unit: 9 } }',
    'd.key_a.b.c.total_hits',
  ],
])('%s: counted as the reference names it', async (_name, limit, expected) => {
  const { ask, counted } = await serving(`${limit}\n`);
  await ask([{ entries: [['key', 'a.b.c']] }]);
  expect(counted()).toMatchObject({ [expected]: 1 });
});

test('SANITIZE_DESCRIPTOR_METRIC_DOTS replaces the dots of keys and values only', async () => {
  const { ask, counted } = await serving(
    '- { key: key, value_to_metric: true, descriptors: [{ key: in, detailed_metric: true, rate_limit: { unit: day, requests_per_unit: 9 } }], rate_limit: { unit: day, requests_per_unit: 9 } }\n',
    { SANITIZE_DESCRIPTOR_METRIC_DOTS: 'true' },
  );
  await ask([
    { entries: [['key', 'foo.bar']] },
    {
      entries: [
        ['key', 'foo.bar'],
        ['in', 'x.y'],
      ],
    },
    { entries: [['o.k', 'v.w']], limit: { requestsPerUnit: 3, unit: 4 } },
  ]);
  expect(Object.keys(counted()).filter((name) => name.endsWith('.total_hits'))).toEqual([
    'd.key_foo_bar.total_hits',
    'd.key_foo_bar.in_x_y.total_hits',
    'd.o_k_v_w.total_hits',
  ]);
});

test('USE_CALENDAR_MONTH_RATE_LIMIT: a month ends with the calendar month in UTC', async () => {
  const month = '- { key: k, rate_limit: { unit: month, requests_per_unit: 9 } }\n';
  const resetS = async (env: Readonly<Record<string, string>>): Promise<number[]> =>
    (
      await (
        await serving(month, env)
      ).ask([{ entries: [['k', '']] }, { entries: [['o', '']], limit: { requestsPerUnit: 3, unit: 5 } }])
    ).statuses.map(({ durationUntilReset }) => Number(durationUntilReset?.seconds));
  const untilEndS = (Date.parse('2026-03-01T00:00:00Z') - NOW_MS) / 1000;
  expect(await resetS({ USE_CALENDAR_MONTH_RATE_LIMIT: 'true' })).toEqual([untilEndS, untilEndS]);
  expect(await resetS({})).toEqual([
    2_592_000 - ((NOW_MS / 1000) % 2_592_000),
    2_592_000 - ((NOW_MS / 1000) % 2_592_000),
  ]);
});

test('pages have the content types, methods and 404 of the reference', async () => {
  const { engine, metrics, domains } = await serving(LIMITS);
  const [service, debug] = [fastify(), fastify()];
  addService(service, { ...engine, unhealthyWhy: engine.notAnsweringWhy });
  addDebug(debug, engine, metrics, () => domains);
  const told = async (app: typeof service, method: 'GET' | 'POST' | 'PUT', url: string): Promise<unknown[]> => {
    const { statusCode, headers, body } = await app.inject({ method, url });
    return [statusCode, headers['content-type'], body.split('\n')[0]];
  };
  for (const method of ['GET', 'POST', 'PUT'] as const)
    expect(await told(service, method, '/healthcheck')).toEqual([200, 'text/plain; charset=utf-8', 'OK']);
  for (const url of ['/', '/nothing', '/json/'])
    expect(await told(service, 'GET', url)).toEqual([404, 'text/plain; charset=utf-8', '404 page not found']);
  for (const url of ['/', '/nothing'])
    expect(await told(debug, 'GET', url)).toEqual([
      200,
      'text/plain; charset=utf-8',
      '/rlconfig: print out the currently loaded configuration for debugging',
    ]);
  expect(await told(debug, 'POST', '/rlconfig')).toEqual([
    200,
    'text/plain; charset=utf-8',
    'd.open: unit=DAY requests_per_unit=100, shadow_mode: false, quota_mode: false',
  ]);
});

test('HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED: files without a domain do not count', async () => {
  const { engine } = await serving(LIMITS, { HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED: 'true' });
  expect(engine.notAnsweringWhy()).toBeUndefined();
  engine.use([], new Map());
  expect(engine.notAnsweringWhy()).toBe('no limits have been loaded');
});

test('ignored settings of the reference are warnings', () => {
  expect(
    readSettings({
      REDIS_STARTUP_MAX_INTERVAL: '1s',
      MEMCACHE_SRV: 'x',
      PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS: 'true',
      REDIS_AUTH_FILE: '/x',
    })
      .warnings.map((line) => line.split(' ')[0] ?? '')
      .toSorted((a, b) => (a < b ? -1 : 1)),
  ).toEqual([
    'MEMCACHE_SRV',
    'PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS',
    'REDIS_AUTH_FILE',
    'REDIS_STARTUP_MAX_INTERVAL',
  ]);
});
