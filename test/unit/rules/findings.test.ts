/** Findings about invalid policies, with their places: one policy for each code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { type Adapter, allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { AdapterError } from '../../../src/adapters/errors.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { RULES_ERRORS } from '../../../src/core/rules/errors.ts';
import { findingText, type Finding } from '../../../src/yaml/findings.ts';
import { loadPolicy, loadPolicyText } from '../../../src/core/rules/load.ts';
import { EXPRESSION_ERRORS } from '../../../src/expression/errors.ts';

const adapters = await loadBuiltIns();
const load = async (text: string): Promise<readonly Finding[]> =>
  (await loadPolicyText(new Map([['test/cases/p.yaml', text]]), { adapters, env: {} })).findings;
const said = ({ position: { line, column }, code, message }: Finding): string => `${line}:${column} ${code} ${message}`;

const HANDLERS = `handlers:
  list: { adapter: check-list, config: { values: [ann] } }
  mem: { adapter: quota-memory, config: {} }
  out: { adapter: log-stdout, config: {} }
  table: { adapter: enrich-table, config: { file: tenants.csv, key: tenant, columns: { plan: string } } }
`;
const USED = `rules:
  - { name: use-list, check: { handler: list, input: { value: request.path } } }
  - { name: use-mem, quota: { handler: mem, limit: 1, per: 1m, key: [] } }
  - { name: use-out, report: { handler: out, input: { path: request.path } } }
  - { name: use-table, enrich: { handler: table, input: { key: request.path }, as: my.row } }
`;
/** The rule begins at line 11 (with all handlers used before it), or at line 2 without. */
const rule = (text: string): string => `${HANDLERS}${USED}  - ${text}\n`;
const alone = (text: string): string => `rules:\n  - ${text}\n`;

const headers = (from: number, to: number, value = 'a'): string =>
  Array.from({ length: to - from }, (_, at) => `x-${from + at}: ${value}`).join(', ');

