/** Plugins that a policy names (docs/plugins.md): every way to write one loads, in every command; every fault has its own error. */

import { chmodSync, chownSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SOURCE_COMMAND } from '../parts/command-path.ts';
import {
  commonJsModule,
  compiledModule,
  definition,
  esModule,
  type Files,
  makeWorkspace,
  policyOf,
  type Workspace,
} from '../parts/workspace.ts';
import { type Ran, run, serving, type Serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const manifest = (name: string, more: object = {}): object => ({ name, version: '1.2.0', ...more });

/** Each kind of plugin there is, by the name of its adapter. */
const KINDS: Readonly<Record<string, { readonly named: string; readonly files: Files }>> = {
  'check-es-package': {
    named: 'es-package',
    files: {
      'node_modules/es-package/package.json': manifest('es-package', {
        type: 'module',
        exports: { import: './lib/main.js' },
      }),
      'node_modules/es-package/lib/main.js': esModule('check-es-package'),
    },
  },
  'check-commonjs': {
    named: 'commonjs-package',
    files: {
      'node_modules/commonjs-package/package.json': manifest('commonjs-package', { main: './main.js' }),
      'node_modules/commonjs-package/main.js': commonJsModule('check-commonjs'),
    },
  },
  'check-compiled': {
    named: '"@acme/compiled"',
    files: {
      'node_modules/@acme/compiled/package.json': manifest('@acme/compiled', { main: 'index' }),
      'node_modules/@acme/compiled/index.js': compiledModule('check-compiled'),
    },
  },
  'check-second': {
    named: 'many/adapters',
    files: {
      'node_modules/many/package.json': manifest('many', { type: 'module', exports: { './adapters': './list.js' } }),
      'node_modules/many/list.js': esModule('check-first', 'check-second'),
    },
  },
  'check-one-file': {
    named: './one-file.ts',
    files: { 'policies/one-file.ts': esModule('check-one-file').replace('(_config,', '(_config: unknown,') },
  },
  'check-index': {
    named: './adapters/with-index',
    files: { 'policies/adapters/with-index/index.ts': esModule('check-index') },
  },
  'check-exports': {
    named: './adapters/with-exports/',
    files: {
      'policies/adapters/with-exports/package.json': manifest('with-exports', {
        type: 'module',
        exports: { '.': { import: './src/it.js' } },
      }),
      'policies/adapters/with-exports/src/it.js': `import { it } from './inner.js';\nexport default it;\n`,
      'policies/adapters/with-exports/src/inner.js': esModule('check-exports').replace(
        'export default',
        'export const it =',
      ),
    },
  },
  'check-main': {
    named: '../adapters/with-main',
    files: {
      'adapters/with-main/package.json': { main: 'it.cjs' },
      'adapters/with-main/it.cjs': commonJsModule('check-main'),
    },
  },
};
const ADAPTERS = Object.keys(KINDS);

describe('plugins of every kind in one policy', () => {
  let workspace: Workspace;
  const policy = (): string => workspace.path('policies/policy.yaml');

  beforeAll(() => {
    workspace = makeWorkspace(Object.assign({}, ...Object.values(KINDS).map(({ files }) => files)) as Files);
    const half = ADAPTERS.slice(0, 4);
    const named = (adapters: readonly string[]): string[] => adapters.map((one) => KINDS[one]?.named ?? '');
    workspace.write(
      'policies/policy.yaml',
      // Two documents: their plugins are merged, and a rule of one may use those of the other.
      `plugins: [${named(half).join(', ')}]\n---\n${policyOf(named(ADAPTERS.slice(4)), ADAPTERS)}`,
    );
    workspace.write(
      'policies/cases.yaml',
      `policy: ./policy.yaml
cases:
${ADAPTERS.map((name) => `  - { name: ${name} denies, http: { request.path: /${name} }, want: { deny: ask-${name}, body: denied by ${name} } }`).join('\n')}
  - { name: none denies, http: { request.path: / }, want: { allow: true } }
`,
    );
  });
  afterAll(() => workspace.remove());

  test('are accepted by lint', async () => {
    const { code, out, err } = await run(['lint', policy()]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^good /m);
  });

  test('are listed with package, version, capabilities and module', async () => {
    const { code, out } = await run(['plugins', policy()], { cwd: workspace.folder });
    expect(code).toBe(0);
    for (const line of [
      /^check-list +check +sluice \d\S* +built in /m,
      /^check-es-package +check +es-package 1\.2\.0 +node_modules\/es-package\/lib\/main\.js +Denies/m,
      /^check-compiled +check +@acme\/compiled 1\.2\.0 +node_modules\/@acme\/compiled\/index\.js /m,
      /^check-first +check +many 1\.2\.0 +node_modules\/many\/list\.js /m,
      /^check-one-file +check +policies\/one-file\.ts /m,
      /^check-exports +check +with-exports 1\.2\.0 +policies\/adapters\/with-exports\/src\/it\.js /m,
      /^check-main +check +adapters\/with-main\/it\.cjs /m,
    ])
      expect(out).toMatch(line);
    const json = await run(['plugins', policy(), '--json']);
    expect((JSON.parse(json.out) as { adapters: object[] }).adapters).toContainEqual({
      name: 'check-second',
      summary: 'Denies the path of its own name.',
      serves: ['check'],
      builtIn: false,
      package: { name: 'many', version: '1.2.0' },
      module: workspace.path('node_modules/many/list.js'),
    });
  });

  test('are shown with an example that names the plugin', async () => {
    const { code, out } = await run(['plugins', 'show', 'check-compiled', policy()]);
    expect(code).toBe(0);
    expect(out).toContain('plugins: ["@acme/compiled"]');
    expect(out).toMatch(/^ {4}adapter: check-compiled$/m);
    expect(out).toMatch(/Not read\./);
  });

  test('answer in test and explain', async () => {
    const request = workspace.write('request.yaml', 'call: http\nrequest.method: GET\nrequest.path: /check-main\n');
    const [tested, explained] = await Promise.all([
      run(['test', workspace.path('policies/cases.yaml')]),
      run(['explain', policy(), '--request', request]),
    ]);
    expect([tested.code, tested.err]).toEqual([0, '']);
    expect(tested.out).toContain(`${ADAPTERS.length + 1} cases, all passed`);
    expect(explained.out).toMatch(/^deny by ask-check-main, HTTP 403\n {2}body: denied by check-main$/m);
  });

  test.each([[[]], [['--workers', '2']]])('answer calls of a server, with %j', async (args) => {
    const server = await serving([policy()], { args });
    const client = peerClient(server.grpc);
    try {
      for (const name of ADAPTERS)
        expect((await client.check({ path: `/${name}` })).denied_response?.body).toBe(`denied by ${name}`);
      expect((await client.check({ path: '/' })).http_response).toBe('ok_response');
    } finally {
      client.close();
      expect(await server.stop()).toBe(0);
    }
  });
});

test('threads of a server load modules from the compile cache', async () => {
  const workspace = makeWorkspace({
    'tells.ts': `import module from 'node:module';\n${esModule('check-tells').replace("'denied by check-tells'", "module.getCompileCacheDir() ?? 'no cache'")}`,
    'policy.yaml': policyOf(['./tells.ts'], ['check-tells']),
  });
  const server = await serving([workspace.path('policy.yaml')], {
    args: ['--workers', '2'],
    env: { NODE_COMPILE_CACHE: undefined }, // vitest.config.ts sets it for all tests
  });
  const client = peerClient(server.grpc);
  try {
    expect((await client.check({ path: '/check-tells' })).denied_response?.body).toContain('compile-cache');
  } finally {
    client.close();
    await server.stop();
    workspace.remove();
  }
});

describe('a package', () => {
  let workspace: Workspace;
  afterEach(() => workspace.remove());
  const packageIn = (folder: string, name: string, adapter: string): Files => ({
    [`${folder}/node_modules/${name}/package.json`]: manifest(name, { main: 'main.js' }),
    [`${folder}/node_modules/${name}/main.js`]: commonJsModule(adapter),
  });

  test("is looked for from the policy's folder upwards, then from the working directory", async () => {
    workspace = makeWorkspace({
      ...packageIn('a/b', 'nearest', 'check-nearest'),
      ...packageIn('a', 'nearest', 'check-above'),
      ...packageIn('a', 'above', 'check-above'),
      ...packageIn('elsewhere', 'nearest', 'check-elsewhere'),
      ...packageIn('elsewhere', 'elsewhere', 'check-elsewhere'),
      'a/b/policy.yaml': policyOf(
        ['nearest', 'above', 'elsewhere'],
        ['check-nearest', 'check-above', 'check-elsewhere'],
      ),
    });
    const policy = workspace.path('a/b/policy.yaml');
    expect(await run(['lint', policy, '--quiet'], { cwd: workspace.path('elsewhere') })).toEqual({
      code: 0,
      out: '',
      err: '',
    });
    const { code, out } = await run(['lint', policy], { cwd: workspace.folder });
    expect(code).toBe(1);
    const places = ['a/b/node_modules', 'a/node_modules', 'node_modules'].map((one) => workspace.path(one));
    expect(out).toContain(`policy.yaml:1:27 PLUGIN_NOT_FOUND no package elsewhere; looked in ${places.join(', ')}, `);
    expect(out).toContain(`npm install elsewhere in ${workspace.path('a/b')}`);
    expect(out).toContain('1 error\n'); // the unknown adapter may be one of the plugin's
  });

  test('may bring a copy of Sluice and of zod', async () => {
    workspace = makeWorkspace({
      'policy.yaml': policyOf(['with-copy'], ['check-with-copy']),
      'node_modules/with-copy/package.json': manifest('with-copy', { type: 'module', exports: './main.js' }),
      ...copyOfSluice('node_modules/with-copy', 1),
      'node_modules/with-copy/main.js': `import { allow, defineAdapter, deny, Unavailable } from 'sluice/plugin';
        import { z } from 'zod';
        const answer = (path) => {
          if (path === '/away') throw new Unavailable('the backend is away');
          if (path === '/bug') throw new Error('a bug');
          return allow();
        };
        export default ${definition('check-with-copy').replace('allow()', 'answer(path)')};`,
    });
    const server = await serving([workspace.path('policy.yaml')]);
    const client = peerClient(server.grpc);
    try {
      expect((await client.check({ path: '/' })).http_response).toBe('ok_response');
      expect((await client.check({ path: '/away' })).denied_response?.status?.code).toBe('ServiceUnavailable');
      expect((await client.check({ path: '/bug' })).denied_response?.status?.code).toBe('ServiceUnavailable');
      const metrics = await (await fetch(`http://${server.admin}/metrics`)).text();
      expect(metrics).toMatch(/sluice_handler_failures_total\{[^}]*kind="unavailable"[^}]*\} 1/);
      expect(metrics).toMatch(/sluice_handler_failures_total\{[^}]*kind="fault"[^}]*\} 1/);
    } finally {
      client.close();
      expect(await server.stop()).toBe(0);
    }
  });
});

