/** Recent verdicts, as kept for the admin port. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import { MAX_BRIEF } from '../../../src/core/history/brief-refusals.ts';
import { KEEP } from '../../../src/core/history/kept-verdicts.ts';
import { VerdictBuffer } from '../../../src/core/history/verdict-buffer.ts';
import { engineOf, PATIENT } from './engine-of.ts';

const POLICY = `
attributes:
  my.token: { type: string, from: [{ contextExtension: token }], secret: true }
rules:
  - { name: no, match: 'request.headers[?"authorization"].orValue("") == "x" || request.path.startsWith("/no") || my.?token.orValue("") == "t"', deny: { body: no } }
  - { name: perhaps, match: 'request.path.startsWith("/perhaps")', deny: { body: no }, mode: shadow }
`;

test('newest first, with the reason and the attributes read, secrets hidden', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  await http({ 'request.path': '/no/1' });
  await http({ 'request.path': '/yes', 'request.headers': { authorization: 'x', 'x-a': '1' } });
  const [last, first] = engine.verdicts();
  expect(first).toMatchObject({
    call: 'http',
    outcome: 'deny',
    rule: 'no',
    reasons: [{ rule: 'no', text: 'its match applies', shadow: false }],
    attributes: { 'request.path': '/no/1' },
  });
  expect(last?.attributes).toMatchObject({ 'request.headers': { authorization: '(secret)', 'x-a': '1' } });
});

test('with its request', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  await http({
    'request.path': '/no/1?token=abc',
    'request.method': 'PUT',
    'request.host': 'shop',
    'request.headers': { 'x-request-id': 'r-1' },
    'source.ip': '10.0.0.1',
  });
  expect(engine.verdicts()[0]?.request).toEqual({
    requestId: 'r-1',
    method: 'PUT',
    host: 'shop',
    path: '/no/1?token=(secret)',
    peer: '10.0.0.1',
    client: '10.0.0.1',
    principal: null,
    domain: null,
    descriptor: null,
  });
});

test('a refused quota with its key', async () => {
  const { http, engine } = await engineOf(
    `
handlers:
  limits: { adapter: quota-script, config: { script: q } }
rules:
  - { name: once, quota: { handler: limits, limit: 1, per: 1h, key: [request.host, 'request.?api_key.orValue("")'] } }
`,
    { q: { charge: (asks) => asks.map(({ limit }) => ({ granted: false, limit, remaining: 0, resetMs: 1000 })) } },
  );
  await http({ 'request.path': '/', 'request.host': 'shop', 'request.headers': { 'x-api-key': 'k-123456' } });
  expect(engine.verdicts({ outcome: 'deny' })).toMatchObject([
    {
      rule: 'once',
      quotaKeys: [
        {
          rule: 'once',
          key: [
            { source: 'request.host', value: 'shop' },
            { source: 'request.?api_key.orValue("")', value: '(secret)' },
          ],
        },
      ],
    },
  ]);
  expect(JSON.stringify(engine.verdicts())).not.toContain('k-123456');
});

test('by id, request id, rule (shadow too), outcome, host and path', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  await http({ 'request.path': '/no/1?a=b', 'request.host': 'shop', 'request.headers': { 'x-request-id': 'r-1' } });
  await http({ 'request.path': '/perhaps', 'request.host': 'Other' });
  await http({ 'request.path': '/yes', 'request.host': 'shop' });
  const paths = (filter: Parameters<typeof engine.verdicts>[0]): unknown[] =>
    engine.verdicts(filter).map(({ request }) => request.path);
  expect(paths({})).toHaveLength(3);
  expect(paths({ id: 'r-1' })).toEqual(['/no/1?a=b']);
  expect(paths({ id: engine.verdicts({ rule: 'perhaps' })[0]?.id ?? '' })).toEqual(['/perhaps']);
  expect(paths({ rule: 'perhaps' })).toEqual(['/perhaps']);
  expect(paths({ outcome: 'deny' })).toEqual(['/no/1?a=b']);
  expect(paths({ host: 'other' })).toEqual(['/perhaps']);
  expect(paths({ path: '/no/1' })).toEqual(['/no/1?a=b']);
  expect(paths({ path: '/no/*' })).toEqual(['/no/1?a=b']);
  expect(paths({ path: '/no' })).toEqual([]);
  expect(paths({ limit: 1 })).toHaveLength(1);
});

test('a refusal is kept however many allowed calls and shadow hits follow', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  await http({ 'request.path': '/no/1' });
  for (let call = 0; call < 3000; call++) await http({ 'request.path': call % 2 === 0 ? '/perhaps' : '/yes' });
  expect(engine.verdicts({ outcome: 'deny' })).toHaveLength(1);
  expect(engine.verdicts({ rule: 'perhaps', limit: 500 }).length).toBeGreaterThanOrEqual(256);
});

test('one allowed call in 50 ms', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  const beganAtMs = performance.now();
  for (let call = 0; call < 1000; call++) await http({ 'request.path': '/yes' });
  const most = 1 + (performance.now() - beganAtMs) / 50;
  const { length } = engine.verdicts();
  expect(length).toBeGreaterThan(0);
  expect(length).toBeLessThanOrEqual(most);
  await new Promise((resolve) => {
    setTimeout(resolve, 60);
  });
  await http({ 'request.path': '/yes' });
  expect(engine.verdicts()).toHaveLength(length + 1);
});

test('entries outlive their policy as summaries, and do not retain it', async () => {
  const { http, engine, load } = await engineOf(POLICY, {});
  await http({ 'request.path': '/no/1', 'request.headers': { authorization: 'x' } });
  const before = engine.verdicts();
  await engine.use(
    await load('rules:\n  - { name: other, match: \'request.path == "/no/1"\', deny: { body: other } }\n'),
  );
  await new Promise((resolve) => {
    setTimeout(resolve, 50);
  });
  expect(engine.verdicts()).toEqual(before);
  expect(engine.verdicts({ rule: 'no' })).toEqual(before);
});

describe('room', () => {
  const small = { count: 5, bytes: 100, burst: 2, perS: 1, forMs: 10_000 };
  const offer = (room: VerdictBuffer<string>, item: string, atMs: number, { weight = 1, rule = 'a' } = {}): void => {
    if (room.admits(atMs, weight, rule)) room.add(item, weight, atMs);
  };

  test('fills no faster than its rate, except for one entry per rule in ten seconds', () => {
    const room = new VerdictBuffer<string>(small);
    for (let nth = 0; nth < 50; nth++) offer(room, `a${nth}`, 0);
    offer(room, 'b', 1, { rule: 'b' });
    expect(room.entries(1)).toEqual(['a0', 'a1', 'a2', 'b']);
    expect(room.skipped).toBe(47);
    offer(room, 'later', 1001);
    expect(room.entries(1001)).toEqual(['a0', 'a1', 'a2', 'b', 'later']);
  });

  test('is bounded by count, weight and age', () => {
    const room = new VerdictBuffer<string>({ ...small, burst: 100 });
    for (let nth = 0; nth < 7; nth++) offer(room, String(nth), 0);
    expect(room.entries(0)).toEqual(['2', '3', '4', '5', '6']);
    offer(room, 'heavy', 0, { weight: 98 });
    expect(room.entries(0)).toEqual(['5', '6', 'heavy']);
    offer(room, 'too heavy', 0, { weight: 101 });
    expect(room.entries(10_000)).toHaveLength(3);
    expect(room.entries(10_001)).toEqual([]);
  });
});

test('a refusal is kept for five minutes at least, as docs/verdicts.md says', () => {
  const { refused, shadow, allowed } = KEEP;
  expect(refused.burst + refused.perS * 300).toBeLessThanOrEqual(refused.count);
  const page = readFileSync(join(import.meta.dirname, '../../../docs/verdicts.md'), 'utf8');
  for (const { count, bytes, forMs } of [refused, shadow, allowed])
    expect(page).toMatch(new RegExp(`\\| ${count} \\| ${bytes / 1024 / 1024} MiB \\| ${forMs / 60_000} min \\|`));
});

test('at most 32 MiB of requests of refused clients', async () => {
  const { engine } = await engineOf(POLICY, {});
  const heavy = (weight: number): Wire => ({
    weight,
    read: (name) => (name === 'request.path' ? '/no' : name === 'request.headers' ? new Map() : undefined),
    carried: () => undefined,
    keep() {},
  });
  for (let call = 0; call < 40; call++) await engine.check('http', heavy(1024 * 1024 - 100), PATIENT);
  expect(engine.verdicts()).toHaveLength(32);
  await engine.check('http', heavy(33 * 1024 * 1024), PATIENT);
  expect(engine.verdicts()).toHaveLength(32);
});

test('of a flood of refusals the last ones are found by their ids, in brief', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  const ids: string[] = [];
  for (let call = 0; call < KEEP.refused.burst + MAX_BRIEF + 100; call++)
    ids.push((await http({ 'request.path': `/no/${call}` })).id);
  for (let call = 0; call < 100; call++) await http({ 'request.path': '/yes' });
  const last = ids.at(-1) ?? '';
  expect(engine.verdicts({ id: last })).toMatchObject([
    {
      id: last,
      outcome: 'deny',
      rule: 'no',
      at: 'p.yaml:5',
      reasons: [{ rule: 'no', text: expect.stringContaining('was not kept') }],
      request: { path: null },
    },
  ]);
  expect(engine.verdicts({ id: ids[0] ?? '' })).toMatchObject([{ request: { path: '/no/0' } }]);
  const oldest = KEEP.refused.burst + 10; // of the ring, and overwritten by now
  expect(engine.verdicts({ id: ids[oldest] ?? '' })).toEqual([]);
  expect(readFileSync(join(import.meta.dirname, '../../../docs/verdicts.md'), 'utf8')).toContain(
    `the last ${MAX_BRIEF.toLocaleString('en').replace(',', ' ')} are kept in brief`,
  );
}, 60_000);
