/**
 * The boards and alerts of deploy/, and the tables of docs/metrics.md, against a Prometheus that scrapes a running server with traffic, and
 * the pages of a control plane and of a webhook.
 * The policy uses whatever has metrics: a spool, a cache, a handler in a worker, a list with a url.
 */
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { grafanaBoards } from '../../scripts/grafana/dashboards.ts';
import { callCheck, callLimit, callLog } from '../../src/cli/call/index.ts';
import { eventually } from '../../src/adapters/testing/index.ts';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { prometheusProgram } from '../parts/fetch.ts';
import { freePort } from '../parts/free-port.ts';
import { type PrometheusPart, startPrometheus } from '../parts/prometheus.ts';
import { type Program, program, ROOT } from './command.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

const exec = promisify(execFile);
const DEPLOY = join(ROOT, 'deploy');
const text = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook: string; readonly summary: string };
}
const ALERTS = (parse(text('deploy/prometheus/alerts.yaml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);

interface Dashboard {
  readonly title: string;
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
}
const BOARDS = globSync('grafana/*.json', { cwd: DEPLOY })
  .toSorted()
  .map((file) => ({ file, board: JSON.parse(text(`deploy/${file}`)) as Dashboard }));

const POLICY = (port: number): string => `
settings: { spool: { folder: spool } }
handlers:
  limits: { adapter: quota-memory, config: {} }
  lines: { adapter: log-file, config: { path: lines.log }, spool: disk }
  office: { adapter: check-list, config: { values: [ann] }, run: worker }
  revoked: { adapter: check-list, config: { values: [eve], url: "http://127.0.0.1:${port}/list", refreshMs: 100 } }
  profile: { adapter: enrich-http, config: { url: "http://127.0.0.1:${port}/", values: { plan: { at: /plan } } } }
  counts: { adapter: metrics-prometheus, config: { metrics: { shop_requests_total: { kind: counter } } } }
rules:
  - { name: profile, match: request.path == "/profile", enrich: { handler: profile, params: { path: a }, as: my.profile } }
  - { name: closed, match: request.path == "/closed", deny: {} }
  - { name: later, match: request.path == "/later", deny: {}, mode: shadow }
  - { name: office, match: request.path == "/office", check: { handler: office, input: { value: '"ann"' } } }
  - { name: revoked, match: request.path == "/revoked", check: { handler: revoked, params: { blocks: true }, input: { value: '"ann"' } }, onError: allow }
  - { name: three, match: request.path == "/three", quota: { handler: limits, limit: 3, per: 1h, key: [] } }
  - { name: users, match: ratelimit.domain == "shop", quota: { handler: limits, limit: 3, per: 1h, key: [ratelimit.descriptor.user] } }
  - { name: lines, calls: [log], report: { handler: lines, input: { path: request.path } } }
  - { name: counts, calls: [log], report: { handler: counts, params: { metric: shop_requests_total }, input: { value: 1 } } }
`;

let sluice: ServedSluice;
let mesh: Program;
let webhook: Program;
let authority: Authority;
let prometheus: PrometheusPart;

async function traffic(): Promise<void> {
  const to = `127.0.0.1:${sluice.grpcPort}`;
  for (const path of ['/', '/closed', '/later', '/office', '/revoked', '/three', '/three', '/profile'])
    await callCheck(to, { 'request.method': 'GET', 'request.path': path });
  await callLimit(to, { 'ratelimit.domain': 'shop', 'ratelimit.descriptor': { user: 'ann' } });
  await callLog(to, { 'request.method': 'GET', 'request.path': '/', 'response.code': 200 });
}

beforeAll(async () => {
  sluice = await serveSluice(POLICY(await freePort()), {
    args: ['--workers', '2', '--candidate', join(ROOT, 'examples/start')],
  });
  const ports = ['xds', 'admin', 'secure'].flatMap((name) => [`--${name}`, '127.0.0.1:0']);
  mesh = await program(['mesh', join(ROOT, 'examples/bookinfo/mesh'), ...ports], /Ctrl-C stops it/);
  authority = await makeAuthority();
  const { cert, key } = await authority.issue('webhook', 'DNS:localhost');
  const addresses = ['https', 'admin'].flatMap((name) => [`--${name}`, '127.0.0.1:0']);
  webhook = await program(['webhook', ...addresses, '--tls-cert', cert, '--tls-key', key], /serving /);
  prometheus = await startPrometheus(`127.0.0.1:${sluice.adminPort}`);
  await traffic();
  // A rate needs two scrapes with traffic between.
  await eventually(async () => {
    await traffic();
    expect(await prometheus.query('sum(rate(sluice_calls_total[1m])) > 0')).toHaveLength(1);
  }, 30_000);
}, 120_000);
afterAll(async () => {
  await prometheus.stop();
  await sluice.stop();
  await mesh.stop();
  await webhook.stop();
  await authority.remove();
}, 30_000);

/** As Grafana fills them in. */
const filledIn = (expr: string): string =>
  expr.replaceAll('$job', '.*').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');

/** Metrics that a query reads. */
const namesIn = (expr: string): string[] => [
  ...new Set(
    [...expr.matchAll(/\b(sluice|process|nodejs)_[a-z0-9_]+(?=[{[ )])/g)].map(([name]) =>
      name.replace(/_(bucket|sum|count)$/, ''),
    ),
  ),
];

describe('the boards', () => {
  test('are those of scripts/grafana (npm run generate writes them)', () => {
    expect(new Map(BOARDS.map(({ file }) => [file.replace('grafana/', ''), text(`deploy/${file}`)]))).toEqual(
      grafanaBoards(),
    );
  });

  test.each(BOARDS)(
    '$board.title: every query is evaluated, and reads metrics that the server has',
    async ({ board }) => {
      const exposed = await exposedFamilies();
      const queries = board.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
      expect(queries.length).toBeGreaterThan(5);
      for (const { title, expr } of queries) {
        await prometheus.query(filledIn(expr)); // rejects an invalid one
        for (const name of namesIn(expr)) expect(exposed.has(name), `${title}: ${name}`).toBe(true);
      }
    },
  );

  test('the panels that show any traffic show this traffic', async () => {
    const shown = new Set<string>();
    for (const { board } of BOARDS)
      for (const { title, targets = [] } of board.panels)
        for (const { expr } of targets)
          if ((await prometheus.query(filledIn(expr))).some(({ value: [, value] }) => Number(value) > 0))
            shown.add(title);
    for (const title of [
      'Calls by kind',
      'Duration of calls',
      'Durations',
      'Matches',
      'Denials',
      'Shadow rules would refuse',
      'Failures',
      'Rate limit calls by outcome',
      'Written',
      'Time of an fdatasync',
      'Memory',
      'Workers',
      'Rules in force',
    ])
      expect(shown).toContain(title);
  });
});

const documented = new Map(
  [...text('docs/metrics.md').matchAll(/^\| `((?:sluice|process|nodejs)_\w+)` \| (\w+) \| (.*) \|$/gm)].map(
    ([, name = '', kind = '', help = '']) => [name, { kind, help: help.replaceAll('\\|', '|') }],
  ),
);

describe('the alerts', () => {
  test('are valid, and each one fires in alerts.test.yaml', async () => {
    const promtool = join((await prometheusProgram()).replace(/[^/]+$/, ''), 'promtool');
    const cwd = join(DEPLOY, 'prometheus');
    expect((await exec(promtool, ['check', 'rules', 'alerts.yaml'], { cwd })).stdout).toContain('SUCCESS');
    expect((await exec(promtool, ['test', 'rules', 'alerts.test.yaml'], { cwd })).stdout).toContain('SUCCESS');
    const { tests } = parse(text('deploy/prometheus/alerts.test.yaml')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const fired = tests.flatMap((one) =>
      one.alert_rule_test.filter(({ exp_alerts: alerts }) => alerts.length > 0).map(({ alertname }) => alertname),
    );
    expect([...new Set(fired)].toSorted()).toEqual(ALERTS.map(({ alert }) => alert).toSorted());
  });

  test('each one has a heading in the runbook, and the runbook has no other', () => {
    const runbook = text('docs/runbook.md');
    const section = runbook.slice(
      runbook.indexOf('\n## Alerts\n'),
      runbook.indexOf('\n## ', runbook.indexOf('\n## Alerts\n') + 1),
    );
    const headings = [...section.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    expect(headings).toEqual(ALERTS.map(({ alert }) => alert));
    for (const { alert, annotations } of ALERTS)
      expect(annotations.runbook).toBe(`docs/runbook.md#${alert.toLowerCase()}`);
  });

  test.each(ALERTS)('$alert is evaluated, and reads metrics that the server has', async ({ expr }) => {
    await prometheus.query(expr);
    const exposed = await exposedFamilies();
    // Those of plugins that this policy does not use are compared with the table of docs/metrics.md, and that with their sources.
    const known = (name: string): boolean =>
      exposed.has(name) || (name.startsWith('sluice_plugin_') && documented.has(name));
    for (const name of namesIn(expr)) expect(known(name), name).toBe(true);
  });

  test('of this server fire for the handlers that are away, not for the others', async () => {
    await eventually(async () => {
      const handlers = async (alert: string): Promise<unknown[]> =>
        (await prometheus.query(ALERTS.find((one) => one.alert === alert)?.expr ?? '')).map(
          ({ metric }) => metric['handler'],
        );
      expect(await handlers('SluiceListIsStale')).toEqual(['revoked']);
      expect(await prometheus.query(ALERTS.find(({ alert }) => alert === 'SluiceDown')?.expr ?? '')).toEqual([]);
      expect(await prometheus.query(ALERTS.find(({ alert }) => alert === 'SluiceRuleFails')?.expr ?? '')).not.toEqual(
        [],
      );
    }, 30_000);
  }, 40_000);
});

interface Family {
  readonly kind: string;
  readonly help: string;
}

async function exposedFamilies(): Promise<ReadonlyMap<string, Family>> {
  const [, meshAdmin = ''] = /admin +(http:\/\/127\.0\.0\.1:\d+)/.exec(mesh.err()) ?? [];
  const [, webhookAdmin = ''] = /admin="?(127\.0\.0\.1:\d+)/.exec(webhook.err()) ?? [];
  const pages = await Promise.all([
    sluice.admin('/metrics'),
    fetch(`${meshAdmin}/metrics`),
    fetch(`http://${webhookAdmin}/metrics`),
  ]);
  const page = (await Promise.all(pages.map((answer) => answer.text()))).join('');
  const kinds = new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind = '']) => [name, kind]));
  return new Map(
    [...page.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help = '']) => [
      name,
      { kind: kinds.get(name) ?? '', help },
    ]),
  );
}

