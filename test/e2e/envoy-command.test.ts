/** `sluice envoy`: what it prints, a real Envoy accepts and runs. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { envoyBootstrap, envoySnippet, plainBootstrap } from '../../src/envoy/bootstrap.ts';
import { checkEnvoy } from '../../src/envoy/check/check.ts';
import { gatewayObjects } from '../../src/envoy/gateway.ts';
import { istioObjects } from '../../src/envoy/istio.ts';
import { needsOf } from '../../src/envoy/needs.ts';
import { DEFAULT_OPTIONS, type EnvoyOptions } from '../../src/envoy/options.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { envoyProgram } from '../parts/fetch.ts';
import { freePort } from '../parts/free-port.ts';
import { startUpstream } from '../parts/upstream.ts';
import { FRAGMENTS, policyOfFragments } from '../unit/envoy/fragments.ts';
import { needsOfText, policyIn } from '../unit/envoy/load.ts';
import { ROOT, run } from './command.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-envoy-command-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const write = async (name: string, text: string): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
};

/** `OK`, or why Envoy refuses it. */
async function validated(file: string): Promise<string> {
  return promisify(execFile)(await envoyProgram(), ['--mode', 'validate', '-c', file], { maxBuffer: 1 << 24 }).then(
    () => 'OK',
    (error: Error) => error.message.slice(0, 2000),
  );
}

interface Bootstrap {
  readonly stats_sinks?: readonly object[];
  readonly static_resources: {
    readonly listeners: readonly { readonly name: string }[];
    readonly clusters: readonly object[];
  };
}

/** One Envoy for the listeners of many configurations; its start takes longer than reading them. */
function together(all: readonly object[]): object {
  const bootstraps = all as readonly Bootstrap[];
  const listeners = bootstraps.flatMap(({ static_resources: { listeners: ours } }) => ours);
  return {
    ...(bootstraps[0] as object),
    stats_sinks: bootstraps.flatMap(({ stats_sinks: sinks }) => sinks ?? []).slice(0, 1),
    static_resources: {
      listeners: listeners.map((one, at) => ({
        ...one,
        name: `listener-${at}`,
        address: { socket_address: { address: '127.0.0.1', port_value: 20_000 + at } }, // nothing listens
      })),
      clusters: bootstraps[0]?.static_resources.clusters,
    },
  };
}

const FORMS: readonly EnvoyOptions[] = [
  { ...DEFAULT_OPTIONS, withTcp: true },
  { ...DEFAULT_OPTIONS, withTcp: true, isOtlp: true },
];

test.each(['start', 'mesh', 'otlp', 'istio-metrics', 'kubernetes', 'jwt'])(
  'Envoy accepts the configuration for examples/%s',
  async (name) => {
    const needs = await needsOf(await policyIn(join(ROOT, 'examples', name)));
    const file = await write(
      `${name}.json`,
      JSON.stringify(together(FORMS.map((options) => plainBootstrap(needs, options)))),
    );
    expect(await validated(file)).toBe('OK');
  },
);

test('Envoy accepts the configuration for each need by itself', async () => {
  const all = await Promise.all(
    FRAGMENTS.map(async (fragment, at) =>
      plainBootstrap(await needsOfText(policyOfFragments([fragment])), FORMS[at % FORMS.length] ?? DEFAULT_OPTIONS),
    ),
  );
  expect(await validated(await write('fragments.json', JSON.stringify(together(all))))).toBe('OK');
});

test('Envoy accepts the configuration for random policies, which lacks nothing', async () => {
  const made: object[] = [];
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.constantFrom(...FRAGMENTS), { minLength: 2, maxLength: 12 }),
      fc.record({
        isOtlp: fc.boolean(),
        withTcp: fc.boolean(),
        failOpen: fc.constantFrom(undefined, true, false),
        timeoutMs: fc.constantFrom(undefined, 250),
        host: fc.constantFrom('10.0.0.1', 'sluice.mesh'),
      }),
      async (fragments, chosen) => {
        const options = { ...DEFAULT_OPTIONS, ...chosen };
        const needs = await needsOfText(policyOfFragments(fragments));
        const text = envoyBootstrap(needs, options);
        const plain = plainBootstrap(needs, options);
        expect(parse(text, { version: '1.1' })).toEqual(plain);
        expect(() => parse(envoySnippet(needs, options), { version: '1.1' }) as unknown).not.toThrow();
        const findings = await checkEnvoy('envoy.yaml', text, needs, options);
        expect(findings.filter(({ message }) => !message.includes('no filter fills'))).toEqual([]);
        made.push(plain);
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 15) },
  );
  expect(await validated(await write('random.json', JSON.stringify(together(made))))).toBe('OK');
});

