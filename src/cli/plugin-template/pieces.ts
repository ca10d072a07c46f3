/** What each capability adds to the files of `sluice plugins new`: small but complete, so that its tests pass as they stand. */
import type { Capability } from '../../adapters/contract.ts';

/** Lines without indentation; `template.ts` puts them in place. */
export interface Piece {
  /** Names imported from `sluice/plugin`. */
  readonly imports: readonly string[];
  /** Further lines of imports. */
  readonly importLines: readonly string[];
  /** Fields of the config's schema. */
  readonly config: readonly string[];
  readonly serves: string;
  /** First lines of `open`. */
  readonly setup: readonly string[];
  /** Methods that `open` returns. */
  readonly methods: readonly string[];
  /** The config of the tests, and of the example policy. */
  readonly testConfig: string;
  readonly policyConfig: string;
  /** The example for `testAdapter`. */
  readonly subject: readonly string[];
  /** Rules of the example policy, and a case that shows what they do. */
  readonly rules: readonly string[];
  readonly caseLines: readonly string[];
}

export const PIECES: Readonly<Record<Capability, Piece>> = {
  enrich: {
    imports: [],
    importLines: [],
    config: [
      "tenants: z.record(z.string(), z.string()).default({}).describe('The tenant of each user.').meta({ examples: [{ ann: 'blue' }] }),",
    ],
    serves: "enrich: { input: { user: 'string' }, output: { tenant: 'string?' } },",
    setup: ['const tenantOf = new Map(Object.entries(tenants));'],
    methods: [
      '// Once per rule; the function it returns runs per call. Nothing: the user is unknown, and its attributes are absent.',
      'lookup: () => ({ user }) => {',
      '  const tenant = tenantOf.get(user);',
      '  return tenant === undefined ? undefined : { tenant };',
      '},',
    ],
    testConfig: "tenants: { ann: 'blue' }",
    policyConfig: 'tenants: { ann: blue }',
    subject: [
      "enrich: { known: [{ input: { user: 'ann' }, output: { tenant: 'blue' } }], unknown: [{ user: 'bob' }] },",
    ],
    rules: [
      '- name: tenant-of-user',
      '  enrich: { handler: mine, input: { user: \'request.headers[?"x-user"].orValue("")\' }, as: my.user }',
      '- name: tenant-for-upstream',
      '  match: has(my.user.tenant)',
      `  onAllow: { request: { set: { x-tenant: '\${my.user.?tenant.orValue("")}' } } }`,
    ],
    caseLines: [
      '- name: the upstream gets the tenant of the user',
      '  http: { request.path: /, request.headers: { x-user: ann } }',
      '  want: { allow: true, request: { set: { x-tenant: blue } } }',
    ],
  },
  check: {
    imports: ['allow', 'deny', 'PERMISSION_DENIED'],
    importLines: [],
    config: ["users: z.array(z.string()).default([]).describe('Who may pass.').meta({ examples: [['ann', 'bob']] }),"],
    serves: "check: { input: { user: 'string' } },",
    setup: ['const known = new Set(users);'],
    methods: [
      '// Once per rule; the function it returns runs per call.',
      'check: () => ({ user }) => (known.has(user) ? allow() : deny(PERMISSION_DENIED, `${user} may not pass`)),',
    ],
    testConfig: "users: ['ann']",
    policyConfig: 'users: [ann]',
    subject: ["check: { allowed: [{ user: 'ann' }], denied: [{ user: 'eve' }] },"],
    rules: [
      '- name: known-users-only',
      '  check: { handler: mine, input: { user: \'request.headers[?"x-user"].orValue("")\' } }',
      '  onDeny: { status: 403, body: "${out.reason}" }',
    ],
    caseLines: [
      '- name: an unknown user is refused',
      '  http: { request.path: /, request.headers: { x-user: eve } }',
      '  want: { deny: known-users-only, status: 403, body: eve may not pass }',
    ],
  },
  quota: {
    imports: ['quota'],
    importLines: ["import { openMemoryStore } from 'sluice/counting';"],
    config: ["maxKeys: z.int().min(1).default(10_000).describe('Counters kept at most.'),"],
    serves: "quota: { algorithms: ['fixed', 'gcra'] },",
    setup: ['const counters = openMemoryStore({ maxKeys, maxEntries: maxKeys }, host);'],
    methods: [
      '// A bucket per rule; charge() gets all asks of one call, and grants all or none. The counting itself is in sluice/counting.',
      '...quota({ bucket: (rule) => counters.bucket(rule), charge: (asks) => counters.charge(asks) }),',
      'close: () => counters.close(),',
    ],
    testConfig: '',
    policyConfig: '',
    subject: [],
    rules: [
      '- name: ten-a-minute',
      '  quota: { handler: mine, limit: 10, per: 1m, key: [\'request.headers[?"x-user"].orValue("")\'] }',
    ],
    caseLines: [
      '- name: the eleventh call of a minute is refused',
      '  http: { request.path: /, request.headers: { x-user: ann } }',
      '  times: 11',
      '  want: [{ allow: true, times: 10 }, { deny: ten-a-minute }]',
    ],
  },
  report: {
    imports: ['report'],
    importLines: [],
    config: ["label: z.string().default('report').describe('The text of each line.').meta({ examples: ['access'] }),"],
    serves: "report: { input: 'any', batch: { max: 500, maxAgeMs: 1000 } },",
    setup: [],
    methods: [
      '// A sink per rule; write() gets batches over all sinks, and settles when a batch is taken. A backend that is away:',
      '// throw new Unavailable(why, retryAfterMs), and the host tries again. Write to yours: the log takes so many lines a second.',
      '...report({',
      '  sink: ({ rule }) => rule,',
      '  write(entries) {',
      '    for (const { sink, id, input } of entries) host.log.debug(label, { rule: sink, id, input });',
      '  },',
      '}),',
    ],
    testConfig: "label: 'access'",
    policyConfig: 'label: access',
    subject: [
      'report: {',
      '  input: (n) => ({ path: `/a/${n}`, code: 200 + n }),',
      "  read: ({ logged }) => logged.filter(({ message }) => message === 'access').map(({ fields }) => fields['input']),",
      '},',
    ],
    rules: [
      '- name: failed-calls',
      '  calls: [log]',
      '  match: response.code >= 500',
      '  report: { handler: mine, input: { path: request.path, code: response.code } }',
    ],
    caseLines: [
      '- name: a failed call is written',
      '  log: { request.path: /a, response.code: 503 }',
      '  want: { report: [{ rule: failed-calls, handler: mine, input: { path: /a, code: 503 } }] }',
    ],
  },
};
