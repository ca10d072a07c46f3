/**
 * The files of a new plugin.
 * **In**: its name, what it serves, where npm finds `sluice`. **Out**: texts by path. **Fails**: never.
 */
import { type Capability, CAPABILITIES } from '../../adapters/contract.ts';
import { PIECES, type Piece } from './pieces.ts';

export interface PluginOptions {
  readonly name: string;
  readonly serves: ReadonlySet<Capability>;
  /** A version range, or anything that npm takes: `file:../sluice-0.1.0.tgz`. */
  readonly sluice: string;
  /** Versions of this installation, by package. */
  readonly versions: Readonly<Record<'node' | 'typescript' | 'zod' | '@types/node', string>>;
}

export function pluginFiles(options: PluginOptions): ReadonlyMap<string, string> {
  const pieces = CAPABILITIES.filter((capability) => options.serves.has(capability)).map((one) => PIECES[one]);
  return new Map([
    ['package.json', packageJson(options)],
    ['tsconfig.json', json(TSCONFIG)],
    ['tsconfig.build.json', json(TSCONFIG_BUILD)],
    ['.gitignore', 'node_modules\ndist\n*.tgz\n'],
    ['src/adapter.ts', adapter(options, pieces)],
    ['src/adapter.test.ts', adapterTest(pieces)],
    ['example/policy.yaml', policy(options, pieces)],
    ['example/cases.yaml', cases(pieces)],
    ['README.md', readme(options)],
  ]);
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const all = (pieces: readonly Piece[], part: (piece: Piece) => readonly string[]): string[] => pieces.flatMap(part);
const indented = (lines: readonly string[], by: number): string[] =>
  lines.map((line) => (line === '' ? '' : ' '.repeat(by) + line));

function packageJson({ name, sluice, versions }: PluginOptions): string {
  const manifest = {
    name,
    version: '0.1.0',
    description: `The adapter ${name} for Sluice.`,
    type: 'module',
    exports: './dist/adapter.js',
    files: ['dist'],
    engines: { node: '>=24' },
    scripts: {
      test: 'tsc --noEmit && node --test "src/*.test.ts" && sluice lint example/policy.yaml && sluice test example',
      build: 'tsc --project tsconfig.build.json',
      prepack: 'npm run -s build',
    },
    peerDependencies: { sluice: /^[\d^~]/.test(sluice) ? sluice : '*', zod: `^${versions.zod}` },
    devDependencies: {
      '@types/node': versions['@types/node'],
      node: versions.node,
      sluice,
      typescript: versions.typescript,
      zod: versions.zod,
    },
  };
  return json(manifest);
}

/** Node strips the types of a local plugin, so its syntax must be erasable. */
const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2024',
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    erasableSyntaxOnly: true,
    rewriteRelativeImportExtensions: true,
    declaration: true,
    skipLibCheck: true,
    types: ['node'],
    noEmit: true,
  },
  include: ['src'],
};
const TSCONFIG_BUILD = {
  extends: './tsconfig.json',
  compilerOptions: { noEmit: false, rootDir: 'src', outDir: 'dist' },
  include: [],
  files: ['src/adapter.ts'],
};

function adapter({ name, serves }: PluginOptions, pieces: readonly Piece[]): string {
  const imports = ['defineAdapter', ...all(pieces, (piece) => piece.imports)].toSorted((a, b) =>
    a.toLowerCase() < b.toLowerCase() ? -1 : 1,
  );
  const fields = all(pieces, ({ config }) => config.map((line) => /^\w+/.exec(line)?.[0] ?? ''));
  const needsHost = serves.has('quota') || serves.has('report');
  return [
    ...all(pieces, (piece) => piece.importLines),
    `import { ${imports.join(', ')} } from 'sluice/plugin';`,
    "import { z } from 'zod';",
    '',
    'export default defineAdapter({',
    `  name: '${name}',`,
    "  summary: 'TODO: what it does, in one sentence.',",
    '  // What operators write under `config`; a wrong key or value gets its message from here.',
    '  config: z.strictObject({',
    ...indented(
      all(pieces, (piece) => piece.config),
      4,
    ),
    '  }),',
    '  serves: {',
    ...indented(
      all(pieces, ({ serves: line }) => [line]),
      4,
    ),
    '  },',
    '  selfContained: true, // it needs nothing outside the process, so `sluice test` runs it as it is',
    '  // Checks the config; must not need its backend. `host` has the log, the clock and metrics.',
    `  async open({ ${fields.join(', ')} }${needsHost ? ', host' : ''}) {`,
    ...indented(
      all(pieces, (piece) => piece.setup),
      4,
    ),
    '    return {',
    ...indented(
      all(pieces, (piece) => piece.methods),
      6,
    ),
    '    };',
    '  },',
    '});',
    '',
  ].join('\n');
}

function adapterTest(pieces: readonly Piece[]): string {
  const config = pieces.map(({ testConfig }) => testConfig).filter((one) => one !== '');
  return [
    "import { describe, test } from 'node:test';",
    "import { testAdapter } from 'sluice/plugin/testing';",
    "import adapter from './adapter.ts';",
    '',
    '// The behaviours that every adapter must have. Tests of its own go below.',
    'testAdapter(adapter, {',
    '  runner: { describe, test },',
    `  config: { ${config.join(', ')} },`.replace('{  }', '{}'),
    '  badConfigs: [{ config: { no_such_key: 1 }, says: /no_such_key/ }],',
    ...indented(
      all(pieces, (piece) => piece.subject),
      2,
    ),
    '});',
    '',
  ].join('\n');
}

/** An editor then completes and checks the keys of the file. */
const EDITOR_LINE = '# yaml-language-server: $schema=../node_modules/sluice/docs/policy.schema.json';

function policy({ name }: PluginOptions, pieces: readonly Piece[]): string {
  const config = pieces.map(({ policyConfig }) => policyConfig).filter((one) => one !== '');
  return [
    EDITOR_LINE,
    'plugins: [../src/adapter.ts]',
    'handlers:',
    `  mine: { adapter: ${name}${config.length === 0 ? '' : `, config: { ${config.join(', ')} }`} }`,
    'rules:',
    ...indented(
      all(pieces, (piece) => piece.rules),
      2,
    ),
    '',
  ].join('\n');
}

const cases = (pieces: readonly Piece[]): string =>
  [
    EDITOR_LINE,
    'policy: policy.yaml',
    'cases:',
    ...indented(
      all(pieces, (piece) => piece.caseLines),
      2,
    ),
    '',
  ].join('\n');

const readme = ({ name }: PluginOptions): string => `# ${name}

An adapter for [Sluice](https://www.npmjs.com/package/sluice). TODO: what it does, for whom.

\`\`\`sh
npm install && npm test                     # types, behaviours, and the cases of example/
npx sluice serve example/policy.yaml        # with --watch-plugins, a changed file is loaded anew
npx sluice plugins show ${name} example/policy.yaml
npm pack                                    # the package, as JavaScript
\`\`\`

| file | holds |
|---|---|
| src/adapter.ts | the adapter: config, what it serves, \`open\` |
| src/adapter.test.ts | the behaviours that every adapter must have, and its own |
| example/policy.yaml, example/cases.yaml | a policy that uses it, and what that policy must do |

A policy names the installed package: \`plugins: [${name}]\`. What an adapter may do is in docs/plugins.md of Sluice.
`;
