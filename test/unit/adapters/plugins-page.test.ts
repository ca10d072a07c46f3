/** docs/plugins.md is true: its examples, word for word under `examples/` of a checkout, pass all that the page says to run. */
import { execFile } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Checkout, makeCheckout } from '../../parts/checkout.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PAGE = readFileSync(join(ROOT, 'docs/plugins.md'), 'utf8');
const NAMES = ['check-hours', 'quota-small', 'log-append'] as const;
const blocks = [...PAGE.matchAll(/```ts file=(\S+)\n([\s\S]*?)```/g)].map(([, file = '', text = '']) => ({
  file,
  text,
}));
const [, rule = ''] = /```yaml\n([\s\S]*?)```/.exec(PAGE) ?? [];

let checkout: Checkout;
beforeAll(() => {
  checkout = makeCheckout(Object.fromEntries(blocks.map(({ file, text }) => [`examples/${file}`, text])));
  symlinkSync(join(ROOT, '.cache'), checkout.path('.cache')); // vitest's global setup would fetch it again
  checkout.write('examples/policy.yaml', rule);
  for (const name of NAMES) {
    const text = blocks.find(({ file }) => file === `${name}/adapter.test.ts`)?.text ?? '';
    checkout.write(
      `examples/${name}/node.test.ts`,
      text.replace("from 'vitest'", "from 'node:test'").replaceAll(/^test\(/gm, 'void test('),
    );
  }
});
afterAll(() => checkout?.remove());

const run = promisify(execFile);
/** As an author would, in the checkout; rejects with all that it said. */
async function inCheckout(...args: readonly string[]): Promise<string> {
  try {
    const { VITEST: _, NODE_OPTIONS: __, NODE_TEST_CONTEXT: ___, ...env } = process.env;
    return (
      await run(process.execPath, args, {
        cwd: checkout.folder,
        env: { ...env, NO_COLOR: '1', FORCE_COLOR: undefined },
      })
    ).stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${args.join(' ')}\n${stdout}\n${stderr}`, { cause: error });
  }
}
const tool = (path: string): string => join('node_modules', path);

describe('the examples of docs/plugins.md, in a checkout', () => {
  test('are the expected files', () => {
    expect(blocks.map(({ file }) => file)).toEqual(
      NAMES.flatMap((name) => [`${name}/adapter.ts`, `${name}/adapter.test.ts`]),
    );
  });

  test('pass the check of types, under the strictest settings', async () => {
    checkout.write(
      'tsconfig.examples.json',
      JSON.stringify({ extends: './tsconfig.json', include: NAMES.map((name) => `examples/${name}`) }),
    );
    await inCheckout(tool('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.examples.json');
  }, 60_000);

  test('pass lint, with either runner', async () => {
    await inCheckout(tool('oxlint/bin/oxlint'), ...NAMES.map((name) => `examples/${name}`));
  }, 60_000);

  test('pass their own tests by vitest', async () => {
    const out = await inCheckout(
      tool('vitest/vitest.mjs'),
      'run',
      ...NAMES.map((name) => `examples/${name}/adapter.test.ts`),
    );
    expect(out).toMatch(new RegExp(`Test Files {2}${NAMES.length} passed`));
    expect(Number(/Tests {2}(\d+) passed/.exec(out)?.[1])).toBeGreaterThan(25);
  }, 60_000);

  test.each(NAMES)(
    'pass those of %s by node itself',
    async (name) => {
      const out = await inCheckout(
        '--import',
        './src/adapters/register.ts',
        '--test',
        '--test-reporter=tap',
        `examples/${name}/node.test.ts`,
      );
      expect(out).toMatch(/^# fail 0$/m);
      expect(Number(/^# pass (\d+)$/m.exec(out)?.[1])).toBeGreaterThan(10);
    },
    60_000,
  );

  test('are listed, and the rule of the page is good', async () => {
    expect(await inCheckout('src/cli/bin.ts', 'plugins', 'examples/policy.yaml')).toMatch(
      /^check-hours +check +examples\/check-hours\/adapter\.ts +Lets callers in between two hours of the day \(UTC\)\.$/m,
    );
    const shown = await inCheckout('src/cli/bin.ts', 'plugins', 'show', 'check-hours', 'examples/policy.yaml');
    expect(shown).toContain('plugins: [./check-hours]');
    expect(await inCheckout('src/cli/bin.ts', 'lint', 'examples/policy.yaml')).toMatch(/^good /m);
  }, 60_000);

  test("get the host's own classes, and so do the built-in ones, without vitest", async () => {
    const script = `
      const { loadBuiltIns } = await import('./src/adapters/loading/built-in.ts');
      const { Unavailable } = await import('./src/adapters/contract.ts');
      const built = await loadBuiltIns();
      const { openForTest, testCall } = await import('sluice/plugin/testing');
      const { registry } = await built.withPlugins([{ name: './log-append', file: '${checkout.path('examples/policy.yaml')}' }]);
      const { handler } = await openForTest(registry.get('log-append'), { config: { path: '/nowhere/at/all' } });
      const error = await handler.write([{ sink: 'r', id: '1', timeMs: 0, input: {} }], testCall()).catch((caught) => caught);
      console.log(JSON.stringify([error instanceof Unavailable, registry.names().includes('check-list')]));`;
    expect(JSON.parse(await inCheckout('--input-type=module', '-e', script))).toEqual([true, true]);
  });
});

describe('docs/plugins.md', () => {
  test('names only things that exist', async () => {
    const contract = await import('sluice/plugin');
    const testing = await import('sluice/plugin/testing');
    const imported = blocks.flatMap(({ text }) =>
      [...text.matchAll(/import \{([^}]*)\} from '(sluice\/plugin[^']*)'/g)].flatMap(([, names = '', from = '']) =>
        names.split(',').map((name) => [from, name.trim()] as const),
      ),
    );
    for (const [from, name] of imported)
      expect(Object.keys(from === 'sluice/plugin' ? contract : testing), from).toContain(name);
  });

  test('gives the commands that these tests run', () => {
    for (const command of [
      'npx vitest run examples/check-hours',
      'node --import ./src/adapters/register.ts --test examples/check-hours/adapter.test.ts',
      'npm run check',
      'sluice -- plugins examples/policy.yaml',
      'sluice -- plugins show check-hours examples/policy.yaml',
      'sluice -- lint examples/policy.yaml',
    ])
      expect(PAGE).toContain(command);
  });

  test('is found from the README', () => {
    expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).toContain('](docs/plugins.md)');
  });
});
