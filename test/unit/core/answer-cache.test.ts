/** Answers that stay valid: kept, shared by calls that wait, and never used for longer, or more often, than the plugin says. */
import { describe, expect, test } from 'vitest';
import { allow, type CheckAnswer, deny, found, Unavailable } from '../../../src/adapters/contract.ts';
import type { HandlerMeters } from '../../../src/core/metrics/meters.ts';
import { engineOf, pause, PATIENT } from './engine-of.ts';

const CHECK = (handler = ''): string => `
handlers: { h: { adapter: check-script, config: { script: h }, deadline: 1s${handler} } }
rules: [{ name: asked, check: { handler: h, input: { value: request.path } } }]
`;
const LOOKUP = `
handlers: { e: { adapter: enrich-script, config: { script: e } } }
rules:
  - { name: enriched, enrich: { handler: e, input: { key: request.path }, as: my.row } }
  - { name: gold-only, match: 'my.row.plan != "gold"', deny: {} }
`;

/** An engine whose handler answers later, with what `answer` says; `asked` are the inputs that reached it. */
async function asking(
  answer: (value: unknown, nth: number) => CheckAnswer | Promise<CheckAnswer>,
  handler = '',
): Promise<{
  readonly asked: unknown[];
  readonly call: (path: string) => Promise<string>;
  readonly meters: HandlerMeters;
  readonly made: Awaited<ReturnType<typeof engineOf>>;
}> {
  const asked: unknown[] = [];
  const made = await engineOf(CHECK(handler), {
    h: {
      check: async ({ value }) => {
        asked.push(value);
        await pause(5);
        return answer(value, asked.length);
      },
    },
  });
  return {
    asked,
    call: async (path) => (await made.http({ 'request.path': path })).outcome,
    meters: made.engine.meters.ofHandler('h'),
    made,
  };
}

describe('an answer that stays valid', () => {
  test('answers equal calls, and says so in the reasons', async () => {
    const { asked, call, meters, made } = await asking(() => deny(7, 'revoked', { validForMs: 60_000 }));
    for (let times = 0; times < 3; times++) expect(await call('/a')).toBe('deny');
    expect(await call('/b')).toBe('deny');
    expect(asked).toEqual(['/a', '/b']);
    expect(meters).toMatchObject({ calls: 2, cacheHits: 2, cacheMisses: 1 });
    expect(meters.cacheBytes).toBeGreaterThan(500);
    const texts = made.engine.verdicts().map(({ reasons: [reason] }) => reason?.text);
    expect(texts).toEqual([
      'h refused: revoked',
      'h refused: revoked (from the cache)',
      'h refused: revoked (from the cache)',
      'h refused: revoked',
    ]);
  });

  test('is not used after its time', async () => {
    const { asked, call } = await asking(() => allow({ validForMs: 40 }));
    await call('/a');
    await call('/a');
    expect(asked.length).toBe(1);
    await pause(60);
    await call('/a');
    expect(asked.length).toBe(2);
  });

  test('is not used more often than it may be', async () => {
    const { asked, call } = await asking(() => allow({ validForMs: 60_000, uses: 3 }));
    for (let times = 0; times < 7; times++) await call('/a');
    expect(asked.length).toBe(3);
  });

  test('is dropped by a reload', async () => {
    const { asked, call, made } = await asking(() => allow({ validForMs: 60_000 }));
    await call('/a');
    await made.engine.use(await made.load(`${CHECK()}  # changed`));
    await call('/a');
    expect(asked.length).toBe(2);
    expect(made.engine.meters.ofHandler('h').cacheHits).toBe(0);
  });

  test('answers while the handler is away, and its breaker open', async () => {
    const { call } = await asking((value, nth) => {
      if (nth > 1) throw new Unavailable('no route');
      return allow({ validForMs: 60_000 });
    }, ', breaker: { failures: 1 }');
    expect(await call('/a')).toBe('allow');
    expect(await call('/b')).toBe('failed');
    expect(await call('/c')).toBe('failed');
    expect(await call('/a')).toBe('allow');
  });

  test('makes room for others when the cache is full', async () => {
    const { call, meters } = await asking(
      () => allow({ validForMs: 60_000, output: { text: 'x'.repeat(1000) } }),
      ', cache: { maxBytes: 10000 }',
    );
    for (let n = 0; n < 20; n++) await call(`/${n}`);
    expect(meters.cacheEvictions).toBeGreaterThan(10);
    expect(meters.cacheBytes).toBeLessThanOrEqual(10_000);
  });

  test('is not kept by a handler with cache: { maxBytes: 0 }', async () => {
    const { asked, call } = await asking(() => allow({ validForMs: 60_000 }), ', cache: { maxBytes: 0 }');
    await Promise.all([call('/a'), call('/a')]);
    await call('/a');
    expect(asked.length).toBe(3);
  });

  test('is not kept from a handler that answers at once', async () => {
    let asked = 0;
    const { http } = await engineOf(CHECK(), {
      h: {
        check: () => {
          asked++;
          return allow({ validForMs: 60_000 });
        },
      },
    });
    for (let times = 0; times < 3; times++) expect((await http()).outcome).toBe('allow');
    expect(asked).toBe(3);
  });
});

