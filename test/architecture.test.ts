/** Who may import whom. This table is the documentation; docs/architecture.md points here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LONG } from './parts/longest-first.ts';

const ROOT = resolve(import.meta.dirname, '..');

const GROUND = [
  'src/text',
  'src/time',
  'src/attributes',
  'src/expression',
  'src/adapters/contract.ts',
  'src/counting/ask.ts',
  'src/counting/calendar.ts',
];

/** Reports on disk: the spool, and the form of values that they share with handlers behind gRPC. */
const OF_SPOOLED_REPORTS = ['src/spool', 'src/protobuf', 'src/adapters/remote/codec'];

/** The stages of the core, each of which may import those before it. */
const STAGES_OF_CORE: readonly (readonly string[])[] = [
  [
    'src/core/call.ts',
    'src/core/call-id.ts',
    'src/core/actions.ts',
    'src/core/when-done.ts',
    'src/core/status.ts',
    'src/core/header-names.ts',
    'src/core/key-text.ts',
    'src/core/text-bounds.ts',
    'src/core/metrics',
  ],
  ['src/core/rules/errors.ts'],
  ['src/core/rules'],
  ['src/core/handlers'],
  ['src/core/outcome.ts'],
  ['src/core/match'],
  ['src/core/snapshot'],
  ['src/core/dispatch'],
  ['src/core/verdict'],
  ['src/core/history'],
  ['src/core/engine.ts', 'src/core/running-engine.ts'],
];

const stagesOfCore = Object.fromEntries(
  STAGES_OF_CORE.flatMap((stage, at) =>
    stage.map((place) => [
      place,
      [
        ...GROUND,
        'src/yaml',
        'src/adapters/config-secrets.ts',
        'src/adapters/open-handler.ts',
        'src/adapters/outage-log.ts',
        'src/adapters/registry.ts',
        'src/adapters/shape-problems.ts',
        'src/adapters/thrown-place.ts',
        ...(place === 'src/core/handlers' ? OF_SPOOLED_REPORTS : []),
        ...(place === 'src/core/rules' ? ['src/importers/istio/index.ts'] : []),
        ...STAGES_OF_CORE.slice(0, at + 1).flat(),
      ],
    ]),
  ),
);

/** The stages of a call to `sluice ratelimit`: each may import those before it, and places outside that are its own. */
const STAGES_OF_RATELIMIT: readonly (readonly [stage: string, places: readonly string[]])[] = [
  ['src/ratelimit/call.ts', []],
  ['src/ratelimit/config', ['src/yaml', 'src/counting/calendar.ts', 'src/counting/window.ts']],
  ['src/ratelimit/metrics', ['src/core/metrics/families.ts', 'src/core/metrics/meters.ts']],
  ['src/ratelimit/settings', ['src/adapters/shared-memory.ts']],
  ['src/ratelimit/walk', ['src/counting/ask.ts', 'src/counting/store.ts']],
  [
    'src/ratelimit/charge',
    [
      'src/counting',
      'src/core/handlers/answer-times.ts',
      'src/core/handlers/breaker.ts',
      'src/core/handlers/throttled-line.ts',
      'src/adapters/contract.ts',
      'src/adapters/outage-log.ts',
    ],
  ],
  ['src/ratelimit/answer', ['src/core/verdict/ratelimit-fields.ts']],
  ['src/ratelimit/inspect', ['src/counting/ask.ts', 'src/counting/store.ts', 'src/adapters/contract.ts']],
  [
    'src/ratelimit/serve',
    [
      'src/files',
      'src/yaml',
      'src/adapters/contract.ts',
      'src/admin/http-app.ts',
      'src/admin/change-access.ts',
      'src/admin/lease-query.ts',
    ],
  ],
];

const stagesOfRatelimit = Object.fromEntries(
  STAGES_OF_RATELIMIT.map(([stage, places], at) => [
    stage,
    ['src/text', 'src/time', ...places, ...STAGES_OF_RATELIMIT.slice(0, at).map(([earlier]) => earlier)],
  ]),
);

const SEAM_OF_TRANSPORT = ['src/transport/exchange.ts', 'src/transport/framed.ts'];