const TABLE: readonly (readonly [policy: string, ...said: string[]])[] = [
  ['rules: []\n', '1:1 RULES_NO_RULES the policy has no rule; write at least one under rules:'],
  [
    'rules: [\n',
    '1:8 RULES_YAML this is not valid YAML: this [ is not closed; write ], and indent its lines deeper than its key',
  ],
  [
    '{{- range $i := .Values.rules }}\nrules:\n  - name: a\n  {{- if .deny }}\n    deny: {{ .deny }}\n  {{- end }}\n{{- end }}\n---\n{{ if }}\n',
    '1:1 RULES_YAML a line begins as in a template of Helm, and this is not valid YAML; if it is one, print what it comes to (helm template), and put that into the folder',
    '2:1 RULES_YAML this is not valid YAML: inside of { } or [ ] a comma is missing before this line, or a } or ] above it; write it',
  ],
  [
    alone('{ name: a, match: !has(request.path), deny: {} }'),
    `2:23 RULES_QUOTE_IT YAML reads !has(request.path) as a tag and drops it; quote the whole value: '...'`,
  ],
  [
    alone('{ name: a, deny: { body: "no $request.path}", headers: { x-a: request.path } } }'),
    '2:34 EXPRESSION_NOT_REPLACED $request.path} is sent as it stands; write ${request.path} for its value',
    '2:67 EXPRESSION_NOT_REPLACED request.path is sent as these words; write ${request.path} for its value',
  ],
  [
    alone(`{ name: a, match: '"\${request.path}" == "/a"', deny: {} }`),
    '2:25 EXPRESSION_NOT_REPLACED ${request.path} stands in a string of an expression, and is not replaced; join texts by +: "..." + request.path',
  ],
  [
    `handlers: { h: { adapter: quota-redis, config: { url: "redis://\${REDIS_HOST}:1" } } }\n${alone('{ name: a, quota: { handler: h, limit: 1, per: 1m, key: [] } }')}`,
    '1:55 EXPRESSION_NOT_REPLACED ${REDIS_HOST} is not replaced in a config; write { $env: REDIS_HOST } as the whole value',
  ],
  [
    `handlers: { h: { adapter: log-kafka, config: { brokers: ["127.0.0.1:1"], topic: t } } }\n${alone('{ name: a, calls: [log], report: { handler: h, params: { headers: { user: "${request.path}" } }, input: { path: request.path } } }')}`,
    '3:80 EXPRESSION_NOT_REPLACED ${request.path} stands in params, and is not replaced; give the handler request.path by input',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 3, cost: 4, per: 1m, key: [] } }'),
    '11:55 RULES_NEVER_GRANTED a call costs 4, and the limit is 3, so none ever passes; raise the limit, or write partial: true',
  ],
  [
    alone('{ name: a, match: null, deny: {} }'),
    `2:23 RULES_QUOTE_IT match must be an expression; found nothing. If YAML takes a part of it for its own syntax, quote the whole expression: '...'`,
  ],
  [
    alone(`{ name: a, deny: { headers: { ${headers(0, 82)} } } }`),
    '2:16 RULES_MANY_HEADERS deny adds 82 headers; one answer has at most 80, so remove 2',
  ],
  [
    alone(
      `{ name: a, onAllow: { request: { set: { ${headers(0, 40)} } }, response: { append: { ${headers(0, 41)} } } } }`,
    ),
    '2:16 RULES_MANY_HEADERS onAllow adds 81 headers, query parameters and metadata; one answer has at most 80, so remove 1',
  ],
  [
    '- a\n- b\n',
    '1:1 RULES_DOCUMENT a policy must be a map with the keys settings, plugins, attributes, handlers, rules; found a list',
  ],
  [
    'apiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: { name: x }\nspec: {}\n',
    '1:1 RULES_PEER_FORMAT this is the rule x of Istio Mixer (config.istio.io/v1alpha2), which is not read, so nothing in it is in force; write a rule for `sluice serve` (docs/how-to/from-mixer.md)',
  ],
  [
    'apiVersion: "config.istio.io/v1alpha2"\nkind: handler\nmetadata: { name: x }\nspec: { compiledAdapter: memquota, params: {} }\n',
    '1:1 RULES_PEER_FORMAT this is the handler x of Istio Mixer (config.istio.io/v1alpha2, memquota), which is not read, so nothing in it is in force; write a quota of the adapter quota-memory for `sluice serve` (docs/how-to/from-mixer.md)',
  ],
  [
    'apiVersion: config.istio.io/v1alpha2\nkind: handler\nmetadata: { name: x }\nspec: { adapter: ours, connection: { address: "a:1" } }\n',
    '1:1 RULES_PEER_FORMAT this is the handler x of Istio Mixer (config.istio.io/v1alpha2, ours), which is not read, so nothing in it is in force; write a plugin for `sluice serve` (docs/how-to/from-mixer.md)',
  ],
  [
    'apiVersion: config.istio.io/v1alpha2\nkind: listchecker\nmetadata: { name: x }\n---\napiVersion: config.istio.io/v1alpha2\nkind: RouteRule\nmetadata: { name: y }\n---\napiVersion: config.istio.io/v1alpha2\nkind: ServiceRole\nmetadata: { name: z }\n',
    '1:1 RULES_PEER_FORMAT this is the listchecker x of Istio Mixer (config.istio.io/v1alpha2), which is not read, so nothing in it is in force; write a check of the adapter check-list for `sluice serve` (docs/how-to/from-mixer.md)',
    '5:1 RULES_PEER_FORMAT this is the RouteRule y of Istio before 0.8 (config.istio.io/v1alpha2), which is not read, so nothing in it is in force; write a VirtualService of networking.istio.io for `sluice mesh`',
    '9:1 RULES_PEER_FORMAT this is the ServiceRole z of Istio before 0.8 (config.istio.io/v1alpha2), which is not read, so nothing in it is in force; write apiVersion: rbac.istio.io/v1alpha1 for `sluice serve`',
  ],
  [
    alone(`{ name: a, match: '"^/a".matches(request.path)', deny: {} }`),
    '2:24 EXPRESSION_PATTERN_FIRST the text "^/a" is tested by the pattern in request.path; the pattern is the argument: write request.path.matches("^/a")',
  ],
  [
    'domain: mongo\ndescriptors:\n  - key: database\n',
    '1:1 RULES_PEER_FORMAT this is a config of envoyproxy/ratelimit (domain mongo); serve it with `sluice ratelimit` from a separate folder, which `sluice lint` checks too',
  ],
  [
    alone('{ name: a, macth: "true", deny: {} }'),
    '2:16 RULES_UNKNOWN_KEY a rule has no key macth; did you mean match?',
  ],
  [
    alone('{ match: "true", deny: {} }'),
    '2:5 RULES_MISSING_KEY a rule needs name: its name in verdicts, logs and metrics, such as no-path-tricks',
  ],
  [
    `${alone('{ name: a, deny: {} }')}  - { name: a, deny: {} }\n`,
    '3:13 RULES_DUPLICATE the rule a is declared at test/cases/p.yaml:2:5, too; rename one',
  ],
  [
    alone('{ name: No_Tricks, deny: {} }'),
    '2:13 RULES_NAME the name of a rule must be lower case letters, digits and single hyphens, not "No_Tricks"; write no-tricks',
  ],
  [
    alone('{ name: a, deny: { body: "key ${request.api_key}" } }'),
    '2:30 RULES_SECRET_IN_TEXT body would send the secret request.api_key in the clear; remove it, or write reveal(...) to send it on purpose',
    '2:37 EXPRESSION_MAY_BE_ABSENT request.api_key may be absent, which fails the expression; write has(request.api_key) && ..., or request.?api_key.orValue(...) to avoid that',
  ],
  [
    `attributes:\n  my.auth: { is: 'request.headers[?"authorization"].orValue("")' }\n${alone('{ name: a, onAllow: { response: { set: { x-auth: "${my.auth}" } }, metadata: { q: "${request.query[?\'code\'].orValue(\'\')}" } } }')}`,
    '4:54 RULES_SECRET_IN_TEXT set.x-auth would send the secret my.auth (of request.headers["authorization"]) in the clear; remove it, or write reveal(...) to send it on purpose',
    '4:87 RULES_SECRET_IN_TEXT metadata.q would send the secret request.query["code"] in the clear; remove it, or write reveal(...) to send it on purpose',
  ],
  [
    rule(
      '{ name: a, check: { handler: list, input: { value: \'request.?api_key.orValue("")\' } }, onDeny: { body: "${out.reason}" } }',
    ),
    '11:108 RULES_SECRET_IN_TEXT body would send out.reason, which may contain request.api_key, a secret that the handler was given; remove it, or write reveal(out.reason) to send it on purpose',
  ],
  [
    rule(
      '{ name: a, report: { handler: out, input: { h: request.headers, ok: \'request.headers[?"x-a"].orValue("")\' } } }',
    ),
    '11:52 RULES_SECRET_HIDDEN h reads request.headers, which the report shows as (secret). Read only what the report needs, or write reveal(...) to report the secret in the clear',
  ],
  [
    alone('{ name: a, deny: { status: 200 } }'),
    '2:32 RULES_VALUE status is the number 200; expected a whole number from 300 to 599',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 1, per: month, zone: Mars/Base, key: [] } }'),
    '11:67 RULES_VALUE zone is Mars/Base, which is not a time zone; expected one such as Europe/Amsterdam',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 1, per: 1m, zone: UTC, key: [] } }'),
    '11:64 RULES_MISPLACED zone requires per: day, week, month, year',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 1, per: month, key: [], algorithm: gcra } }'),
    '11:54 RULES_MISPLACED a calendar period requires algorithm: fixed',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [], algorithm: concurrency } }'),
    '11:78 RULES_MISSING_KEY algorithm: concurrency needs once, which identifies the request when its lease ends, such as its x-request-id',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [], once: request.path, partial: true } }'),
    '11:87 RULES_MISPLACED partial cannot be combined with once: a repeat would be granted the amount of its first charge, which is not stored',
  ],
  [
    rule('{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [], policy: größe } }'),
    '11:75 RULES_VALUE policy names the limit for clients; use printable ASCII',
  ],
  [
    `handlers:\n  x: { adapter: quota-redis, config: { url: 'redis://h' } }\n${alone('{ name: a, quota: { handler: x, limit: 1, per: 1m, key: [] }, onError: local }')}`,
    '4:76 RULES_ON_ERROR onError: local needs a fallback handler, and x has none; add local: { handler: NAME, replicas: N } to x',
  ],
  [
    `handlers:\n  x: { adapter: quota-redis, config: { url: 'redis://h' }, local: { handler: xx, replicas: 2 } }\n${alone('{ name: a, quota: { handler: x, limit: 1, per: 1m, key: [] }, onError: local }')}`,
    '2:78 RULES_UNKNOWN_HANDLER no handler is named xx; did you mean x?',
  ],
  [
    `handlers:\n  x: { adapter: quota-redis, config: { url: 'redis://h' }, local: { handler: x, replicas: 2 } }\n${alone('{ name: a, quota: { handler: x, limit: 1, per: 1m, key: [] }, onError: local }')}`,
    '2:78 RULES_VALUE x cannot be its own fallback; name another handler',
  ],
  [
    `plugins: ./mine.ts\n${alone('{ name: a, deny: {} }')}`,
    '1:10 RULES_VALUE plugins must be a list of packages and paths, such as [sluice-check-revoked, ./check-hours.ts]; found the text "./mine.ts"',
  ],
  [
    `plugins: [fs, [./mine.ts]]\n${alone('{ name: a, deny: {} }')}`,
    '1:11 PLUGIN_NOT_FOUND fs is a module of Node; expected the name of a package, or a path as in ./fs',
    '1:15 RULES_VALUE a plugin must be the name of a package or a path; found a list',
  ],
  [
    `handlers: { h: { adapter: quota-memory, run: thread } }\n${alone('{ name: a, quota: { handler: h, limit: 1, per: 1s, key: [] } }')}`,
    '1:46 RULES_VALUE run is the text "thread"; expected one of inline, worker or { dial: ADDRESS }',
  ],
  [
    `handlers: { h: { adapter: quota-memory, run: { worker: { memory: 4MiB } } } }\n${alone('{ name: a, quota: { handler: h, limit: 1, per: 1s, key: [] } }')}`,
    '1:66 RULES_VALUE memory is the text "4MiB"; expected 32MiB to 1024GiB, such as 256MiB or 2GiB',
  ],
  [
    `handlers: { h: { adapter: quota-memory, run: { wroker: {} } } }\n${alone('{ name: a, quota: { handler: h, limit: 1, per: 1s, key: [] } }')}`,
    '1:48 RULES_UNKNOWN_KEY run has no key wroker; did you mean worker?',
  ],
  [
    `handlers:\n  x: { adapter: check-lst, config: {} }\n${alone('{ name: a, deny: {} }')}`,
    '2:17 RULES_UNKNOWN_ADAPTER no adapter is named check-lst; did you mean check-list?',
  ],
  [
    `handlers:\n  x: { adapter: acme-entitled, config: {} }\n${alone('{ name: a, deny: {} }')}`,
    '2:17 RULES_UNKNOWN_ADAPTER no adapter is named acme-entitled; if a plugin has it, name the plugin in plugins:',
  ],
  [
    rule('{ name: a, check: { handler: lst, input: { value: request.path } } }'),
    '11:34 RULES_UNKNOWN_HANDLER no handler is named lst; did you mean list?',
  ],
  [
    rule('{ name: a, check: { handler: mem, input: { value: request.path } } }'),
    '11:34 RULES_CAPABILITY mem is a quota-memory, which serves quota, not check',
  ],
  [
    `handlers:\n  x: { adapter: log-stdout, spool: disk, config: {} }\n${alone('{ name: a, report: { handler: x, input: { path: request.path } } }')}`,
    '2:36 RULES_SPOOL a spool on disk needs a folder; write settings: { spool: { folder: /var/lib/sluice/spool } }',
  ],
  [
    `settings: { spool: { folder: spool, sync: often, maxBytes: 5 } }\nhandlers:\n  x: { adapter: quota-memory, spool: disk, config: {} }\n  m: { adapter: metrics-prometheus, spool: { kind: disk }, config: { metrics: { calls: { kind: counter, help: Calls. } } } }\n${alone('{ name: a, report: { handler: m, params: { metric: calls } } }')}`,
    '1:43 RULES_VALUE sync is the text "often"; expected always, never, or a duration such as 50ms',
    '1:60 RULES_VALUE maxBytes is the number 5; expected a number of bytes from 1MiB to 1024TiB, such as 64MiB or 67108864',
    '3:38 RULES_SPOOL x is a quota-memory, which serves no reports; only reports are spooled, so remove spool',
    '4:44 RULES_SPOOL m is a metrics-prometheus, which counts its entries in this process at once; entries from a disk would be counted twice after a restart, so remove spool',
  ],
  [
    `handlers:\n  x: { adapter: check-list, config: { kind: sidr, values: [] } }\n${alone('{ name: a, check: { handler: x, input: { value: request.path } } }')}`,
    '2:45 RULES_CONFIG config of check-list, kind: expected one of "string"|"prefix"|"host"|"cidr"|"regex"',
  ],
  [
    rule('{ name: a, report: { handler: out, params: { leval: info }, input: { path: request.path } } }'),
    '11:48 RULES_PARAMS this adapter takes no params',
  ],
  [
    `handlers:\n  x: { adapter: quota-redis, config: { url: { $env: NOT_SET } } }\n${alone('{ name: a, quota: { handler: x, limit: 1, per: 1m, key: [] } }')}`,
    '2:53 RULES_ENV the environment variable NOT_SET is not set; set it in the environment of Sluice',
  ],
  [
    `handlers:\n  x: { adapter: quota-redis, config: { url: { $file: /does/not/exist } } }\n${alone('{ name: a, quota: { handler: x, limit: 1, per: 1m, key: [] } }')}`,
    '2:54 RULES_CONFIG_FILE /does/not/exist cannot be read: no such file or folder',
  ],
  [
    `attributes:\n  tier: { is: '1' }\n${alone('{ name: a, deny: {} }')}`,
    `2:3 RULES_ATTRIBUTE_NAME tier is not a valid name of a policy's attribute; it must begin with my., such as my.tier`,
  ],
  [
    `attributes:\n  my.a: { is: my.b }\n  my.b: { is: my.a }\n${alone('{ name: a, match: my.a == 1, deny: {} }')}`,
    '2:3 RULES_ATTRIBUTE_CYCLE my.a depends on my.b, which depends on it; write one of them without the other',
    '3:3 RULES_ATTRIBUTE_CYCLE my.b depends on my.a, which depends on it; write one of them without the other',
  ],
  [
    rule(
      `{ name: a, enrich: { handler: table, input: { key: 'my.y.plan' }, as: my.x } }\n  - { name: b, enrich: { handler: table, input: { key: 'my.x.plan' }, as: my.y } }`,
    ),
    '11:5 RULES_ENRICH_CYCLE a depends on b, which depends on it; let one of them read only what the proxy sends',
    '11:57 EXPRESSION_MAY_BE_ABSENT my.y.plan may be absent, which fails the expression; write has(my.y.plan) && ..., or my.y.?plan.orValue(...) to avoid that',
    '12:5 RULES_ENRICH_CYCLE b depends on a, which depends on it; let one of them read only what the proxy sends',
    '12:57 EXPRESSION_MAY_BE_ABSENT my.x.plan may be absent, which fails the expression; write has(my.x.plan) && ..., or my.x.?plan.orValue(...) to avoid that',
  ],
  [
    rule('{ name: a, enrich: { handler: table, input: { key: request.path }, as: my.row } }'),
    '11:76 RULES_ENRICH_OUTPUT my.row.plan is already declared; give this rule another as',
  ],
  [
    alone(`{ name: a, deny: { headers: { x-a: '${'x'.repeat(16_385)}' } } }`),
    '2:41 EXPRESSION_TEXT_TOO_LONG this text has 16385 characters, more than the 16384 that are sent; shorten it',
  ],
  [
    rule('{ name: a, check: { handler: list, input: { valeu: request.path, value: request.path } } }'),
    '11:49 RULES_UNKNOWN_INPUT the adapter has no input valeu; did you mean value?',
  ],
  [
    rule('{ name: a, check: { handler: list, input: {} } }'),
    '11:23 RULES_MISSING_INPUT the adapter needs the input value (string); write input: { value: EXPRESSION }',
  ],
  [
    rule('{ name: a, check: { handler: list, input: { value: request.headers } } }'),
    '11:56 RULES_INPUT_TYPE input value takes a scalar (it becomes text); found map(string, string)',
  ],
  [
    alone('{ name: a, deny: {}, allow: true }'),
    '2:26 RULES_ACTIONS a rule has one action, and this one has deny and allow; write one rule per action',
  ],
  [
    alone('{ name: a, deny: {}, sample: { percent: 1 } }'),
    '2:26 RULES_MISPLACED sample is for report; other rules have mode: { percent: ... }',
  ],
  [
    alone('{ name: a, deny: { unlessAllowed: shop } }'),
    '2:39 RULES_UNKNOWN_GROUP no allow rule belongs to the group shop; add a rule with allow: shop',
  ],
  [
    alone('{ name: a, match: response.code > 1, deny: {}, calls: [http] }'),
    '2:60 RULES_CALLS http calls cannot carry response.code, which the rule reads; remove http, or guard the read: has(response.code) && ...',
  ],
  [
    alone('{ name: a, deny: {}, onError: error }'),
    '2:35 RULES_ON_ERROR onError is the text "error"; expected input: deny or allow',
  ],
  [
    rule(
      '{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [], counter: c } }\n  - { name: b, quota: { handler: mem, limit: 1, per: 2m, key: [], counter: c } }',
    ),
    '12:23 RULES_COUNTER b shares the counter c with a, but differs in per, zone or algorithm; make them equal, or choose another counter',
  ],
  [
    alone('{ name: a, onAllow: { request: { set: { ":path": x } } } }'),
    `2:45 RULES_HEADER_NAME the header ":path" cannot be changed; a header name has letters, digits and hyphens; names with : belong to the proxy`,
  ],
  [
    alone('{ name: a, match: request.path == "/a", deny: {} }'),
    '2:23 RULES_PATH_AS_SENT request.path is the path as the client sent it, with the query and not normalised, so == is easily bypassed; compare request.url_path',
  ],
  [
    `attributes:\n  my.a: { type: string, from: [{ header: x-a }] }\n${alone('{ name: a, match: \'has(my.a) && my.a == "1"\', deny: {} }')}`,
    `2:32 RULES_HEADER_CARRIER any client can send the header x-a; have the proxy set it and remove the client's own, or use another carrier`,
  ],
  [
    alone(
      '{ name: a, match: request.method != "OPTIONS", deny: { unlessAllowed: true } }\n  - { name: b, allow: true }',
    ),
    '2:5 RULES_TCP_OPEN a closes http calls but leaves tcp calls open; add a rule that closes tcp, or write calls: [http] if tcp is not used',
  ],
  [
    `handlers:\n  x: { adapter: quota-memory, config: {} }\n${alone('{ name: a, deny: {} }')}`,
    '2:3 RULES_UNUSED no rule uses the handler x; remove it, or use it in a rule',
  ],
  [
    alone('{ name: a, match: "true" }'),
    '2:5 RULES_NO_EFFECT the rule a has neither an action nor onAllow; add deny, allow, check, quota, report or enrich, or remove the rule',
  ],
  [
    `settings: { rules: 2 }\n${alone('{ name: a, deny: {} }')}`,
    '1:20 RULES_COUNT settings.rules is 2, but the policy has 1; if no file was truncated, write rules: 1',
  ],
  [
    `settings: { trustDomainAliases: { old: cluster.local, Old: b, c: "d/e", e: old } }\n${alone('{ name: a, deny: {} }')}`,
    '1:55 RULES_VALUE settings.trustDomainAliases has Old; expected the name of a trust domain: lower-case letters, digits, dots, - and _',
    '1:66 RULES_VALUE settings.trustDomainAliases has the text "d/e"; expected the name of a trust domain: lower-case letters, digits, dots, - and _',
    '1:76 RULES_VALUE settings.trustDomainAliases has e for old, which is an alias itself; name the trust domain as which all of them read',
  ],
  [
    `settings: { istio: { trustDomainAliases: [old.example] } }\n${alone('{ name: a, deny: {} }')}`,
    '1:22 RULES_UNKNOWN_KEY settings.istio has no key trustDomainAliases; write settings.trustDomainAliases: { ALIAS: TRUST_DOMAIN }, which policies of Istio read, too',
  ],
  [
    `settings: { decisions: { sample: 1, mask: [origin.ipp, 'request.path["a"]', 'a b'] } }\n${alone('{ name: a, deny: {} }')}`,
    '1:44 RULES_MASK mask has origin.ipp, which is no attribute; did you mean origin.ip?',
    '1:56 RULES_MASK mask has a key of request.path, which is no map; write request.path alone',
    '1:77 RULES_VALUE mask has the text "a b"; expected the name of an attribute, or request.headers["x-user"] for one key of a map',
  ],
  [
    `settings: { path: BASE, trustedHops: 1 }\n---\nsettings: { path: NONE, trustedHops: 1 }\n${alone('{ name: a, deny: {} }')}`,
    '3:19 RULES_DUPLICATE settings.path is the text "NONE" here and the text "BASE" at test/cases/p.yaml:1:19; remove one of the two',
  ],
  [
    alone('{ name: a, match: \'request.host == "Shop.example:80" || "b" == request.host\', deny: {} }'),
    '2:23 RULES_HOST_FORM request.host never equals "Shop.example:80": it is in lower case, without port and trailing dot; compare it with "shop.example", and request.port with the port',
  ],
  [
    alone('{ name: a, match: \'request.host == "[0:0::1]" || request.host == "127.1"\', deny: {} }'),
    '2:23 RULES_HOST_FORM request.host never equals "[0:0::1]": it is in lower case, without port and trailing dot, its addresses as RFC 5952 writes them; compare it with "[::1]"',
    '2:23 RULES_HOST_FORM request.host never equals "127.1", which names no host',
  ],
  [
    alone(
      '{ name: a, match: \'request.host in ["shop", "Blog"] || request.host.endsWith(".Example.com") || request.host.startsWith("www.")\', deny: {} }',
    ),
    '2:23 RULES_HOST_FORM request.host never equals "Blog": it is in lower case, without port and trailing dot; compare it with "blog"',
    '2:23 RULES_HOST_FORM request.host never contains ".Example.com": it is in lower case; write ".example.com"',
  ],
  [
    alone('{ name: a, match: \'request.host in ["[::1]", "[0::1]", "Blog"]\', deny: {} }'),
    '2:23 RULES_HOST_FORM request.host never equals "[0::1]": it is in lower case, without port and trailing dot, its addresses as RFC 5952 writes them; compare it with "[::1]"',
    '2:23 RULES_HOST_FORM request.host never equals "Blog": it is in lower case, without port and trailing dot; compare it with "blog"',
  ],
  [
    alone(
      '{ name: a, match: \'has(source.principal) && source.principal == "spiffe://td/ns/a/sa/b" || "spiffe://td/a" != destination.?principal.orValue("") || source.spiffe.?id.orValue("") == "spiffe://td/a"\', deny: {} }',
    ),
    '2:23 RULES_PRINCIPAL_FORM source.principal never equals "spiffe://td/ns/a/sa/b": principals have no spiffe://; write "td/ns/a/sa/b"',
    '2:23 RULES_PRINCIPAL_FORM destination.principal never equals "spiffe://td/a": principals have no spiffe://; write "td/a"',
  ],
  [
    alone(
      '{ name: a, match: \'source.?principal.orValue("") in ["td/a", "spiffe://td/b"] || has(origin.principal) && (origin.principal.startsWith("spiffe://td/") || origin.principal.contains("spiffe://"))\', deny: {} }',
    ),
    '2:23 RULES_PRINCIPAL_FORM source.principal never equals "spiffe://td/b": principals have no spiffe://; write "td/b"',
    '2:23 RULES_PRINCIPAL_FORM origin.principal never contains "spiffe://td/": principals have no spiffe://; write "td/"',
    '2:23 RULES_PRINCIPAL_FORM origin.principal never contains "spiffe://": principals have no spiffe://; remove this test',
  ],
  [
    alone(
      '{ name: a, deny: {}, mode: { percent: 10, by: \'request.headers[?"x-user"].orValue("")\' } }\n  - { name: b, deny: {}, mode: { percent: 100, by: request.url_path } }\n  - { name: c, onAllow: {}, mode: { percent: 10, by: request.url_path } }\n  - { name: d, deny: {}, mode: { percent: 10, by: origin.ip } }',
    ),
    '2:51 RULES_CLIENT_CHOOSES clients choose request.headers[?"x-user"].orValue("") freely, and thereby whether they are inside the 10 %; use a value that the proxy sets or verifies, such as origin.ip or source.principal',
  ],
  [
    rule(
      '{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [], once: \'request.headers[?"idempotency-key"].orValue("")\' } }\n  - { name: b, quota: { handler: mem, limit: 1, per: 1m, key: [], once: request.?id.orValue("") + request.url_path } }',
    ),
    '11:73 RULES_CLIENT_CHOOSES a client that always sends the same request.headers[?"idempotency-key"].orValue("") is charged once only; have the proxy set it, or combine it with what is charged for, such as request.url_path',
  ],
  [
    alone('{ name: a, match: \'request.?body.orValue("").contains("evil")\', deny: {} }'),
    '2:23 RULES_PARTIAL_BODY a reads the body behind a guard, so it does not apply if Envoy sends no body or only its beginning; add a rule with match: request.body_is_partial, deny: { status: 413 }, or read the body without the guard',
  ],
  [
    alone(
      '{ name: a, match: \'request.?body.orValue("").contains("evil")\', deny: {} }\n  - { name: b, match: request.body_is_partial, deny: { status: 413 } }',
    ),
  ],
  [
    alone(
      '{ name: a, deny: { headers: { x-a: "one\\n", x-b: "a\\r\\nset-cookie: b=1", X-A: "\\ttab", connection: close } } }',
    ),
    '2:44 EXPRESSION_CONTROL_CHARACTER a header or a parameter is one line, but this text ends with a line break; begin the block with |- or >- (| and > keep the final break), or remove it',
    '2:56 EXPRESSION_CONTROL_CHARACTER a header or a parameter is one line, but this text contains a line break; remove it',
    '2:78 RULES_DUPLICATE headers has x-a twice (header names are case-insensitive); write one list: x-a: [a, b]',
    `2:92 RULES_HEADER_NAME the header "connection" cannot be changed; connection belongs to the proxy: it routes or delimits the message`,
  ],
  [
    'rules:\n  - name: a\n    deny:\n      body: |\n        fine\n      headers:\n        x-reason: |\n          closed for\n          the night\n        x-folded: >-\n          closed for\n          the night\n',
    '8:21 EXPRESSION_CONTROL_CHARACTER a header or a parameter is one line, but this text contains a line break; remove it',
  ],
  [
    'rules:\n  - name: a\n    onAllow:\n      request: { set: { x-up: "one\\n" } }\n      response: { append: { x-down: ["a", "b\\0"] } }\n      query: { set: { q: "a\\nb", "c\\nd": e } }\n      metadata: { note: "a\\nb" }\n',
    '4:35 EXPRESSION_CONTROL_CHARACTER a header or a parameter is one line, but this text ends with a line break; begin the block with |- or >- (| and > keep the final break), or remove it',
    '5:45 EXPRESSION_CONTROL_CHARACTER a header or a parameter is one line, but this text contains a control character; remove it',
    '6:28 EXPRESSION_CONTROL_CHARACTER a header or a parameter is one line, but this text contains a line break; remove it',
    '6:34 RULES_VALUE "c\\nd" contains a control character; a name must not',
  ],
  [
    `handlers:\n  x: { adapter: enrich-table, config: { fil: a.csv } }\n${alone('{ name: a, enrich: { handler: x, input: { key: request.path }, as: my.x } }\n  - { name: b, match: \'my.x.plan == "a"\', deny: {} }')}`,
    '2:39 RULES_CONFIG config of enrich-table, key, columns: they are missing',
    '2:41 RULES_CONFIG config of enrich-table, fil: unknown key; did you mean file?',
  ],
  [
    alone(
      Array.from({ length: 1001 }, (_, at) => `{ name: a${at}, match: request.path == "/", deny: {} }`).join('\n  - '),
    ),
    ...Array.from(
      { length: 1000 },
      (_, at) =>
        `${at + 2}:${23 + String(at).length} RULES_PATH_AS_SENT request.path is the path as the client sent it, with the query and not normalised, so == is easily bypassed; compare request.url_path`,
    ),
    '1002:27 RULES_MORE_WARNINGS this policy has more than 1000 warnings; the rest is not shown',
  ],
  // expressions: plain, quoted, in block scalars, over several lines
  [
    alone('{ name: a, match: request.metod == "GET", deny: {} }'),
    '2:23 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
  ],
  [
    alone(`{ name: a, match: 'request.method == ''GET'' && request.metod == "x"', deny: {} }`),
    '2:53 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
  ],
  [
    alone(`{ name: a, match: "request.method == \\"GET\\" && request.metod == 'x'", deny: {} }`),
    '2:53 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
  ],
  [
    'rules:\n  - name: a\n    match: |\n      request.method == "GET"\n      && request.metod == "x"\n    deny: {}\n',
    '5:10 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
  ],
  [
    'rules:\n  - name: a\n    match: >-\n      request.method == "GET"\n      && request.metod == "x"\n    deny: {}\n',
    '5:10 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
  ],
  [
    alone('{ name: a, deny: { body: "bad ${request.metod} here" } }'),
    '2:37 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?',
  ],
  [
    alone(`{ name: a, match: 'request.method ==', deny: {} }`),
    '2:41 EXPRESSION_SYNTAX the expression ends here; expected a value',
  ],
  [
    alone(`{ name: a, match: request, deny: {} }`),
    '2:23 EXPRESSION_NOT_AN_ATTRIBUTE request is not an attribute, but a prefix of request.method, request.path, request.url_path, request.path_is_plain ...',
  ],
  [
    alone(`{ name: a, match: 'request.method.x == "a"', deny: {} }`),
    '2:24 EXPRESSION_NO_FIELD string has no fields or keys; only maps and lists have',
  ],
  [
    alone(`{ name: a, match: 'request.method.startWith("a")', deny: {} }`),
    '2:24 EXPRESSION_UNKNOWN_FUNCTION unknown function startWith(); did you mean startsWith?',
  ],
  [
    alone(`{ name: a, match: 'destination.name | "unknown" == "x"', deny: {} }`),
    '2:41 EXPRESSION_SYNTAX "|" is not part of any expression; "or" is ||, and a default for an absent value is written destination.?name.orValue("default")',
  ],
  [
    alone(`{ name: a, deny: { body: '\${request.headers["x-user"] | "nobody"}' } }`),
    '2:59 EXPRESSION_SYNTAX "|" is not part of any expression; "or" is ||, and a default for an absent value is written request.headers[?"x-user"].orValue("nobody")',
  ],
  [
    alone(`{ name: a, match: 'destination.name || "unknown"', deny: {} }`),
    '2:24 EXPRESSION_TYPE || takes bool (a default for an absent value is written a.?b.orValue("default")); found string',
    '2:44 EXPRESSION_TYPE || takes bool (a default for an absent value is written a.?b.orValue("default")); found string',
  ],
  [
    alone(`{ name: a, match: 'match(request.headers["user-agent"], "curl*")', deny: {} }`),
    '2:24 EXPRESSION_UNKNOWN_FUNCTION unknown function match(); instead of match(x, "a*") or match(x, "*a") write x.startsWith("a") or x.endsWith("a")',
  ],
  [
    alone(`{ name: a, match: 'request.method == 1', deny: {} }`),
    '2:24 EXPRESSION_NO_OVERLOAD no matching overload for string == int; convert one of them: int(x) or string(x)',
  ],
  [alone(`{ name: a, match: request.method, deny: {} }`), '2:23 EXPRESSION_TYPE expected bool; found string'],
  [
    alone(`{ name: a, match: 'request.method.matches("(")', deny: {} }`),
    '2:47 EXPRESSION_CONSTANT "(" is not an RE2 pattern: error parsing regexp: missing closing ): `(`',
  ],
  [
    alone(`{ name: a, match: '1 / 0 == 1', deny: {} }`),
    '2:24 EXPRESSION_OVERFLOW this constant cannot be computed: a number is out of range, or divided by 0',
  ],
  [
    alone(`{ name: a, match: 'request.headers["x-role"] == "a"', deny: {} }`),
    '2:24 EXPRESSION_MAY_BE_ABSENT request.headers["x-role"] may be absent, which fails the expression; write request.headers[?"x-role"].orValue(...) to avoid that',
  ],
];

