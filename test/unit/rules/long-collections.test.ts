/** Long lists and maps are composed in parts: what is read is the same, and calls are answered in between. */
import { describe, expect, test } from 'vitest';
import { Composer, Parser, parse } from 'yaml';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { TimeSlice } from '../../../src/time/time-slice.ts';
import { parseDocuments } from '../../../src/yaml/document.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { plain } from '../../../src/yaml/nodes.ts';
import { SourceText } from '../../../src/yaml/source-text.ts';

const lines = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('');

const SHAPES: Readonly<Record<string, string>> = {
  'a map in block style': `a:\n  b:\n${lines(1000, (at) => `    x${at}: ${at}\n`)}  c: 1\nd: 2\n`,
  'a map in flow style': `a: { b: { ${lines(1000, (at) => `x${at}: ${at}, `)} }, c: 1 }\n`,
  'a list in block style': `a:\n  b:\n${lines(1000, (at) => `    - x${at}\n`)}  c: 1\n`,
  'a list in flow style': `a: { b: [${lines(1000, (at) => `x${at}, `)}], c: 1 }\n`,
  'lists in a list': `a:\n  b:\n${lines(260, (at) => `    - [${lines(at < 3 ? 300 : 3, (one) => `${at}-${one}, `)}]\n`)}`,
  'maps in a map': `a:\n${lines(40, (at) => `  m${at}:\n${lines(260, (one) => `    k${one}: ${one}\n`)}`)}`,
  'maps in a list at the top': `a:\n${lines(40, (at) => `  - m${at}:\n${lines(260, (one) => `      k${one}: ${one}\n`)}`)}`,
  'a document that is a list': lines(1000, (at) => `- x${at}\n`),
  'comments, empty values and empty lines': `a:\n  # b\n${lines(1000, (at) => `  # c\n\n  x${at}: ${at % 7 === 0 ? '' : at} # d\n`)}`,
  'anchors and aliases': `a:\n${lines(1000, (at) => `  x${at}: ${at % 2 === 0 ? `&n${at} [${at}]` : `*n${at - 1}`}\n`)}`,
  'an anchor of the whole': `a: &all\n${lines(1000, (at) => `  x${at}: ${at}\n`)}b: *all\n`,
  'texts of several lines': `a:\n${lines(500, (at) => `  x${at}: |\n    one\n    two\n  y${at}: "a\n    b"\n`)}`,
  'keys in quotes': `a:\n${lines(1000, (at) => `  "x ${at}": '${at}'\n`)}`,
  'an item without a comma of its own': `a: [${lines(500, (at) => `{ x: ${at} }, y: ${at}, `)}]\n`,
};

async function read(text: string): Promise<{ readonly roots: readonly unknown[]; readonly said: readonly string[] }> {
  const findings = new Findings();
  const { documents } = await parseDocuments(new SourceText('p.yaml', text), findings, new TimeSlice());
  return {
    roots: documents.map(({ root }) => plain(root)),
    said: findings.sorted([]).map(({ position: { line, column }, message }) => `${line}:${column} ${message}`),
  };
}

test.each(Object.entries(SHAPES))('%s', async (_, text) => {
  const { roots, said } = await read(text);
  expect(said).toEqual([]);
  // Empty values are null in both; the library expands aliases.
  expect(roots).toEqual([parse(text, { maxAliasCount: -1 })]);
});

describe('an error in the middle stands where it is', () => {
  test.each([
    ['a map in block style', '    x500: 500\n', '    x500: 500: 1\n'],
    ['a map in block style', '    x500: 500\n', '    x500 500\n'],
    ['a map in block style', '    x500: 500\n', '     x500: 500\n'],
    ['a map in block style', '    x500: 500\n', '    x500: "500\n'],
    ['a map in flow style', 'x500: 500, ', 'x500: 500 '],
    ['a map in flow style', 'x500: 500, ', 'x500: [500, '],
    ['a list in block style', '    - x500\n', '   - x500\n'],
    ['a list in block style', '    - x500\n', '    - x500: a: b\n'],
    ['a list in flow style', 'x500, ', 'x500, , '],
  ])('%s: %j', async (shape, from, to) => {
    const text = SHAPES[shape] ?? '';
    expect(text).toContain(from);
    const wrong = text.replace(from, to);
    const tokens = [...new Parser().parse(wrong)];
    const [whole] = new Composer({ prettyErrors: false, uniqueKeys: false }).compose(tokens);
    const line = wrong.slice(0, wrong.indexOf(to)).split('\n').length;
    const { said } = await read(wrong);
    expect(said.length).toBeGreaterThan(0);
    expect(whole?.errors.length).toBeGreaterThan(0);
    // In block style on its line or on the next; a quote that is missing takes all lines.
    const at = Number(said[0]?.split(':')[0]);
    expect(Math.abs(at - line)).toBeLessThanOrEqual(1);
  });

  test('a key that occurs twice, in two parts', async () => {
    const text = SHAPES['a map in block style']?.replace('    x900: 900\n', '    x5: 1\n') ?? '';
    expect((await read(text)).said).toEqual([
      '903:5 x5 occurs twice in one map; put all into one of the two, or remove one',
    ]);
  });
});

/** CPU time of the longest turn of the event loop, in ms: elapsed time depends on what else runs. */
async function longestTurn(
  work: () => Promise<unknown>,
): Promise<{ readonly longest: number; readonly total: number }> {
  let longest = 0;
  let isOver = false;
  const start = process.cpuUsage();
  let last = start;
  const spent = (from: NodeJS.CpuUsage): number => {
    const { user, system } = process.cpuUsage(from);
    return (user + system) / 1000;
  };
  const look = (): void => {
    longest = Math.max(longest, spent(last));
    last = process.cpuUsage();
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  await work();
  look();
  isOver = true;
  return { longest, total: spent(start) };
}

const adapters = await loadBuiltIns();
const RULE = 'rules:\n  - { name: a, deny: {} }\n';
const inList = (config: string): string => `handlers:\n  h:\n    adapter: check-list\n    config:\n${config}${RULE}`;

test.each([
  ['keys in a map', inList(`      values: [a]\n      wrong:\n${lines(20_000, (at) => `        x-${at}: a\n`)}`)],
  ['values in a list', inList(`      values: [${lines(30_000, (at) => `a${at}, `)}]\n`)],
  [
    'attributes',
    `attributes:\n  my.x0: { is: request.path }\n${lines(999, (at) => `  my.x${at + 1}: { is: my.x${at} }\n`)}${RULE}`,
  ],
  ['handlers', `handlers:\n${lines(3000, (at) => `  h${at}: { adapter: quota-memory, config: {} }\n`)}${RULE}`],
])('many %s leave turns to calls', async (_, text) => {
  const load = async (): Promise<unknown> => loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
  await load();
  const shares: number[] = [];
  for (let run = 0; run < 2; run++) {
    const { longest, total } = await longestTurn(load);
    shares.push(longest / total);
  }
  expect(Math.min(...shares)).toBeLessThan(0.17);
});
