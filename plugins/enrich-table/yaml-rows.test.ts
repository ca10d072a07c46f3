/** Rows in YAML are what the library makes of them, made in slices. */
import { expect, test } from 'vitest';
import { turns } from 'sluice/plugin';
import { parse } from 'yaml';
import { turnsByLooks } from '../../test/parts/loop-turns.ts';
import { parseYamlRows } from './yaml-rows.ts';

const lines = (line: (at: number) => string): string => Array.from({ length: 1000 }, (_, at) => line(at)).join('');

test.each([
  ['flow maps in a list', lines((at) => `- { k: k-${at}, plan: p }\n`), true],
  ['block maps in a list', `# rows\n\n${lines((at) => `- k: k-${at}\n  # plan\n\n  plan: |\n    a\n     b\n`)}`, true],
  ['dashes alone', lines((at) => `-\r\n  k: k-${at}\r\n  "b c": "a\r\n    b"\r\n`), true],
  ['a map of flow maps', lines((at) => `k-${at}: { plan: p }\n`), true],
  ['a map of block maps', lines((at) => `k ${at}:\n  plan: 'p # q'\n# of ${at}\n`), true],
  ['a map of lists in the first column', lines((at) => `k-${at}:\n- a\n- b\n`), true],
  ['texts of several lines', lines((at) => `k-${at}: a\n  b\n\n  - c\n`), true],
  ['anchors', `- &a { k: a }\n${lines((at) => `- ${at % 100 === 0 ? '*a' : '{ k: b }'}\n`)}`, false],
  ['one flow list', `[${lines((at) => `\n{ k: k-${at} },`)}\n]`, false],
  ['keys with ?', lines((at) => `? k-${at}\n: { plan: p }\n`), false],
  ['a document with a beginning', `---\n${lines((at) => `- { k: k-${at} }\n`)}`, false],
])('%s', async (_, text, isSliced) => {
  let rows: unknown;
  const taken = await turnsByLooks(async () => {
    rows = await parseYamlRows(text, turns());
  });
  expect(rows).toEqual(parse(text, { maxAliasCount: -1 }));
  if (isSliced) expect(taken).toBeGreaterThan(0);
});

test.each([
  ['a row twice', `${lines((at) => `k-${at}: { plan: p }\n`)}k-5: {}\n`, /Map keys must be unique at line 1001/],
  [
    'a key twice in a row',
    `${lines((at) => `- { k: k-${at} }\n`)}- { a: 1, a: 2 }\n`,
    /Map keys must be unique at line 1001/,
  ],
  ['an error', `${lines((at) => `- { k: k-${at} }\n`)}- { a: 1\n- b\n`, /at line 1002/],
  ['a map after a list', `${lines((at) => `- { k: k-${at} }\n`)}a: 1\n`, /at line 1001/],
])('%s is an error, with its line', async (_, text, says) => {
  await expect(parseYamlRows(text, turns())).rejects.toThrow(says);
});