/** A package `sluice` as an author's package depends on it, whose contract has this version. */
const copyOfSluice = (folder: string, version: number): Files => ({
  [`${folder}/node_modules/sluice/package.json`]: manifest('sluice', {
    type: 'module',
    exports: { './plugin': './plugin.js' },
  }),
  [`${folder}/node_modules/sluice/plugin.js`]: `
    export const defineAdapter = (adapter) => ({ ...adapter, [Symbol.for('sluice.contract')]: ${version} });
    export const allow = () => ({ kind: 'allow', validForMs: 0, uses: 1 });
    export const deny = (code, reason) => ({ kind: 'deny', code, reason, validForMs: 0 });
    export class Unavailable extends Error { name = 'Unavailable'; retryAfterMs = 0; }`,
});

/** Faulty plugins: the entry of `plugins:`, its files, and what lint says at 1:11. */
const FAULTS: readonly (readonly [what: string, named: string, files: Files, says: RegExp])[] = [
  [
    'a path without a file',
    './nothing.ts',
    {},
    /PLUGIN_NOT_FOUND there is no \.\/nothing\.ts; looked for \S+\/nothing\.ts/,
  ],
  ['a path without its ending', './near', { 'near.ts': '' }, /PLUGIN_NOT_FOUND .*did you mean \.\/near\.ts\?/],
  [
    'a path without ./',
    'adapters/near.ts',
    { 'adapters/near.ts': esModule('check-near') },
    /PLUGIN_NOT_FOUND .*for the path beside the policy write \.\/adapters\/near\.ts/,
  ],
  [
    'an empty folder',
    './empty',
    { 'empty/readme.md': '' },
    /PLUGIN_NOT_FOUND \.\/empty is a folder without a module; looked in \S+\/empty for exports or main in package\.json, and for index\.ts, index\.js/,
  ],
  [
    'a package.json that leads nowhere',
    './astray',
    { 'astray/package.json': manifest('astray', { exports: './gone.js' }) },
    /PLUGIN_NOT_FOUND \.\/astray has no module where its package\.json says: .*gone\.js/,
  ],
  [
    'a package.json that is not JSON',
    './torn',
    { 'torn/package.json': '{ "name": ' },
    /PLUGIN_NOT_FOUND \S+\/torn\/package\.json is not JSON/,
  ],
  [
    'a package without a module',
    'closed',
    { 'node_modules/closed/package.json': manifest('closed', { exports: { './inner': './inner.js' } }) },
    /PLUGIN_NOT_FOUND the package in \S+\/node_modules\/closed has no module to import as closed: No "exports" main/,
  ],
  ['a URL', '"data:text/javascript,0"', {}, /PLUGIN_NOT_FOUND .*neither the name of a package nor a path/],
  [
    'a way out of a package',
    'closed/../../policy',
    { 'node_modules/closed/package.json': manifest('closed') },
    /PLUGIN_NOT_FOUND .*neither the name of a package nor a path/,
  ],
  [
    'no default export',
    './none.js',
    { 'none.js': 'export const a = 1;' },
    /PLUGIN_NO_ADAPTER \S+\/none\.js: it has no default export; write `export default defineAdapter/,
  ],
  [
    'an adapter under another name',
    './named.ts',
    { 'named.ts': esModule('check-named').replace('export default', 'export const hours =') },
    /PLUGIN_NO_ADAPTER .*its adapter is exported as hours, not as default/,
  ],
  [
    'a function as default',
    './function.js',
    { 'function.js': 'export default () => {};' },
    /PLUGIN_NO_ADAPTER .*the default export is not an adapter but a function/,
  ],
  [
    'a class as default',
    './class.js',
    { 'class.js': 'export default class Hours { open() {} }' },
    /PLUGIN_NO_ADAPTER .*the default export is not an adapter but a class; expected defineAdapter/,
  ],
  [
    'an adapter inside of module.exports',
    './inside.ts',
    {
      'inside.ts':
        esModule('check-inside').replace('export default', 'const hours =') + '\nexport default { hours };\n',
    },
    /PLUGIN_NO_ADAPTER .*its adapter is hours of the default export; write `export default hours`, or `module\.exports = hours`/,
  ],
  ['an empty list', './list.js', { 'list.js': 'export default [];' }, /PLUGIN_NO_ADAPTER .*is an empty list/],
  [
    'something else in its list',
    './list.ts',
    { 'list.ts': esModule('check-a', 'check-b').replace('}, {', '}, 7, {').replace(']', ', null]') },
    /PLUGIN_NO_ADAPTER .*item 2 of the default export is not an adapter but null/,
  ],
  [
    'an adapter without open',
    './open.ts',
    { 'open.ts': esModule('check-open').replace('open:', 'opens:') },
    /PLUGIN_WRONG_SHAPE \S+\/open\.ts: adapter check-open: open is not a function/,
  ],
  [
    'a plain object for an adapter',
    'plain',
    {
      'node_modules/plain/package.json': manifest('plain', { type: 'module', exports: './main.js' }),
      'node_modules/plain/main.js': "export default { name: 'check-plain', open() {} };",
    },
    /PLUGIN_WRONG_SHAPE plain@1\.2\.0: adapter check-plain: it is not made by defineAdapter/,
  ],
  [
    'a description that throws',
    './throwing.js',
    { 'throwing.js': "export default { get config() { throw new Error('bent'); }, open() {} };" },
    /PLUGIN_WRONG_SHAPE .*description cannot be read: bent/,
  ],
  [
    'a config that takes any key',
    './loose.ts',
    { 'loose.ts': esModule('check-loose').replace('z.strictObject', 'z.object') },
    /ADAPTER_NOT_STRICT \S+\/loose\.ts: adapter check-loose: config accepts unknown keys/,
  ],
  [
    'an unknown capability',
    './serves.ts',
    { 'serves.ts': esModule('check-serves').replace('serves: { check', 'serves: { chekc') },
    /ADAPTER_BAD_SERVES .*chekc/,
  ],
  [
    'the name of a built-in adapter',
    './taken.ts',
    { 'taken.ts': esModule('check-list') },
    /ADAPTER_NAME_TAKEN \S+\/taken\.ts and Sluice itself both have an adapter named check-list/,
  ],
  [
    'the same name twice',
    './twice.ts',
    { 'twice.ts': esModule('check-twice', 'check-twice') },
    /ADAPTER_NAME_TAKEN \S+\/twice\.ts exports two adapters named check-twice/,
  ],
  [
    'a syntax error',
    './syntax.js',
    { 'syntax.js': 'const a = 1;\nconst b = a +;\n' },
    /ADAPTER_LOAD_FAILED \S+\/syntax\.js:2:14: Unexpected token ';'/,
  ],
  [
    'a syntax error in a module that it imports',
    './imports.js',
    { 'imports.js': "import './inner.js';", 'inner.js': 'let 1a;' },
    /ADAPTER_LOAD_FAILED \S+\/inner\.js:1:\d+: Invalid or unexpected token/,
  ],
  [
    'a syntax error in a package of ES modules, of which Node names no place',
    './esm',
    {
      'esm/package.json': manifest('esm', { type: 'module', main: 'main.js' }),
      'esm/main.js': "import './parts/inner.js';",
      'esm/parts/inner.js': 'export const a = 1;\nexport const b = a +;\n',
    },
    /ADAPTER_LOAD_FAILED \S+\/esm\/parts\/inner\.js:2:21: Unexpected token ';'/,
  ],
  [
    'an error that it throws',
    'thrower',
    {
      'node_modules/thrower/package.json': manifest('thrower', { main: 'main.js' }),
      'node_modules/thrower/main.js': "const a = 1;\nthrow new TypeError('no licence');",
    },
    /ADAPTER_LOAD_FAILED \S+\/thrower\/main\.js:2:7: no licence/,
  ],
  [
    'a thrown value that is no error',
    './text.mjs',
    { 'text.mjs': "throw 'only a text';" },
    /ADAPTER_LOAD_FAILED \S+\/text\.mjs: only a text/,
  ],
  [
    'a process.exit at its top level',
    './exits.mjs',
    { 'exits.mjs': 'if (process.argv.length > 0) process.exit(0);\nexport default 1;' },
    /ADAPTER_LOAD_FAILED \S+\/exits\.mjs:1:\d+: it calls process\.exit\(0\) while it loads; a plugin must not end the process/,
  ],
  [
    'a package that is not installed',
    './missing.ts',
    { 'missing.ts': "import '@acme/not-there/part';" },
    /ADAPTER_LOAD_FAILED .*Cannot find package '@acme\/not-there' .*; install it: npm install @acme\/not-there in \S+/,
  ],
  [
    'a package that is not installed, in CommonJS',
    './missing.cjs',
    { 'missing.cjs': "require('not-there');" },
    /ADAPTER_LOAD_FAILED .*Cannot find module 'not-there'.*; install it: npm install not-there in \S+/,
  ],
  [
    'TypeScript that Node cannot strip',
    './enum.ts',
    { 'enum.ts': `enum A { B }\n${esModule('check-enum')}` },
    /ADAPTER_LOAD_FAILED \S+\/enum\.ts:1:1: TypeScript enum is not supported/,
  ],
  [
    'a module that never finishes loading',
    './hung.mjs',
    { 'hung.mjs': 'await new Promise(() => undefined);\nexport default 1;' },
    /ADAPTER_LOAD_FAILED \S+hung\.mjs: not loaded after 10000 ms; an await at the top level/,
  ],
  ['a file of another kind', './text.txt', { 'text.txt': 'a' }, /ADAPTER_LOAD_FAILED .*Unknown file extension "\.txt"/],
  [
    'TypeScript below node_modules',
    'in-types',
    {
      'node_modules/in-types/package.json': manifest('in-types', { type: 'module', exports: './main.ts' }),
      'node_modules/in-types/main.ts': esModule('check-in-types'),
    },
    /ADAPTER_LOAD_FAILED \S+\/in-types\/main\.ts: .*Node runs no TypeScript below node_modules, so a package ships JavaScript/,
  ],
  [
    'a copy of Sluice with another contract',
    'newer',
    {
      'node_modules/newer/package.json': manifest('newer', { type: 'module', exports: './main.js' }),
      'node_modules/newer/main.js': esModule('check-newer'),
      ...copyOfSluice('node_modules/newer', 2),
    },
    /PLUGIN_CONTRACT_VERSION newer@1\.2\.0 is made for version 2 of the plugin contract, and this Sluice has version 1; update Sluice, or install an older release of the plugin/,
  ],
  [
    'another contract in its package.json',
    'older',
    {
      'node_modules/older/package.json': manifest('older', { main: 'main.js', sluice: { contract: 0 } }),
      'node_modules/older/main.js': "require('sluice/plugin').somethingThatIsGone();",
    },
    /PLUGIN_CONTRACT_VERSION older@1\.2\.0 is made for version 0 of .*, and this Sluice has version 1; install a newer release of the plugin/,
  ],
];

describe('a plugin with', () => {
  let workspace: Workspace;
  let linted: Ran;
  // All in one policy of many files: a start per fault would take most of a minute, and one of them waits for ten seconds.
  beforeAll(async () => {
    workspace = makeWorkspace();
    const policies = FAULTS.map(([, named, files], at) => {
      for (const [file, text] of Object.entries(files)) workspace.write(`policies-${at}/${file}`, text);
      return workspace.write(`policies-${at}/policy.yaml`, policyOf([named], [`check-any-${at}`]));
    });
    linted = await run(['lint', ...policies], { cwd: workspace.folder });
  });
  afterAll(() => workspace.remove());

  test.each(FAULTS.map(([what, , , says], at) => ({ what, says, at })))('$what is refused by name', ({ says, at }) => {
    expect(linted.out).toMatch(new RegExp(`^policies-${at}/policy\\.yaml:1:11 ${says.source}`, 'm'));
  });

  test('none is reported elsewhere, or shows the loader', () => {
    expect([linted.code, linted.err]).toEqual([1, '']);
    expect(linted.out.match(/^policies-\d+\/policy\.yaml:(?!1:11 )/gm)).toBeNull();
    expect(linted.out).not.toMatch(/\?reload=|node:internal/);
  });
});

describe('plugins with faults', () => {
  let workspace: Workspace;
  afterEach(() => workspace.remove());

  test('are all reported at once, with other errors, in each command that takes a policy', async () => {
    workspace = makeWorkspace({
      'good.ts': esModule('check-good'),
      'bent.js': 'export default 1 +;',
      'policy.yaml': `${policyOf(['./good.ts', './bent.js', 'not-there', './good.ts'], ['check-good', 'check-lst'])}  - { name: wrong, denny: {} }\n`,
      'request.yaml': 'call: http\nrequest.path: /\n',
    });
    const at = (command: readonly string[]): Promise<Ran> => run(command, { cwd: workspace.folder });
    for (const command of [
      ['lint', 'policy.yaml'],
      ['explain', 'policy.yaml', '--request', 'request.yaml'],
      ['serve', 'policy.yaml', '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
      ['test', 'policy.yaml'],
    ]) {
      const { code, out, err } = await at(command);
      expect(code).not.toBe(0);
      const said = [...`${out}\n${err}`.matchAll(/^policy\.yaml:(\d+:\d+ \w+)/gm)].map(([, one]) => one);
      expect(said, command[0]).toEqual([
        '1:22 ADAPTER_LOAD_FAILED',
        '1:33 PLUGIN_NOT_FOUND',
        expect.stringMatching(/^\d+:\d+ RULES_UNKNOWN_KEY$/),
      ]);
    }
  });

  test('of which two have an adapter of the same name are both named', async () => {
    workspace = makeWorkspace({
      'node_modules/first/package.json': manifest('first', { main: 'main.js' }),
      'node_modules/first/main.js': commonJsModule('check-both'),
      'node_modules/second/package.json': manifest('second', { main: 'main.js' }),
      'node_modules/second/main.js': commonJsModule('check-both'),
      'policy.yaml': policyOf(['first', 'second'], ['check-both']),
    });
    const { out } = await run(['lint', workspace.path('policy.yaml')], { cwd: workspace.folder });
    expect(out).toMatch(
      /^policy\.yaml:1:18 ADAPTER_NAME_TAKEN second@1\.2\.0 and first@1\.2\.0 both have an adapter named check-both; name only one/m,
    );
  });

  test('that let an error escape end a command with the name of the plugin', async () => {
    workspace = makeWorkspace({
      'escape.ts': `void Promise.reject(new Error('nobody awaits this'));\n${esModule('check-escape')}`,
      'policy.yaml': policyOf(['./escape.ts'], ['check-escape']),
    });
    const { code, err } = await run(['lint', 'policy.yaml'], { cwd: workspace.folder });
    expect(code).toBe(3);
    expect(err).toMatch(/^Uncaught error in the plugin \S+: nobody awaits this \(at file:\S+\/escape\.ts:1:21\)\n$/);
  });

  test.each([
    ['lint', 'policy.yaml'],
    ['test', 'policy.yaml', 'cases'],
    ['explain', 'policy.yaml', '--request', 'request.json'],
  ])('that let an error escape show no secret of their config: %s', async (...command) => {
    workspace = makeWorkspace({
      'leak.ts': `
import { allow, defineAdapter } from 'sluice/plugin';
import { z } from 'zod';
export default defineAdapter({
  name: 'check-leak',
  summary: 'Leaks.',
  selfContained: true,
  config: z.strictObject({ token: z.string().describe('A token.') }),
  serves: { check: { input: { path: 'string' } } },
  async open({ token }) {
    void Promise.reject(new Error('WRONGPASS ' + token));
    return { check: () => () => allow() };
  },
});
`,
      'policy.yaml': `
plugins: [./leak.ts]
handlers: { h: { adapter: check-leak, config: { token: { $env: LEAKED_TOKEN } } } }
rules: [{ name: a, check: { handler: h, input: { path: request.path } } }]
`,
      'cases/a.yaml':
        'policy: ../policy.yaml\ncases: [{ name: a, http: { request.path: / }, want: { allow: true } }]\n',
      'request.json': '{ "request.path": "/" }',
    });
    const { code, out, err } = await run(command, {
      cwd: workspace.folder,
      env: { ...process.env, LEAKED_TOKEN: 'swordfish' },
    });
    expect({ code, err: err.replace(/ \(at .*/, '') }).toEqual({
      code: 3,
      err: 'Uncaught error in the plugin check-leak: WRONGPASS { $env: LEAKED_TOKEN }\n',
    });
    expect(out + err).not.toContain('swordfish');
  });

  test('that deny without a reason say the code in words, by gRPC and by HTTP', async () => {
    workspace = makeWorkspace({
      'silent.js': `
import { defineAdapter, deny } from 'sluice/plugin';
import { z } from 'zod';
export default defineAdapter({
  name: 'check-silent',
  summary: 'Denies, and says nothing.',
  config: z.strictObject({}),
  serves: { check: { input: { path: 'string' } } },
  open: async () => ({ check: () => () => deny(7) }),
});
`,
      'policy.yaml': `
plugins: [./silent.js]
handlers: { h: { adapter: check-silent } }
rules: [{ name: a, check: { handler: h, input: { path: request.path } }, onDeny: { body: "\${out.reason}" } }]
`,
    });
    const server = await serving([workspace.path('policy.yaml')], {
      cwd: workspace.folder,
      args: ['--http', '127.0.0.1:0'],
    });
    const client = peerClient(server.grpc);
    try {
      expect((await client.check({ path: '/' })).denied_response).toMatchObject({ body: 'permission denied' });
      const { http } = JSON.parse(
        server
          .err()
          .split('\n')
          .find((line) => line.includes('"msg":"serving"')) ?? '{}',
      ) as { http: string };
      const answer = await fetch(`http://${http}/envoy/`);
      expect([answer.status, await answer.text()]).toEqual([403, 'permission denied']);
    } finally {
      client.close();
      await server.stop();
    }
  });

  test('whose timers go on do not keep a command from ending', async () => {
    workspace = makeWorkspace({
      'timer.ts': `setInterval(() => undefined, 1000);\n${esModule('check-timer')}`,
      'policy.yaml': policyOf(['./timer.ts'], ['check-timer']),
    });
    expect((await run(['lint', 'policy.yaml'], { cwd: workspace.folder })).code).toBe(0);
  });

  test('cost only the policies that name them', async () => {
    workspace = makeWorkspace({
      'bent.js': 'export default 1 +;',
      'bent.yaml': policyOf(['./bent.js'], ['check-bent']),
      'good.yaml': 'rules: [{ name: a, deny: { status: 403 } }]\n',
    });
    expect((await run(['lint', workspace.path('bent.yaml')])).code).toBe(1);
    expect((await run(['lint', workspace.path('good.yaml')])).code).toBe(0);
  });

  test.skipIf(process.getuid?.() !== 0)("outside of the policy's folder, of a stranger, are not run", async () => {
    workspace = makeWorkspace({
      'policies/policy.yaml': policyOf(['../stranger.mjs'], ['check-stranger']),
      'stranger.mjs': esModule('check-stranger'),
      'policies/link.yaml': policyOf(['stranger'], ['check-stranger']),
      'node_modules/stranger/package.json': manifest('stranger', { type: 'module', exports: './main.js' }),
      'node_modules/stranger/main.js': esModule('check-stranger'),
    });
    for (const file of ['stranger.mjs', 'node_modules/stranger/main.js']) chownSync(workspace.path(file), 4321, 4321);
    for (const [policy, file] of [
      ['policies/policy.yaml', 'stranger.mjs'],
      ['policies/link.yaml', 'node_modules/stranger/main.js'],
    ] as const) {
      const { code, out } = await run(['lint', policy], { cwd: workspace.folder });
      expect(code).toBe(1);
      expect(out).toContain(`${policy}:1:11 PLUGIN_UNTRUSTED `);
      expect(out).toContain(`is ${workspace.path(file)}, outside of the policy's folder, and belongs to user 4321`);
      chownSync(workspace.path(policy), 4321, 4321); // the same owner as the policy
      expect((await run(['lint', policy], { cwd: workspace.folder })).code).toBe(0);
    }
  });

  test('that cannot be read are reported with the reason', async () => {
    workspace = makeWorkspace({
      'inner/policy.yaml': policyOf(['./loop.ts'], ['check-loop']),
    });
    workspace.write('inner/loop.ts', esModule('check-loop'));
    chmodSync(workspace.path('inner/loop.ts'), 0o000);
    const { code, out } = await run(['lint', 'policy.yaml'], { cwd: workspace.path('inner') });
    if (process.getuid?.() === 0) expect(code).toBe(0); // root may read it
    else expect(out).toMatch(/^policy\.yaml:1:11 ADAPTER_LOAD_FAILED .*EACCES/m);
  });
});