test.each([
  ['of a deny', `{ name: a, deny: { headers: { ${headers(0, 80)} } } }`],
  [
    'whose values are joined',
    `{ name: a, onAllow: { response: { set: { ${headers(0, 40)} }, append: { ${headers(0, 20, '[a, b, c]')} }, remove: [x-79] } } }`,
  ],
])('as many headers as an answer may have, %s', async (_, text) => {
  expect((await load(alone(text))).filter(({ severity }) => severity === 'error')).toEqual([]);
});

describe('one invalid policy for each code', () => {
  test.each(TABLE.map(([policy, ...expected]) => ({ policy, expected, first: expected[0] })))(
    '$first',
    async ({ policy, expected }) => {
      expect((await load(policy)).map(said)).toEqual(expected);
    },
  );

  test('a missing file', async () => {
    const { findings } = await loadPolicy(['/does/not/exist'], { adapters });
    expect(findings.map(({ position: { file }, code }) => [file, code])).toEqual([
      ['/does/not/exist', 'RULES_FILE_UNREADABLE'],
    ]);
  });

  test('an adapter whose outputs cannot be computed', async () => {
    const broken = defineAdapter({
      name: 'enrich-broken',
      summary: 'Cannot say what it makes.',
      config: z.strictObject({}),
      serves: {
        enrich: {
          input: { key: 'string' },
          output: () => {
            throw new Error('no columns');
          },
        },
      },
      open: () => Promise.resolve({ lookup: () => () => undefined }),
    });
    const text = `handlers:\n  x: { adapter: enrich-broken, config: {} }\n${alone('{ name: a, enrich: { handler: x, input: { key: request.path }, as: my.x } }')}`;
    const { findings: found } = await loadPolicyText(new Map([['p.yaml', text]]), {
      adapters: createRegistry([broken]),
    });
    expect(found.map(said)).toEqual([
      '4:24 RULES_ADAPTER_SHAPE enrich-broken makes no output of this config and these params: no columns; correct them, or report it to the author of the plugin if they are right',
    ]);
  });

  test.each<[string, unknown, string]>([
    ['a type that is none', { key: 'sting' }, 'its input has key of type "sting"; expected string, int'],
    ['a promise', Promise.resolve({ key: 'string' }), 'its input is a promise; expected names and types'],
    ['nothing', undefined, "its input is not a shape: expected names and types, 'any'"],
    ['a function', () => ({ key: 'string' }), 'its input is a function that returns a function'],
  ])('an adapter whose function of inputs returns %s', async (_what, made, says) => {
    const broken = {
      ...defineAdapter({
        name: 'check-broken',
        summary: 'Cannot say what it reads.',
        config: z.strictObject({}),
        serves: { check: { input: () => ({ key: 'string' }) } },
        open: () => Promise.resolve({ check: () => () => allow() }),
      }),
      serves: { check: { input: () => made } },
    } as unknown as Adapter;
    const text = `handlers:\n  x: { adapter: check-broken, config: {} }\n${alone('{ name: a, check: { handler: x, input: { key: request.path } } }')}`;
    const { findings: found } = await loadPolicyText(new Map([['p.yaml', text]]), {
      adapters: createRegistry([broken]),
    });
    expect(found.map(said)).toEqual([expect.stringContaining(`RULES_ADAPTER_SHAPE check-broken, with this config`)]);
    expect(found[0]?.message).toContain(says);
  });

  test('an adapter whose function of defaults returns no expressions', async () => {
    const broken = {
      ...defineAdapter({
        name: 'check-broken',
        summary: 'Has defaults that are none.',
        config: z.strictObject({}),
        serves: { check: { input: { key: 'string' } } },
        open: () => Promise.resolve({ check: () => () => allow() }),
      }),
      serves: { check: { input: { key: 'string' }, defaults: () => ({ key: 5 }) } },
    } as unknown as Adapter;
    const text = `handlers:\n  x: { adapter: check-broken, config: {} }\n${alone('{ name: a, check: { handler: x } }')}`;
    const { findings: found } = await loadPolicyText(new Map([['p.yaml', text]]), {
      adapters: createRegistry([broken]),
    });
    expect(found[0]?.message).toContain('its defaults have a number as key; expected an expression, as text');
  });

  test('an adapter whose schema throws', async () => {
    const throwing = (name: string, check: () => boolean | Promise<boolean>): Adapter =>
      defineAdapter({
        name,
        summary: 'Checks its config wrongly.',
        config: z.strictObject({}).refine(check),
        serves: { check: { input: {} } },
        open: () => Promise.resolve({ check: () => () => allow() }),
      });
    const adapters = createRegistry([
      throwing('check-throws', () => {
        throw new TypeError('no such thing');
      }),
      throwing('check-later', () => Promise.resolve(true)),
    ]);
    const text = `handlers:\n  x: { adapter: check-throws }\n  y: { adapter: check-later }\n${alone('{ name: a, deny: {} }')}`;
    const files = new Map([['p.yaml', text]]);
    const { findings: found } = await loadPolicyText(files, { adapters });
    const linted = await loadPolicyText(files, { adapters, unsetEnv: 'warning' });
    expect(linted.findings.map(said)).toEqual(found.map(said)); // tries the schema with stand-ins for variables
    expect(found.filter(({ severity }) => severity === 'error').map(said)).toEqual([
      '2:6 RULES_CONFIG config of check-throws: the schema of the adapter threw an error: no such thing; report it to the author of the plugin',
      expect.stringMatching(/^3:6 RULES_CONFIG config of check-later: the schema of the adapter threw an error: /),
    ]);
  });

  test('an adapter whose plugin cannot be loaded', async () => {
    const registry = createRegistry(
      [],
      [
        {
          name: 'check-bent',
          folder: 'check-bent',
          problems: [new AdapterError('ADAPTER_LOAD_FAILED', 'adapter.ts:3:7: Unexpected token')],
        },
      ],
    );
    const text = `handlers:\n  x: { adapter: check-bent, config: {} }\n${alone('{ name: a, check: { handler: x, input: { value: request.path } } }')}`;
    const { findings: found } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters: registry });
    expect(found.map(said)).toEqual([
      '2:17 RULES_BROKEN_ADAPTER the plugin of check-bent cannot be loaded: ADAPTER_LOAD_FAILED adapter.ts:3:7: Unexpected token; fix the plugin, or use another adapter',
    ]);
  });

  test('every code is tested', () => {
    const known = [...Object.keys(RULES_ERRORS), ...Object.keys(EXPRESSION_ERRORS)];
    const met = new Set(TABLE.flatMap(([, ...findings]) => findings.map((one) => one.split(' ')[1])));
    expect(known.filter((code) => !met.has(code))).toEqual([
      'RULES_FILE_UNREADABLE',
      'RULES_BROKEN_ADAPTER',
      'RULES_ADAPTER_SHAPE',
      'EXPRESSION_FAILED',
    ]); // the last is of `sluice eval`
  });
});

