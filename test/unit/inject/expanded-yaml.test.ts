import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExpandedYaml, textOf } from '../../../src/inject/expanded-yaml.ts';
import { readYaml, YamlFault } from '../../../src/inject/read-yaml.ts';

/** Text in the places 0, 2, 4 …; values between. */
const piecesOf = (parts: readonly string[]): { text: string; isValue: boolean }[] =>
  parts.map((text, at) => ({ text, isValue: at % 2 === 1 }));

const value = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
  fc.stringMatching(/^[a-z][a-z0-9./-]{0,8}$/),
  fc.constantFrom(
    '',
    '80',
    'yes',
    'null',
    '~',
    'a: b',
    '"a: b"',
    "'a'",
    '"',
    '{',
    ']',
    '- x',
    '# c',
    '&a',
    '*a',
    '!t',
    '|',
    '"\\x41"',
    'a\nb',
    '\uE0000\uE001',
    '"\\n"',
  ),
);
const literal = fc.constantFrom(
  'a: ',
  '\nb: ',
  '\n- ',
  '\n  c: ',
  ' ',
  '"',
  "'",
  '\n',
  'x: |\n  ',
  '\n  ',
  ', ',
  '[',
  ']',
  '{ k: ',
  ' }',
  ': ',
  '#',
  'w ',
  '- ',
  "k: '",
  "'\n",
  'q: "',
  '"\n',
  '1',
  '&',
  '\uE000',
);

const read = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    if (error instanceof YamlFault) return 'a fault';
    throw error;
  }
};

describe('YAML of an expansion is that of its text', () => {
  test('also for pods after the first, whatever is in their values', () => {
    fc.assert(
      fc.property(
        fc.array(literal, { minLength: 1, maxLength: 8 }),
        fc.array(fc.array(value, { minLength: 8, maxLength: 8 }), { minLength: 1, maxLength: 4 }),
        (literals, pods) => {
          const yaml = new ExpandedYaml();
          for (const values of pods) {
            const pieces = piecesOf(literals.flatMap((text, at) => (at === 0 ? [text] : [values[at] ?? '', text])));
            expect(read(() => yaml.valueOf(pieces))).toEqual(read(() => readYaml(textOf(pieces)).value));
          }
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 300) },
    );
  });
});