const FRONTENDS_MAY = [
  'gen',
  'src/text/message-of.ts',
  'src/text/context-header.ts',
  'src/text/json-object.ts',
  'src/text/received-header.ts',
  'src/time/shared-slice.ts',
  'src/time/throttle.ts',
  'src/time/time-slice.ts',
  'src/transport/index.ts',
  'src/transport/transport.ts',
  'src/transport/byte-range.ts',
  'src/protobuf',
  'src/attributes',
  'src/core/call.ts',
  'src/ratelimit/call.ts',
];
const SHARED_BY_FRONTENDS = [
  'src/frontends/frontend-options.ts',
  'src/frontends/wire-values.ts',
  'src/frontends/any-json.ts',
  'src/frontends/grpc-status.ts',
  'src/frontends/header-pairs.ts',
  'src/frontends/verdict-metadata.ts',
  'src/frontends/connection-bytes.ts',
  'src/frontends/istio-cluster.ts',
  'src/frontends/waits.ts',
  'src/frontends/log-origin.ts',
  'src/frontends/node-readers.ts',
  'src/frontends/record-stream.ts',
];

const OF_REMOTE_HANDLERS = ['src/transport', 'src/protobuf', 'gen'];

/** What both commands that serve have in common, beside the crew. */
const SERVE_GROUND = [
  'contain-errors',
  'errors',
  'grpc-listener',
  'http-listener',
  'refused-connections',
  'certificate-validity',
  'tls-files',
  'watch-files',
  'one-at-a-time',
].map((name) => `src/serve/${name}.ts`);