describe('a dependency of one plugin', () => {
  let workspace: Workspace;
  afterEach(() => workspace.remove());
  const needing = (name: string, dependency: string): string =>
    esModule(name).replace(
      'open: async (_config, host) => {',
      `open: async (_config, host) => { await import('${dependency}');`,
    );

  test('that is missing when its handler opens is named, with where to install it and the place of the handler', async () => {
    workspace = makeWorkspace({
      'node_modules/lazy/package.json': manifest('lazy', { type: 'module', exports: './main.js' }),
      'node_modules/lazy/main.js': needing('check-lazy', '@acme/driver/client'),
      'local/lazy.mjs': needing('check-local', 'driver'),
      'local/package.json': manifest('local'),
      'policy.yaml': policyOf(['lazy', './local/lazy.mjs'], ['check-lazy', 'check-local']),
    });
    const { code, out } = await run(['lint', 'policy.yaml'], { cwd: workspace.folder });
    expect(code).toBe(1);
    expect(out).toMatch(
      /^policy\.yaml:3:\d+ CORE_HANDLER_OPEN .*\[check-lazy\/check-lazy\] Cannot find package '@acme\/driver'/m,
    );
    expect(out).toContain(`; install it: npm install @acme/driver in ${workspace.folder}\n`);
    expect(out).toMatch(/^policy\.yaml:4:\d+ CORE_HANDLER_OPEN /m);
    expect(out).toContain(`; install it: npm install driver in ${workspace.path('local')}\n`);
  });

  test('is not loaded by a policy that does not use the plugin, nor before the handler opens', async () => {
    workspace = makeWorkspace({
      'spy.mjs': `import { appendFileSync } from 'node:fs';
        import { registerHooks } from 'node:module';
        registerHooks({ resolve(specifier, context, next) {
          const found = next(specifier, context);
          const name = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(found.url)?.[1];
          if (name !== undefined) appendFileSync(process.env.SPIED, name + '\\n');
          return found;
        } });`,
      'counts.yaml': `handlers: { counts: { adapter: quota-memory } }
rules: [{ name: a, quota: { handler: counts, limit: 1, per: 1s, key: [] } }]
`,
      'writes.yaml': `handlers: { audit: { adapter: log-kafka, config: { brokers: ["127.0.0.1:1"], topic: a } } }
rules: [{ name: a, report: { handler: audit, input: { path: request.path } } }]
`,
    });
    const loadedBy = async (policy: string, command: 'lint' | 'serve'): Promise<ReadonlySet<string>> => {
      const spied = workspace.write(`${policy}.${command}`, '');
      const env = { SPIED: spied, NODE_OPTIONS: `--import ${workspace.path('spy.mjs')}` };
      const options = { env, bin: SOURCE_COMMAND }; // most of these libraries are in the bundle
      if (command === 'lint') expect((await run(['lint', workspace.path(policy)], options)).code).toBe(0);
      else await (await serving([workspace.path(policy)], options)).stop();
      return new Set(readFileSync(spied, 'utf8').trim().split('\n'));
    };
    const clients = ['ioredis', '@platformatic/kafka', '@prometheus-io/client'];
    const loaded = async (policy: string, command: 'lint' | 'serve'): Promise<string[]> => {
      const names = await loadedBy(policy, command);
      expect(names).toContain('zod'); // the spy works
      return clients.filter((one) => names.has(one));
    };
    expect(await loaded('counts.yaml', 'lint')).toEqual([]);
    expect(await loaded('writes.yaml', 'lint')).toEqual([]);
    expect(await loaded('counts.yaml', 'serve')).not.toContain('@platformatic/kafka');
    expect(await loaded('writes.yaml', 'serve')).toContain('@platformatic/kafka');
    expect(await loaded('writes.yaml', 'serve')).not.toContain('ioredis');
  });
});