test('a rule that says it closes http calls only is not warned about tcp calls', async () => {
  const text = '{ name: a, calls: [http], deny: { unlessAllowed: true } }\n  - { name: b, allow: true }';
  expect((await load(alone(text))).map(said)).toEqual([]);
});

test.each([
  `deny: { headers: { x-page: "\${request.query['page']}" }, body: "\${request.query.page}" }`,
  `onAllow: { request: { set: { x-page: "\${request.query['page']}" } }, metadata: { page: "\${request.query.page}" } }`,
  `check: { handler: list, input: { value: request.path } }, onDeny: { body: "\${request.query.page}" }`,
])('a text is not warned about a key that the match of its rule proves: %s', async (action) => {
  const warned = async (match: string): Promise<string[]> =>
    (await load(rule(`{ name: a, match: '${match}', ${action} }`))).map(({ code }) => code);
  expect(await warned('"page" in request.query')).toEqual([]);
  expect(new Set(await warned('"size" in request.query'))).toEqual(new Set(['EXPRESSION_MAY_BE_ABSENT']));
});

test.each([
  ['{ name: a, when: "true", deny: {} }', 'a rule has no key when; write match'],
  ['{ name: a, deny: { code: 401 } }', 'deny has no key code; write status'],
  ['{ name: a, deny: { <<: { status: 401 } } }', 'deny has no key <<: maps are not merged; write its keys out'],
  [
    '{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [], requests: 5 } }',
    'quota has no key requests; write limit',
  ],
  [
    '{ name: a, quota: { handler: mem, limit: 1, per: minute, key: [] } }',
    'per is the text "minute"; expected a duration such as 30s, 1m, 1h, 1d, 50ms, or day, week, month, year',
  ],
])('a word of another system is answered by the one of here: %s', async (text, message) => {
  expect((await load(rule(text))).map((finding) => finding.message)).toContain(message);
});

