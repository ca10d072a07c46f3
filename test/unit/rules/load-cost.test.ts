/** What a load costs grows as its text does: four times the text takes no more than about four times the CPU. */
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const adapters = await loadBuiltIns();
const RULE = 'rules:\n  - { name: a, deny: {} }\n';
const lines = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('');

async function cpuMs(text: string): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 3; run++) {
    const before = process.cpuUsage();
    await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
  }
  return Math.min(...times);
}

test.each<[what: string, text: (count: number) => string, count: number]>([
  ['comments', (count) => `${RULE}${lines(count, () => '  # a\n')}`, 50_000],
  ['empty lines', (count) => `${RULE}${lines(count, () => '\n')}`, 50_000],
  [
    'keys in one map',
    (count) => `rules:\n  - name: a\n    deny:\n      headers:\n${lines(count, (at) => `        x-${at}: a\n`)}`,
    2500,
  ],
  [
    'keys in a flow map',
    (count) => `rules: [{ name: a, deny: { headers: { ${lines(count, (at) => `x-${at}: a, `)} } } }]\n`,
    2500,
  ],
  ['attributes', (count) => `attributes:\n${lines(count, (at) => `  my.x${at}: { is: request.path }\n`)}${RULE}`, 2000],
  ['tabs', (count) => `rules:\n  - name: a\n${lines(count, () => '\tdeny: {}\n')}`, 1000],
])('%s', async (_, text, count) => {
  await cpuMs(text(count));
  const few = await cpuMs(text(count));
  const many = await cpuMs(text(4 * count));
  expect(many).toBeLessThan(9 * few + 50);
});

test('runs of comments are shortened, and every place stays', async () => {
  const load = async (text: string): Promise<string[]> => {
    const { findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
    return findings.map(({ position: { line, column }, code, excerpt }) => `${line}:${column} ${code} ${excerpt}`);
  };
  for (const gap of ['# a\n', '\n', '   # a\r\n', ' \n', '  \n# b\n']) {
    const many = gap.repeat(300);
    const text = `${many}rules:\n${many}  - name: a\n${many}    deny:\n${many}      body: |\n        b\n${many}    mach: "true"\n${many}`;
    const count = many.split('\n').length - 1;
    expect(await load(text)).toEqual([`${5 * count + 6}:5 RULES_UNKNOWN_KEY     mach: "true"\n    ^^^^`]);
  }
});

test('a key that occurs twice is found in maps of every form', async () => {
  const { findings } = await loadPolicyText(
    new Map([['p.yaml', 'rules:\n  - name: a\n    deny: { status: 403, status: 404 }\n    "name": b\nrules: []\n']]),
    { adapters, env: {} },
  );
  expect(findings.map(({ position: { line, column }, code }) => `${line}:${column} ${code}`)).toEqual([
    '3:26 RULES_DUPLICATE',
    '4:5 RULES_DUPLICATE',
    '5:1 RULES_DUPLICATE',
  ]);
});
