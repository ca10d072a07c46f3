/** Rules that are parsed in parts equal the rules of a file parsed as a whole, places included. RUNS and SEED may be set. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { defineAdapter } from '../../../src/adapters/contract.ts';
import { type Registry, createRegistry } from '../../../src/adapters/registry.ts';
import { parseDivided } from '../../../src/yaml/divided-document.ts';
import { TreeBuilder, parseDocuments } from '../../../src/yaml/document.ts';
import { Findings, findingText } from '../../../src/yaml/findings.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { type Document, IndivisibleError, type Node, type Place } from '../../../src/yaml/nodes.ts';
import { plainItems } from '../../../src/yaml/plain-items.ts';
import { SourceText } from '../../../src/yaml/source-text.ts';
import { yamlDocument } from '../../../src/yaml/yaml-stream.ts';
import { TimeSlice } from '../../../src/time/time-slice.ts';

const RUNS = Number(process.env['RUNS'] ?? 300);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const adapters = await loadBuiltIns();

interface Said {
  readonly documents: readonly unknown[];
  readonly findings: readonly string[];
}

/** With the places of keys and values as findings show them: up to the end of a line. No finding shows where a list ends. */
function withPlaces(node: Node): unknown {
  const shown = ({ source, start, end }: Place): unknown => [start, source.excerpt(start, end)];
  if (node.kind === 'scalar') return [node.value, node.written, node.style, shown(node.place)];
  if (node.kind === 'list') return [node.place.start, node.items.map(withPlaces)];
  return [
    shown(node.place),
    [...node.entries.values()].map(({ key, keyPlace, value }) => [key, shown(keyPlace), withPlaces(value)]),
  ];
}

function whole({ root, laterRules }: Document): Node {
  const rules = root.kind === 'map' ? root.entries.get('rules') : undefined;
  if (root.kind !== 'map' || rules?.value.kind !== 'list') return root;
  const items = [...rules.value.items, ...laterRules.flatMap((part) => part.items())];
  return { ...root, entries: new Map([...root.entries, ['rules', { ...rules, value: { ...rules.value, items } }]]) };
}

async function inOneGo(text: string): Promise<Said & { readonly broken: boolean }> {
  const findings = new Findings();
  const { documents, broken } = await parseDocuments(new SourceText('p.yaml', text), findings, new TimeSlice());
  return {
    documents: documents.map(({ root }) => withPlaces(root)),
    findings: findings.sorted([]).map(findingText),
    broken,
  };
}

/** `undefined`: it is to be parsed in one go. */
async function inParts(text: string, partLength: number): Promise<Said | undefined> {
  const findings = new Findings();
  try {
    const documents = await parseDivided(new SourceText('p.yaml', text), findings, new TimeSlice(), partLength);
    return documents === undefined
      ? undefined
      : {
          documents: documents.map((document) => withPlaces(whole(document))),
          findings: findings.sorted([]).map(findingText),
        };
  } catch (error) {
    if (error instanceof IndivisibleError) return undefined;
    throw error;
  }
}

const indented = (text: string, by: number): string => text.replaceAll(/\n(?!\n|$)/g, `\n${' '.repeat(by)}`);
const ITEMS = [
  'a',
  '"b"',
  '{ x: 1, y: [2, 3] }',
  "'it''s'",
  '12',
  '- nested\n- list',
  'name: n\nmatch: \'a == "b"\'\ncalls: [http]',
  'name: n\ntext: |\n  - in a block\n\n  # no comment',
  '|+\n  kept\n\n',
  '>-\n  folded\n  text',
  '"two\n\n  - lines"',
  '{ over: 1,\n  lines: [2,\n  3] }',
  'plain\n  - over lines',
  '# said\nafter: a comment',
  '! x',
  '!!str 12',
  '',
  '? k\n: v',
  'a: &x 1',
  '*x',
  'k: [\n  a\n  ]',
] as const;
/** The usual ones; with others a text is rarely divided. */
const usual = fc.array(fc.constantFrom(...ITEMS.slice(0, 14)), { minLength: 8, maxLength: 40 });
const any = fc.array(fc.constantFrom(...ITEMS), { minLength: 8, maxLength: 20 });
const between = fc.array(fc.constantFrom('', '', '', '', '\n', '# at the margin\n', '      # deep\n', '   \n'), {
  minLength: 1,
  maxLength: 8,
});

