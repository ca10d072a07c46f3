/** Texts of a length that a backend or a client chose: answered in time, cut, and not retained. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allow, deny, Unavailable } from '../../../src/adapters/contract.ts';
import type { Verdict } from '../../../src/core/call.ts';
import { KEEP } from '../../../src/core/history/kept-verdicts.ts';
import { MAX_BODY, MAX_HEAD, MAX_HEADER, MAX_HEADERS, MAX_REASON } from '../../../src/core/text-bounds.ts';
import { engineOf, type Script } from './engine-of.ts';

const LONG = 30_000_000;
const POLICY = `
handlers: { h: { adapter: check-script, config: { script: s } } }
rules:
  - name: asks
    check: { handler: h, input: { value: "'a'" } }
    onDeny:
      headers: { x-why: "\${out.reason}", x-path: "\${request.path}\${request.path}" }
      body: "no: \${request.path} \${out.reason}"
    onAllow: { response: { set: { x-path: "\${request.path}" } } }
`;

async function askedOf(check: NonNullable<Script['check']>, path = '/') {
  const { http, engine } = await engineOf(POLICY, { s: { check } });
  return { engine, verdict: await http({ 'request.path': path }), again: async () => http({ 'request.path': path }) };
}

const lengths = ({ body, headers, reasons }: Verdict): number[] => [
  body.length,
  ...headers.map(([, value]) => value.length),
  ...reasons.map(({ text }) => text.length),
];

describe('a refusal', () => {
  test.each([
    ['letters', 'a'],
    ['letters of two bytes', 'é'],
    ['pairs of surrogates', '😀'],
    ['controls', '\n'],
  ])('with a reason of 30 million %s costs no more than its bound', async (_, character) => {
    const reason = character.repeat(LONG / character.length);
    reason.charCodeAt(0); // flat
    const { again } = await askedOf(() => deny(7, reason));
    const costs: number[] = [];
    for (let round = 0; round < 5; round++) {
      const before = process.cpuUsage();
      const verdict = await again();
      const { user, system } = process.cpuUsage(before);
      costs.push(user + system);
      expect(verdict).toMatchObject({ outcome: 'deny', code: 7, status: 403 });
      expect(Math.max(...lengths(verdict))).toBeLessThan(MAX_REASON + 100);
      expect(verdict.body).not.toContain('\ufffd');
      expect(verdict.body.endsWith(character.trim())).toBe(true);
    }
    expect(Math.min(...costs)).toBeLessThan(20_000);
  });

  test('with texts of the client is cut, and stays a refusal', async () => {
    const { verdict } = await askedOf(() => deny(7, 'no'), `/${'é'.repeat(LONG / 10)}`);
    expect(verdict).toMatchObject({ outcome: 'deny', status: 403 });
    expect(verdict.body.length).toBe(MAX_BODY);
    expect(verdict.headers.map(([, value]) => value.length)).toEqual([2, MAX_HEADER]);
  });

  test('with headers of the handler has them cut', async () => {
    const { verdict } = await askedOf(() => deny(7, 'no', { headers: { 'x-more': 'a'.repeat(LONG) } }));
    expect(verdict.outcome).toBe('deny');
    expect(new Map(verdict.headers).get('x-more')?.length).toBe(MAX_HEADER);
  });
});

test('a header for the client of an allowed call is cut', async () => {
  const { verdict } = await askedOf(() => allow(), `/${'a'.repeat(LONG / 10)}`);
  expect(verdict.outcome).toBe('allow');
  expect(verdict.changes.response.set).toEqual([['x-path', `/${'a'.repeat(MAX_HEADER - 1)}`]]);
});

describe('what the upstream or the proxy of an allowed call gets', () => {
  const CHANGING = `
rules:
  - name: long
    onAllow:
      request: { set: { x-path: "\${request.path}", x-tier: gold }, append: { x-more: "a \${request.path}" } }
      query: { set: { from: "\${request.path}" } }
      metadata: { path: "\${request.path}" }
      response: { set: { x-own: "1" } }
  - { name: short, onAllow: { request: { set: { x-short: "\${request.method}" } } } }
`;

  test('is whole, or the changes of its rule are undone and one line says so', async () => {
    const { http, logged, engine } = await engineOf(CHANGING, {});
    const whole = `/${'a'.repeat(MAX_HEADER - 3)}`;
    expect((await http({ 'request.path': '/a' })).changes.query.set).toEqual([['from', '/a']]);
    expect(logged).toEqual([]);
    for (let call = 0; call < 3; call++) {
      const { outcome, changes } = await http({ 'request.path': `${whole}aaa` });
      expect(outcome).toBe('allow');
      // Removed, so that a client's own never passes for ours.
      expect(changes.request.remove).toEqual(['x-path', 'x-tier']);
      expect(changes.query.remove).toEqual(['from']);
      expect(changes.request.set).toEqual([['x-short', 'GET']]);
      expect([changes.request.append, changes.query.set, changes.metadata, changes.response.set]).toEqual([
        [],
        [],
        [],
        [],
      ]);
    }
    expect(engine.meters.ofRule('long')).toMatchObject({ failed: 3, texts: 3 });
    expect(
      logged.map(({ level, message, fields: { rule, text, result } }) => [level, message, rule, text, result]),
    ).toEqual([
      ['warn', 'a text of a rule is too long', 'long', 'onAllow request x-path', 'the changes of the rule are undone'],
    ]);
  });

  const four = (text: string): string =>
    ['a', 'b', 'c', 'd']
      .map((name) => `  - { name: ${name}, onAllow: { request: { set: { x-${name}: ${text} } } } }\n`)
      .join('');

  test.each([
    ['of the client', '"${request.path}"', '/'.repeat(MAX_HEADER - 3)],
    ['of more octets than characters', '"${request.path}"', 'é'.repeat(MAX_HEADER / 2 - 2)],
    ['of the policy', 'a'.repeat(MAX_HEADER - 3), '/'],
  ])('has room for %s together', async (_, text, path) => {
    const { http, logged, engine } = await engineOf(`rules:\n${four(text)}`, {});
    const { outcome, changes } = await http({ 'request.path': path });
    expect(outcome).toBe('allow');
    const octets = changes.request.set.map((pair) => Buffer.byteLength(pair.join('')));
    expect(octets).toHaveLength(3);
    expect(octets.reduce((one, other) => one + other)).toBeLessThanOrEqual(MAX_HEAD);
    expect(changes.request.remove).toEqual(['x-d']);
    expect(engine.meters.ofRule('d').failed).toBe(1);
    expect(logged).toMatchObject([{ fields: { rule: 'd', text: 'onAllow request x-d' } }]);
  });

  test('of a client takes no room from short texts of other rules', async () => {
    const { http, engine } = await engineOf(
      `rules:
  - { name: copies, onAllow: { request: { set: { x-a: "\${request.path}", x-b: "\${request.path}", x-c: "\${request.path}" } } } }
  - { name: marks, onAllow: { request: { set: { x-suspicious: "\${request.method}" } }, metadata: { suspicious: "yes" } } }`,
      {},
    );
    const { changes } = await http({ 'request.path': '/'.repeat(MAX_HEADER - 3) });
    expect(changes.request.set).toEqual([['x-suspicious', 'GET']]);
    expect(changes.metadata).toEqual([['suspicious', 'yes']]);
    expect(changes.request.remove).toEqual(['x-a', 'x-b', 'x-c']);
    expect(engine.meters.ofRule('marks').failed).toBe(0);
  });

  test('a rule whose text fails takes no room from the others', async () => {
    const names = ['a', 'b', 'c'].map((name) => `x-${name}: "\${request.path}"`);
    const { http, engine } = await engineOf(
      `rules:
  - { name: failing, onAllow: { request: { set: { ${names.join(', ')}, x-bad: "\${request.headers['x-bad']}" } } } }
  - { name: sound, onAllow: { request: { set: { x-sound: "\${request.path}" } } } }`,
      {},
    );
    const path = '/'.repeat(MAX_HEADER - 3);
    const { changes } = await http({ 'request.path': path });
    expect(changes.request.set).toEqual([['x-sound', path]]);
    expect(engine.meters.ofRule('failing').failed).toBe(1);
    expect(engine.meters.ofRule('sound').failed).toBe(0);
  });

  test('a list of many rules is as short as one value', async () => {
    const appended = ['a', 'b', 'c']
      .map(
        (name) =>
          `  - { name: ${name}, onAllow: { request: { append: { x-list: "${'a'.repeat(MAX_HEADER / 2)}" } } } }\n`,
      )
      .join('');
    const { http } = await engineOf(
      `rules:\n  - { name: first, onAllow: { request: { set: { x-list: "1" } } } }\n${appended}`,
      {},
    );
    const { changes } = await http();
    expect(changes.request.set.map(([, value]) => value.length)).toEqual([2 + MAX_HEADER / 2]);
  });

  test('headers for the client beyond the room are left out, others are sent', async () => {
    const names = ['a', 'b', 'c', 'd'].map((name) => `x-${name}: "\${request.path}"`);
    const { http, logged } = await engineOf(
      `rules:
  - { name: allowed, match: request.method == "GET", onAllow: { response: { set: { ${names.join(', ')}, x-last: "1" } } } }
  - { name: denied, match: request.method == "PUT", deny: { headers: { ${names.join(', ')}, x-last: "1" } } }`,
      {},
    );
    const path = '/'.repeat(MAX_HEADER - 3);
    const left = ['x-a', 'x-b', 'x-last'];
    const allowed = await http({ 'request.path': path });
    expect(allowed.outcome).toBe('allow');
    expect(allowed.changes.response.set.map(([name]) => name)).toEqual(left);
    const refused = await http({ 'request.path': path.slice(10), 'request.method': 'PUT' });
    expect(refused.outcome).toBe('deny');
    expect(refused.headers.map(([name]) => name)).toEqual([...left.slice(0, 2), 'x-c', 'x-last']);
    expect(logged).toMatchObject([
      { fields: { rule: 'allowed', text: 'onAllow response x-c', result: 'it is left out' } },
      { fields: { rule: 'denied', result: 'it is left out' } },
    ]);
  });

  const octetsOf = (pairs: Verdict['headers']): number =>
    pairs.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
  const limited = (names: readonly string[], action: string): string =>
    [
      'handlers: { h: { adapter: quota-script, config: { script: s } } }',
      'rules:',
      ...names.map(
        (name, at) => `  - { name: q${at}, quota: { handler: h, limit: 9, per: 1m, key: [], policy: ${name} } }`,
      ),
      `  - { name: last, ${action} }`,
    ].join('\n');
  const granting: Script = {
    charge: (asks) => asks.map(({ limit }) => ({ granted: true, limit, remaining: limit, resetMs: 1000 })),
  };

  test('the fields of a call with many limits have no more than the bound each, and whole limits', async () => {
    const names = Array.from({ length: 20 }, (_, at) => `${at}-${'n'.repeat(at === 3 ? 20_000 : 1000)}`);
    const { http, logged } = await engineOf(limited(names, 'onAllow: { response: { set: { x-a: "1" } } }'), {
      s: granting,
    });
    const { set } = (await http({})).changes.response;
    expect(set.map(([name]) => name)).toEqual(['x-a', 'ratelimit-policy', 'ratelimit']);
    const [, ...fields] = set.map(([, value]) => value);
    expect(Math.max(...fields.map(({ length }) => length))).toBeLessThanOrEqual(MAX_HEADER);
    const shown = [0, 1, 2, ...Array.from({ length: 13 }, (_, at) => at + 4)];
    expect(fields.map((field) => [...field.matchAll(/"(\d+)-/g)].map(([, at]) => Number(at)))).toEqual([shown, shown]);
    expect(logged).toEqual([]);
  });

  test.each(['allowed', 'denied'])('an %s call advertises no limits beyond the room', async (outcome) => {
    const headers = `{ ${['a', 'b', 'c'].map((name) => `x-${name}: "\${request.path}"`).join(', ')} }`;
    const { http, logged } = await engineOf(
      `handlers: { h: { adapter: quota-script, config: { script: s } } }
rules:
  - { name: allowed, onAllow: { response: { set: ${headers} } } }
  - name: limited
    quota: { handler: h, limit: 9, per: 1m, key: [], policy: per-user }
    onDeny: { headers: ${headers} }`,
      {
        s: {
          charge: (asks) =>
            asks.map(({ limit }) => ({ granted: outcome === 'allowed', limit, remaining: 0, resetMs: 1000 })),
        },
      },
    );
    const sent = async (length: number): Promise<Verdict['headers']> => {
      const verdict = await http({ 'request.path': '/'.repeat(length) });
      expect(verdict.outcome).toBe(outcome === 'allowed' ? 'allow' : 'deny');
      return outcome === 'allowed' ? verdict.changes.response.set : verdict.headers;
    };
    const namesOf = (pairs: Verdict['headers']): string[] => pairs.map(([name]) => name);
    expect(namesOf(await sent(10_000))).toContain('ratelimit');
    expect(logged).toEqual([]);
    const full = await sent(MAX_HEADER - (outcome === 'allowed' ? 10 : 46)); // a refusal has four headers more
    expect(namesOf(full).slice(0, 3)).toEqual(['x-a', 'x-b', 'x-c']);
    expect(namesOf(full)).not.toContain('ratelimit');
    expect(octetsOf(full)).toBeLessThanOrEqual(MAX_HEAD);
    expect(logged).toMatchObject([
      { fields: { rule: 'limited', text: 'the limits for clients', result: 'it is left out' } },
    ]);
  });
});

test('a rule whose texts are too long hides no other rule in the log', async () => {
  const { http, logged } = await engineOf(
    `rules:
  - { name: often, onAllow: { response: { set: { x-a: "\${request.path}" } } } }
  - { name: once, match: request.path.endsWith("!"), onAllow: { response: { set: { x-b: "\${request.path}" } } } }`,
    {},
  );
  for (let call = 0; call < 50; call++) await http({ 'request.path': '/'.repeat(MAX_HEADER + 1) });
  for (let call = 0; call < 3; call++) await http({ 'request.path': `${'/'.repeat(MAX_HEADER + 1)}!` });
  expect(logged.map(({ fields }) => [fields['rule'], fields['times']])).toEqual([
    ['often', 1],
    ['once', 1],
  ]);
});

test('an answer has at most so many headers, and those of rules that set the request come first', async () => {
  const many = (prefix: string): string =>
    Array.from({ length: MAX_HEADERS }, (_, at) => `${prefix}${at}: "\${request.method}"`).join(', ');
  const { http, engine, logged } = await engineOf(
    `rules:
  - { name: client, onAllow: { response: { set: { ${many('x-')} } } } }
  - { name: all, match: request.url_path != "/", onAllow: { request: { set: { ${many('y-')} } } } }
  - { name: one-more, match: request.url_path == "/more", onAllow: { metadata: { longer-name: "\${request.method}" } } }
  - { name: denied, match: request.url_path == "/denied", deny: { headers: { ${many('x-')} } } }`,
    {},
  );
  const counts = async (path: string): Promise<number[]> => {
    const { changes, headers } = await http({ 'request.path': path });
    return [changes.request.set.length, changes.response.set.length, changes.metadata.length, headers.length];
  };
  expect(await counts('/')).toEqual([0, MAX_HEADERS, 0, 0]);
  expect(logged).toEqual([]);
  expect(await counts('/set')).toEqual([MAX_HEADERS, 0, 0, 0]);
  expect(engine.meters.ofRule('all').failed).toBe(0);
  expect(await counts('/more')).toEqual([MAX_HEADERS, 0, 0, 0]);
  expect(engine.meters.ofRule('one-more').failed).toBe(1);
  expect(await counts('/denied')).toEqual([0, 0, 0, MAX_HEADERS]);
  expect(logged[0]).toMatchObject({ fields: { rule: 'client', result: 'it is left out' } });
});

test.each([
  ['an error', () => new Error('a'.repeat(LONG))],
  ['an unavailable backend', () => new Unavailable('a'.repeat(LONG))],
])('the message of %s is cut', async (_, made) => {
  const { verdict } = await askedOf(() => {
    throw made();
  });
  expect(verdict.outcome).toBe('failed');
  expect(Math.max(...lengths(verdict))).toBeLessThan(MAX_REASON + 100);
});

test('kept refusals hold no more memory than stated', async () => {
  // Of an output of its own each, which explanations read, a body of 1 MiB, and a reason.
  let calls = 0;
  const { engine, again } = await askedOf(
    () => deny(7, `${++calls}${'a'.repeat(LONG)}`, { output: { text: `${calls}${'b'.repeat(500_000)}` } }),
    `/${'c'.repeat(MAX_BODY)}`,
  );
  for (let call = 0; call < 40; call++) await again();
  expect(calls).toBe(41);
  const kept = engine.verdicts({ limit: 1000 });
  const ofOne = MAX_BODY + 500_000;
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.length).toBeLessThanOrEqual(KEEP.refused.bytes / ofOne);
});

test.each([
  ['a denial', 'deny: { headers: { x-why: LONG } }'],
  ['a request', 'onAllow: { request: { set: { x-why: LONG } } }'],
  ['metadata', 'onAllow: { metadata: { why: LONG } }'],
])('a constant text of %s that is longer does not load', async (_, action) => {
  await expect(
    engineOf(`rules:\n  - { name: r, ${action.replace('LONG', 'a'.repeat(MAX_HEADER + 1))} }`, {}),
  ).rejects.toThrow(/p\.yaml.*EXPRESSION_TEXT_TOO_LONG this text has 16385 characters, more than the 16384/);
});

test('docs/rules.md has the bounds', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/rules.md'), 'utf8');
  const spaced = (number: number): string =>
    number < 10_000 ? String(number) : String(number).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  expect(text).toContain(
    `a body after ${spaced(MAX_BODY)} characters, each header that a client gets after ${spaced(MAX_HEADER)}, ` +
      `the reason of a handler (\`out.reason\`, verdicts, the log) after ${spaced(MAX_REASON)}.`,
  );
  expect(text).toContain(`a value of more than ${spaced(MAX_HEADER)} characters fails like any text of onAllow.`);
  expect(text).toContain(`have room for ${spaced(MAX_HEAD)} octets of names and values`);
  expect(text).toContain(`there are at most ${MAX_HEADERS} of them`);
});

test('a constant body is shared, and counts for no verdict', async () => {
  const { http, engine } = await engineOf(`rules:\n  - { name: r, deny: { body: ${'a'.repeat(200_000)} } }`, {});
  for (let call = 0; call < 500; call++) await http();
  expect(engine.verdicts({ limit: 1000 })).toHaveLength(500);
});
