/** Typical mistakes in YAML: what is said of each, and where. One mistake gives one finding. */
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const adapters = await loadBuiltIns();
async function said(text: string): Promise<string[]> {
  const { findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
  return findings
    .filter(({ severity }) => severity === 'error')
    .map(({ position: { line, column }, code, message }) => `${line}:${column} ${code} ${message}`);
}

const QUOTE = "put the whole value in single quotes (a ' in it is written '')";
const INDENTATION = 'the indentation of this line fits none above; give it that of the lines to which it belongs';
const NO_COLON = 'this line has no colon, so it is no key with a value; write KEY: VALUE';
const GOES_ON = `YAML reads this as text after the end of the value; ${QUOTE}`;
const COLON = `YAML takes a colon before a space for the end of a key; ${QUOTE}`;

/** The rule `a`, and after it one that is right: its lines must not be reported. */
const beside = (lines: string): string =>
  `rules:\n  - name: a\n${lines}\n  - name: b\n    match: request.method == "GET"\n    deny: { status: 403 }\n`;

const MISTAKES: readonly (readonly [mistake: string, policy: string, place: string, what: string])[] = [
  ['a key further left', beside('    match: request.method == "GET"\n  deny: {}'), '4:3', INDENTATION],
  ['a key between two columns', beside('    match: request.method == "GET"\n   deny: {}'), '4:4', INDENTATION],
  [
    'a key further right',
    beside('    match: request.method == "GET"\n     deny: {}'),
    '4:6',
    'this line is indented deeper than the key above, and read as more of its value; give it the same indentation',
  ],
  ['an item further left', 'rules:\n  - { name: a, deny: {} }\n - { name: b, deny: {} }\n', '3:2', INDENTATION],
  ['an item further right', beside('    deny: {}\n   - name: c\n     deny: {}'), '4:4', INDENTATION],
  ['an item among keys', beside('    deny: {}\n    - name: c'), '4:5', INDENTATION],
  ['a first key further right', ' handlers: {}\nrules: []\n', '2:1', INDENTATION],
  [
    'thousands of brackets within each other',
    `rules: ${'['.repeat(10_000)}${']'.repeat(10_000)}\n`,
    '1:1',
    'its values are nested too deeply to be read; write them flatter',
  ],
  ['a tab', beside('\tdeny: {}'), '3:1', 'a tab stands in an indentation; indent with spaces'],
  [
    'no space after a hyphen',
    'rules:\n  - { name: a, deny: {} }\n  -name: b\n    deny: {}\n',
    '3:3',
    'an item of a list needs a space after its hyphen; write one',
  ],
  [
    'a dash',
    'rules:\n  - { name: a, deny: {} }\n  – name: b\n    deny: {}\n',
    '3:3',
    'an item of a list begins with a hyphen, -, and not with –',
  ],
  [
    'no space after a colon',
    beside('    deny:{ status: 403, body: closed }'),
    '3:9',
    'a key needs a space after its colon; write one',
  ],
  ['no colon', beside('    match request.method == "GET"\n    deny: {}'), '3:5', NO_COLON],
  ['no colon in the first key of an item', 'rules:\n  - name a\n    deny: {}\n', '2:3', NO_COLON],
  ['no colon after the last key', beside('    deny'), '3:5', NO_COLON],
  [
    'no-break spaces in an indentation',
    beside('\u00a0\u00a0\u00a0\u00a0deny: {}'),
    '3:1',
    'U+00A0 looks like a space and is none; write an ordinary space',
  ],
  [
    'a no-break space after a colon',
    beside('    deny:\u00a0{ status: 403, body: closed }'),
    '3:10',
    'U+00A0 looks like a space and is none; write an ordinary space',
  ],
  [
    'a quote that is open',
    beside('    deny: { body: "closed }'),
    '3:19',
    'the text that begins here has no closing "; write it',
  ],
  [
    'an escaped quote in a text that is open',
    beside('    deny: { body: "a \\" b }'),
    '3:19',
    'the text that begins here has no closing "; write it',
  ],
  [
    'a brace that is open',
    beside('    deny: { status: 403'),
    '3:11',
    'this { is not closed; write }, and indent its lines deeper than its key',
  ],
  [
    'a brace in a text beside one that is open',
    beside(`    deny: { body: "}", headers: { x-a: 'don''t }' }`),
    '3:11',
    'this { is not closed; write }, and indent its lines deeper than its key',
  ],
  [
    'a bracket that is open',
    'rules: [{ name: a, deny: {} }\n',
    '1:8',
    'this [ is not closed; write ], and indent its lines deeper than its key',
  ],
  ['a brace that is not open', beside('    deny: }'), '3:11', `} closes nothing; remove it, or ${QUOTE}`],
  ['a colon in a value', beside('    match: request.method == "GET" ? true : false'), '3:43', COLON],
  [
    'a colon in a value in braces',
    beside('    deny: { body: closed: now }'),
    '3:25',
    `YAML takes a colon before a space for the end of a key; write a comma before that key, or ${QUOTE}`,
  ],
  [
    'no comma',
    beside('    deny: { body: "a" status: 403 }'),
    '3:23',
    `a comma is missing before this; write it, or ${QUOTE}`,
  ],
  [
    'no comma before a line',
    beside('    deny: { body: a\n      status: 403 }'),
    '4:7',
    'inside of { } or [ ] a comma is missing before this line, or a } or ] above it; write it',
  ],
  ['two commas', beside('    deny: { body: a,, status: 403 }'), '3:21', 'nothing stands before this comma; remove it'],
  ['an expression that begins with a text', beside('    match: "GET" == request.method'), '3:18', GOES_ON],
  ['single quotes in single quotes', beside("    match: 'request.method == 'GET''"), '3:32', GOES_ON],
  [
    'an expression that begins with a list',
    beside('    match: ["GET"].exists(m, m == request.method)'),
    '3:19',
    GOES_ON,
  ],
  [
    'a variable of a shell',
    beside('    match: request.size > 1\n    quota: { limit: ${LIMIT}, per: 1m }'),
    '4:22',
    GOES_ON,
  ],
  [
    'an escape of a pattern in double quotes',
    beside(`    match: "request.path.matches('\\d')"`),
    '3:35',
    "\\d is no escape of double quotes; write '...', where \\ is itself",
  ],
  ['@', beside('    match: @a'), '3:12', `a value cannot begin with @; ${QUOTE}`],
  ['* alone', beside('    match: *'), '3:12', `YAML takes * for an alias or an anchor; ${QUOTE}`],
  [
    '>',
    beside('    match: > 3'),
    '3:14',
    `after | or > a text begins on the next line; where they are part of an expression, ${QUOTE}`,
  ],
  [
    'a list on the line of its key',
    'rules: - name: a\n',
    '1:8',
    'a list cannot begin on the line of its key; write its items on lines of their own',
  ],
  [
    'marks of a merge conflict',
    beside('<<<<<<< HEAD\n    deny: {}\n=======\n    deny: { status: 404 }\n>>>>>>> other'),
    '3:1',
    'this line marks a merge conflict; resolve it, and remove the lines <<<, === and >>>',
  ],
  [
    'CR alone',
    'rules:\r  - name: a\r    deny: {}\r',
    '1:7',
    'its lines end with CR alone; save the file with LF or CRLF',
  ],
];

describe('a mistake in YAML', () => {
  test.each(MISTAKES)('%s', async (_, policy, place, what) => {
    expect(await said(policy)).toEqual([`${place} RULES_YAML this is not valid YAML: ${what}`]);
  });

  test('what each advice comes to is valid', async () => {
    const mended = [
      beside(`    match: '"GET" == request.method'\n    deny: {}`),
      beside(`    match: 'request.method == ''GET'''\n    deny: {}`),
      beside(`    match: '["GET"].exists(m, m == request.method)'\n    deny: {}`),
      beside(`    match: 'request.method == "GET" ? true : false'\n    deny: {}`),
      beside(`    match: 'request.path.matches("\\\\d")'\n    deny: {}`),
      beside(`    deny: { body: 'closed: now' }`),
      beside('    match: >-\n      request.size > 3\n    deny: {}'),
    ];
    for (const policy of mended) expect(await said(policy)).toEqual([]);
  });

  test('two mistakes apart are both reported', async () => {
    const policy = `${beside('    match: @a\n    deny: {}')}  - name: c\n    match: %b\n    deny: {}\n`;
    expect((await said(policy)).map((text) => text.split(' ')[0])).toEqual(['3:12', '9:12']);
  });

  test('an opening brace far above is not looked for further than 64 KiB', async () => {
    const comments = `    # ${'x'.repeat(96)}\n`.repeat(1000);
    const [finding = ''] = await said(`rules:\n  - name: a\n    deny: {\n${comments}  - name: b\n`);
    expect(finding).toMatch(/^1004:3 RULES_YAML .*a \{ above is not closed/);
  });
});

const INVISIBLE: readonly (readonly [mistake: string, policy: string, ...said: string[]])[] = [
  [
    'a mark of no width before a key',
    'rules:\n  - name: a\n    \u200bmatch: request.method == "GET"\n    deny: {}\n',
    '3:5 RULES_UNKNOWN_KEY a rule has no key <U+200B>match; did you mean match?',
  ],
  [
    'a byte order mark of a second document',
    'rules:\n  - { name: a, deny: {} }\n---\n\ufeffrules:\n  - { name: b, deny: {} }\n',
    '4:1 RULES_UNKNOWN_KEY a policy has no key <U+FEFF>rules; did you mean rules?',
  ],
  [
    'a no-break space after a name',
    'rules:\n  - name: a\u00a0\n    deny: {}\n',
    '2:11 RULES_NAME the name of a rule must be lower case letters, digits and single hyphens, not "a<U+00A0>"; write a',
  ],
  [
    'a no-break space after a word',
    'rules:\n  - { name: a, deny: {}, mode: shadow\u00a0 }\n',
    '2:32 RULES_VALUE mode must be enforce, shadow, or { percent: 10, by: EXPRESSION }; found the text "shadow<U+00A0>"',
  ],
  [
    'a no-break space in an expression',
    'rules:\n  - { name: a, match: request.method\u00a0== "GET", deny: {} }\n',
    '2:37 EXPRESSION_SYNTAX "<U+00A0>" is not part of any expression; it looks like a space and is none, so write an ordinary space',
  ],
  [
    'typographic quotes',
    'rules:\n  - { name: a, match: request.method == “GET”, deny: {} }\n',
    '2:41 EXPRESSION_SYNTAX "“" is not part of any expression; a text stands in plain quotes, "..."',
  ],
];

describe('characters that look like others', () => {
  test.each(INVISIBLE)('%s', async (_, policy, ...findings) => {
    expect(await said(policy)).toEqual(findings);
  });
});

const VALUES: readonly (readonly [mistake: string, policy: string, ...said: string[]])[] = [
  [
    'no space after a colon',
    'rules:\n  - { name: a, deny: { status:403 } }\n',
    '2:24 RULES_UNKNOWN_KEY deny has no key status:403; write a space after status:',
  ],
  [
    'yes',
    'rules:\n  - { name: a, match: yes, deny: {} }\n',
    `2:23 EXPRESSION_UNKNOWN_ATTRIBUTE yes is no boolean here; write true, or '"yes"' for the text`,
  ],
  [
    'off',
    'rules:\n  - { name: a, match: off, deny: {} }\n',
    `2:23 EXPRESSION_UNKNOWN_ATTRIBUTE off is no boolean here; write false, or '"off"' for the text`,
  ],
  [
    'a group yes',
    'rules:\n  - { name: a, deny: { unlessAllowed: yes } }\n',
    '2:39 RULES_UNKNOWN_GROUP no allow rule belongs to the group yes; for allow rules without a group write true',
  ],
  [
    'yes in params',
    'handlers:\n  l: { adapter: check-list, config: { values: [a] } }\nrules:\n  - { name: a, check: { handler: l, params: { blocks: yes }, input: { value: request.method } } }\n',
    '4:55 RULES_PARAMS params, blocks: expected true or false, received string',
  ],
  [
    'one call in place of a list',
    'rules:\n  - { name: a, calls: http, deny: {} }\n',
    '2:23 RULES_VALUE calls must be a list; found the text "http"; write [http]',
  ],
  [
    'a handler where none is declared',
    'rules:\n  - { name: a, quota: { handler: l, limit: 1, per: 1m, key: [] } }\n',
    '2:34 RULES_UNKNOWN_HANDLER no handler is named l; declare it under handlers:',
  ],
  [
    'a limit below 0',
    'handlers:\n  l: { adapter: quota-memory, config: {} }\nrules:\n  - { name: a, quota: { handler: l, limit: -3, per: 1m, key: [] } }\n',
    '4:44 RULES_VALUE limit is the number -3; expected a number from 0 to 9007199254740991',
  ],
  [
    'braces of Helm in a value',
    'rules:\n  - name: a\n    deny: { status: {{ .Values.status }} }\n',
    '3:21 RULES_VALUE status is a map; expected a whole number from 300 to 599',
    '3:22 RULES_YAML YAML takes {{ for two maps; of a template of Helm use what it comes to (helm template), and quote an expression',
  ],
  [
    'a section twice',
    'rules:\n  - { name: a, deny: {} }\nrules:\n  - { name: b, deny: {} }\n',
    '3:1 RULES_DUPLICATE rules occurs twice in one map; put all into one of the two, or remove one',
  ],
];

describe('a value of another kind', () => {
  test.each(VALUES)('%s', async (_, policy, ...findings) => {
    expect(await said(policy)).toEqual(findings);
  });

  test('a rule and a handler that another file declares, too', async () => {
    const handler = 'handlers:\n  l: { adapter: quota-memory, config: {} }\n';
    const text = `${handler}rules:\n  - { name: a, quota: { handler: l, limit: 1, per: 1m, key: [] } }\n`;
    const { findings } = await loadPolicyText(
      new Map([
        ['one.yaml', text],
        ['two.yaml', text],
      ]),
      { adapters, env: {} },
    );
    expect(findings.map(({ position, message }) => `${position.file}:${position.line} ${message}`)).toEqual([
      'two.yaml:2 the handler l is declared at one.yaml:2:3, too; rename or remove one',
      'two.yaml:4 the rule a is declared at one.yaml:4:5, too; rename one',
    ]);
  });

  test('in a match has no warnings of what a right one would prove', async () => {
    const policy = (match: string): string =>
      `rules:\n  - name: a\n    match: '${match}'\n    deny: { body: "\${request.query['page']}" }\n`;
    const codes = async (text: string): Promise<string[]> =>
      (await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} })).findings.map(({ code }) => code);
    expect(await codes(policy('"page" in request.query && request.method == "GET"'))).toEqual([]);
    expect(await codes(policy('"page" in request.query && request.metod == "GET"'))).toEqual([
      'EXPRESSION_UNKNOWN_ATTRIBUTE',
    ]);
    expect(await codes(policy('request.method == "GET"'))).toEqual(['EXPRESSION_MAY_BE_ABSENT']);
  });
});