test('a tab is not text to quote', async () => {
  expect((await load('rules:\n\t- { name: a, deny: {} }\n')).map(said)).toEqual([
    '2:1 RULES_YAML this is not valid YAML: a tab stands in an indentation; indent with spaces',
  ]);
});

test('a body with directives of a template is text', async () => {
  const text =
    'rules:\n  - name: a\n    deny:\n      body: |\n        {{#if x}}\n        {{ .name }}\n        {{ end }}\n';
  expect(await load(text)).toEqual([]);
});

test('a list of values for a header that is set is an error that names append, which takes one', async () => {
  const found = await load(
    rule('{ name: a, onAllow: { response: { set: { set-cookie: ["a=1"] }, append: { x-b: [c, d] } } } }'),
  );
  expect(found.map(({ code, message }) => `${code} ${message}`)).toEqual([
    'RULES_VALUE set.set-cookie must be one text, since it replaces the value; for several values write append: { set-cookie: [a, b] }',
  ]);
});

test('all errors are reported at once, from top to bottom, with the source line', async () => {
  const { findings, policy } = await loadPolicyText(
    new Map([
      [
        'shop.yaml',
        `${alone('{ name: a, match: request.metod == "GET", deny: { status: 99 } }')}  - { name: b, check: { handler: none, input: {} } }\n`,
      ],
    ]),
    { adapters },
  );
  expect(policy).toBeUndefined();
  expect(findings.map(findingText)).toEqual([
    `shop.yaml:2:23 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?
    - { name: a, match: request.metod == "GET", deny: { status: 99 } }
                        ^^^^^^^^^^^^^`,
    `shop.yaml:2:63 RULES_VALUE status is the number 99; expected a whole number from 300 to 599
    - { name: a, match: request.metod == "GET", deny: { status: 99 } }
                                                                ^^`,
    `shop.yaml:3:34 RULES_UNKNOWN_HANDLER no handler is named none; declare it under handlers:
    - { name: b, check: { handler: none, input: {} } }
                                   ^^^^`,
  ]);
});

