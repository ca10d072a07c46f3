/** Large policies as programs write them, by a sentence. Files that they name are in a folder that ends with the process. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'load-turns-'));
process.once('exit', () => rmSync(folder, { recursive: true }));
const file = (name: string, text: () => string): string => {
  const path = join(folder, name);
  writeFileSync(path, text());
  return path;
};

const lines = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('');
const RULE = 'rules:\n  - { name: a, deny: {} }\n';
const RULES = (count: number, rest: (at: number) => string): string =>
  `rules:\n${lines(count, (at) => `  - { name: r-${at}, ${rest(at)} }\n`)}`;
const match = (text: string): string => `rules:\n  - name: a\n    match: '${text}'\n    deny: {}\n`;
const check = (adapter: string, config: string, input: string): string =>
  `handlers:\n  h:\n    adapter: ${adapter}\n    config:\n${config}rules:\n  - { name: a, check: { handler: h, input: { ${input} } } }\n`;
const list = (kind: string, count: number, value: (at: number) => string): string =>
  check(
    'check-list',
    `      kind: ${kind}\n      values: [${lines(count, (at) => `${value(at)}, `)}]\n`,
    'value: request.path',
  );
const listFile = (kind: string, count: number, value: (at: number) => string): string =>
  check(
    'check-list',
    `      kind: ${kind}\n      maxFileBytes: 67108864\n      file: ${file(`${kind}.txt`, () => lines(count, (at) => `${value(at)}\n`))}\n`,
    'value: request.path',
  );
const address = (at: number): string => `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`;
const table = (path: string, columns = '{ plan: string }'): string =>
  `handlers:\n  t: { adapter: enrich-table, config: { file: ${path}, key: k, maxFileBytes: 67108864, columns: ${columns} } }\n` +
  'rules:\n  - { name: e, enrich: { handler: t, input: { key: request.path }, as: my.e } }\n  - { name: a, match: \'my.e.plan == "x"\', deny: {} }\n';
const enrich = (count: number, key: (at: number) => string): string =>
  `handlers:\n  t: { adapter: enrich-table, config: { file: ${file('one.csv', () => 'k,plan\na,b\n')}, key: k, columns: { plan: string } } }\n` +
  `rules:\n${lines(count, (at) => `  - { name: e-${at}, enrich: { handler: t, input: { key: '${key(at)}' }, as: my.e${at} } }\n`)}`;
const nested = (open: string, inside: string, close: string, times: number): string =>
  open.repeat(times) + inside + close.repeat(times);

export const POLICIES: Readonly<Record<string, () => string>> = {
  'rules: 10 000 deny': () => RULES(10_000, (at) => `match: 'request.url_path == "/a/${at}"', deny: {}`),
  'rules: 10 000 allow, a group each': () =>
    RULES(5000, (at) => `match: 'request.url_path == "/a/${at}"', allow: g-${at}`) +
    lines(5000, (at) => `  - { name: d-${at}, calls: [http], deny: { unlessAllowed: g-${at} } }\n`),
  'rules: 10 000 quota': () =>
    `handlers:\n  q: { adapter: quota-memory, config: {} }\n` +
    RULES(
      10_000,
      (at) =>
        `match: 'request.url_path == "/a/${at}"', quota: { handler: q, limit: ${at + 1}, per: 1m, key: [source.ip] }`,
    ),
  'rules: 10 000 report': () =>
    `handlers:\n  l: { adapter: log-stdout, config: {} }\n` +
    RULES(
      10_000,
      (at) => `match: 'request.url_path == "/a/${at}"', report: { handler: l, input: { path: request.path } }`,
    ),
  'rules: 10 000 check': () =>
    `handlers:\n  c: { adapter: check-list, config: { values: [a] } }\n` +
    RULES(
      10_000,
      (at) => `match: 'request.url_path == "/a/${at}"', check: { handler: c, input: { value: request.path } }`,
    ),
  'rules: 10 000 with headers': () =>
    RULES(
      10_000,
      (at) => `match: 'request.url_path == "/a/${at}"', onAllow: { request: { set: { x-${at}: "\${request.path}" } } }`,
    ),
  'rules: 10 000 by regex': () =>
    RULES(10_000, (at) => `match: 'request.url_path.matches("^/a/${at}/[0-9]+$")', deny: {}`),
  'rules: 10 000 by prefix': () => RULES(10_000, (at) => `match: 'request.url_path.startsWith("/a/${at}/")', deny: {}`),
  'rules: 10 000 by address': () =>
    RULES(10_000, (at) => `match: 'cidr("${address(at)}/32").containsIP(source.ip)', deny: {}`),
  'rules: 10 000 documents': () =>
    lines(10_000, (at) => `---\nrules: [{ name: r-${at}, match: 'request.url_path == "/${at}"', deny: {} }]\n`),
  'rules: 10 000 anchors': () =>
    `rules:\n` +
    lines(
      5000,
      (at) =>
        `  - { name: r-${at}, match: &m${at} 'request.url_path == "/${at}"', deny: {} }\n  - { name: s-${at}, match: *m${at}, deny: {} }\n`,
    ),
  'one rule: 40 000 headers': () =>
    `rules:\n  - name: a\n    onAllow:\n      request:\n        set:\n${lines(40_000, (at) => `          x-${at}: a\n`)}`,
  'one rule: 40 000 texts in input': () =>
    `handlers:\n  l: { adapter: log-stdout, config: {} }\nrules:\n  - name: a\n    report:\n      handler: l\n      input:\n` +
    lines(40_000, (at) => `        x${at}: request.path\n`),
  'one rule: 5 000 keys of a quota': () =>
    `handlers:\n  q: { adapter: quota-memory, config: {} }\nrules:\n  - name: a\n    quota:\n      handler: q\n      limit: 1\n      per: 1m\n      key: [` +
    lines(5000, (at) => `'request.headers["x-${at}"]', `) +
    `]\n`,
  'enrich: 2 000': () => enrich(2000, () => 'request.path'),
  'enrich: 2 000 in a chain': () => enrich(2000, (at) => (at === 0 ? 'request.path' : `my.e${at - 1}.plan`)),
  'enrich: 2 000 in a chain, last first': () =>
    enrich(2000, (at) => (at === 1999 ? 'request.path' : `my.e${at + 1}.plan`)),
  'attributes: 10 000': () =>
    `attributes:\n${lines(10_000, (at) => `  my.x${at}: { is: 'request.url_path == "/${at}"' }\n`)}${RULE}`,
  'attributes: 10 000 from the proxy': () =>
    `attributes:\n${lines(10_000, (at) => `  my.x${at}: { type: string, from: { contextExtension: x${at} } }\n`)}${RULE}`,
  'attributes: 3 000 in a chain': () =>
    `attributes:\n  my.x0: { is: request.path }\n` +
    lines(3000, (at) => `  my.x${at + 1}: { is: my.x${at} }\n`) +
    `rules:\n  - { name: a, match: 'my.x3000 == "a"', deny: {} }\n`,
  'attributes: 3 000 in a chain, last first': () =>
    `attributes:\n` +
    lines(3000, (at) => `  my.x${at}: { is: my.x${at + 1} }\n`) +
    `  my.x3000: { is: request.path }\nrules:\n  - { name: a, match: 'my.x0 == "a"', deny: {} }\n`,
  'attributes: 30 of the two before': () =>
    `attributes:\n  my.x0: { is: request.path }\n  my.x1: { is: request.path }\n` +
    lines(28, (at) => `  my.x${at + 2}: { is: my.x${at} + my.x${at + 1} }\n`) +
    `rules:\n  - { name: a, match: 'my.x29 == "a"', deny: {} }\n`,
  'handlers: 10 000': () =>
    `handlers:\n` +
    lines(10_000, (at) => `  h${at}: { adapter: quota-memory, config: {} }\n`) +
    RULES(10_000, (at) => `quota: { handler: h${at}, limit: 1, per: 1m, key: [source.ip] }`),
  'handlers: 10 000 lists': () =>
    `handlers:\n` +
    lines(10_000, (at) => `  h${at}: { adapter: check-list, config: { values: [a] } }\n`) +
    RULES(10_000, (at) => `check: { handler: h${at}, input: { value: request.path } }`),
  'config: 40 000 keys': () =>
    check(
      'check-list',
      `      values: [a]\n      wrong:\n${lines(40_000, (at) => `        x-${at}: a\n`)}`,
      'value: request.path',
    ),
  'config: 40 000 wrong keys': () =>
    check('check-list', `      values: [a]\n${lines(40_000, (at) => `      x-${at}: a\n`)}`, 'value: request.path'),
  'config: 40 000 wrong values': () => list('cidr', 40_000, (at) => `x${at}`),
  'list: 200 000 strings': () => list('string', 200_000, (at) => `user-${at}`),
  'list: 200 000 prefixes': () => list('prefix', 200_000, (at) => `/a/${at}/`),
  'list: 200 000 hosts': () => list('host', 200_000, (at) => `h${at}.example.com`),
  'list: 200 000 networks': () => list('cidr', 200_000, (at) => `${address(at * 2)}/32`),
  'list: 2 000 patterns': () =>
    list('regex', 2000, (at) => `^/a/${at}$`).replace('values:', 'maxLength: 100\n      values:'),
  'list: file of 200 000 strings': () => listFile('string', 200_000, (at) => `user-${at}`),
  'list: file of 200 000 prefixes': () => listFile('prefix', 200_000, (at) => `/a/${at}/`),
  'list: file of 200 000 hosts': () => listFile('host', 200_000, (at) => `h${at}.example.com`),
  'list: file of 200 000 networks': () => listFile('cidr', 200_000, (at) => `${address(at * 2)}/32`),
  'table: 200 000 rows in CSV': () =>
    table(file('t.csv', () => `k,plan\n${lines(200_000, (at) => `k-${at},p-${at % 7}\n`)}`)),
  'table: 200 000 rows in JSON': () =>
    table(
      file('t.json', () =>
        JSON.stringify(Array.from({ length: 200_000 }, (_, at) => ({ k: `k-${at}`, plan: `p-${at % 7}` }))),
      ),
    ),
  'table: 20 000 rows in YAML': () =>
    table(file('t.yaml', () => lines(20_000, (at) => `- { k: k-${at}, plan: p-${at % 7} }\n`))),
  'rbac: 10 000 roles and bindings': () =>
    check(
      'check-rbac',
      `      roles:\n` +
        lines(10_000, (at) => `        r-${at}: [{ methods: [GET], paths: [/a/${at}/*] }]\n`) +
        `      bindings:\n` +
        lines(10_000, (at) => `        - { role: r-${at}, subjects: [{ user: u-${at} }] }\n`),
      'user: source.principal, method: request.method, path: request.path',
    ),
  'keys: file of 50 000': () =>
    check(
      'auth-keys',
      `      file: ${file('keys.txt', () => lines(50_000, (at) => `${at.toString(16).padStart(64, '0')} o-${at}\n`))}\n`,
      '',
    ),
  'basic: file of 50 000': () =>
    check(
      'auth-basic',
      `      file: ${file('users.txt', () => lines(50_000, (at) => `u${at}:{SHA}${at.toString().padStart(27, 'a')}=\n`))}\n`,
      '',
    ),
  'jwt: 1 000 issuers': () =>
    check(
      'jwt',
      `      issuers:\n${lines(1000, (at) => `        - { issuer: "https://i${at}", secret: "${'s'.repeat(32)}${at}" }\n`)}`,
      '',
    ),
  'metrics: 5 000': () =>
    `handlers:\n  m:\n    adapter: metrics-prometheus\n    config:\n      metrics:\n` +
    lines(5000, (at) => `        m_${at}: { kind: counter, labels: [path] }\n`) +
    RULES(5000, (at) => `report: { handler: m, metric: m_${at}, input: { value: 1, labels: { path: request.path } } }`),
  '$file of 16 MB': () =>
    `handlers:\n  h:\n    adapter: check-list\n    config: { values: [{ $file: ${file('big.txt', () => 'x'.repeat(16 * 1024 * 1024))} }] }\nrules:\n  - { name: a, check: { handler: h, input: { value: request.path } } }\n`,
  '$file: 10 000 of them': () =>
    `handlers:\n  h:\n    adapter: check-list\n    config: { values: [` +
    lines(10_000, () => `{ $file: ${file('small.txt', () => 'x')} }, `) +
    `] }\nrules:\n  - { name: a, check: { handler: h, input: { value: request.path } } }\n`,
  'istio: a document with 5 000 rules': () =>
    `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop }\nspec:\n  action: DENY\n  rules:\n` +
    lines(
      5000,
      (at) =>
        `    - from: [{ source: { principals: ["cluster.local/ns/shop/sa/s-${at}"] } }]\n      to: [{ operation: { paths: ["/a/${at}/*"] } }]\n`,
    ),
  'istio: 5 000 documents': () =>
    lines(
      5000,
      (at) =>
        `---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p-${at}, namespace: shop }\nspec:\n  rules:\n    - to: [{ operation: { paths: ["/a/${at}/*"] } }]\n`,
    ),
  'istio: a rule with 20 000 paths': () =>
    `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop }\nspec:\n  rules:\n    - to:\n        - operation:\n            paths:\n` +
    lines(20_000, (at) => `              - /a/${at}/*\n`),
  'istio: a rule with 20 000 addresses': () =>
    `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop }\nspec:\n  rules:\n    - from:\n        - source:\n            ipBlocks:\n` +
    lines(20_000, (at) => `              - ${address(at)}/32\n`),
  'expression: 1 000 brackets': () => match(nested('(', 'true', ')', 1000)),
  'expression: 200 brackets': () => match(nested('(', 'true', ')', 200)),
  'expression: 1 000 times not': () => match(nested('!', 'true', '', 1000)),
  'expression: 1 000 conditions': () => match(`${lines(1000, (at) => `request.path == "/${at}" ? true : `)}false`),
  'expression: 200 conditions': () => match(`${lines(200, (at) => `request.path == "/${at}" ? true : `)}false`),
  'expression: 5 000 in or': () =>
    match(Array.from({ length: 5000 }, (_, at) => `request.path.contains("/${at}")`).join(' || ')),
  'expression: 1 000 in or and and': () =>
    match(
      Array.from({ length: 1000 }, (_, at) => `(request.path == "/${at}" && request.method == "GET")`).join(' || '),
    ),
  'expression: 1 000 ands of ors': () =>
    match(
      Array.from({ length: 1000 }, (_, at) => `(request.path == "/${at}" || request.method == "G${at}")`).join(' && '),
    ),
  'expression: 10 000 items of a list': () => match(`request.path in [${lines(10_000, (at) => `"/${at}", `)}"/"]`),
  'expression: 10 000 keys of a map': () =>
    match(`request.path in {${lines(10_000, (at) => `"/${at}": ${at}, `)}"/": 1}`),
  'expression: 2 000 sums': () =>
    match(
      `request.path == ${Array.from({ length: 2000 }, (_, at) => `request.headers[?"x-${at}"].orValue("")`).join(' + ')}`,
    ),
  'expression: 100 000 characters of text': () => match(`request.path == "${'a'.repeat(100_000)}"`),
  'expression: 200 nested lists': () => match(`size(${nested('[', '1', ']', 200)}) == 1`),
  'expression: 20 nested macros': () =>
    match(`${lines(20, (at) => `[1, 2].exists(x${at}, `)}request.path == "a"${')'.repeat(20)}`),
  'expression: 2 000 calls in a chain': () => match(`request.path${'.trim()'.repeat(2000)} == "a"`),
  'expression: a pattern of 10 000': () => match(`request.path.matches("${lines(2000, (at) => `/a${at}|`)}b")`),
  'text: 5 000 parts': () =>
    `rules:\n  - name: a\n    deny: { body: "${lines(5000, (at) => `\${request.path} ${at} `)}" }\n`,
};
