/** The index finds every rule whose match is true or fails, in order, compared with evaluating all. RUNS and SEED may be set. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { type Ip, parseIp } from '../../../src/attributes/network.ts';
import { BOOL, INT, IP, STRING, STRING_MAP, type Type } from '../../../src/attributes/types.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { RuleIndex } from '../../../src/core/match/rule-index.ts';
import { TimeSlice } from '../../../src/time/time-slice.ts';
import { compile, type Compiled, FAILED } from '../../../src/expression/index.ts';
import { filledAttributes } from '../expression/filled-attributes.ts';

const RUNS = Number(process.env['RUNS'] ?? 250);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const TYPES: Readonly<Record<string, Type>> = {
  'a.s': STRING,
  'a.t': STRING,
  'a.i': INT,
  'a.p': BOOL,
  'a.ip': IP,
  'a.m': STRING_MAP,
};
const attributes = new Attributes(filledAttributes(TYPES));
const matchOf = (source: string): Compiled => {
  const { compiled, problems } = compile(source, attributes, { expect: BOOL, withGuards: true });
  if (compiled === undefined) throw new Error(`${source}: ${problems.map(({ message }) => message).join('; ')}`);
  return compiled;
};

const TEXTS = ['', '/', '/a', '/a/b', '/b', 'x', 'y'];
const RANGES = ['10.0.0.0/8', '10.1.0.0/16', '0.0.0.0/0', '192.168.1.128/25', 'fd00::/8', '::/0', '2001:db8::/33'];
const text = fc.constantFrom(...TEXTS).map((value) => JSON.stringify(value));
const strings = fc.oneof(
  fc.constantFrom('a.s', 'a.t', 'a.m["k"]', 'a.m.l'),
  fc
    .tuple(fc.constantFrom('a.?s', 'a.m[?"k"]', 'a.?m.l', 'a.m.?l'), text)
    .map(([of, instead]) => `${of}.orValue(${instead})`),
);
const leaf = fc.oneof(
  fc.tuple(strings, fc.constantFrom('==', '!='), text).map((parts) => parts.join(' ')),
  fc.tuple(text, fc.constantFrom('==', '!='), strings).map((parts) => parts.join(' ')),
  fc.tuple(strings, text).map(([of, part]) => `${of}.startsWith(${part})`),
  fc
    .tuple(strings, fc.constantFrom('^/a', '^/a*', '^/a/b$', '^x|y', '^x?', '/a', '(?i)^x'))
    .map(([of, pattern]) => `${of}.matches("${pattern}")`),
  fc.tuple(strings, fc.array(text, { maxLength: 3 })).map(([of, list]) => `${of} in [${list.join(', ')}]`),
  fc
    .tuple(
      fc.constantFrom('a.i'),
      fc.constantFrom('==', '!=', '<'),
      fc.constantFrom('0', '1', '2', '9223372036854775807'),
    )
    .map((parts) => parts.join(' ')),
  fc.constantFrom(
    'a.i in [1, 9223372036854775807]',
    'a.p',
    'a.?p.orValue(true)',
    'a.p == true',
    'true',
    'false',
    'has(a.s)',
    'has(a.m)',
    'has(a.m.k)',
    '"k" in a.m',
    '"l" in a.m',
    'a.i / 0 == 1',
    '1 / a.i == 1',
    'a.m == {}',
    'size(a.m) > 1',
    'a.s.endsWith("b")',
  ),
  fc.constantFrom(...RANGES).map((range) => `cidr("${range}").containsIP(a.ip)`),
  fc
    .uniqueArray(fc.constantFrom(...RANGES), { minLength: 1, maxLength: 3 })
    .map((ranges) => `${JSON.stringify(ranges)}.exists(n, cidr(n).containsIP(a.ip))`),
  fc.constantFrom('[1, 2].exists(a, a == 1)', '["x"].exists(v, v == a.s)'),
);
const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    leaf,
    fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => `(${a} && ${b})`),
    fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => `(${a} || ${b})`),
    tie('condition').map((a) => `!(${a})`),
    fc.tuple(tie('condition'), tie('condition'), tie('condition')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
}));

const some = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(values, { nil: undefined, freq: 4 });
const bag = fc.record({
  'a.s': some(fc.constantFrom(...TEXTS)),
  'a.t': some(fc.constantFrom(...TEXTS)),
  'a.i': some(fc.constantFrom<Value>(0, 1, 2, 9223372036854775807n)),
  'a.p': some(fc.boolean()),
  'a.ip': some(
    fc
      .constantFrom(
        '10.1.2.3',
        '10.9.0.1',
        '192.168.1.127',
        '192.168.1.129',
        'fd12::1',
        '2001:db8::1',
        '2001:db8:8000::1',
      )
      .map((one) => parseIp(one) as Ip),
  ),
  'a.m': some(
    fc
      .dictionary(fc.constantFrom('k', 'l', 'n'), fc.constantFrom(...TEXTS), { maxKeys: 3 })
      .map((entries) => new Map(Object.entries(entries))),
  ),
});

test(`no rule is missed, not even one whose match fails (SEED=${SEED})`, async () => {
  let pairs = 0;
  let spared = 0;
  let failures = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(condition, { minLength: 8, maxLength: 16 }),
      fc.array(bag, { minLength: 8, maxLength: 12 }),
      async (sources, bags) => {
        const matches = sources.map(matchOf);
        const index = await RuleIndex.of(matches, ({ guards }) => guards, new TimeSlice());
        for (const values of bags) {
          const given = {
            get: (slot: number): Value | undefined =>
              (values as Record<string, Value | undefined>)[attributes.at(slot).name],
          };
          const wanted = matches.filter((match) => match.evaluate(given) !== false);
          const candidates = index.candidates(given);
          pairs += matches.length;
          spared += matches.length - candidates.length;
          failures += wanted.filter((match) => match.evaluate(given) === FAILED).length;
          const kept = new Set(candidates);
          expect(wanted.filter((match) => !kept.has(match)).map(({ source }) => source)).toEqual([]);
          expect(candidates.map((match) => matches.indexOf(match))).toEqual(
            [...kept].map((match) => matches.indexOf(match)).toSorted((a, b) => a - b),
          );
        }
      },
    ),
    { numRuns: RUNS, seed: SEED },
  );
  if (process.env['RUNS'] !== undefined) console.log(`${pairs} pairs, ${spared} spared, ${failures} failing`);
  expect(spared / pairs).toBeGreaterThan(0.1);
  expect(failures).toBeGreaterThan(pairs / 100);
});

describe('the atoms of each form of match', () => {
  const guardsOf = (source: string): string[] =>
    matchOf(source).guards.map((guard) =>
      guard
        .map((atom) => {
          const place = `${attributes.at(atom.place.slot).name}${atom.place.key === undefined ? '' : `[${atom.place.key}]`}`;
          return atom.kind === 'eq'
            ? `${place}=${String(atom.value as string)}`
            : atom.kind === 'prefix'
              ? `${place}^${atom.prefix}`
              : atom.kind === 'cidr'
                ? `${place} in ${atom.range.toString()}`
                : `${atom.kind} ${place}`;
        })
        .join(' or '),
    );

  test.each([
    ['a.s == "x"', ['a.s=x or absent a.s']],
    ['has(a.s) && a.s == "x"', ['present a.s', 'a.s=x']],
    ['"k" in a.m && a.m["k"] == "x"', ['present a.m[k] or absent a.m', 'a.m[k]=x or absent a.m[k]']],
    ['a.m[?"k"].orValue("") == "x"', ['a.m[k]=x or absent a.m']],
    ['a.m[?"k"].orValue("x") == "x"', ['a.m[k]=x or absent a.m[k]']],
    ['a.?s.orValue("") in ["x", "y"]', ['a.s=x or a.s=y']],
    ['a.s == "x" && a.t.startsWith("/a")', ['a.s=x or absent a.s', 'a.t^/a or absent a.t']],
    ['a.s == "x" || a.t == "y"', ['a.s=x or absent a.s or a.t=y or absent a.t']],
    ['!(a.s != "x")', ['a.s=x or absent a.s']],
    ['a.s != "x"', []],
    ['cidr("10.0.0.0/8").containsIP(a.ip)', ['a.ip in 10.0.0.0/8 or absent a.ip']],
    ['"k" in a.m', ['present a.m[k] or absent a.m']],
    ['a.i < 3', []],
    ['false', ['']],
  ])('%s', (source, guards) => {
    expect(guardsOf(source)).toEqual(guards);
  });
});