const POLICY = `
attributes: { my.tier: { type: string, from: { contextExtension: tier } } }
handlers: { lines: { adapter: log-stdout }, counts: { adapter: quota-memory } }
rules:
  - name: whole-bodies
    match: request.body_is_partial
    deny: { status: 413 }
  - name: no-evil
    match: request.method == "POST" && request.?body.orValue("").contains("evil")
    deny: { status: 400 }
  - name: tier
    match: request.url_path == "/tier"
    deny: { status: 403, body: '\${my.?tier.orValue("-")}' }
  - name: two-a-user
    match: ratelimit.domain == "shop"
    quota: { handler: counts, limit: 2, per: 1h, key: [ratelimit.descriptor.user] }
  - name: entries
    calls: [log]
    report:
      handler: lines
      input:
        path: request.url_path
        user: 'request.headers[?"x-user"].orValue("-")'
        type: 'response.headers[?"content-type"].orValue("-")'
        outcome: 'verdict.?outcome.orValue("unchecked")'
        rule: 'verdict.?rule.orValue("-")'
        limited: 'verdict.?limit_outcome.orValue("-")'
`;

describe.each([
  ['an access log stream', []],
  ['OTLP', ['--otlp']],
])('the printed configuration, by %s, runs', (_what, flags) => {
  let upstream: Awaited<ReturnType<typeof startUpstream>>;
  let sluice: ServedSluice;
  let envoy: EnvoyPart;
  let [admin, http] = [0, 0];
  let policy = '';
  beforeAll(async () => {
    upstream = await startUpstream();
    sluice = await serveSluice(POLICY);
    policy = sluice.policyFile;
    [admin, http] = [await freePort(), await freePort()];
    const { code, out, err } = await run([
      'envoy',
      policy,
      '--full',
      '--address',
      `127.0.0.1:${sluice.grpcPort}`,
      '--timeout',
      '5s',
      ...flags,
    ]);
    expect([code, err.split('\n').filter((line) => / [A-Z_]+ /.test(line) && !line.includes('(warning)'))]).toEqual([
      0,
      [],
    ]);
    const text = Object.entries({ 9901: admin, 10000: http, 8080: upstream.httpPort }).reduce(
      (config, [port, ours]) => config.replace(`port_value: ${port} }`, `port_value: ${ours} }`),
      out.replace('FILL-IN', 'gold'),
    );
    envoy = await startEnvoy({ config: parse(text, { version: '1.1' }) as object, adminPort: admin });
  }, 60_000);
  afterAll(async () => {
    await envoy?.stop();
    await sluice?.stop();
    await upstream?.stop();
  });

  test('bodies are read, limits hold, headers are logged, verdicts are joined', async () => {
    const send = async (path: string, init: RequestInit = {}): Promise<[number, string]> => {
      const answer = await fetch(`http://127.0.0.1:${http}${path}`, init);
      return [answer.status, (await answer.text()).slice(0, 4)];
    };
    expect((await send('/good', { method: 'POST', body: 'good' }))[0]).toBe(200);
    expect((await send('/evil', { method: 'POST', body: 'evil' }))[0]).toBe(400);
    expect((await send('/long', { method: 'POST', body: 'a'.repeat(9000) }))[0]).toBe(413);
    expect(await send('/tier')).toEqual([403, 'gold']);
    const headers = { 'x-user': 'ann' };
    const statuses = [];
    for (let sent = 0; sent < 3; sent++) statuses.push((await send('/limited', { headers }))[0]);
    expect(statuses).toEqual([200, 200, 429]);
    const lines = await until('all entries', () => (sluice.written.length >= 7 ? sluice.written : undefined));
    const shown = lines.map(({ path, user, outcome, rule, limited }) => [path, user, outcome, rule, limited].join(' '));
    expect(shown.toSorted()).toEqual(
      [
        '/good - allow - -',
        '/evil - deny no-evil -',
        '/long - unchecked - -', // Envoy's own 413, before the check
        '/tier - deny tier -',
        '/limited ann allow - allow',
        '/limited ann allow - allow',
        '/limited ann allow - deny',
      ].toSorted(),
    );
    expect(lines.find(({ path }) => path === '/good')).toMatchObject({ type: 'application/json' });
  }, 60_000);

  test.runIf(flags.length === 0)(
    '--check finds nothing in what Envoy dumps, and what is taken away',
    async () => {
      const dump = await (await fetch(`http://127.0.0.1:${admin}/config_dump`)).text();
      const good = await run(['envoy', policy, '--check', await write('dump.json', dump)]);
      expect([good.out, good.code]).toEqual([expect.stringContaining('has all that the policy needs'), 0]);
      const changed = dump
        .replaceAll('"max_request_bytes"', '"max_bytes"')
        .replaceAll('"domain": "shop"', '"domain": "other"');
      const bad = await run(['envoy', policy, '--check', await write('changed.json', changed)]);
      expect(bad.code).toBe(1);
      expect(bad.out).toMatch(
        /^.*changed\.json:\d+:\d+ ENVOY_BODY_TOO_SMALL max_request_bytes is not set, which rule no-evil needs; write max_request_bytes: 8192$/m,
      );
      expect(bad.out).toMatch(
        /ENVOY_DOMAIN no ratelimit filter has the domain shop, which rule two-a-user needs; write domain: shop/,
      );
      const rows = JSON.parse(
        (await run(['envoy', policy, '--check', join(folder, 'changed.json'), '--json'])).out,
      ) as {
        ok: boolean;
        findings: { code: string }[];
      };
      expect([rows.ok, rows.findings.map(({ code }) => code).toSorted()]).toEqual([
        false,
        ['ENVOY_BODY_TOO_SMALL', 'ENVOY_DOMAIN'],
      ]);
    },
    60_000,
  );

  test('the admin port shows the parts for the policy in force', async () => {
    const answer = await sluice.admin('/policy/envoy');
    expect(await answer.text()).toContain('# rule two-a-user\n');
  });
});

