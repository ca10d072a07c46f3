import { describe, expect, test } from 'vitest';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { DYN, INT, STRING, STRING_MAP, type Type, listOf } from '../../../src/attributes/types.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { DEFAULT_BUDGET } from '../../../src/expression/budget.ts';
import { FAILED, compile, traceable } from '../../../src/expression/index.ts';
import { filledAttributes } from './filled-attributes.ts';

const TYPES: Readonly<Record<string, Type>> = {
  x: STRING,
  y: STRING,
  l: listOf(STRING),
  n: listOf(INT),
  m: STRING_MAP,
  d: DYN,
};
const attributes = new Attributes(filledAttributes(TYPES));
const bagOf = (values: Readonly<Record<string, Value>>) => ({
  get: (slot: number) => values[attributes.at(slot).name],
});

/** The value by generated code, by closures, and traced, with the reasons of failures. */
function answersOf(source: string, values: Readonly<Record<string, Value>>): { values: unknown[]; whys: string[] } {
  const bag = bagOf(values);
  const [generated, closures] = (['generated', 'closures'] as const).map(
    (backEnd) => compile(source, attributes, { accept: () => true, backEnd }).compiled,
  );
  const traced = traceable(source, attributes, { accept: () => true }).compiled?.evaluate(bag);
  if (generated === undefined || closures === undefined || traced === undefined)
    throw new Error(`${source} is refused`);
  return {
    values: [generated.evaluate(bag), closures.evaluate(bag), traced.value],
    whys: [generated.why(bag), closures.why(bag), traced.failing?.message ?? ''],
  };
}

const LONG = 'a,'.repeat(15_000);
const STEPS = `it took more than ${DEFAULT_BUDGET.steps} steps, the budget of an evaluation; its macros visit too many elements or read texts that are too long, or JSON or a form has too many values`;
const CHARACTERS = `it built or decoded more than ${DEFAULT_BUDGET.characters} characters of text, the budget of an evaluation`;

describe('an evaluation that exceeds its budget fails with that reason in every back end', () => {
  test.each([
    ['a macro in a macro', 'x.split(",").exists(a, x.split(",").exists(b, a + b == "zz"))', STEPS],
    ['a failure that || would absorb', 'l.exists(a, l.all(b, a == b)) || true', STEPS],
    ['a list that is searched for each element', 'l.all(a, !("zz" in l))', STEPS],
    ['a text that is searched for each element', 'l.all(a, !x.contains("zz"))', STEPS],
    ['a pattern that is tried on a long text for each element', 'l.all(a, !x.matches("z+"))', STEPS],
    ['lists that are compared for each element', 'l.all(a, l == l)', STEPS],
    [
      'a list that doubles',
      `cel.bind(a, l + l, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, cel.bind(e, d + d, cel.bind(f, e + e, f + f)))))).size() > 0`,
      STEPS,
    ],
    [
      'a list of dyn that doubles',
      'cel.bind(a, d + d, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(e, c + c, cel.bind(f, e + e, cel.bind(g, f + f, g + g)))))).size() > 0',
      STEPS,
    ],
    ['transformMap over pairs', 'l.transformMap(i, v, l.exists_one(j, w, i == j)).size() > 0', STEPS],
    ['map and filter', 'l.filter(v, l.map(w, w + v).size() > 0).size() > 0', STEPS],
    ['a replacement of each character', 'x.replace("a", y).size() > 0', CHARACTERS],
    ['a replacement around each character', 'x.replace("", y).size() > 0', CHARACTERS],
    ['a replacement of a limited number', 'x.replace("a", y, 1000).size() > 0', CHARACTERS],
    ['elements joined by a long text', 'l.join(x).size() > 0', CHARACTERS],
    [
      'a text that doubles',
      'cel.bind(a, x + x, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, cel.bind(e, d + d, e + e)))))  == ""',
      CHARACTERS,
    ],
    [
      'a format over one list many times',
      '"%s".format([[l, l, l, l, l, l, l, l, l, l, l, l, l, l, l, l, l, l, l, l]]).size() > 0',
      CHARACTERS,
    ],
    [
      'bytes that double',
      'cel.bind(a, bytes(x), cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, cel.bind(e, d + d, e + e))))).size() > 0',
      CHARACTERS,
    ],
    [
      'texts of dyn',
      'cel.bind(a, dyn(x), cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, cel.bind(e, d + d, e + e))))) == ""',
      CHARACTERS,
    ],
  ])('%s', (_, source, why) => {
    const list = LONG.split(',');
    const { values, whys } = answersOf(source, { x: LONG, y: LONG, l: list, d: list as unknown as Value });
    expect(values).toEqual([FAILED, FAILED, FAILED]);
    expect(whys).toEqual([why, why, why]);
  });

  test('the trace points at the part that exceeded it', () => {
    const source = 'm["k"] == "v" && x.replace("a", y) == ""';
    const { failing } =
      traceable(source, attributes).compiled?.evaluate(bagOf({ x: LONG, y: LONG, m: new Map([['k', 'v']]) })) ?? {};
    expect(source.slice(failing?.start, failing?.end)).toBe('x.replace("a", y)');
  });
});