/** For each folder, the folders (or files) of ours that it may import beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/text': [],
  'src/time': [],
  'src/files': ['src/text'],
  'src/attributes': ['src/text', 'src/time'],
  // Documents with positions, and findings about them: of policies, limits and meshes alike. Codes of its findings stand with the rules'.
  'src/yaml': ['src/text', 'src/time', 'src/core/rules/errors.ts'],
  'src/expression': ['src/text', 'src/attributes'],
  // The stages of an expression: text -> tree -> typed tree -> passes over it -> closures or generated code.
  'src/expression/values': ['src/attributes'],
  'src/expression/parse': ['src/text/lookalikes.ts', 'src/attributes'],
  'src/expression/functions': ['src/text', 'src/attributes', 'src/expression/values', 'src/expression/budget.ts'],
  'src/expression/check': [
    'src/text',
    'src/attributes',
    'src/expression/values',
    'src/expression/parse',
    'src/expression/functions',
  ],
  'src/expression/closures': [
    'src/attributes',
    'src/expression/values',
    'src/expression/budget.ts',
    'src/expression/parse',
    'src/expression/functions',
    'src/expression/check',
  ],
  'src/expression/passes': [
    'src/attributes',
    'src/expression/values',
    'src/expression/budget.ts',
    'src/expression/parse',
    'src/expression/functions',
    'src/expression/check',
    'src/expression/closures',
  ],
  'src/expression/generate': ['src/expression/check', 'src/expression/closures'],
  'src/importers/mixer': ['src/text', 'src/attributes', 'src/expression/index.ts'],
  // Documents of a peer become nodes of rules, which core/rules reads like any others.
  'src/importers/istio': [
    'src/text',
    'src/time',
    'src/attributes',
    'src/yaml',
    'src/core/rules/errors.ts',
    'src/core/rules/sections/istio-settings.ts',
  ],
  // The API client knows neither the engine nor plugins: whatever watches Kubernetes uses it.
  'src/kubernetes': ['src/text', 'src/time'],
  'src/transport': ['src/text/server-name.ts', 'src/time/timer-wheel.ts', 'src/time/settles-within.ts'],
  // gRPC and HTTP/2 meet at the exchange alone.
  'src/transport/h2': [...SEAM_OF_TRANSPORT, 'src/transport/limits.ts', 'src/transport/percent.ts'],
  'src/transport/grpc': [
    ...SEAM_OF_TRANSPORT,
    'src/transport/transport.ts',
    'src/transport/byte-range.ts',
    'src/time/timer-wheel.ts',
  ],
  'src/protobuf': ['src/text', 'src/transport/transport.ts'],
  'src/log': ['src/text', 'src/attributes', 'src/adapters/contract.ts'],
  'src/adapters': ['src/text', 'src/time', 'src/files', 'src/attributes', ...OF_REMOTE_HANDLERS],
  // Only handlers behind gRPC know the transport and protobuf.
  ...Object.fromEntries(
    ['isolated', 'loading', 'contract.ts', 'open-handler.ts'].map((part) => [
      `src/adapters/${part}`,
      ['src/text', 'src/time', 'src/files', 'src/attributes', 'src/adapters'],
    ]),
  ),
  // A spool knows octets alone.
  'src/spool': ['src/text', 'src/time'],
  'src/counting': [
    'src/text',
    'src/time',
    'src/adapters/contract.ts',
    'src/adapters/outage-log.ts',
    'src/adapters/shared-places.ts',
  ],
  'src/core': [
    ...GROUND,
    'src/yaml',
    'src/importers/istio/index.ts',
    'src/adapters/config-secrets.ts',
    'src/adapters/open-handler.ts',
    'src/adapters/outage-log.ts',
    'src/adapters/registry.ts',
    'src/adapters/shape-problems.ts',
    'src/adapters/thrown-place.ts',
    ...OF_SPOOLED_REPORTS,
  ],
  ...stagesOfCore,
  'src/ratelimit': ['src/text', 'src/time', ...STAGES_OF_RATELIMIT.flatMap(([, places]) => places)],
  ...stagesOfRatelimit,
  'src/tracing': [
    'src/text',
    'src/time',
    'src/transport',
    'src/attributes/secrets.ts',
    'src/ratelimit/call.ts',
    'src/ratelimit/charge/store.ts',
  ],
  'src/frontends': FRONTENDS_MAY,
  // No frontend imports another; what several need stands beside them.
  ...Object.fromEntries(
    ['ext-authz', 'ratelimit', 'access-log', 'otlp', 'http', 'metrics'].map((frontend) => [
      `src/frontends/${frontend}`,
      [...FRONTENDS_MAY, ...SHARED_BY_FRONTENDS],
    ]),
  ),
  // The discovery service knows neither meshes nor the engine.
  'src/xds': ['src/time', 'src/protobuf', 'src/transport/index.ts', 'gen'],
  'src/envoy-json': ['src/text', 'src/protobuf'],
  // Identities of workloads: they know neither meshes nor the engine.
  'src/identity': [
    'src/text',
    'src/time',
    'src/files',
    'src/attributes/spiffe.ts',
    'src/adapters/contract.ts',
    'src/adapters/outage-log.ts',
    'src/kubernetes/index.ts',
    'src/transport/index.ts',
    'src/xds/index.ts',
    'src/envoy-json',
    'gen',
  ],
  ...Object.fromEntries(
    ['certificate', 'csr', 'der', 'signature', 'spiffe'].map((part) => [
      `src/identity/${part}.ts`,
      ['src/text', 'src/attributes/spiffe.ts', ...['csr', 'der', 'signature'].map((one) => `src/identity/${one}.ts`)],
    ]),
  ),
  // The mesh and the engine do not know each other; they read YAML by the same code.
  'src/mesh': [
    'src/text',
    'src/time',
    'src/files',
    'src/envoy-json',
    'src/xds/index.ts',
    'src/transport/index.ts',
    'src/yaml',
    'src/identity/contract.ts',
    'src/kubernetes/index.ts',
    'src/identity/spiffe.ts',
    'src/identity/workload-identities.ts',
    'src/core/rules/errors.ts',
    'gen/grpc/health',
  ],
  // A proxy and its agent in a pod: of the mesh they know only the form of Envoy's configuration.
  'src/mesh/sidecar': ['src/text', 'src/identity/contract.ts', 'src/mesh/envoy/parts.ts', 'gen/grpc/health'],
  // Sidecars for pods; knows neither the mesh nor the engine.
  'src/inject': ['src/text', 'src/time', 'src/yaml'],
  // What a policy would say to a call, without side effects: for sluice explain, the playground, a candidate, a replay.
  'src/explain': ['src/attributes', 'src/expression', 'src/counting/ask.ts', 'src/adapters/contract.ts', 'src/core'],
  // Rules from recorded calls: of the engine it uses the hash of percentages alone.
  'src/traffic/suggest': ['src/attributes', 'src/core/match/percentage.ts', 'src/traffic/format.ts'],
  // A policy beside the calls that a replay decides by it.
  'src/traffic/policy-coverage': ['src/attributes', 'src/yaml', 'src/core', 'src/explain/explanation.ts'],
  // Recorded calls: written from decided ones, read again, decided anew.
  'src/traffic': [
    'src/text',
    'src/yaml',
    'src/time',
    'src/attributes',
    'src/expression',
    'src/adapters/contract.ts',
    'src/adapters/description.ts',
    'src/adapters/open-handler.ts',
    'src/core',
    'src/explain',
  ],
  // A policy beside the one in force, which decides the same calls for comparison.
  'src/candidate': [
    'src/text',
    'src/time',
    'src/attributes',
    'src/counting/ask.ts',
    'src/adapters/contract.ts',
    'src/adapters/open-handler.ts',
    'src/core',
    'src/explain',
  ],
  'src/admin': [
    'src/text',
    'src/time/time-slice.ts',
    'src/adapters/contract.ts',
    'src/yaml',
    'src/attributes',
    'src/core',
    'src/envoy',
    'src/candidate',
    'src/explain/why.ts',
    'src/traffic/format.ts',
    'src/files/program.ts',
  ],
  // Runs in browsers: it knows the JSON alone.
  'src/page': [],
  // Envoy's side of a policy: what it needs, as configuration, and compared with an existing one.
  'src/envoy': [
    'src/text',
    'src/text/context-header.ts',
    'src/text/received-header.ts',
    'src/time/time-slice.ts',
    'src/attributes',
    'src/yaml',
    'src/expression/index.ts',
    'src/core/rules',
  ],
  'src/serve': [
    'src/identity',
    'src/text',
    'src/yaml',
    'src/time',
    'src/files',
    'src/attributes',
    'src/transport',
    'src/log',
    'src/adapters',
    'src/core',
    'src/ratelimit',
    'src/tracing',
    'src/frontends',
    'src/mesh',
    'src/kubernetes',
    'src/xds',
    'src/inject',
    'src/explain',
    'src/traffic',
    'src/candidate',
    'src/admin',
  ],
  // The crew knows neither command; the two commands do not know each other.
  'src/serve/crew': [
    'src/text',
    'src/files',
    'src/transport',
    'src/log',
    'src/adapters',
    'src/time/in-turn.ts',
    'src/time/settles-within.ts',
    'src/serve/errors.ts',
    'src/serve/contain-errors.ts',
  ],
  // Adapters in a process of their own; without an engine.
  'src/serve/plugins': [
    'src/text',
    'src/transport',
    'src/log',
    'src/adapters',
    'src/frontends/index.ts',
    ...SERVE_GROUND,
  ],
  'src/serve/policy': [
    'src/text',
    'src/yaml',
    'src/files',
    'src/attributes',
    'src/transport',
    'src/log',
    'src/adapters',
    'src/core',
    'src/frontends',
    'src/explain',
    'src/traffic',
    'src/candidate',
    'src/admin',
    'src/time/in-turn.ts',
    'src/time/settles-within.ts',
    'src/time/time-slice.ts',
    'src/time/throttle.ts',
    'src/serve/crew',
    ...SERVE_GROUND,
  ],
  'src/serve/mesh': [
    'src/identity',
    'src/text',
    ...['backoff', 'keyed-work', 'throttle'].map((part) => `src/time/${part}.ts`),
    'src/log',
    'src/mesh',
    'src/kubernetes/index.ts',
    'src/xds/index.ts',
    'src/transport/index.ts',
    'src/yaml',
    'src/core/metrics',
    'src/admin/http-app.ts',
    'src/admin/metrics.ts',
    'src/admin/metrics-reply.ts',
    ...SERVE_GROUND,
  ],
  // The injector behind HTTPS; of the engine it has the form of metrics alone.
  'src/serve/webhook': [
    'src/text',
    'src/time/throttle.ts',
    'src/files/watch.ts',
    'src/adapters/contract.ts',
    'src/core/metrics',
    'src/inject',
    'src/transport/index.ts',
    'src/admin/http-app.ts',
    'src/admin/metrics.ts',
    'src/admin/metrics-reply.ts',
    ...SERVE_GROUND,
  ],
  'src/serve/ratelimit': [
    'src/text',
    'src/transport',
    'src/log',
    'src/adapters',
    'src/ratelimit',
    'src/tracing',
    'src/frontends',
    'src/serve/crew',
    ...SERVE_GROUND,
  ],
  'src/cli': ['src', 'gen'],
};

/** Folders of plugins/ that are no plugins: what several of ours need, as an author's own plugins may share a library. */
const SHARED_BY_PLUGINS = [
  'plugins/batches',
  'plugins/lines',
  'plugins/values',
  'plugins/http',
  'plugins/metrics',
  'plugins/otlp',
  'plugins/tokens',
];

