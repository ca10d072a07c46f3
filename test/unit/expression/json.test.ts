/** json.decode: as JSON.parse, but for what may be read in several ways; within the budget, in all back ends. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { type Json, valueOfJson } from '../../../src/attributes/json-value.ts';
import { BYTES, STRING, type Type } from '../../../src/attributes/types.ts';
import { Uint, type Value } from '../../../src/attributes/values.ts';
import { DEFAULT_BUDGET } from '../../../src/expression/budget.ts';
import { FAILED, compile, traceable } from '../../../src/expression/index.ts';
import { jsonValue, MAX_JSON_DEPTH, NOT_JSON } from '../../../src/expression/functions/json.ts';
import { filledAttributes } from './filled-attributes.ts';

const TYPES: Readonly<Record<string, Type>> = { t: STRING, b: BYTES };
const attributes = new Attributes(filledAttributes(TYPES));

/** By generated code, by closures, and traced, which agree; and the reason of a failure. */
function evaluated(source: string, values: Readonly<Record<string, Value>>): { value: unknown; why: string } {
  const bag = { get: (slot: number) => values[attributes.at(slot).name] };
  const [generated, closures] = (['generated', 'closures'] as const).map(
    (backEnd) => compile(source, attributes, { accept: () => true, backEnd }).compiled,
  );
  const traced = traceable(source, attributes, { accept: () => true }).compiled?.evaluate(bag);
  if (generated === undefined || closures === undefined || traced === undefined)
    throw new Error(`${source} is refused`);
  const value = generated.evaluate(bag);
  expect(closures.evaluate(bag)).toEqual(value);
  expect(traced.value).toEqual(value === FAILED ? FAILED : value);
  return { value, why: traced.failing?.message ?? '' };
}

/** JSON.parse has no other numbers. */
function asDoubles(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint) return Number(value.value);
  if (Array.isArray(value)) return value.map(asDoubles);
  return value instanceof Map ? new Map(Array.from(value, ([name, inner]) => [name, asDoubles(inner)])) : value;
}

test('any JSON is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom('', ' ', '\n\t\r '), (text, space) => {
      expect(asDoubles(jsonValue(space + text + space))).toEqual(valueOfJson(JSON.parse(text) as Json));
    }),
    { numRuns: 2000 },
  );
});

test('a text is refused where JSON.parse refuses it', () => {
  const letters = fc.constantFrom(
    ' ',
    '\n',
    '\u0001',
    ...'{ } [ ] " , : 0 1 9 - + . e E t r u f a l s n \\ a'.split(' '),
    'true',
    '\\u',
  );
  fc.assert(
    fc.property(fc.string({ unit: letters, maxLength: 12 }), (text) => {
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      const value = jsonValue(text);
      if (!isJson) expect(value).toBeUndefined();
      else if (value === undefined) expect(text).toMatch(/\\u|".*".*".*"|\d[eE]/); // read in several ways
    }),
    { numRuns: 20_000 },
  );
});

describe('what may be read in several ways fails', () => {
  test.each([
    ['a name twice', '{"role": "user", "role": "admin"}'],
    ['a name twice, once escaped', String.raw`{"role": "user", "r\u006fle": "admin"}`],
    ['a name twice, far below', '[[{"a": {"b": 1, "c": 2, "b": 3}}]]'],
    ['a number out of the range of doubles', '{"n": 1e400}'],
    ['a whole number that a double rounds', '{"n": 18446744073709551617}'],
    ['a negative one', '[-9223372036854775809]'],
    ['a long one', '1'.repeat(300)],
    ['half of a surrogate pair', String.raw`{"a": "\ud800"}`],
    ['a byte order mark', '\ufeff{}'],
    ['two documents', '{} {}'],
    ['a comment', '{/* a */}'],
    ['a comma at the end', '[1,]'],
    ['NaN', 'NaN'],
    ['nothing', ''],
  ])('%s', (_, text) => {
    const { value, why } = evaluated('json.decode(t)', { t: text });
    expect(value).toBe(FAILED);
    expect(why).toBe('the text is not JSON, or may be read in several ways (a name twice, a number out of range)');
    expect(evaluated('json.decode(b)', { b: Buffer.from(text) }).value).toBe(FAILED);
  });

  test('bytes that are not UTF-8', () => {
    expect(evaluated('json.decode(b)', { b: new Uint8Array([0x22, 0xff, 0x22]) }).value).toBe(FAILED);
    expect(evaluated('json.decode(b)', { b: Buffer.from('"é"') }).value).toBe('é');
  });

  test.each([
    [MAX_JSON_DEPTH, false],
    [MAX_JSON_DEPTH + 1, true],
    [400_000, true],
  ])('lists and maps %i deep', (depth, fails) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const)
      expect(jsonValue(`${open.repeat(depth)}1${close.repeat(depth)}`) === undefined, open).toBe(fails);
  });
});