describe('a reload', () => {
  let workspace: Workspace;
  let server: Serving | undefined;
  afterEach(async () => {
    await server?.stop();
    server = undefined;
    workspace.remove();
  });
  const opened = (): number => server?.err().split('opened check-kept').length ?? 0;

  test.each([[[]], [['--workers', '2']]])(
    'keeps the handlers of plugins that have not changed, and finds a mended plugin, with %j',
    async (args) => {
      workspace = makeWorkspace({
        'kept.ts': esModule('check-kept'),
        'bent.ts': 'export default 1 +;',
        'policy.yaml': policyOf(['./kept.ts'], ['check-kept']),
      });
      server = await serving([workspace.path('policy.yaml')], { args });
      const openedAtFirst = opened();
      const client = peerClient(server.grpc);
      try {
        workspace.write('policy.yaml', policyOf(['./kept.ts', './bent.ts'], ['check-kept', 'check-bent']));
        await server.said(/ADAPTER_LOAD_FAILED/);
        expect((await client.check({ path: '/check-kept' })).denied_response?.body).toBe('denied by check-kept');
        workspace.write('bent.ts', esModule('check-bent'));
        server.signal('SIGHUP');
        await server.said(/"msg":"policy loaded"/);
        expect((await client.check({ path: '/check-bent' })).denied_response?.body).toBe('denied by check-bent');
        expect((await client.check({ path: '/check-kept' })).denied_response?.body).toBe('denied by check-kept');
        expect(opened()).toBe(openedAtFirst);

        workspace.write('policy.yaml', policyOf(['./bent.ts'], ['check-bent', 'check-kept']));
        await server.said(/RULES_UNKNOWN_ADAPTER no adapter is named check-kept/);
      } finally {
        client.close();
      }
    },
  );

  test('is not needed by a worker that is restarted: it imports the modules in force, though their package is gone', async () => {
    workspace = makeWorkspace({
      'node_modules/there/package.json': manifest('there', { main: 'main.js' }),
      'node_modules/there/main.js': commonJsModule('check-there').replace(
        '=> (path ===',
        "=> path === '/end' ? process.reallyExit() : (path ===",
      ),
      'policy.yaml': policyOf(['there'], ['check-there']),
    });
    server = await serving([workspace.path('policy.yaml')], { args: ['--workers', '2'] });
    rmSync(workspace.path('node_modules/there/package.json'));
    const opened = server.err().split('opened check-there').length;
    const client = peerClient(server.grpc);
    try {
      await client.check({ path: '/end' }).catch(() => undefined);
      await server.said(/a worker ended unexpectedly/);
      await expect.poll(() => server?.err().split('opened check-there').length, { timeout: 20_000 }).toBe(opened + 1);
    } finally {
      client.close();
    }
  });
});

