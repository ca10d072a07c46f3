/** The files of `sluice plugins new`: for every set of capabilities they type-check, and policies and cases pass. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Capability, CAPABILITIES } from '../../../src/adapters/contract.ts';
import { pluginFiles } from '../../../src/cli/plugin-template/template.ts';
import { ROOT, run } from '../../e2e/command.ts';

const SETS: readonly (readonly Capability[])[] = Array.from({ length: 15 }, (_, at) =>
  CAPABILITIES.filter((_one, bit) => ((at + 1) >> bit) & 1),
);
const versions = { node: '24', typescript: '7', zod: '4', '@types/node': '24' };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-new-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/sluice'));
  for (const name of ['zod', '@types'])
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  for (const serves of SETS) {
    const name = `check-${serves.join('-')}`;
    const files = pluginFiles({ name, serves: new Set(serves), sluice: '*', versions });
    for (const [path, text] of files) {
      mkdirSync(dirname(join(folder, name, path)), { recursive: true });
      writeFileSync(join(folder, name, path), text);
    }
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the adapters and their tests type-check', () => {
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: './check-check/tsconfig.json',
      compilerOptions: {
        allowImportingTsExtensions: true,
        paths: {
          'sluice/plugin': [join(ROOT, 'src/adapters/index.ts')],
          'sluice/plugin/testing': [join(ROOT, 'src/adapters/testing/index.ts')],
          'sluice/counting': [join(ROOT, 'src/counting/index.ts')],
        },
      },
      include: ['*/src'],
    }),
  );
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace(/package\.json$/, 'bin/tsc');
  expect(execFileSync(process.execPath, [tsc, '--noEmit'], { cwd: folder, encoding: 'utf8' })).toBe('');
}, 240_000);

const RUN = SETS.filter(({ length }) => length === 1 || length === CAPABILITIES.length);

describe.each(RUN.map((serves) => [serves.join(', '), `check-${serves.join('-')}`]))(
  'a plugin that serves %s',
  (_, name) => {
    test('has a policy without a finding, and cases that pass', async () => {
      const linted = await run(['lint', 'example/policy.yaml'], { cwd: join(folder, name) });
      expect(linted.out).toMatch(/^good {2}revision/);
      const tested = await run(['test', 'example'], { cwd: join(folder, name) });
      expect(tested).toMatchObject({ code: 0 });
    });
  },
);

test.each([
  [['Check_Hours'], /must be a name in kebab-case/],
  [['@acme/check-hours'], /must be a name in kebab-case.*the package may have a scope/],
  [['check-http'], /Sluice itself has an adapter named check-http/],
  [['check-x', '--serves', 'check,quotas'], /--serves names "quotas"; expected some of enrich, check, quota, report/],
  [['check-check'], /check-check exists and is not empty/],
])('new %j is refused, and writes nothing', async (args, says) => {
  const { code, err } = await run(['plugins', 'new', ...args], { cwd: folder });
  expect(code).not.toBe(0);
  expect(err).toMatch(says);
});