describe('the command', () => {
  test('reads files of sluice ratelimit, beside a policy or alone', async () => {
    const limits = await write(
      'limits.yaml',
      'domain: api\ndescriptors:\n  - key: tenant\n    rate_limit: { unit: minute, requests_per_unit: 5 }\n',
    );
    const alone = await run(['envoy', limits]);
    expect(alone.code).toBe(0);
    expect(alone.out).toContain('domain: api');
    expect(alone.out).toContain('# api.tenant\n');
    expect(alone.out).not.toContain('ext_authz');
    const both = await run(['envoy', join(ROOT, 'examples/start'), limits]);
    expect(both.out).toContain('domain: shop');
    expect(both.out).toMatch(/domain: shop\s+stage: 1/);
  });

  test('prints the same text each time, for Istio and Envoy Gateway too', async () => {
    const texts = async (): Promise<string[]> => {
      const needs = await needsOf(await policyIn(join(ROOT, 'examples/mesh')));
      return [envoySnippet, envoyBootstrap, istioObjects, gatewayObjects].map((print) => print(needs, DEFAULT_OPTIONS));
    };
    expect(await texts()).toEqual(await texts());
  });

  test('prints objects of Istio and of Envoy Gateway', async () => {
    const [istio, gateway] = await Promise.all(
      ['--istio', '--gateway'].map(async (form) => run(['envoy', join(ROOT, 'examples/start'), form])),
    );
    const kinds = (text = ''): string[] => [...text.matchAll(/^kind: (\w+)$/gm)].map(([, kind = '']) => kind);
    expect(kinds(istio?.out)).toEqual(['AuthorizationPolicy', 'Telemetry', 'EnvoyFilter']);
    expect(kinds(gateway?.out)).toEqual([
      'Backend',
      'SecurityPolicy',
      'ClientTrafficPolicy',
      'BackendTrafficPolicy',
      'EnvoyProxy',
    ]);
  });

  test.each([
    [['--timeout', 'soon'], 'CLI_USAGE', 2],
    [['--address', 'nowhere'], 'CLI_ADDRESS', 2],
    [['--check', '/no/such/file'], 'CLI_ENVOY_FILE', 3],
    [['--istio', '--gateway'], '--gateway', 2],
  ])('%j is refused', async (flags, says, code) => {
    const ran = await run(['envoy', join(ROOT, 'examples/start'), ...flags]);
    expect([ran.code, ran.err]).toEqual([code, expect.stringContaining(says)]);
  });

  test('a policy with errors is refused with all of them', async () => {
    const ran = await run(['envoy', await write('broken.yaml', 'rules: [{ name: a, deny: { statu: 1 } }]')]);
    expect([ran.code, ran.out]).toEqual([1, '']);
    expect(ran.err).toContain('RULES_UNKNOWN_KEY');
  });

  test('the printed file is the one that Envoy reads', async () => {
    const { out } = await run(['envoy', join(ROOT, 'examples/start'), '--full']);
    const file = await write('start.yaml', out);
    expect(await validated(file)).toBe('OK');
    expect(await readFile(file, 'utf8')).toContain('# sluice cannot know: where user comes from');
  });
});
