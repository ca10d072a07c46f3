/** Generated code, closures and traced closures agree, also on functions that @bufbuild/cel lacks. RUNS and SEED may be set. */
import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { parseIp } from '../../../src/attributes/network.ts';
import {
  BOOL,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  IP,
  STRING,
  STRING_MAP,
  type Type,
  UINT,
  listOf,
  mapOf,
} from '../../../src/attributes/types.ts';
import { Duration, Uint, type Value } from '../../../src/attributes/values.ts';
import { compile, FAILED, traceable } from '../../../src/expression/index.ts';
import { filledAttributes } from './filled-attributes.ts';

const RUNS = Number(process.env['RUNS'] ?? 3000);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const TYPES: Readonly<Record<string, Type>> = {
  'a.i': INT,
  'a.u': UINT,
  'a.x': DOUBLE,
  'a.s': STRING,
  'a.t': STRING,
  'a.p': BOOL,
  'a.ip': IP,
  'a.d': DURATION,
  'a.m': STRING_MAP,
  'a.n': mapOf(STRING, INT),
  'a.l': listOf(STRING),
  'a.any': DYN,
};
const attributes = new Attributes(filledAttributes(TYPES));

const join = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((all) => `(${all.join('')})`);
const is = (text: string): fc.Arbitrary<string> => fc.constant(text);
const DEPTH = { maxDepth: 4, depthSize: 'small' } as const;
const { bool, int, text } = fc.letrec<{ bool: string; int: string; text: string }>((tie) => {
  const [b, i, s] = [tie('bool'), tie('int'), tie('text')];
  return {
    int: fc.oneof(
      DEPTH,
      fc.constantFrom(
        'a.i',
        '1',
        '7',
        '9223372036854775807',
        'a.n["k"]',
        'a.n[?"k"].orValue(3)',
        'a.?i.orValue(2)',
        'size(a.l)',
        'int(a.u)',
        'int(a.any)',
      ),
      join(is('('), i, fc.constantFrom(' + ', ' - ', ' * ', ' / ', ' % '), i, is(')')),
      join(is('('), b, is(' ? '), i, is(' : '), i, is(')')),
      join(is('size('), s, is(')')),
      join(is('cel.bind(v, '), i, is(', v + v)')),
      join(is('math.greatest('), i, is(', '), i, is(')')),
    ),
    text: fc.oneof(
      DEPTH,
      fc.constantFrom(
        'a.s',
        'a.t',
        '""',
        '"/a"',
        'a.m["k"]',
        'a.m.k',
        'a.m[?"k"].orValue("x")',
        'a.?s.orValue("y")',
        'a.?m.?k.orValue("z")',
        'a.l[0]',
        'string(a.ip)',
        'a.any.k',
      ),
      join(s, is(' + '), s),
      join(is('('), b, is(' ? '), s, is(' : '), s, is(')')),
      join(s, fc.constantFrom('.lowerAscii()', '.trim()', '.substring(1)', '.charAt(0)', '.replace("a", "b")')),
      join(is('a.m[?'), s, is('].orValue('), s, is(')')),
      join(is('"%s-%d".format(['), s, is(', '), i, is('])')),
    ),
    bool: fc.oneof(
      DEPTH,
      fc
        .constantFrom(
          'a.p',
          'true',
          'false',
          'has(a.s)',
          'has(a.m.k)',
          '"k" in a.m',
          '!a.p',
          'a.?p.orValue(false)',
          'a.d > duration("1s")',
          'cidr("10.0.0.0/8").containsIP(a.ip)',
          'a.any == 1',
          'a.any.k == "v"',
          'a.x < 2.0',
          'a.x == a.i',
          'a.u >= 3u',
          'a.p == a.p',
          'a.l == ["a"]',
        )
        .map((leaf) => `(${leaf})`),
      join(is('('), b, fc.constantFrom(' && ', ' || '), b, is(')')),
      join(is('!'), b),
      join(i, fc.constantFrom(' == ', ' != ', ' < ', ' >= '), i),
      join(s, fc.constantFrom(' == ', ' != ', ' < '), s),
      join(s, fc.constantFrom('.startsWith(', '.endsWith(', '.contains(', '.matches('), s, is(')')),
      join(s, fc.constantFrom(' in ["", "/a", "x"]', ' in a.l', ' in a.m', '.matches("^/?[a-c]+$")')),
      join(i, is(' in [1, 2, 7]')),
      join(is('a.l.exists(v, v == '), s, is(')')),
      join(is('a.l.all(j, v, v != '), s, is(' || j > 0)')),
      join(is('a.n.exists_one(k, a.n[k] == '), i, is(')')),
    ),
  };
});

