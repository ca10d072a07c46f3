/** Large documents as programs write them are read in slices: calls are answered in between. */
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { type LoadedPolicy, loadPolicyText } from '../../../src/core/rules/load.ts';
import { turnsByLooks } from '../../parts/loop-turns.ts';

const adapters = await loadBuiltIns();
const lines = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('');
const istio = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: ${kind === 'AuthorizationPolicy' ? 'security.istio.io/v1' : 'rbac.istio.io/v1alpha1'}\n` +
  `kind: ${kind}\nmetadata: { name: ${name}, namespace: shop }\nspec:\n${spec}`;

/** `least`: more turns than without one of the slices that are meant; all work takes five looks at the clock, or fewer, for a turn. */
test.each<[what: string, text: string, least: number]>([
  [
    'rules of one document of Istio',
    istio(
      'AuthorizationPolicy',
      'p',
      `  action: DENY\n  rules:\n${lines(1000, (at) => `    - to: [{ operation: { paths: ["/a/${at}/*"] } }]\n`)}`,
    ),
    1260,
  ],
  [
    'documents of Istio',
    lines(500, (at) =>
      istio('AuthorizationPolicy', `p-${at}`, '  rules:\n    - to: [{ operation: { methods: [GET] } }]\n'),
    ),
    775,
  ],
  [
    'bindings of roles',
    istio('ClusterRbacConfig', 'default', '  mode: "ON"\n').replace('shop', 'istio-system') +
      istio('ServiceRole', 'r', '  rules:\n    - { services: ["*"], methods: [GET] }\n') +
      lines(500, (at) =>
        istio(
          'ServiceRoleBinding',
          `b-${at}`,
          `  subjects:\n    - user: cluster.local/ns/shop/sa/u${at}\n  roleRef: { kind: ServiceRole, name: r }\n`,
        ),
      ),
    685,
  ],
  [
    'objects in a List',
    `apiVersion: v1\nkind: List\nitems:\n${lines(500, (at) => `  - apiVersion: security.istio.io/v1\n    kind: AuthorizationPolicy\n    metadata: { name: p-${at}, namespace: shop }\n    spec: { rules: [{}] }\n`)}`,
    650,
  ],
])('%s', async (_, text, least) => {
  const load = (): Promise<LoadedPolicy> => loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
  const { policy } = await load(); // loads modules, too
  const turns = await turnsByLooks(load);
  expect(policy?.rules.length).toBeGreaterThan(400);
  expect(turns).toBeGreaterThan(least);
});

const withHandlers = (rule: string): string =>
  'handlers:\n  q: { adapter: quota-memory, config: {} }\n  l: { adapter: log-stdout, config: {} }\n' +
  `rules:\n  - { name: q, quota: { handler: q, limit: 1, per: 1m, key: [] } }\n  - { name: l, report: { handler: l, input: { a: "1" } } }\n  - name: a\n${rule}`;

test.each([
  [
    'texts',
    withHandlers(`    onAllow:\n      metadata:\n${lines(1001, (at) => `        x-${at}: "\${nothing}"\n`)}`),
    'RULES_MANY_HEADERS metadata has 1001 texts; one answer has at most 80, so remove 921',
  ],
  [
    'texts in a list',
    withHandlers(`    onAllow:\n      response:\n        append: { x: [${'"${nothing}", '.repeat(1001)}] }\n`),
    'RULES_MANY_HEADERS append has 1001 texts; one answer has at most 80, so remove 921',
  ],
  [
    'inputs',
    withHandlers(`    report:\n      handler: l\n      input:\n${lines(1001, (at) => `        x-${at}: nothing\n`)}`),
    'RULES_VALUE input has 1001 expressions; at most 1000 are taken',
  ],
  [
    'parts of a key',
    withHandlers(`    quota: { handler: q, limit: 1, per: 1m, key: [${'nothing, '.repeat(257)}] }\n`),
    'RULES_VALUE key has 257 expressions; at most 256 are taken',
  ],
])('too many %s of one rule are refused, and none of them is read', async (_, text, finding) => {
  const { findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
  expect(findings.map(({ code, message }) => `${code} ${message}`)).toEqual([finding]);
});