const FORMS: Readonly<Record<string, (list: (indent: number) => string) => string>> = {
  indented: (list) => `rules:\n${list(2)}`,
  'at the margin': (list) => `before: { x: 1 }\nrules: # of them\n${list(0)}after: 1\n`,
  'deep, after a line ---': (list) => `---\nrules:   \n\n${list(6)}handlers:\n  a: {}\n`,
  'two documents': (list) => `rules:\n${list(2)}---\nsettings: { rules: 1 }\nrules:\n${list(4)}...\n`,
  'within a block scalar': (list) => `--- |\nrules:\n${list(2)}`,
  'within quotes': (list) => `--- "\nrules:\n${list(2)}"\n`,
  'under another key': (list) => `other:\n  rules:\n${list(4)}rules:\n- a\n`,
  twice: (list) => `rules:\n${list(2)}rules:\n${list(2)}`,
};

test(
  `of any text (SEED=${SEED})`,
  async () => {
    let divided = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(usual, usual, any),
        between,
        fc.constantFrom('indented', 'indented', 'at the margin', ...Object.keys(FORMS)),
        fc.boolean(),
        fc.integer({ min: 1, max: 120 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(
          '',
          '',
          '',
          '',
          '',
          '\n',
          ' # said\n',
          ',',
          '- ',
          '\n- ',
          '\n  - ',
          '\n-\t',
          '{',
          '}',
          '\n}\n',
          '[',
          ']',
          '"',
          "'",
          ': ',
          ' &a 1',
          '*a',
          '\t',
          '\n\t',
          '!x ',
          '\n...\n',
          '\n---\n',
          '\n%YAML 1.1\n',
          '\r',
          '|',
          '\u0000',
          '\uFEFF',
          'rules:\n',
          '? ',
        ),
        async (items, lines, form, hasReturns, partLength, where, put) => {
          const list = (indent: number): string =>
            items
              .map(
                (one, at) => `${' '.repeat(indent)}- ${indented(one, indent + 2)}\n${lines[at % lines.length] ?? ''}`,
              )
              .join('');
          const made = FORMS[form]?.(list) ?? '';
          const at = Math.floor(where * made.length);
          const mutated = made.slice(0, at) + put + made.slice(at);
          const text = hasReturns ? mutated.replaceAll('\n', '\r\n') : mutated;
          const parts = await inParts(text, partLength);
          if (parts === undefined) return;
          divided++;
          expect({ broken: false, ...parts }, text).toEqual(await inOneGo(text));
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
    expect(divided).toBeGreaterThan(RUNS / 10);
  },
  Math.max(60_000, RUNS * 300),
);

/** What the library makes of a part, where it has nothing to say about it. */
function byLibrary(source: SourceText): readonly unknown[] | undefined {
  const document = yamlDocument(source.text);
  const builder = new TreeBuilder(source, new Findings());
  if (document === undefined || document.errors.length > 0 || document.warnings.length > 0) return undefined;
  const items = builder.items(document).map(withPlaces);
  return builder.hasAnchors ? undefined : items;
}

const PLAIN = [
  'name: r-1\nmatch: \'a == "b"\'\ndeny: { status: 403 }\ncalls: [http]',
  'name: r\nmatch: a == "b" && c < [1]\nquota:\n  limit: 10\n  key: []\n  deep:\n    x: y\nmode: shadow',
  '{ name: r, deny: { status: 403, body: "no" }, calls: [http, tcp] }',
  "name: r\ndescription: 'it''s'\n\ndeny: {}",
  '{ a: [{ b: c }, d], e: 0 }',
  'a: "b, { c }"\nd: e.f/g-h',
  'on: off\nzero: 0\nlong: 123456789012345',
] as const;

test(
  `of the plain form (SEED=${SEED})`,
  () => {
    let plain = 0;
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...PLAIN), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 4 }),
        fc.nat(),
        fc.nat({ max: 3 }),
        fc.oneof(
          fc.constantFrom(
            '',
            '\n',
            '\n  ',
            '\n    - ',
            ' #',
            '# ',
            ': ',
            ':',
            ', ',
            ',',
            '{ ',
            '}',
            '[',
            ']',
            '"',
            "'",
            "''",
            '- ',
            'null',
            'true',
            '~',
            '0',
            '0x1',
            '1.5',
            '-1',
            '\\',
            '|',
            '>',
            '&a ',
            '*a',
            '!x ',
            '? ',
            '\t',
            '\r',
            '\u00e9',
            '...',
            '---\n',
            '%',
            '@',
            '`',
          ),
          fc.string({ maxLength: 3 }),
        ),
        (items, indent, where, cut, put) => {
          const made = items.map((one) => `${' '.repeat(indent)}- ${indented(one, indent + 2)}\n`).join('');
          const at = where % made.length;
          const source = new SourceText('p.yaml', made.slice(0, at) + put + made.slice(at + cut));
          const read = plainItems(source, 0, source.text.length);
          if (read === undefined || read.length === 0) return;
          plain++;
          expect(read.map(withPlaces), source.text).toEqual(byLibrary(source));
        },
      ),
      { numRuns: RUNS * 10, seed: SEED },
    );
    expect(plain).toBeGreaterThan(RUNS);
  },
  Math.max(60_000, RUNS * 300),
);

