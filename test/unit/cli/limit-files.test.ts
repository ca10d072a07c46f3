/** `sluice lint` of files that `sluice ratelimit` reads. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { run } from '../../e2e/command.ts';
import { checkLimits, holdLimits } from '../../../src/cli/limits/limit-files.ts';

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

function folder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-limits-'));
  made.push(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

const LIMIT = '{ unit: minute, requests_per_unit: 10 }';
const EDGE = `domain: edge\ndescriptors:\n  - key: user\n    rate_limit: ${LIMIT}\n`;
const POLICY = 'rules: [{ name: closed, deny: {} }]\n';

describe('files are recognised as limits', () => {
  test.each([
    ['by their domain', EDGE],
    ['where the key of the domain is misspelt', 'domian: edge\ndescriptors: []\n'],
    ['in flow style', '{ "domain": "edge", "descriptors": [] }'],
    ['also where they are no YAML', 'domain: edge\ndescriptors: [\n'],
    ['after a comment and a marker', '# rates\n--- \ndomain: edge\n'],
  ])('%s', async (_how, text) => {
    expect(await holdLimits([folder({ 'a.yaml': text })])).toBe(true);
  });

  test('with any extension and encoding', async () => {
    expect(await holdLimits([folder({ 'rates.conf': EDGE })])).toBe(true);
    expect(await holdLimits([folder({ 'a.yaml': Buffer.from(`\uFEFF${EDGE}`, 'utf16le') })])).toBe(true);
    expect(await holdLimits([join(folder({ rates: EDGE }), 'rates')])).toBe(true);
  });

  test.each([
    ['a policy', POLICY],
    ['cases', 'cases: []\n'],
    ['a policy that names a domain', 'rules:\n  - name: a\n    description: |\n      domain: edge\n    deny: {}\n'],
    ['nothing', ''],
    ['limits after a policy', `${POLICY}---\n${EDGE}`],
  ])('but not %s', async (_what, text) => {
    expect(await holdLimits([folder({ 'a.yaml': text })])).toBe(false);
  });

  test('nor a missing path', async () => {
    expect(await holdLimits(['/nowhere/at/all'])).toBe(false);
  });
});

test('counts domains and limits, further limits of a descriptor too, but no end of a lease', async () => {
  const path = folder({
    'edge.yaml': EDGE,
    'deep/shop.yml':
      `domain: shop\ndescriptors:\n  - key: user\n    rate_limit: { unit: second, requests_per_unit: 1, sluice: { also: [{ unit: hour, requests_per_unit: 9 }] } }\n` +
      '    descriptors:\n      - key: request\n        rate_limit: { requests_per_unit: 2, sluice: { algorithm: concurrency, per: 30s } }\n',
    '..data': 'is not read',
  });
  expect(await checkLimits([path])).toEqual({ files: 2, domains: 2, limits: 4, findings: [] });
});

test('links to a parent folder are not followed', async () => {
  const path = folder({ 'rates.conf': EDGE });
  for (const name of ['one', 'two', 'three']) symlinkSync(path, join(path, name));
  expect(await holdLimits([path])).toBe(true);
  expect(await checkLimits([path])).toMatchObject({ files: 1, findings: [] });
});

describe('the command', () => {
  test('prints the counts, and exits with 0', async () => {
    const { code, out, err } = await run(['lint', folder({ 'a.yaml': EDGE })]);
    expect({ code, out, err }).toEqual({
      code: 0,
      out: 'good  for sluice ratelimit: 1 domain and 1 limit in 1 file\n',
      err: '',
    });
  });

  test('prints every error and warning of all files with its place, and exits with 1', async () => {
    const path = folder({
      'a.yaml': `domain: edge\ndescriptors:\n  - key: user\n    rate_limit: { unit: fortnight, requests_per_unit: 10 }\n    nonsense: 1\n`,
      'b.yaml': `domain: shop\ndescriptors:\n  - key: user\n    rate_limit: { unit: minute }\n  - key: user\n    rate_limit: ${LIMIT}\n`,
    });
    const { code, out } = await run(['lint', path]);
    expect(out).toMatch(/a\.yaml:5:5 RATELIMIT_UNKNOWN_KEY .*nonsense/);
    expect(out).toMatch(/b\.yaml:4:17 RATELIMIT_NO_AMOUNT \(warning\)/);
    expect(out).toMatch(/b\.yaml:5:10 RATELIMIT_DUPLICATE_KEY/);
    expect(out).toContain('2 errors and 1 warning');
    expect(code).toBe(1);
  });

  test('honours MERGE_DOMAIN_CONFIG, with the default of sluice ratelimit', async () => {
    const path = folder({ 'a.yaml': EDGE, 'b.yaml': EDGE.replace('user', 'path') });
    const [strict, merging] = await Promise.all([
      run(['lint', path]),
      run(['lint', path, '--json'], { env: { MERGE_DOMAIN_CONFIG: 'true' } }),
    ]);
    expect(strict.out).toMatch(/b\.yaml:1:9 RATELIMIT_DUPLICATE_DOMAIN/);
    expect(strict.code).toBe(1);
    expect(JSON.parse(merging.out)).toEqual({ ok: true, files: 2, domains: 1, limits: 2, findings: [] });
    expect(merging.code).toBe(0);
  });

  test('rejects a folder that also holds a policy', async () => {
    const { code, out } = await run(['lint', folder({ 'limits.yaml': EDGE, 'policy.yaml': POLICY })]);
    expect(out).toMatch(/limits\.yaml:1:1 RULES_PEER_FORMAT .*domain edge.*separate folder/);
    expect(code).toBe(1);
  });
});
