/** One mistake gives one finding, at the mistake: consequences of it are not reported. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isScalar, parseDocument, visit } from 'yaml';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const adapters = await loadBuiltIns();

async function said(text: string, file = 'p.yaml'): Promise<string[]> {
  const { findings } = await loadPolicyText(new Map([[file, text]]), { adapters, env: {} });
  return findings.map(({ position: { line, column }, code, message }) => `${line}:${column} ${code} ${message}`);
}

const POLICY = `settings:
  spool: { folder: /var/lib/sluice, maxBytes: 64MiB }
attributes:
  my.tier: { type: string, from: { contextExtension: tier } }
  my.slow: { is: 'response.duration > duration("1s")' }
handlers:
  limits:
    adapter: quota-redis
    local: { handler: memory, replicas: 3 }
    config: { url: "redis://127.0.0.1:6379", escrow: true }
  memory: { adapter: quota-memory, config: {} }
  list: { adapter: check-list, config: { kind: prefix, values: [/a] } }
  numbers:
    adapter: metrics-prometheus
    config:
      metrics:
        calls_total: { kind: counter, help: Calls., labels: [method, code] }
  lines: { adapter: log-stdout, spool: disk, config: {} }
rules:
  - name: listed
    check: { handler: list, input: { value: request.url_path } }
  - name: closed
    calls: [http]
    deny: { status: 403, unlessAllowed: admins }
  - name: admins
    match: has(my.tier) && my.tier == "admin"
    allow: { group: admins, handler: list, input: { value: request.url_path } }
  - name: a-minute
    quota: { handler: limits, limit: 5, per: 1m, key: [origin.ip], algorithm: gcra, burst: 9 }
    onError: local
    onDeny: { body: "\${out.limit} are allowed, \${out.remaining} are left" }
  - name: a-month
    quota: { handler: memory, limit: 5, per: month, zone: Europe/Amsterdam, key: [origin.ip] }
  - name: counted
    calls: [log]
    report: { handler: numbers, params: { metric: calls_total }, input: { value: 1, labels: { method: request.method, code: response.code } } }
  - name: slow
    match: my.slow
    report: { handler: lines, input: { path: request.path } }
`;

/** `at` is the line of the finding. */
const MISTAKES: readonly (readonly [mistake: string, from: string, to: string, at: number, code: string])[] = [
  ['a misspelt required key', 'limit: 5, per: 1m', 'liimit: 5, per: 1m', 29, 'RULES_UNKNOWN_KEY'],
  ['a misspelt adapter key', 'adapter: log-stdout', 'adaptr: log-stdout', 18, 'RULES_UNKNOWN_KEY'],
  [
    'a key in another case',
    'handler: list, input: { value: request.url_path } }\n  - name: closed',
    'Handler: list, input: { value: request.url_path } }\n  - name: closed',
    21,
    'RULES_UNKNOWN_KEY',
  ],
  ['a misspelt action', 'report: { handler: lines', 'reprt: { handler: lines', 39, 'RULES_UNKNOWN_KEY'],
  [
    'a misspelt action of a rule with onDeny',
    'quota: { handler: limits',
    'qota: { handler: limits',
    29,
    'RULES_UNKNOWN_KEY',
  ],
  ['no action', 'report: { handler: lines, input: { path: request.path } }', 'description: a', 37, 'RULES_NO_EFFECT'],
  ['a misspelt match', 'match: has(my.tier)', 'mtch: has(my.tier)', 26, 'RULES_UNKNOWN_KEY'],
  ['a misspelt input', 'value: 1', 'vlue: 1', 36, 'RULES_UNKNOWN_INPUT'],
  ['a misspelt map of inputs', 'labels: { method', 'lbels: { method', 36, 'RULES_UNKNOWN_INPUT'],
  ['no map of inputs', 'labels: { method: request.method, code: response.code }', 'labels:', 36, 'RULES_UNKNOWN_INPUT'],
  ['a misspelt key of inputs', 'input: { value: 1', 'inpt: { value: 1', 36, 'RULES_UNKNOWN_KEY'],
  ['a misspelt key of params', 'params: { metric', 'parms: { metric', 36, 'RULES_UNKNOWN_KEY'],
  ['a misspelt param', 'params: { metric', 'params: { metrc', 36, 'RULES_PARAMS'],
  ['a misspelt key of a config', 'url: "redis', 'ulr: "redis', 10, 'RULES_CONFIG'],
  ['a misspelt key that a schema checks by itself', 'values: [/a]', 'vlues: [/a]', 12, 'RULES_CONFIG'],
  ['a misspelt config', '    config: { url', '    cnfig: { url', 10, 'RULES_UNKNOWN_KEY'],
  ['the config of another adapter', 'adapter: quota-redis', 'adapter: log-stdout', 10, 'RULES_CONFIG'],
  ['a handler of another kind', 'adapter: quota-memory', 'adapter: log-stdout', 33, 'RULES_CAPABILITY'],
  ['a misspelt reference', 'handler: numbers', 'handler: number', 36, 'RULES_UNKNOWN_HANDLER'],
  ['a misspelt declaration', '\n  list:', '\n  lst:', 21, 'RULES_UNKNOWN_HANDLER'],
  ['a declaration in another case', '\n  memory:', '\n  Memory:', 11, 'RULES_NAME'],
  ['an unknown alias', 'config: { kind: prefix, values: [/a] }', 'config: *nowhere', 12, 'RULES_YAML'],
  ['an unknown alias of a rule', 'match: my.slow', 'match: *nowhere', 38, 'RULES_YAML'],
  ['misspelt sections', 'attributes:', 'attribtes:', 3, 'RULES_UNKNOWN_KEY'],
  ['misspelt handlers', '\nhandlers:', '\nhandlrs:', 6, 'RULES_UNKNOWN_KEY'],
  ['handlers that are indented as attributes', '\nhandlers:', '\n  handlers:', 6, 'RULES_ATTRIBUTE_NAME'],
  ['a misspelt key of an attribute', "{ is: 'response", "{ si: 'response", 5, 'RULES_UNKNOWN_KEY'],
  ['a misspelt carrier', 'contextExtension: tier', 'contextExtensoin: tier', 4, 'RULES_UNKNOWN_KEY'],
  ['an attribute without a carrier', 'from: { contextExtension: tier }', 'secret: false', 4, 'RULES_MISSING_KEY'],
  [
    'an attribute without a declaration',
    '  my.slow: { is: \'response.duration > duration("1s")\' }\n',
    '',
    37,
    'EXPRESSION_UNKNOWN_ATTRIBUTE',
  ],
  ['an error in the handler of texts', 'handler: limits, limit', 'handler: limit, limit', 29, 'RULES_UNKNOWN_HANDLER'],
  ['an error in the config behind texts', 'url: "redis://127.0.0.1:6379"', 'url: 7', 10, 'RULES_CONFIG'],
  ['a misspelt local', 'local: {', 'loca: {', 9, 'RULES_UNKNOWN_KEY'],
  ['a wrong number of replicas', 'replicas: 3', 'replicas: -3', 9, 'RULES_VALUE'],
  [
    'an error in the only rule of a group',
    'allow: { group: admins, handler: list',
    'allow: { group: admins, handler: lst',
    27,
    'RULES_UNKNOWN_HANDLER',
  ],
  ['an unknown algorithm', 'algorithm: gcra', 'algorithm: gcr', 29, 'RULES_VALUE'],
  ['a wrong period beside a zone', 'per: month', 'per: moth', 33, 'RULES_VALUE'],
  ['a wrong unit', 'per: 1m', 'per: 1w', 29, 'RULES_VALUE'],
  [
    'an error beside the folder of a spool',
    'folder: /var/lib/sluice',
    'foldr: /var/lib/sluice',
    2,
    'RULES_UNKNOWN_KEY',
  ],
  [
    'keys that are indented too little',
    '    config:\n      metrics:',
    '    config:\n    metrics:',
    16,
    'RULES_UNKNOWN_KEY',
  ],
  ['a line without a colon, before others', 'attributes:', 'attributes', 3, 'RULES_YAML'],
  ['a key without a space, before others', '\n  numbers:\n', '\n  numbers\n', 13, 'RULES_YAML'],
  ['a quote that is missing, before others', '"redis://127.0.0.1:6379"', '"redis://127.0.0.1:6379', 10, 'RULES_YAML'],
];