describe('an evaluation within its budget', () => {
  test.each([
    ['one pass over the longest header that a proxy accepts', 'x.split(",").all(v, v == "a" || v == "")', true],
    ['a pattern on each element', 'x.split(",").all(v, v.matches("^a?$"))', true],
    ['a replacement that makes a text shorter', 'x.replace("a", "").size()', 15_000],
    ['pairs of a list, of which the first decides', 'l.exists(a, l.exists(i, v, i == 0))', true],
    ['a text of dyn', 'd + "b"', 'ab'],
  ])('%s', (_, source, expected) => {
    const { values } = answersOf(source, { x: LONG, l: LONG.split(',').slice(0, 1000), d: 'a' });
    expect(values).toEqual([expected, expected, expected]);
  });

  test('has a budget of its own each time', () => {
    const { compiled } = compile('l.exists(a, l.exists(b, a + b == "zz"))', attributes);
    const [long, short] = [bagOf({ l: LONG.split(',') }), bagOf({ l: Array.from({ length: 200 }, () => 'a') })];
    expect(Array.from({ length: 10 }, () => [compiled?.evaluate(long), compiled?.evaluate(short)])).toEqual(
      Array.from({ length: 10 }, () => [FAILED, false]),
    );
  });

  test('does not pay for an attribute that is an expression itself', () => {
    const [inner, outer] = ['l.all(a, l.all(b, true))', 'l.all(v, x != "") && l.all(a, l.all(b, true))'].map(
      (source) => compile(source, attributes).compiled,
    );
    const l = Array.from({ length: 300 }, () => 'a');
    expect(
      outer?.evaluate({
        get: (slot) =>
          attributes.at(slot).name === 'l' ? l : inner?.evaluate(bagOf({ l })) === true ? 'x' : undefined,
      }),
    ).toBe(true);
  });

  test('has the budget that an option sets', () => {
    const one = compile('l.all(v, v == "a")', attributes, { budget: { steps: 2, characters: 10 } }).compiled;
    expect([one?.evaluate(bagOf({ l: ['a', 'a'] })), one?.evaluate(bagOf({ l: ['a', 'a', 'a'] }))]).toEqual([
      true,
      FAILED,
    ]);
    expect(one?.why(bagOf({ l: ['a', 'a', 'a'] }))).toMatch(/^it took more than 2 steps/);
  });
});

test('a constant that exceeds the budget is a problem at load', () => {
  const { problems } = compile(`"aaaaaaaaaa"${'.replace("a", "aaaaaaaaaa")'.repeat(9)}`, attributes);
  expect(problems.map(({ code }) => code)).toEqual(['EXPRESSION_CONSTANT']);
});

test('an exception of the bag fails the evaluation; its text is not shown', () => {
  const bag = {
    get: () => {
      throw new RangeError('secret octets');
    },
  };
  for (const source of ['x == "a"', 'x + y == "a"', 'has(m.k) || l.exists(v, v == x)']) {
    for (const backEnd of ['generated', 'closures'] as const) {
      const { compiled } = compile(source, attributes, { backEnd });
      expect([compiled?.evaluate(bag), compiled?.why(bag)]).toEqual([FAILED, 'internal error (RangeError)']);
    }
    const traced = traceable(source, attributes).compiled?.evaluate(bag);
    expect([traced?.value, traced?.failing?.message]).toEqual([FAILED, 'internal error (RangeError)']);
  }
});
