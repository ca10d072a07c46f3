/** The text of a policy that the admin port shows says the same as the policy, and holds nothing of its handlers. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyFiles, loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { shownText } from '../../../src/core/rules/shown-text.ts';
import { type PolicyFiles, readPolicyFiles } from '../../../src/yaml/policy-files.ts';

const adapters = await loadBuiltIns();

const filesOf = (texts: Readonly<Record<string, string>>): PolicyFiles => ({
  files: Object.entries(texts).map(([file, text]) => ({ file, name: file, text })),
  found: new Set(Object.keys(texts)),
  watched: [],
  findings: [],
});

async function shown(texts: Readonly<Record<string, string>>): Promise<string> {
  const result = await shownText(filesOf(texts));
  return 'text' in result ? result.text : expect.fail(result.why);
}

const rulesOf = ({ rules }: Policy): unknown[] =>
  rules.map(({ name, description, calls, match, action, mode, onError }) => ({
    name,
    description,
    calls: [...calls],
    match: match?.source,
    kind: action?.kind,
    handler: action !== undefined && 'handler' in action ? action.handler : undefined,
    mode: JSON.stringify(mode),
    onError,
  }));

test('comments and handlers are left out, and everything else stays as it is written', async () => {
  const text = await shown({
    'policy.yaml': `# password: top-secret
handlers: # kept in a vault
  # limits: { adapter: quota-redis, config: { url: "redis://:top-secret@db" } }
  door: { adapter: check-http, config: { url: "http://10.0.0.1/?key=top-secret" } }
# old: top-secret
rules:
  - name: a # top-secret
    # top-secret
    match: 'request.path == "/# no comment"'
    description: plain#text is no comment
    deny: { status: 403, body: "#1 \\" # 2" } # top-secret
  - name: b
    match: | # top-secret
      request.path == "/b" &&
      request.path != "# no comment"
    deny: { status: 404 }
    # top-secret`,
  });
  expect(text).toBe(`# policy.yaml
rules:
  - name: a
    match: 'request.path == "/# no comment"'
    description: plain#text is no comment
    deny: { status: 403, body: "#1 \\" # 2" }
  - name: b
    match: |
      request.path == "/b" &&
      request.path != "# no comment"
    deny: { status: 404 }
`);
});

test.each([
  [
    'a map in braces',
    `{handlers: {door: {adapter: check-http, config: {url: "http://10.0.0.1/top-secret"}}}, # top-secret
 rules: [{name: a, match: 'true', deny: {}}]}`,
  ],
  [
    'handlers at the end',
    `rules:
- name: a
  match: "true" # top-secret
  deny: {}
"handlers":
  door: { adapter: check-http, config: { url: http://10.0.0.1/top-secret } }
`,
  ],
  [
    'lines that end with CR LF',
    `handlers:\r\n  a: { adapter: check-http, config: { url: http://10.0.0.1/top-secret } }\r\nrules:\r\n  # top-secret\r\n  - name: a # top-secret\r\n    match: "true"\r\n    deny: {}\r\n`,
  ],
  [
    'an anchor in a rule',
    `handlers: { door: { adapter: check-http, config: { url: "http://10.0.0.1/top-secret" } } }
rules:
  - { name: a, match: &m "true", deny: {} }
  - { name: b, match: *m, deny: {} }
`,
  ],
])('%s', async (_what, policy) => {
  const text = await shown({ 'policy.yaml': policy });
  expect(text).not.toContain('top-secret');
  const before = await loadPolicyText(new Map([['policy.yaml', policy]]), { adapters });
  const after = await loadPolicyText(new Map([['policy.yaml', text]]), { adapters });
  expect(before.policy).toBeDefined();
  expect(after.policy && rulesOf(after.policy)).toEqual(before.policy && rulesOf(before.policy));
});

test('cases, and files that a config names, are left out; files follow one another', async () => {
  const text = await shown({
    '/p/a.yaml': 'handlers: { l: { adapter: check-list, config: { values: { $file: data.yaml } } } }\n---\ncases: []\n',
    '/p/b.yaml': 'rules: [{ name: a, deny: {} }]\n---\nrules: [{ name: b, deny: {} }]\n',
    '/p/data.yaml': '[top-secret]',
  });
  expect(text).toBe('# /p/b.yaml\nrules: [{ name: a, deny: {} }]\n---\n# /p/b.yaml\nrules: [{ name: b, deny: {} }]\n');
});

test('credentials in URLs are hidden', async () => {
  expect(await shown({ 'a.yaml': 'rules: [{ name: a, deny: { body: "amqp://ann:top-secret@db" } }]' })).toContain(
    'amqp://(secret)@db',
  );
});

test('a text that is too large, or needs an anchor of its handlers, is not shown', async () => {
  const large = `rules: [{ name: a, deny: { body: "${'x'.repeat(300_000)}" } }]`;
  expect(await shownText(filesOf({ 'a.yaml': large }))).toEqual({ why: expect.stringContaining('262144') as unknown });
  const anchored = `handlers: { a: { adapter: check-http, config: { url: &secret "http://10.0.0.1/top-secret" } } }
rules: [{ name: a, deny: { body: *secret } }]`;
  expect(await shownText(filesOf({ 'a.yaml': anchored }))).toEqual({
    why: 'a.yaml uses an anchor of its handlers elsewhere',
  });
});

test('with the handlers in force, the text of a policy loads as the same rules', async () => {
  let compared = 0;
  for (const folder of ['examples', 'test/cases'].map((name) => join(import.meta.dirname, '../../..', name)))
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.yaml')) continue;
      const files = await readPolicyFiles([join(folder, name)]);
      const { policy } = await loadPolicyFiles(files, { adapters, unsetEnv: 'warning' });
      if (policy === undefined) continue; // of another kind
      const result = await shownText(files);
      const text = 'text' in result ? result.text : expect.fail(result.why);
      const again = await loadPolicyText(new Map([['policy.yaml', text]]), { adapters, handlers: policy.handlers });
      expect(again.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
      expect(again.policy && rulesOf(again.policy), name).toEqual(rulesOf(policy));
      compared++;
    }
  expect(compared).toBeGreaterThan(50);
}, 30_000);
