/** The automaton for constant patterns agrees with re2js, in linear time. RUNS and SEED may be set. */
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { dfaTestOf } from '../../../src/expression/functions/regex/dfa.ts';
import { valueOf } from './attributes-of-tests.ts';

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env['RUNS'] ?? 3000);

const atom = fc.constantFrom(
  'a',
  'b',
  '/',
  '.',
  '\\.',
  '\\d',
  '\\W',
  '\\s',
  '[ab]',
  '[^/]',
  '[a-c0-9_-]',
  '[^a\\d]',
  '[]a]',
  '[a-]',
  '\\n',
  '-',
  '{',
  ' ',
  'é',
);
const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    atom,
    fc.constantFrom('^', '$', ''),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => a + b),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `${a}|${b}`),
    fc
      .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '*?', '{2}', '{0,2}', '{1,}', '{3,1}'))
      .map(([a, times]) => `(?:${a})${times}`),
    fc.tuple(atom, fc.constantFrom('*', '+', '?', '+?', '{2}', '**')).map((parts) => parts.join('')),
  ),
}));
const text = fc
  .array(fc.constantFrom('a', 'b', 'c', '/', '.', '1', '\n', ' ', '-', 'é', '\u{1f600}', '\ud83d', ']', '{'), {
    maxLength: 8,
  })
  .map((parts) => parts.join(''));

test(`the automaton agrees with re2js (SEED=${SEED})`, () => {
  let supported = 0;
  let matched = 0;
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 1, maxLength: 8 }), (source, texts) => {
      let re2: RE2JS;
      try {
        re2 = RE2JS.compile(source);
      } catch {
        return; // it is refused when the policy loads, before an automaton is made
      }
      const automaton = dfaTestOf(source);
      if (automaton === undefined) return;
      supported += 1;
      for (const one of texts) {
        const wanted = re2.test(one);
        if (wanted) matched += 1;
        expect(automaton(one), `${source} of ${JSON.stringify(one)}`).toBe(wanted);
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
  expect(supported).toBeGreaterThan(RUNS / 2);
  expect(matched).toBeGreaterThan(RUNS / 4);
});

describe('supported patterns', () => {
  test.each([
    '^[a-z]+-[0-9]{1,4}$',
    '^/api/v[0-9]+/users/[^/]+$',
    '(^|\\.)example\\.com$',
    '^(GET|POST|PUT)$',
    '^10\\.(\\d{1,3})\\.(\\d{1,3})$',
    'token=[A-Za-z0-9]{32}',
    '^(?P<id>\\w+)$',
    '',
  ])('%j', (source) => {
    expect(dfaTestOf(source)).toBeDefined();
  });
  test.each(['(?i)get', '\\bword\\b', '\\pL+', '[[:alpha:]]', 'é', 'a{100}', '\\x41', '\\z'])(
    '%j is tested by re2js',
    (source) => {
      expect(dfaTestOf(source)).toBeUndefined();
      expect(valueOf(`"get word é A".matches(${JSON.stringify(source)}) || true`)).toBe(true);
    },
  );
});

test('re2js takes over when a text leads to too many states', () => {
  const automaton = dfaTestOf('(a|b)*a(a|b){12}$');
  const texts = Array.from({ length: 3000 }, (_, at) =>
    at.toString(2).padStart(16, '0').replaceAll('0', 'a').replaceAll('1', 'b'),
  );
  const answers = texts.map((one) => automaton?.(one));
  expect(answers.at(-1)).toBeUndefined();
  const re2 = RE2JS.compile('(a|b)*a(a|b){12}$');
  for (const [at, answer] of answers.entries())
    if (answer !== undefined) expect(answer).toBe(re2.test(texts[at] ?? ''));
  expect(
    valueOf('my.tenant.plan.matches("(a|b)*a(a|b){12}$")', { 'my.tenant.plan': `${'b'.repeat(10)}a${'b'.repeat(12)}` }),
  ).toBe(true);
});

test('matching takes linear time where backtracking takes hours', () => {
  expect(valueOf('my.tenant.plan.matches("^(a+)+$")', { 'my.tenant.plan': `${'a'.repeat(1_000_000)}!` })).toBe(false);
  expect(valueOf('"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!".matches(my.tenant.plan)', { 'my.tenant.plan': '^(a+)+$' })).toBe(
    false,
  );
});