test('whole numbers of 64 bits are exact, so that ids that differ are not equal', () => {
  expect(jsonValue('[1, -0, 2.5, 1e3, 123456789012345, 9007199254740991]')).toEqual([
    1, -0, 2.5, 1000, 123456789012345, 9007199254740991,
  ]);
  expect(jsonValue('[9007199254740993, -9223372036854775808]')).toEqual([9007199254740993n, -9223372036854775808n]);
  expect(jsonValue('18446744073709551615')).toEqual(new Uint(18446744073709551615n));
  expect(jsonValue('18446744073709551616')).toBe(18446744073709552000);
  for (const double of [2 ** 70, -(2 ** 63) - 2048, 123456789012345680000, -1.7e20, 999999999999999900000])
    expect(jsonValue(String(double))).toBe(double);
  for (const zeros of [20, 23, 300]) expect(jsonValue(`-1${'0'.repeat(zeros)}`)).toBe(Number(`-1e${zeros}`));
  expect(jsonValue(String(2n ** 90n))).toBe(2 ** 90);
  expect(jsonValue('[123456789012345678901.0, 1234567890123456789012e0]')).toEqual([
    123456789012345680000, 1.2345678901234568e21,
  ]);
  const t = '{"id": 9007199254740993}';
  expect(evaluated('json.decode(t).id == 9007199254740993', { t }).value).toBe(true);
  expect(evaluated('json.decode(t).id == 9007199254740992', { t }).value).toBe(false);
});

test('its values are read as any dyn', () => {
  const t = '{"user": {"role": "admin", "__proto__": 1}, "items": [{"n": 1}, {"n": 2.5}], "none": null}';
  for (const [source, value] of [
    ['json.decode(t).user.role == "admin"', true],
    ['json.decode(t).?user.?plan.orValue("none")', 'none'],
    ['json.decode(t).items.exists(i, i.n > 2)', true],
    ['json.decode(t).items.map(i, i.n)', [1, 2.5]],
    ['json.decode(t).none == null', true],
    ['has(json.decode(t).user.plan)', false],
    ['json.decode(t).user["__proto__"] == 1', true],
    ['json.decode(t).user.?constructor.hasValue()', false],
    ['json.decode("[1]")[0] == 1', true],
    ['json.decode(t).items.size() == 2 && size(json.decode(t)) == 3 && json.decode(t).user.role.size() == 5', true],
    ['size(dyn("😀")) == 1 && dyn(b"abc").size() == 3', true],
  ] as const)
    expect([source, evaluated(source, { t }).value]).toEqual([source, value]);
  expect(evaluated('json.decode(t).nosuch == 1', { t }).why).toBe('no such key: "nosuch"');
});

test('a constant that is not JSON does not load', () => {
  for (const text of ['{', '{\\"a\\": 1, \\"a\\": 2}', '1e400'])
    expect(compile(`json.decode("${text}") == 1`, attributes, { accept: () => true }).problems).toEqual([
      expect.objectContaining({ code: 'EXPRESSION_CONSTANT', message: NOT_JSON }),
    ]);
});

describe('a text that a stranger chose fails by the budget', () => {
  const { steps, characters } = DEFAULT_BUDGET;
  test.each([
    ['with too many values', `[${'1,'.repeat(steps)}1]`, /more than 100000 steps/],
    ['that is too long', JSON.stringify('a'.repeat(characters)), /more than 1048576 characters/],
  ])('%s', (_, t, why) => {
    for (const source of [
      'json.decode(t) == 1',
      'json.decode(t) == 1 || true',
      '[1, 2].exists(x, json.decode(t) == x)',
    ]) {
      const answer = evaluated(source, { t });
      expect([source, answer.value, answer.why]).toEqual([source, FAILED, expect.stringMatching(why)]);
    }
  });

  test('that is read again and again', () => {
    const t = JSON.stringify('a'.repeat(characters / 10));
    const often = Array.from({ length: 20 }, (_, at) => `json.decode(t) == ${at}`).join(' || ');
    expect(evaluated(often, { t }).why).toMatch(/more than 1048576 characters/);
  });

  test('the largest that is read takes no longer than the budget says', () => {
    const t = `[${Array.from({ length: steps - 2 }, (_, at) => at).join(',')}]`;
    const costs = Array.from({ length: 5 }, () => {
      const before = process.cpuUsage();
      expect(evaluated('json.decode(t).size() > 0', { t }).value).toBe(true);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    });
    expect(Math.min(...costs)).toBeLessThan(200); // three evaluations, of some 10 ms each
  });
});

describe('form.decode', () => {
  test.each<[form: string, values: Readonly<Record<string, readonly string[]>>]>([
    ['', {}],
    ['a=1&b=2&a=3', { a: ['1', '3'], b: ['2'] }],
    ['a+b=c%20d&%zz=%', { 'a b': ['c d'], '%zz': ['%'] }],
    ['?a=1&&=x&c', { '?a': ['1'], '': ['x'], c: [''] }],
    ['n=%C3%A9é', { n: ['éé'] }],
    ['__proto__=1', { ['__proto__']: ['1'] }],
  ])('%s', (form, values) => {
    expect(evaluated('form.decode(t)', { t: form }).value).toEqual(new Map(Object.entries(values)));
  });

  test('counts its parameters before it decodes them', () => {
    const { steps } = DEFAULT_BUDGET;
    expect(evaluated('form.decode(t).size()', { t: 'a&'.repeat(steps / 10 - 1) }).value).toBe(1);
    const { value, why } = evaluated('form.decode(t).size()', { t: 'a&'.repeat(steps / 10) });
    expect(value).toBe(FAILED);
    expect(why).toMatch(/budget/);
    expect(evaluated('form.decode(t).size()', { t: 'a'.repeat(DEFAULT_BUDGET.characters + 1) }).value).toBe(FAILED);
  });
});