describe('serve --watch-plugins', () => {
  let workspace: Workspace;
  let server: Serving;
  afterEach(async () => {
    await server.stop();
    workspace.remove();
  });
  /** Answers `VERSION of HELPER`, and imports the second from a file of its own. */
  const versioned = (version: number): Files => ({
    'folder/index.ts': `import { helper } from './helper.ts';\n${esModule('check-folder').replace("'denied by check-folder'", `\`${version} of \${helper}\``)}`,
    'folder/helper.ts': `export const helper: string = 'helper ${version}';\n`,
    'one.ts': esModule('check-one').replace('denied by check-one', `one ${version}`),
    'common/index.cjs': `const { helper } = require('./helper.cjs');\n${commonJsModule('check-common').replace("'denied by check-common'", `\`common ${version}, \${helper}\``)}`,
    'common/helper.cjs': `exports.helper = 'helper ${version}';\n`,
  });
  const write = (version: number, ...files: readonly string[]): void => {
    for (const file of files) workspace.write(file, versioned(version)[file] ?? '');
  };

  test.each([[[]], [['--workers', '2']]])(
    'takes each change without dropping a call, and keeps other handlers, with %j',
    async (args) => {
      workspace = makeWorkspace({
        ...versioned(1),
        'kept.ts': esModule('check-kept'),
        'policy.yaml': policyOf(
          ['./folder', './one.ts', './common', './kept.ts'],
          ['check-folder', 'check-one', 'check-common', 'check-kept'],
        ),
      });
      server = await serving([workspace.path('policy.yaml')], { args: [...args, '--watch-plugins'] });
      const client = peerClient(server.grpc);
      const answerTo = async (path: string): Promise<string | undefined> =>
        (await client.check({ path })).denied_response?.body;
      const openedKept = server.err().split('opened check-kept').length;
      let isOver = false;
      const odd: (string | undefined)[] = [];
      const traffic = (async () => {
        while (!isOver) {
          const body = await answerTo('/check-folder').catch(String);
          if (!/^\d of helper \d$/.test(body ?? '')) odd.push(body);
          await sleep(2); // without it the calls take the CPU from the reloads
        }
      })();
      const expectAnswer = (path: string, body: string): Promise<void> =>
        expect.poll(async () => answerTo(path), { timeout: 20_000 }).toBe(body);
      try {
        expect(await answerTo('/check-folder')).toBe('1 of helper 1');
        write(2, 'folder/helper.ts');
        await expectAnswer('/check-folder', '1 of helper 2');
        write(3, 'folder/index.ts', 'one.ts', 'common/helper.cjs');
        await expectAnswer('/check-folder', '3 of helper 2');
        await expectAnswer('/check-one', 'one 3');
        await expectAnswer('/check-common', 'common 1, helper 3');

        const saidUntilNow = server.err().length;
        workspace.write('one.ts', 'export default 1 +;');
        await server.said(/ADAPTER_LOAD_FAILED/, saidUntilNow);
        expect(await answerTo('/check-one')).toBe('one 3'); // the last good one
        write(4, 'one.ts', 'common/index.cjs');
        await expectAnswer('/check-one', 'one 4');
        await expectAnswer('/check-common', 'common 4, helper 3');
        expect(await answerTo('/check-kept')).toBe('denied by check-kept');
        expect(server.err().split('opened check-kept').length).toBe(openedKept);
        expect(server.err()).toMatch(/"plugins":\["\S+\/folder"\],"msg":"a plugin has changed and is loaded again/);
      } finally {
        isOver = true;
        await traffic;
        client.close();
      }
      expect(odd).toEqual([]);
    },
    60_000,
  );

  test('is off by default', async () => {
    workspace = makeWorkspace({ ...versioned(1), 'policy.yaml': policyOf(['./one.ts'], ['check-one']) });
    server = await serving([workspace.path('policy.yaml')]);
    const client = peerClient(server.grpc);
    try {
      write(2, 'one.ts');
      workspace.write('policy.yaml', `# changed\n${policyOf(['./one.ts'], ['check-one'])}`);
      await server.said(/"msg":"policy loaded"/);
      expect((await client.check({ path: '/check-one' })).denied_response?.body).toBe('one 1');
    } finally {
      client.close();
    }
  });
});
