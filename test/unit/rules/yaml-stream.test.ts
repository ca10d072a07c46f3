/** A file that is read in slices equals one that the library reads at once. RUNS and SEED may be set. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Document as YamlDocument, parseAllDocuments } from 'yaml';
import { parseDocuments } from '../../../src/yaml/document.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { reportYaml } from '../../../src/yaml/report-yaml.ts';
import { plain } from '../../../src/yaml/nodes.ts';
import { SourceText } from '../../../src/yaml/source-text.ts';
import { TimeSlice } from '../../../src/time/time-slice.ts';

const RUNS = Number(process.env['RUNS'] ?? 100);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface Said {
  readonly values: readonly unknown[];
  readonly lines: readonly number[];
}

/** `undefined`: a key is no text, which is YAML and not allowed in a policy. */
async function inSlices(text: string): Promise<Said | undefined> {
  const findings = new Findings();
  const { documents, broken } = await parseDocuments(new SourceText('p.yaml', text), findings, new TimeSlice());
  if (findings.sorted([]).some(({ message }) => message.startsWith('a key must be text'))) return undefined;
  const lines = findings
    .sorted([])
    .filter(({ code }) => code === 'RULES_YAML' || code === 'RULES_DUPLICATE')
    .map(({ position: { line } }) => line);
  return { values: broken ? [] : documents.map(({ root }) => plain(root)), lines: [...new Set(lines)] };
}

/** `undefined`: an alias stands for nothing, which the library says only when the value is asked. */
function inOneGo(text: string): Said | undefined {
  const source = new SourceText('p.yaml', text);
  const documents = parseAllDocuments(text, { prettyErrors: false, logLevel: 'silent' });
  const parsed = 'empty' in documents ? [] : (documents as YamlDocument.Parsed[]);
  const findings = new Findings();
  for (const document of parsed) reportYaml(document, source, findings, new Set());
  const lines = findings
    .sorted([])
    .filter(({ code }) => code === 'RULES_YAML' || code === 'RULES_DUPLICATE')
    .map(({ position: { line } }) => line);
  try {
    const values =
      lines.length > 0
        ? []
        : parsed.map((document) => document.toJS({ maxAliasCount: -1 }) as unknown).filter((value) => value !== null);
    return { values, lines: [...new Set(lines)].toSorted((a, b) => a - b) };
  } catch {
    return undefined;
  }
}

const LISTS: Readonly<Record<string, (items: readonly string[]) => string>> = {
  block: (items) => `list:\n${items.map((item) => `  - ${item}\n`).join('')}after: 1\n`,
  'block at the margin': (items) => `before: &b { x: 1 }\nlist:\n${items.map((item) => `- ${item}\n`).join('')}`,
  flow: (items) => `list: [${items.join(', ')}]\nafter: *a\n`.replace(', ', ', &a '),
  json: (items) => `{"list": [\n${items.join(',\n')}\n], "after": 1}\n`,
  'two documents': (items) =>
    `first:\n${items.map((item) => `  - ${item}\n`).join('')}---\nsecond:\n  # of it\n${items.map((item) => `  - ${item}\n`).join('')}`,
};
const item = fc.constantFrom('a', '"b"', '{ x: 1, y: [2, 3] }', '[p, q]', "'it''s'", '12', '{ "name": "n" }');

test(
  `values and the lines of errors (SEED=${SEED})`,
  async () => {
    let broken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(item, { minLength: 60, maxLength: 140 }),
        fc.constantFrom(...Object.keys(LISTS)),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(
          '',
          '',
          '',
          '\n',
          ' # said\n',
          ',',
          '- ',
          '{',
          '}',
          '[',
          ']',
          '"',
          ': ',
          ' &a 1',
          '*a',
          '\t',
          '!x ',
          '...\n',
          '---\n',
          '%YAML 1.1\n',
        ),
        async (items, form, where, put) => {
          const text = LISTS[form]?.(items) ?? '';
          const at = Math.floor(where * text.length);
          const mutated = text.slice(0, at) + put + text.slice(at);
          const [sliced, whole] = [await inSlices(mutated), inOneGo(mutated)];
          if (whole === undefined || sliced === undefined) return;
          if (whole.lines.length > 0) broken++;
          expect(sliced.lines, mutated).toEqual(whole.lines);
          expect(sliced.values, mutated).toEqual(whole.values);
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
    expect(broken).toBeGreaterThan(RUNS / 20);
  },
  Math.max(60_000, RUNS * 300),
);

test('an alias refers to the last definition of its anchor, however far away', async () => {
  const rows = Array.from(
    { length: 100 },
    (_, at) => `  - { n: ${at}, x: ${at === 1 ? '&x one' : at === 70 ? '&x two' : '*x'} }\n`,
  )
    .slice(1)
    .join('');
  const text = `all: &m [&x zero]\nlist:\n${rows}again: *m\nlast: *x\n`;
  const values = (await inSlices(text))?.values;
  expect(values).toEqual(inOneGo(text)?.values);
  expect(values).toHaveProperty('0.list.98', { n: 99, x: 'two' });
});

test('a list behind an alias is complete', async () => {
  const text = `list: &l\n${'  - a\n'.repeat(100)}again: *l\n`;
  expect((await inSlices(text))?.values).toEqual([{ list: Array(100).fill('a'), again: Array(100).fill('a') }]);
});