test('a policy with anything cut out, doubled or swapped never throws, and says codes that are known', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../../examples/mesh/policy.yaml'), 'utf8');
  const codes = new Set([...Object.keys(RULES_ERRORS), ...Object.keys(EXPRESSION_ERRORS)]);
  const at = fc.integer({ min: 0, max: page.length });
  const piece = fc.constantFrom(
    '',
    ' ',
    '\n',
    ':',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '!',
    '&a ',
    '*a',
    '${',
    '|',
    '\t',
    'null',
    '0x',
    '🜂',
    '\u0000',
    'true',
    '<<: ',
  );
  let broken = 0;
  await fc.assert(
    fc.asyncProperty(at, at, piece, async (from, to, put) => {
      const mutated =
        page.slice(0, Math.min(from, to)) + put + page.slice(from < to && to - from < 40 ? to : Math.min(from, to));
      const { policy, findings } = await loadPolicyText(new Map([['p.yaml', mutated]]), { adapters, env: {} });
      if (policy === undefined) broken++;
      const errors = findings.filter(({ severity }) => severity === 'error');
      return (
        (policy === undefined) === errors.length > 0 &&
        findings.every(({ code, position: { line, column } }) => codes.has(code) && line > 0 && column > 0)
      );
    }),
    { numRuns: 1500 },
  );
  expect(broken).toBeGreaterThan(300);
}, 600_000);