describe('docs/metrics.md', () => {
  test('has every metric that the servers expose, with its kind and meaning', async () => {
    const exposed = [...(await exposedFamilies())].filter(([name]) => !name.startsWith('shop_'));
    expect(exposed.filter(([name]) => name.startsWith('sluice_')).length).toBeGreaterThan(45);
    const missing = exposed.filter(([name, family]) => JSON.stringify(documented.get(name)) !== JSON.stringify(family));
    expect(
      missing.map(([name, { kind, help }]) => `| \`${name}\` | ${kind} | ${help.replaceAll('|', '\\|')} |`),
    ).toEqual([]);
  });

  test('has the counters of all plugins, and no metric that no server exposes', async () => {
    const exposed = await exposedFamilies();
    // Plugins that need a backend are not opened here: the names of their counters stand in their sources.
    const ofPlugins = globSync(['src/{adapters,counting}/**/*.ts', 'plugins/**/*.ts'], { cwd: ROOT })
      .filter((file) => !/\.test\.ts$|\/testing\//.test(file))
      .flatMap((file) => {
        const source = text(file);
        const [, prefix = ''] = /counter\(`(\w+?)\$\{/.exec(source) ?? [];
        return [...source.matchAll(/(\.?)\b(?:counter|count|openRegistry)\((?:config, host,)?\s*'([a-z_]+)'/g)].map(
          ([, dot = '', name = '']) => `sluice_plugin_${dot === '' ? prefix : ''}${name}_total`,
        );
      });
    expect(ofPlugins.length).toBeGreaterThan(15);
    expect(ofPlugins.filter((name) => !documented.has(name))).toEqual([]);
    const known = new Set([...exposed.keys(), ...ofPlugins]);
    expect([...documented.keys()].filter((name) => !known.has(name))).toEqual([]);
  });
});