describe('calls that are equal and run at once', () => {
  test('10 000 of them are one call of the handler, once it has said how long an answer is valid', async () => {
    const { asked, call, meters } = await asking(() => allow({ validForMs: 0 }), ', concurrency: 20000');
    await call('/first');
    asked.length = 0;
    const outcomes = await Promise.all(Array.from({ length: 10_000 }, async () => call('/a')));
    expect(new Set(outcomes)).toEqual(new Set(['allow']));
    expect(asked.length).toBe(1);
    expect(meters.cacheShared).toBe(9999);
    await call('/a'); // valid for 0 ms: shared, not kept
    expect(asked.length).toBe(2);
  });

  test('each ask for themselves where answers have no validity', async () => {
    const { asked, call, meters } = await asking(() => allow());
    await Promise.all([call('/a'), call('/a'), call('/a')]);
    await Promise.all([call('/a'), call('/a')]);
    expect(asked.length).toBe(5);
    expect(meters.cacheShared).toBe(0);
  });

  test('each ask for themselves, at once, where this answer has no validity', async () => {
    const { asked, call } = await asking((value) => allow(value === '/first' ? { validForMs: 0 } : {}));
    await call('/first');
    await Promise.all(Array.from({ length: 100 }, async () => call('/a')));
    expect(asked.length).toBe(101);
  });

  test('share a failure of the backend', async () => {
    const { asked, call } = await asking((_, nth) => {
      if (nth > 1) throw new Unavailable('no route');
      return allow({ validForMs: 0 });
    });
    await call('/first');
    expect(await Promise.all([call('/a'), call('/a'), call('/a')])).toEqual(['failed', 'failed', 'failed']);
    expect(asked).toEqual(['/first', '/a']);
  });

  test('ask again if the caller of the first leaves', async () => {
    const leaving = new AbortController();
    let asked = 0;
    const { http } = await engineOf(CHECK(), {
      h: {
        check: (_, { signal }) =>
          ++asked === 2
            ? new Promise((_resolve, reject) => {
                signal.addEventListener('abort', () => reject(new DOMException('left', 'AbortError')));
              })
            : pause(5).then(() => allow({ validForMs: 1000 })),
      },
    });
    await http();
    const first = http({ 'request.path': '/a' }, { remainingMs: 500, signal: leaving.signal });
    const others = Promise.all([http({ 'request.path': '/a' }), http({ 'request.path': '/a' })]);
    leaving.abort(new Error('gone'));
    await first;
    expect((await others).map(({ outcome }) => outcome)).toEqual(['allow', 'allow']);
    expect(asked).toBe(3);
  });

  test('do not wait for one that hangs longer than its own deadline', async () => {
    let asked = 0;
    const { http } = await engineOf(CHECK(), {
      h: {
        check: () => (++asked === 2 ? new Promise(() => undefined) : pause(5).then(() => allow({ validForMs: 1000 }))),
      },
    });
    await http();
    const path = { 'request.path': '/a' };
    expect((await http(path, { remainingMs: 60, signal: undefined })).outcome).toBe('failed');
    expect((await http(path, PATIENT)).outcome).toBe('allow');
    expect(asked).toBe(3);
  });

  test('do not share more often than the answer may be used', async () => {
    const { asked, call } = await asking(() => allow({ validForMs: 60_000, uses: 3 }));
    await call('/first');
    await Promise.all(Array.from({ length: 6 }, async () => call('/a')));
    expect(asked.length).toBe(1 + 4); // one for three calls, and the others for themselves
  });
});

describe('a lookup', () => {
  test('keeps values, and that nothing is known, for as long as found() says', async () => {
    const asked: unknown[] = [];
    const { http } = await engineOf(LOOKUP, {
      e: {
        lookup: async ({ key }) => {
          asked.push(key);
          await pause(1);
          return found(key === '/gold' ? { plan: 'gold' } : undefined, { validForMs: 60_000 });
        },
      },
    });
    for (let times = 0; times < 3; times++) {
      expect((await http({ 'request.path': '/gold' })).outcome).toBe('allow');
      expect((await http({ 'request.path': '/none' })).outcome).not.toBe('allow');
    }
    expect(asked).toEqual(['/gold', '/none']);
  });

  test('may answer at once with found()', async () => {
    const { http } = await engineOf(LOOKUP, { e: { lookup: () => found({ plan: 'gold' }, { validForMs: 60_000 }) } });
    expect((await http()).outcome).toBe('allow');
  });
});

test.each([
  ['a negative validity', allow({ validForMs: -1 }), 'validForMs is milliseconds from 0, or absent; not -1'],
  ['a validity that is no number', allow({ validForMs: NaN }), 'validForMs is milliseconds from 0, or absent; not NaN'],
  ['no uses', allow({ validForMs: 1, uses: 0 }), 'uses is a number from 1; not 0'],
])('%s is a fault of the plugin and is not kept', async (_what, answer, why) => {
  const { asked, call, made } = await asking(() => answer);
  expect(await call('/a')).toBe('failed');
  expect(await call('/a')).toBe('failed');
  expect(asked.length).toBe(2);
  expect(made.engine.verdicts()[0]?.reasons[0]?.text).toContain(why);
});

test('inputs that differ in type or name have different keys', async () => {
  const { inputKey } = await import('../../../src/core/handlers/input-key.ts');
  const inputs: Readonly<Record<string, unknown>>[] = [
    { a: '1' },
    { a: 1 },
    { a: true },
    { a: 'true' },
    { a: null },
    { a: 'z' },
    {},
    { a: '' },
    { a: '1', b: '2' },
    { a: '1;1:b=1:2' },
    { b: '1' },
    { a: ['1', '2'] },
    { a: ['1,1:2'] },
    { a: { b: '1' } },
    { a: new Uint8Array([49]) },
    { a: new Date(1) },
    { a: [[], []] },
    { a: [[[]]] },
  ];
  expect(new Set(inputs.map((input) => inputKey(input))).size).toBe(inputs.length);
  expect(inputKey({ a: { x: 1, y: 2 } })).toBe(inputKey({ a: { y: 2, x: 1 } }));
  expect(inputKey({ a: () => 1 })).toBeUndefined();
});