describe('which calls a rule answers (docs/rules.md, section 4)', () => {
  const callsOf = async (text: string): Promise<string> => {
    const { policy, findings } = await loadPolicyText(new Map([['test/cases/p.yaml', rule(text)]]), {
      adapters,
      env: {},
    });
    if (policy === undefined) throw new Error(findings.map(findingText).join('\n'));
    return [...(policy.rules.at(-1)?.calls ?? [])].join(' ');
  };
  test.each([
    ['{ name: a, match: "true", deny: {} }', 'http tcp authzen'],
    ['{ name: a, allow: g }', 'http tcp authzen'],
    ['{ name: a, check: { handler: list, input: { value: source.principal } } }', 'http tcp'],
    ['{ name: a, match: request.method == "GET", deny: {} }', 'http'],
    ['{ name: a, match: "has(request.method)", deny: {} }', 'http tcp authzen'],
    [`{ name: a, match: 'request.?method.orValue("") == "GET"', deny: {} }`, 'http tcp authzen'],
    [`{ name: a, match: 'has(request.method) && request.method == "GET"', deny: {} }`, 'http tcp authzen'],
    ['{ name: a, match: ratelimit.domain == "x", deny: {}, calls: [limit] }', 'limit'],
    ['{ name: a, onAllow: { request: { set: { x-a: "1" } } } }', 'http'],
    ['{ name: a, onAllow: { metadata: { a: "1" } } }', 'http tcp'],
    ['{ name: a, onAllow: { response: { set: { x-a: "1" } } } }', 'http'],
    ['{ name: a, onAllow: { response: { append: { set-cookie: "a=1" } } } }', 'http'],
    ['{ name: a, onAllow: { response: { set: { x-a: "1" } } }, calls: [http, limit] }', 'http limit'],
    ['{ name: a, match: ratelimit.domain == "x", onAllow: { response: { set: { x-a: "1" } } } }', 'limit'],
    ['{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [] } }', 'http tcp authzen'],
    ['{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [ratelimit.descriptor.user] } }', 'limit'],
    ['{ name: a, quota: { handler: mem, limit: 1, per: 1m, key: [request.path] } }', 'http'],
    ['{ name: a, report: { handler: out, input: { code: response.code } } }', 'log'],
    ['{ name: a, report: { handler: out, input: { ip: source.ip } } }', 'log tcp-log'],
    ['{ name: a, report: { handler: out, input: { domain: ratelimit.domain } }, calls: [limit] }', 'limit'],
    ['{ name: a, report: { handler: out, input: { path: request.path } }, calls: [http] }', 'http'],
    [
      '{ name: a, enrich: { handler: table, input: { key: source.principal }, as: my.x } }',
      'http tcp log tcp-log log-interim tcp-log-interim',
    ],
    ['{ name: a, enrich: { handler: table, input: { key: ratelimit.domain }, as: my.x } }', 'limit'],
  ])('%s', async (text, calls) => {
    expect(await callsOf(text)).toBe(calls);
  });
});

test.each([
  ['config: { url: "redis://ann:hunter2@127.0.0.1:6379" }', 'config: { url: "redis://***********@127.0.0.1:6379" }'],
  [
    'config: { url: redis://127.0.0.1:6379, password: 8842217 }',
    'config: { url: redis://127.0.0.1:6379, password: ******* }',
  ],
  [
    'config: { url: "http://127.0.0.1:6379", password: "hunter2, too" }',
    'config: { url: "http://127.0.0.1:6379", password: ************** }',
  ],
  [
    'config: { url: "http://127.0.0.1:6379", sentinelPassword: { $env: GUARD } }',
    'config: { url: "http://127.0.0.1:6379", sentinelPassword: { $env: GUARD } }',
  ],
])('a line is shown without its secrets: %s', async (config, shown) => {
  const findings = await load(
    `handlers:\n  limits: { adapter: quota-redis, ${config} }\nrules:\n  - { name: r, quota: { handler: limits, limit: 1, per: 1m, key: [] } }\n`,
  );
  const texts = findings.map(findingText);
  expect(texts.join('\n')).toContain(`limits: { adapter: quota-redis, ${shown} }`);
  expect(texts.join('\n')).not.toMatch(/hunter2|8842217/);
});