describe('a mistake has one finding', () => {
  test('and none without one', async () => expect(await said(POLICY)).toEqual([]));

  test.concurrent.each(MISTAKES)('%s', async (_, from, to, at, code) => {
    expect(POLICY.split(from)).toHaveLength(2);
    const found = await said(POLICY.replace(from, to));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^${at}:\\d+ ${code} `));
  });
});

test('a name that several rules use and none declares has one finding, with all places', async () => {
  const uses = Array.from(
    { length: 6 },
    (_, at) => `  - { name: r${at}, match: my.x == 1, check: { handler: gone } }\n`,
  );
  const found = await said(`handlers: { here: { adapter: quota-memory, config: {} } }\nrules:\n${uses.join('')}`);
  expect(found).toEqual([
    '3:24 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute my.x; declare it under attributes: (also at 4:24, 5:24, 6:24 and 2 more)',
    '3:53 RULES_UNKNOWN_HANDLER no handler is named gone; known are here (also at 4:53, 5:53, 6:53 and 2 more)',
  ]);
});

test('an anchor that is deleted has one finding, with all aliases', async () => {
  const rules = ['a', 'b'].map((name) => `  - { name: ${name}, deny: {}, match: *inside }\n`).join('');
  expect(await said(`rules:\n${rules}`)).toEqual([
    '2:33 RULES_YAML the alias *inside refers to no anchor; if it is part of an expression, quote it (also at 3:33)',
  ]);
});

test('keys under a key without a value are taken for its own', async () => {
  expect(await said(POLICY.replace('    config:\n      metrics:', '    config:\n    metrics:'))).toEqual([
    '16:5 RULES_UNKNOWN_KEY a handler has no key metrics; if it belongs to config, indent it deeper',
  ]);
});

/** The text with each key of its maps misspelt in turn, and the line of the key. */
function* misspelt(text: string): Iterable<readonly [what: string, text: string]> {
  const keys: { readonly name: string; readonly start: number; readonly end: number }[] = [];
  visit(parseDocument(text), {
    Pair(_, { key }) {
      if (isScalar(key) && key.range != null)
        keys.push({ name: String(key.value), start: key.range[0], end: key.range[1] });
    },
  });
  for (const { name, start, end } of keys) {
    const written = text.slice(start, end);
    if (!/^[a-zA-Z_.-]{2,}$/.test(written)) continue;
    const half = written.length >> 1;
    const wrong = `${written.slice(0, half)}${written.slice(half + 1)}`;
    yield [`${name} at ${start}`, `${text.slice(0, start)}${wrong}${text.slice(end)}`];
  }
}

test.each([
  'examples/start/policy.yaml',
  'examples/mesh/policy.yaml',
  'examples/jwt/policy.yaml',
  'bench/policy/operators.yaml',
])('no misspelt key of %s has two', async (file) => {
  const text = readFileSync(file, 'utf8');
  const usual = (await said(text, file)).length;
  const several: string[] = [];
  for (const [what, wrong] of misspelt(text)) {
    const found = await said(wrong, file);
    // Its warnings go, since a policy with an error has others.
    if (found.length > usual + 1) several.push(`${what}: ${found.join('\n')}`);
  }
  expect(several).toEqual([]);
});
