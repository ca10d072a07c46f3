/** docs/plugins.md is true: its examples type-check, pass their own tests as an author would run them, and load from outside. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const PAGE = readFileSync(join(ROOT, 'docs/plugins.md'), 'utf8');
const run = promisify(execFile);

const folder = mkdtempSync(join(tmpdir(), 'plugins-page-'));
afterAll(() => rmSync(folder, { recursive: true }));

const blocks = [...PAGE.matchAll(/```ts file=(\S+)\n([\s\S]*?)```/g)].map(([, file = '', text = '']) => ({ file, text }));

beforeAll(() => {
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), include: ['.'] }));
  // What the host does before it imports a plugin.
  writeFileSync(join(folder, 'host.mjs'), `import { resolveOwnModules } from ${JSON.stringify(join(ROOT, 'src/adapters/own-modules.ts'))};\nresolveOwnModules();\n`);
  for (const { file, text } of blocks) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
});

const output = (error: unknown): never => {
  const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
  throw new Error(`${stdout}\n${stderr}`);
};

describe('docs/plugins.md', () => {
  test('has the examples that it promises', () => {
    expect(blocks.map(({ file }) => file)).toEqual(['check-hours/adapter.ts', 'check-hours/adapter.test.ts', 'log-file/adapter.ts', 'log-file/adapter.test.ts']);
  });

  test('its examples type-check under the strictest settings', async () => {
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder, '--noEmit'], { cwd: folder }).catch(output);
  });

  test.each(['check-hours', 'log-file'])('the tests of %s pass, run by node itself', async (name) => {
    const { stdout } = await run(process.execPath, ['--import', join(folder, 'host.mjs'), '--test', '--test-reporter=tap', join(folder, name, 'adapter.test.ts')], {
      cwd: folder, env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined },
    }).catch(output);
    expect(stdout).toMatch(/^# fail 0$/m);
    expect(Number(/^# pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(10);
  });

  test('a plugin from outside gets the host\'s own classes, and so do the built-in ones, without vitest', async () => {
    const script = `
      const { loadBuiltIns } = await import(${JSON.stringify(join(ROOT, 'src/adapters/built-in.ts'))});
      const { importAdapter } = await import(${JSON.stringify(join(ROOT, 'src/adapters/import-adapter.ts'))});
      const built = await loadBuiltIns();
      const outside = await importAdapter(${JSON.stringify(`file://${join(folder, 'log-file/adapter.ts')}`)});
      const { openForTest, testCall } = await import('sluice/plugin/testing');
      const { Unavailable } = await import(${JSON.stringify(join(ROOT, 'src/adapters/contract.ts'))});
      const { handler } = await openForTest(outside, { config: { path: '/nowhere/at/all' } });
      const error = await handler.write([{ sink: 'r', id: '1', timeMs: 0, input: {} }], testCall()).catch((caught) => caught);
      console.log(JSON.stringify([error instanceof Unavailable, built.names().includes('check-list')]));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT }).catch(output);
    expect(JSON.parse(stdout)).toEqual([true, true]);
  });

  test('names only what there is', async () => {
    const contract = await import('sluice/plugin');
    const testing = await import('sluice/plugin/testing');
    const imported = blocks.flatMap(({ text }) => [...text.matchAll(/import \{([^}]*)\} from '(sluice\/plugin[^']*)'/g)].flatMap(([, names = '', from = '']) => names.split(',').map((name) => [from, name.trim()] as const)));
    for (const [from, name] of imported) expect(Object.keys(from === 'sluice/plugin' ? contract : testing), from).toContain(name);
  });
});