const some = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(values, { nil: undefined, freq: 5 });
const texts = fc.constantFrom('', '/a', 'ab', 'x', 'k', '(', ' A ', '\u{1f600}');
const mapOfTexts = fc
  .dictionary(fc.constantFrom('k', 'x', '/a'), texts, { maxKeys: 2 })
  .map((entries) => new Map(Object.entries(entries)));
const bags = fc.record({
  'a.i': some(fc.constantFrom<Value>(0, 1, 7, -3, 9223372036854775807n, -9223372036854775808n)),
  'a.u': some(fc.constantFrom<Value>(0, 3, 18446744073709551615n)),
  'a.x': some(fc.constantFrom(0, 1, 2.5, Number.NaN, Infinity)),
  'a.s': some(texts),
  'a.t': some(texts),
  'a.p': some(fc.boolean()),
  'a.ip': some(fc.constantFrom('10.1.2.3', '::1').map((one) => parseIp(one) as Value)),
  'a.d': some(fc.constantFrom(new Duration(0, 5), new Duration(2, 0))),
  'a.m': some(mapOfTexts),
  'a.n': some(
    fc
      .dictionary(fc.constantFrom('k', 'x'), fc.constantFrom(1, 7), { maxKeys: 2 })
      .map((entries) => new Map(Object.entries(entries))),
  ),
  'a.l': some(fc.array(texts, { maxLength: 3 })),
  'a.any': some(
    fc.constantFrom<Value>(1n, 1, 'x', true, null, new Uint(1n), new Map<Value, Value>([['k', 'v']]), ['a']),
  ),
});

test(`the back ends agree (SEED=${SEED})`, () => {
  let values = 0;
  let failures = 0;
  fc.assert(
    fc.property(fc.oneof(bool, bool, int, text), fc.array(bags, { minLength: 1, maxLength: 4 }), (source, given) => {
      const options = { accept: () => true };
      const { compiled: generated, problems } = compile(source, attributes, options);
      const closures = compile(source, attributes, { ...options, backEnd: 'closures' }).compiled;
      const traced = traceable(source, attributes, options).compiled;
      if (generated === undefined) {
        expect(
          problems
            .map(({ code }) => code)
            .filter((code) => code !== 'EXPRESSION_OVERFLOW' && code !== 'EXPRESSION_CONSTANT'),
        ).toEqual([]);
        return;
      }
      for (const one of given) {
        const bag = {
          get: (slot: number): Value | undefined =>
            (one as Record<string, Value | undefined>)[attributes.at(slot).name],
        };
        const answer = generated.evaluate(bag);
        const seen = traced?.evaluate(bag);
        if (answer === FAILED) failures += 1;
        else values += 1;
        expect([inspect(closures?.evaluate(bag)), inspect(seen?.value)], `${source} of ${inspect(one)}`).toEqual([
          inspect(answer),
          inspect(answer),
        ]);
        expect(seen?.failing === undefined, source).toBe(answer !== FAILED);
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
  expect(values).toBeGreaterThan(RUNS / 4);
  expect(failures).toBeGreaterThan(RUNS / 10);
});