describe('a policy of many rules', () => {
  const many = (count: number, rule: (at: number) => string): string =>
    Array.from({ length: count }, (_, at) => `  - ${rule(at)}\n`).join('');
  const plain = (at: number): string => `{ name: r-${at}, match: request.method == "GET", deny: { status: 403 } }`;
  const load = async (
    text: string,
    registry: Registry = adapters,
  ): Promise<{ readonly rules: readonly string[]; readonly said: readonly string[] }> => {
    const { policy, findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters: registry });
    return {
      rules: policy?.rules.map(({ name, position: { line } }) => `${line} ${name}`) ?? [],
      said: findings.map((finding) => findingText(finding).split('\n')[0] ?? ''),
    };
  };

  test('has all rules, in order, at their lines', async () => {
    expect(await load(`rules:\n${many(500, plain)}`)).toEqual({
      rules: Array.from({ length: 500 }, (_, at) => `${at + 2} r-${at}`),
      said: [],
    });
  });

  test('has the keys after its rules', async () => {
    const { policy } = await loadPolicyText(
      new Map([
        [
          'p.yaml',
          `rules:\n${many(500, (at) => (at === 400 ? '{ name: q, quota: { handler: m, limit: 1, per: 1m, key: [] } }' : plain(at)))}handlers:\n  m: { adapter: quota-memory, config: {} }\n`,
        ],
      ]),
      { adapters },
    );
    expect(policy?.handlers.get('m')?.position).toEqual({ file: 'p.yaml', line: 503, column: 6 });
    expect(policy?.rules[400]?.action).toMatchObject({ kind: 'quota', handler: 'm' });
  });

  test('may have an anchor in one place and its alias far away', async () => {
    const { rules, said } = await load(
      `rules:\n${many(500, (at) => (at === 30 ? `{ name: r-30, match: &m 'request.method == "PUT"', deny: {} }` : at === 450 ? '{ name: r-450, match: *m, deny: {} }' : plain(at)))}`,
    );
    expect(said).toEqual([]);
    expect(rules).toHaveLength(500);
  });

  test('is refused with all errors, from top to bottom', async () => {
    expect(
      await load(
        `rules:\n${many(500, (at) => (at === 200 ? '{ name: r-200, deny: {}' : at === 300 ? '{ name: r-300, name: x, deny: {} }' : plain(at)))}`,
      ),
    ).toEqual({
      rules: [],
      said: [
        expect.stringContaining('p.yaml:202:5 RULES_YAML'),
        expect.stringContaining('p.yaml:302:20 RULES_DUPLICATE'),
      ],
    });
    expect(
      await load(
        `rules:\n${many(500, (at) => (at === 200 ? '{ name: r-200, match: request.metod == "GET", deny: {} }' : plain(at)))}`,
      ),
    ).toEqual({
      rules: [],
      said: [
        'p.yaml:202:27 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
      ],
    });
  });

  test.each(['enrich', '"enrich"', String.raw`"\u0065nrich"`])(
    'may read in its first rule what its last one makes: %s',
    async (key) => {
      const table = defineAdapter({
        name: 'enrich-fixed',
        summary: 'Makes a plan.',
        config: z.strictObject({}),
        serves: { enrich: { input: { key: 'string' }, output: { plan: 'string' } } },
        open: () => Promise.resolve({ lookup: () => () => undefined }),
      });
      const last = `{ name: tenant, ${key}: { handler: t, as: my.tenant, input: { key: request.host } } }`;
      const { rules, said } = await load(
        `handlers:\n  t: { adapter: enrich-fixed, config: {} }\nrules:\n${many(500, (at) => (at === 0 ? `{ name: r-0, match: 'my.tenant.?plan.orValue("") == "b"', deny: {} }` : at === 499 ? last : plain(at)))}`,
        createRegistry([table]),
      );
      expect(said).toEqual([]);
      expect(rules).toHaveLength(500);
    },
  );
});
