/** The package of `npm pack`, installed: the command, the server, and the types of `sluice/plugin`. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commitOf } from '../../src/cli/commit.ts';
import { esModule, makeWorkspace, policyOf } from '../parts/workspace.ts';
import { ROOT, run, serving } from './command.ts';
import { builtinsOf, decisionsOverTls } from './package-loading.ts';
import { peerClient } from './peer-client.ts';

let folder: string;
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}` };
const sh = (file: string, args: readonly string[], cwd: string): string =>
  execFileSync(file, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Packing builds `dist` anew, where tests that run meanwhile would find modules of `sluice/plugin` that are half written. */
function copyOfCheckout(copy: string): string {
  const copied = readdirSync(ROOT).filter((name) => !['node_modules', 'dist', 'test', '.git', '.cache'].includes(name));
  for (const name of copied) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const git = join(ROOT, '.git');
  if (existsSync(git))
    writeFileSync(join(copy, '.git'), statSync(git).isFile() ? readFileSync(git) : `gitdir: ${git}\n`); // for the commit
  return copy;
}

beforeAll(() => {
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-package-'));
  folder = join(scratch, 'else where'); // the path of a process or a module may hold a space
  mkdirSync(folder);
  sh('npm', ['pack', '--pack-destination', scratch], copyOfCheckout(join(scratch, 'checkout')));
  const tarball = readdirSync(scratch).find((name) => name.endsWith('.tgz')) ?? '';
  writeFileSync(join(folder, 'package.json'), '{ "name": "elsewhere", "private": true, "type": "module" }\n');
  sh('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(scratch, tarball)], folder);
}, 240_000);
afterAll(() => rmSync(dirname(folder), { recursive: true, force: true }));

const bin = (): string => join(folder, 'node_modules/sluice/dist/src/cli/bin.js');

describe('the package, installed elsewhere', () => {
  test('npx sluice --version prints the commit of the build', () => {
    const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
    const commit = commitOf(ROOT);
    expect(sh('npx', ['sluice', '--version'], folder)).toBe(
      commit === undefined ? `${version}\n` : `${version} (commit ${commit.slice(0, 12)})\n`,
    );
  });

  test('has all files that its README links to', () => {
    const own = join(folder, 'node_modules/sluice');
    const links = [...readFileSync(join(own, 'README.md'), 'utf8').matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)]
      .map(([, to = '']) => to)
      .filter((to) => !to.includes('://'));
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((to) => !existsSync(join(own, to)))).toEqual([]);
  });

  test('has all built-in adapters', async () => {
    const [built, source] = await Promise.all([run(['plugins'], { bin: bin(), cwd: folder }), run(['plugins'])]);
    expect(built).toEqual(source);
    expect(built.out.split('\n').length).toBeGreaterThan(8);
  });

  test('has chunks with code of a plugin in the folder of that plugin, where errors are attributed to it', () => {
    const dist = join(folder, 'node_modules/sluice/dist');
    const plugins = globSync('**/*.js.map', { cwd: dist }).map((map) => {
      const { sources } = JSON.parse(readFileSync(join(dist, map), 'utf8')) as { sources: string[] };
      const ofPlugins = sources
        .map((source) => /(?:^|\/)(plugins\/[^/]+)\//.exec(source)?.[1])
        .filter((one) => one !== undefined && existsSync(join(ROOT, one, 'adapter.ts'))); // others are shared by plugins
      return { map, folders: [...new Set(ofPlugins)] };
    });
    expect(plugins.filter(({ folders }) => folders.length > 0).length).toBeGreaterThan(8);
    expect(plugins.filter(({ map, folders }) => folders.some((one) => !map.startsWith(`${one}/`)))).toEqual([]);
  });

  test('imports no module of Node, except in what old versions of Node run: an import reads all its getters', () => {
    const dist = join(folder, 'node_modules/sluice/dist');
    const files = globSync('**/*.js', { cwd: dist });
    const importing = /^import\b.*["'](?:node:\w+|https?|tls|util|fs|crypto)["']/m;
    expect(files.filter((file) => importing.test(readFileSync(join(dist, file), 'utf8')))).toEqual(['src/cli/bin.js']);
  });

  test('serves without the modules of Node that its example does not use', async () => {
    const loaded = await builtinsOf('node_modules/sluice/examples/start', { bin: bin(), cwd: folder });
    expect(loaded).toContain('http');
    const unused = ['tls', 'https', 'http2', 'zlib', 'readline', 'internal/deps/undici/undici'];
    expect(unused.filter((name) => loaded.includes(name))).toEqual([]);
  });

  test.each(['own', 'http2'] as const)('loads TLS, patterns, calendars when used: %s', async (kind) => {
    const secondOfTheDay = 'denied';
    expect(await decisionsOverTls(kind, ['/7', '/GET', '/', '/'], { bin: bin(), cwd: folder })).toEqual([
      'denied',
      'denied',
      'allowed',
      secondOfTheDay,
    ]);
  });

  test('has the licences of bundled packages, and all entry points of its manifest', () => {
    const own = join(folder, 'node_modules/sluice');
    const { exports } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>;
    };
    expect(readFileSync(join(own, 'dist/LICENSES.md'), 'utf8')).toMatch(
      /^# zod .* MIT$[\s\S]*Permission is hereby granted/m,
    );
    const files = Object.values(exports).flatMap((one) => (typeof one === 'string' ? one : Object.values(one)));
    expect(files.filter((file) => !existsSync(join(own, file)))).toEqual([]);
  });

  test.each([[[]], [['--workers', '2']]])('serves its example, with %j', async (args) => {
    cpSync(join(folder, 'node_modules/sluice/examples/start'), join(folder, 'policy'), { recursive: true });
    const server = await serving(['policy'], { bin: bin(), cwd: folder, args });
    const client = peerClient(server.grpc);
    try {
      expect((await client.check({ path: '/a/../b' })).denied_response?.body).toBe('bad path: /a/../b');
      expect((await client.check({ path: '/ratings/1' })).http_response).toBe('ok_response');
    } finally {
      client.close();
      expect(await server.stop()).toBe(0);
    }
  });

  describe.each([
    ['that uses the installed Sluice', false],
    ['that brings a copy of Sluice', true],
  ])('loads a package %s', (_, bringsCopy) => {
    const plugin = (): string => join(folder, 'node_modules/sluice-check-author');
    beforeAll(() => {
      mkdirSync(plugin());
      writeFileSync(
        join(plugin(), 'package.json'),
        '{ "name": "sluice-check-author", "version": "0.3.0", "type": "module", "exports": "./adapter.js" }',
      );
      writeFileSync(
        join(plugin(), 'adapter.js'),
        `import { allow, defineAdapter, Rejected } from 'sluice/plugin';
        import { z } from 'zod';
        export default defineAdapter({
          name: 'check-author', summary: 'Allows, fails, or lets an error escape.',
          config: z.strictObject({ known: z.string().describe('A key.') }),
          serves: { check: { input: { path: 'string' } } },
          open: async () => ({ check: () => ({ path }) => {
            if (path === '/rejected') throw new Rejected('not this path');
            void Promise.reject(new TypeError('nobody awaits this'));
            return allow();
          } }),
        });`,
      );
      const installed = join(folder, 'node_modules/sluice');
      const copy = join(plugin(), 'node_modules/sluice');
      if (bringsCopy)
        for (const part of ['dist', 'package.json'])
          cpSync(join(installed, part), join(copy, part), { recursive: true });
    });
    afterAll(() => rmSync(plugin(), { recursive: true }));
    const policy = (config: string, runs = 'inline'): string => `plugins: [sluice-check-author]
handlers: { author: { adapter: check-author, config: { ${config} }, run: ${runs} } }
rules: [{ name: ask, check: { handler: author, input: { path: request.path } } }]
`;

    test('and reports what is wrong with its config', async () => {
      writeFileSync(join(folder, 'wrong.yaml'), policy('knwon: a'));
      const { out } = await run(['lint', 'wrong.yaml'], { bin: bin(), cwd: folder });
      expect(out).toMatch(/wrong\.yaml:2:\d+ RULES_\w+ .*knwon/);
    });

    test.each([
      ['inline', []],
      ['inline', ['--workers', '2']],
      ['worker', []],
    ])('and serves with it, run: %s, with %j; its errors are attributed to it', async (runs, args) => {
      writeFileSync(join(folder, 'author.yaml'), policy('known: a', runs));
      const server = await serving(['author.yaml'], { bin: bin(), cwd: folder, args });
      const client = peerClient(server.grpc);
      try {
        expect((await client.check({ path: '/' })).http_response).toBe('ok_response');
        await server.said(
          /uncaught error in a plugin.*"plugin":"check-author"|"plugin":"check-author".*uncaught error in a plugin/,
        );
        expect((await client.check({ path: '/rejected' })).denied_response?.status?.code).toBe('ServiceUnavailable');
        const metrics = await (await fetch(`http://${server.admin}/metrics`)).text();
        expect(metrics).toMatch(/sluice_handler_failures_total\{[^}]*kind="rejected"[^}]*\} 1/);
      } finally {
        client.close();
        expect(await server.stop()).toBe(0);
      }
    });
  });

  test('runs a plugin in TypeScript beside a policy, where nothing is installed', async () => {
    const elsewhere = makeWorkspace({
      'check-it.ts': esModule('check-it').replace('(_config,', '(_config: unknown,'),
      'policy.yaml': policyOf(['./check-it.ts'], ['check-it']),
    });
    try {
      const linted = await run(['lint', 'policy.yaml'], { bin: bin(), cwd: elsewhere.folder });
      expect([linted.code, linted.err]).toEqual([0, '']);
      const listed = await run(['plugins', 'policy.yaml'], { bin: bin(), cwd: elsewhere.folder });
      expect(listed.out).toMatch(/^check-it +check +check-it\.ts /m);
    } finally {
      elsewhere.remove();
    }
  });

  test('names the client to install where one is missing, and lints without it', async () => {
    const client = join(folder, 'node_modules/ioredis');
    writeFileSync(
      join(folder, 'redis.yaml'),
      'handlers: { limits: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } } }\nrules: [{ name: a, quota: { handler: limits, limit: 1, per: 1s, key: [] } }]\n',
    );
    renameSync(client, `${client}.away`);
    try {
      expect((await run(['lint', 'redis.yaml'], { bin: bin(), cwd: folder })).code).toBe(0);
      const { code, err } = await run(['serve', 'redis.yaml', '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0'], {
        bin: bin(),
        cwd: folder,
      });
      expect(code).not.toBe(0);
      expect(err).toMatch(/redis\.yaml:1:\d+ CORE_HANDLER_OPEN .*Cannot find package 'ioredis'/);
      expect(err).toContain(`; install it: npm install ioredis in ${realpathSync(folder)}\n`);
    } finally {
      renameSync(`${client}.away`, client);
    }
  });

  test('writes a new plugin whose install and tests pass', () => {
    const spec = (
      JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { dependencies: { sluice: string } }
    ).dependencies.sluice;
    const served = 'enrich,check,quota,report';
    sh('npx', ['sluice', 'plugins', 'new', 'check-new', '--serves', served, '--sluice', spec], folder);
    const own = join(folder, 'check-new');
    sh('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund'], own);
    const out = sh('npm', ['test'], own);
    expect(out).toMatch(/fail 0/);
    expect(out).toContain('4 cases, all passed');
    expect(sh('npm', ['pack', '--json'], own)).toContain('dist/adapter.js');
  }, 240_000);

  test("type-checks an author's plugin against sluice/plugin, and rejects a wrong one", () => {
    const plugin = (returned: string): string => `
      import { allow, defineAdapter, deny, PERMISSION_DENIED } from 'sluice/plugin';
      import { z } from 'zod';
      export default defineAdapter({
        name: 'check-length', summary: 'Refuses values that are too long.',
        config: z.strictObject({ max: z.int().describe('Maximum length.') }),
        serves: { check: { input: { value: 'string' } } },
        open: async ({ max }) => ({ check: () => ({ value }) => ${returned} }),
      });`;
    writeFileSync(
      join(folder, 'good.ts'),
      plugin("value.length <= max ? allow() : deny(PERMISSION_DENIED, 'too long')"),
    );
    writeFileSync(join(folder, 'wrong.ts'), plugin('value.nothing'));
    const tsc = createRequire(import.meta.url)
      .resolve('typescript/package.json')
      .replace(/package\.json$/, 'bin/tsc');
    const check = (file: string): string =>
      sh(
        process.execPath,
        [
          tsc,
          '--noEmit',
          '--strict',
          '--module',
          'nodenext',
          '--target',
          'es2024',
          '--lib',
          'es2024,dom',
          '--ignoreConfig',
          '--types',
          '',
          file,
        ],
        folder,
      );
    expect(check('good.ts')).toBe('');
    expect(() => check('wrong.ts')).toThrow();
    expect(
      sh(
        process.execPath,
        [
          '--input-type=module',
          '-e',
          'const [{ defineAdapter }, { openMemoryStore }, { casesOf }] = await Promise.all([import("sluice/plugin"), import("sluice/counting"), import("sluice/cases")]); const { count } = await casesOf(["node_modules/sluice/examples/start"]); console.log(typeof defineAdapter, typeof openMemoryStore, count > 0)',
        ],
        folder,
      ),
    ).toBe('function function true\n');
  }, 240_000);
});