/** Doors: from other folders, only this file of the folder may be imported. */
const DOORS: Readonly<Record<string, string>> = { 'src/expression': 'src/expression/index.ts' };

/** Packages whose code `scripts/bundle.ts` bundles; other dev dependencies are tools, and what tests compare us with. */
const BUNDLED = [
  '@bufbuild/protobuf',
  '@msgpack/msgpack',
  '@peculiar/asn1-schema',
  '@peculiar/asn1-x509',
  '@preact/signals',
  '@prometheus-io/client',
  'asn1js',
  'bcryptjs',
  'commander',
  'csv-parse',
  'fastify',
  'jose',
  'lru-cache',
  'luxon',
  'pino',
  'preact',
  're2js',
  'undici',
  'yaml',
];

function sourceFiles(folder: string): string[] {
  if (folder.endsWith('.ts')) return [folder];
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g,
  );
  return [...found].map(([, a, b, c]) => a ?? b ?? c ?? '');
}

const within = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** A line of a comment, or a comment behind code; lines of code may hold a long text. */
const COMMENT = /^\s*(?:\/\*\*?|\*|\/\/) (?!.*oxlint)|[;,{})\]] \/\/ [^'"`]*$/;

describe('imports', () => {
  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    test(`${folder} imports only what it may`, () => {
      const files = sourceFiles(folder);
      const wrong = files.flatMap((file) =>
        importsOf(file)
          .filter((specifier) => specifier.startsWith('.'))
          .map((specifier) => relative(ROOT, resolve(ROOT, dirname(file), specifier)))
          .filter((target) => ![folder, ...allowed].some((place) => within(target, place)))
          .map((target) => `${file} imports ${target}`),
      );
      expect(wrong).toEqual([]);
    });
  }

  test('each file of the core is in a stage', () => {
    const stages = Object.keys(stagesOfCore);
    expect(sourceFiles('src/core').filter((file) => !stages.some((place) => within(file, place)))).toEqual([]);
  });

  test('tracing is loaded by those alone who ask whether it is on', () => {
    const wrong = sourceFiles('src')
      .filter((file) => !within(file, 'src/tracing'))
      .flatMap((file) => [
        ...importsOf(file)
          .filter((specifier) => specifier.startsWith('@opentelemetry/'))
          .map((specifier) => `${file} imports ${specifier}`),
        ...[
          ...readFileSync(join(ROOT, file), 'utf8').matchAll(/^(?:import|export) (?!type ).*?from '.*\/tracing\//gm),
        ].map(([line]) => `${file}: ${line}`),
      ]);
    expect(wrong).toEqual([]);
  });

  test('plugins import the public contract, never src/, never each other', () => {
    const wrong = sourceFiles('plugins').flatMap((file) =>
      importsOf(file)
        .filter((specifier) => {
          if (!specifier.startsWith('.'))
            return (
              specifier.startsWith('sluice') &&
              !['sluice/plugin', 'sluice/counting', 'sluice/kubernetes', 'sluice/plugin/testing'].includes(specifier)
            );
          const target = relative(ROOT, resolve(ROOT, dirname(file), specifier));
          const own = file.split('/').slice(0, 2).join('/');
          const isTestPart = file.endsWith('.test.ts') && within(target, 'test/parts');
          return !within(target, own) && !isTestPart && !SHARED_BY_PLUGINS.some((folder) => within(target, folder));
        })
        .map((specifier) => `${file} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test('code that ships imports the packages that are installed with it or bundled, and no other', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      readonly dependencies: Readonly<Record<string, string>>;
    };
    const allowed = new Set([...Object.keys(dependencies), ...BUNDLED, 'sluice']);
    const packageOf = (specifier: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? '';
    const imported = [...sourceFiles('src'), ...sourceFiles('plugins')]
      .filter((file) => !file.endsWith('.test.ts'))
      .flatMap((file) =>
        importsOf(file)
          .filter((specifier) => !/^(?:\.|node:)/.test(specifier))
          .map((specifier) => ({ file, name: packageOf(specifier) })),
      );
    expect(imported.filter(({ name }) => !allowed.has(name))).toEqual([]);
    const names = new Set(imported.map(({ name }) => name));
    expect(BUNDLED.filter((name) => !names.has(name))).toEqual([]);
  });

  test('each file is imported, or named, by another', () => {
    const all = ['src', 'plugins', 'scripts', 'test/unit', 'test/e2e'].flatMap(sourceFiles);
    const named = new Set(
      all.flatMap((file) =>
        [
          ...readFileSync(join(ROOT, file), 'utf8').matchAll(
            /['"`](?:(\.[^'"`\n]+?)|\/?((?:src|plugins)\/[^'"`\n]+?))['"`]/g,
          ),
        ].map(([, beside, fromRoot = '']) =>
          beside === undefined ? fromRoot : relative(ROOT, resolve(ROOT, dirname(file), beside)),
        ),
      ),
    );
    const alone = [...sourceFiles('src'), ...sourceFiles('plugins')].filter(
      (file) => !/\.(?:test|d)\.ts$/.test(file) && !named.has(file),
    );
    expect(alone).toEqual(['src/adapters/register.ts', 'src/page/main.tsx']); // named by commands and by a path in parts
  });

  test('folders with a door are entered by it', () => {
    const wrong = Object.entries(DOORS).flatMap(([folder, door]) =>
      sourceFiles('src')
        .filter((file) => !within(file, folder))
        .flatMap((file) =>
          importsOf(file)
            .filter((specifier) => specifier.startsWith('.'))
            .map((specifier) => relative(ROOT, resolve(ROOT, dirname(file), specifier)))
            .filter((target) => within(target, folder) && target !== door)
            .map((target) => `${file} imports ${target}`),
        ),
    );
    expect(wrong).toEqual([]);
  });

  test('paths of our own files are built in one module, since the bundle moves the others', () => {
    const wrong = [...sourceFiles('src'), ...sourceFiles('plugins')].filter(
      (file) =>
        file !== 'src/files/program.ts' &&
        !file.endsWith('.test.ts') &&
        readFileSync(join(ROOT, file), 'utf8').includes('import.meta'),
    );
    expect(wrong).toEqual([]);
  });

  test('comments have at most 140 columns', () => {
    const wide = ['src', 'plugins', 'test', 'scripts', 'bench'].flatMap((folder) =>
      sourceFiles(folder).flatMap((file) =>
        readFileSync(join(ROOT, file), 'utf8')
          .split('\n')
          .flatMap((line, at) => (line.length > 140 && COMMENT.test(line) ? [`${file}:${at + 1}`] : [])),
      ),
    );
    expect(wide).toEqual([]);
  });

  test('a name says what is in a file', () => {
    const ours = [...sourceFiles('src'), ...sourceFiles('plugins')].filter((file) => !file.includes('/generated/')); // named by the peers
    const vague = ours.filter((file) => /(^|\/)(utils?|common|helpers?|manager|impl|misc|base)(\.ts|\/)/.test(file));
    expect(vague).toEqual([]);
  });

  test('docs/README.md links each page of docs', () => {
    const index = readFileSync(join(ROOT, 'docs/README.md'), 'utf8');
    const links = new Set([...index.matchAll(/\]\(([^)#]+)/g)].map(([, target]) => target));
    const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter(
      (page) => page.endsWith('.md') && page !== 'README.md' && !page.startsWith('decisions/'),
    );
    expect(pages.filter((page) => !links.has(page))).toEqual([]); // add a line for it to docs/README.md
    expect([...links].filter((target) => target !== undefined && !existsSync(join(ROOT, 'docs', target)))).toEqual([]);
  });

  test('links between pages lead to pages and headings that exist', () => {
    const textOf = (page: string): string =>
      readFileSync(join(ROOT, page), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
    // As GitHub makes them.
    const anchorsOf = (page: string): string[] =>
      [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .replaceAll(/\]\([^)]*\)/g, '')
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
          .replaceAll(' ', '-'),
      );
    const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((page) => page.endsWith('.md'))
      .map((page) => `docs/${page}`);
    const wrong = [...pages, 'README.md'].flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
        if (/^[a-z]+:/.test(link)) return [];
        const [file = '', anchor] = link.split('#');
        const target = file === '' ? page : relative(ROOT, resolve(ROOT, dirname(page), file));
        const isThere =
          existsSync(join(ROOT, target)) &&
          (anchor === undefined || !target.endsWith('.md') || anchorsOf(target).includes(anchor));
        return isThere ? [] : [`${page}: ${link}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  test('decisions are numbered without a gap, each number once, and say it in their first line', () => {
    const files = readdirSync(join(ROOT, 'docs/decisions')).toSorted();
    expect(files.map((file) => Number.parseInt(file, 10))).toEqual(files.map((_, at) => at + 1));
    const wrong = files.filter(
      (file, at) => !readFileSync(join(ROOT, 'docs/decisions', file), 'utf8').startsWith(`# ${at + 1}. `),
    );
    expect(wrong).toEqual([]);
  });
});

test('the list of long test files names files that exist', () => {
  expect(LONG.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});
