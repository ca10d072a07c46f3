/** `sluice explain` has no effects, unless --for-real is given. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-explain-'));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const POLICY = `
attributes:
  my.token: { is: 'request.headers[?"authorization"].orValue("none")' }
handlers:
  limits: { adapter: quota-memory }
  audit: { adapter: log-stdout }
rules:
  - { name: known, match: 'my.token != "none"', onAllow: { request: { set: { x-a: "fixed", x-list: '\${request.auth.?claims[?"aud"].orValue([])}', x-agent: '\${request.headers[?"user-agent"].orValue("")}' } } } }
  - { name: per-host, quota: { handler: limits, limit: 5, per: 1h, key: [request.host] } }
  - { name: big, match: 'request.path.startsWith("/big")', quota: { handler: limits, limit: 5, cost: 6, per: 1h, key: [] } }
  - { name: written, calls: [http], report: { handler: audit, input: { path: request.path } } }
  - { name: closed, match: 'request.path == "/closed"', deny: { status: 403, body: 'not \${request.path}' } }
`;
const REQUEST =
  'request.method: GET\nrequest.path: /a?token=t-12345\nrequest.host: shop\nrequest.headers: { authorization: Bearer topsecret, user-agent: curl }\nmetadata: { envoy.filters.http.jwt_authn: { payload: { aud: [a, b] } } }\n';

let policy = '';
let request = '';
beforeAll(() => {
  policy = file('policy.yaml', POLICY);
  request = file('request.yaml', REQUEST);
});

describe('sluice explain', () => {
  test('charges nothing, writes nothing, and lists what it left out', async () => {
    const { code, out, err } = await run(['explain', policy, '--request', request]);
    expect([code, err.replaceAll(/^.*\(warning\).*\n(?: .*\n)*/gm, '').replaceAll(/^\d+ warnings?\n*/gm, '')]).toEqual([
      0,
      '',
    ]);
    expect(out).toMatch(/^allow/);
    expect(out).toContain('not done: per-host would charge limits');
    expect(out).toContain('not done: written would write to audit');
    expect(out).toContain('--for-real has');
    expect(out).not.toMatch(/^\{/m);
  });

  test('has effects with --for-real', async () => {
    const { code, out } = await run(['explain', policy, '--request', request, '--for-real']);
    expect(code).toBe(0);
    expect(out).toMatch(/^\{.*"path":"\/a\?token=t-12345".*\}$/m); // written by log-stdout
    expect(out).not.toContain('not done');
  });

  test('explains why a change of a rule was discarded', async () => {
    const { out } = await run(['explain', policy, '--request', request]);
    expect(out).toMatch(/known: request x-list failed to render, so all names that this rule sets are removed: \S+/);
    expect(out).toContain('request loses x-a');
  });

  test('explains that a text for the upstream is too long', async () => {
    const long = file('long.yaml', REQUEST.replace('/a?token=t-12345', `/${'a'.repeat(16_384)}`));
    const copying = file(
      'copying.yaml',
      `rules: [{ name: r, onAllow: { request: { set: { x-p: '\${request.path}' } } } }]`,
    );
    const { out } = await run(['explain', copying, '--request', long]);
    expect(out).toMatch(/r: request x-p failed to render.*: it has more than 16384 characters/);
    expect(out).toContain('request loses x-p');
  });

  test('lists attributes that only texts read, and shows no secret', async () => {
    const { out } = await run(['explain', policy, '--request', request, '--json']);
    const { attributes, notDone, failedTexts } = JSON.parse(out) as {
      attributes: Record<string, unknown>;
      notDone: unknown;
      failedTexts: readonly { readonly rule: string; readonly text: string }[];
    };
    expect(attributes).toMatchObject({
      'my.token': '(secret)',
      'request.path': '/a?token=(secret)',
      'request.headers': { authorization: '(secret)', 'user-agent': 'curl' },
      'request.auth.claims': { aud: ['a', 'b'] },
    });
    expect(notDone).toEqual([
      { rule: 'per-host', what: 'charge', handler: 'limits' },
      { rule: 'written', what: 'report', handler: 'audit' },
    ]);
    expect(failedTexts).toMatchObject([{ rule: 'known', text: 'request x-list' }]);
    expect(out).not.toMatch(/topsecret|t-12345/);
  });

  test('denies by a quota as the call would, and lists no charge if another rule has denied', async () => {
    const big = await run([
      'explain',
      policy,
      '--request',
      file('big.yaml', 'request.path: /big\nrequest.host: shop\n'),
      '--json',
    ]);
    expect(JSON.parse(big.out)).toMatchObject({ verdict: { outcome: 'deny', rule: 'big', status: 429 } });
    const closed = await run([
      'explain',
      policy,
      '--request',
      file('closed.yaml', 'request.path: /closed\nrequest.host: shop\n'),
      '--json',
    ]);
    expect(JSON.parse(closed.out)).toMatchObject({
      verdict: { outcome: 'deny', rule: 'closed', body: 'not /closed' },
      notDone: [{ rule: 'written', what: 'report' }],
    });
  });

  test('names the handler that cannot be opened, and exits with 3', async () => {
    const missing = file(
      'missing.yaml',
      'handlers:\n  l: { adapter: check-list, config: { kind: cidr, file: gone.txt } }\nrules:\n  - { name: a, check: { handler: l, input: { value: request.path } } }\n',
    );
    const { code, err } = await run(['explain', missing, '--request', request]);
    expect(code).toBe(3);
    expect(err).toMatch(/missing\.yaml:2:\d+ CORE_HANDLER_OPEN .*gone\.txt/);
    expect(err).not.toMatch(/Internal error|at .*\.ts:\d+/);
  });
});
