import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { readYaml } from '../../../src/inject/read-yaml.ts';
import { defaultMeshConfig } from '../../../src/inject/configs.ts';
import type { InjectConfig, Style } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';
import { injectManifests, type ManifestFault } from '../../../src/inject/manifests.ts';
import type { Finding } from '../../../src/yaml/findings.ts';
import { CONFIGS } from '../../parts/inject-configs.ts';

interface Injected {
  readonly text: string;
  readonly messages: readonly string[];
  readonly fault: Finding | undefined;
}

async function injected(text: string, style: Style = '1.0', config: InjectConfig = CONFIGS[style]): Promise<Injected> {
  const messages: string[] = [];
  let out = '';
  let fault: Finding | undefined;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  try {
    for await (const part of injectManifests(bytes(), {
      config,
      mesh: defaultMeshConfig(style),
      file: 'shop.yaml',
      onMessage: (message) => messages.push(message),
    }))
      out += Buffer.from(part as string).toString();
  } catch (error) {
    fault = (error as ManifestFault).finding;
    if (fault === undefined) throw error;
  }
  return { text: out, messages, fault };
}

const first = async (object: JsonObject, style?: Style): Promise<JsonObject> =>
  parse((await injected(stringify(object), style)).text.replace(/---\n$/, '')) as JsonObject;

const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);
const names = (list: unknown): unknown[] => ((list ?? []) as JsonObject[]).map(({ name }) => name);

const POD = { containers: [{ name: 'app', image: 'app:1', ports: [{ containerPort: 80 }] }] };
const TEMPLATE = { metadata: { labels: { app: 'shop' } }, spec: POD };

describe('objects of these kinds are injected, whatever their version', () => {
  test.each([
    'ReplicationController',
    'Deployment',
    'DaemonSet',
    'ReplicaSet',
    'StatefulSet',
    'Job',
    'DeploymentConfig',
  ])('%s, in its template', async (kind) => {
    const object = await first({
      apiVersion: 'any/v7',
      kind,
      metadata: { name: 'shop' },
      spec: { replicas: 2, template: TEMPLATE },
    });
    expect(object).toMatchObject({ apiVersion: 'any/v7', kind, metadata: { name: 'shop' }, spec: { replicas: 2 } });
    expect(names(at(object, 'spec', 'template', 'spec', 'containers'))).toEqual(['app', 'istio-proxy']);
    expect(at(object, 'spec', 'template', 'metadata', 'annotations', 'sidecar.istio.io/status')).toContain(
      'istio-init',
    );
    expect(at(object, 'metadata', 'annotations')).toBeUndefined();
  });

  test('Pod, in itself', async () => {
    const object = await first({ kind: 'Pod', metadata: { name: 'shop' }, spec: POD });
    expect(names(at(object, 'spec', 'initContainers'))).toEqual(['istio-init']);
    expect(at(object, 'metadata', 'annotations', 'sidecar.istio.io/status')).toContain('istio-init');
  });

  test('CronJob, whose labels and status are those of its jobs', async () => {
    const object = await first({
      kind: 'CronJob',
      spec: { jobTemplate: { metadata: { labels: { app: 'jobs' } }, spec: { template: TEMPLATE } } },
    });
    const template = at(object, 'spec', 'jobTemplate', 'spec', 'template');
    expect(names(at(template, 'spec', 'containers'))).toEqual(['app', 'istio-proxy']);
    expect(at(template, 'spec', 'containers', 1, 'args')).toContain('jobs');
    expect(at(template, 'metadata')).toEqual(TEMPLATE.metadata);
    expect(at(object, 'spec', 'jobTemplate', 'metadata', 'annotations')).toHaveProperty(['sidecar.istio.io/status']);
  });

  test('List, with lists in it, and other objects as they were', async () => {
    const service = { kind: 'Service', spec: { ports: [{ port: 80 }] } };
    const pod = { kind: 'Pod', spec: POD };
    const list = await first({ kind: 'List', items: [service, pod, { kind: 'List', items: [pod, 7, null] }] });
    expect(at(list, 'items', 0)).toEqual(service);
    expect(names(at(list, 'items', 1, 'spec', 'containers'))).toEqual(['app', 'istio-proxy']);
    expect(names(at(list, 'items', 2, 'items', 0, 'spec', 'containers'))).toEqual(['app', 'istio-proxy']);
    expect(at(list, 'items', 2, 'items', 1)).toBe(7);
  });

  test('also without a spec, and with parts that are null', async () => {
    expect(names(at(await first({ kind: 'Pod' }), 'spec', 'containers'))).toEqual(['istio-proxy']);
    const empty = await first({
      kind: 'Deployment',
      spec: { template: { metadata: null, spec: { containers: null, volumes: null } } },
    });
    expect(names(at(empty, 'spec', 'template', 'spec', 'containers'))).toEqual(['istio-proxy']);
  });
});

describe('other documents pass byte for byte, and every document ends with ---', () => {
  test('of other kinds, of none, and empty ones', async () => {
    const text =
      '# why\nkind: Service # a: b\nspec: {a: 0x10,   b: "c"}\n---\n---\n---\n- kind: Pod\n---\nkind:\n  - Pod\n---\nconstructor: 1\nkind: constructor\n';
    expect((await injected(text)).text).toBe(
      '# why\nkind: Service # a: b\nspec: {a: 0x10,   b: "c"}\n---\n---\n---\n- kind: Pod\n---\nkind:\n  - Pod\n---\nconstructor: 1\nkind: constructor\n---\n',
    );
  });

  test('with octets that are not UTF-8', async () => {
    const raw = Buffer.concat([
      Buffer.from('kind: ConfigMap\ndata: { a: "'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('" }\n'),
    ]);
    const parts: Buffer[] = [];
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield raw;
    }
    for await (const part of injectManifests(bytes(), {
      config: CONFIGS['1.0'],
      mesh: defaultMeshConfig('1.0'),
      file: 'a',
      onMessage: () => undefined,
    }))
      parts.push(Buffer.from(part as Uint8Array));
    expect(Buffer.concat(parts)).toEqual(Buffer.concat([raw, Buffer.from('---\n')]));
  });

  test('an injected document keeps text that YAML would read otherwise', async () => {
    const args = [
      'yes',
      'on',
      '.',
      'e1',
      '1.',
      '0o17',
      '0644',
      '1e3',
      '12:30',
      '2018-01-01',
      '1_000',
      'null',
      '~',
      '',
      ' a',
      'a: b',
      '#',
      '0x1',
      '.inf',
      'a\nb\n',
      '{}',
    ];
    const pod = { kind: 'Pod', spec: { containers: [{ name: 'app', args }] } };
    const text = (await injected(JSON.stringify(pod))).text.replace(/---\n$/, '');
    for (const read of [parse(text), readYaml(text).value])
      expect(at(read, 'spec', 'containers', 0, 'args')).toEqual(args);
  });

  test('numbers and truths in annotations, labels, arguments and variables are text, as in Istio', async () => {
    const { text } = await injected(
      'kind: Pod\nmetadata:\n  labels: { version: 1.5 }\n  annotations: { mode: 0644, on: yes }\n' +
        'spec:\n  containers:\n  - { name: app, args: [1, true], command: [0x10], env: [{ name: A, value: 3 }], livenessProbe: { periodSeconds: 010 } }\n',
    );
    const pod = parse(text.replace(/---\n$/, '')) as JsonObject;
    expect(at(pod, 'metadata', 'labels')).toEqual({ version: '1.5' });
    expect(at(pod, 'metadata', 'annotations')).toMatchObject({ mode: '420', true: 'true' });
    expect(at(pod, 'spec', 'containers', 0)).toEqual({
      name: 'app',
      args: ['1', 'true'],
      command: ['16'],
      env: [{ name: 'A', value: '3' }],
      livenessProbe: { periodSeconds: 8 },
    });
  });

  test('words that look like numbers to a lax reader stay words', async () => {
    const { text } = await injected(
      'kind: Pod\nspec:\n  containers:\n  - { name: e2, args: [., e0, 12:30, 2018-01-01], workingDir: . }\n',
    );
    expect(at(parse(text.replace(/---\n$/, '')), 'spec', 'containers', 0)).toEqual({
      name: 'e2',
      args: ['.', 'e0', '12:30', '2018-01-01'],
      workingDir: '.',
    });
  });

  test('anchors and merge keys are resolved in injected documents', async () => {
    const { text } = await injected(
      'kind: Pod\nspec:\n  containers:\n  - &app { name: app, image: a, env: &env [{ name: A, value: b }] }\n  - { <<: *app, name: other }\n  - { name: third, env: *env }\n',
    );
    const containers = at(parse(text.replace(/---\n$/, '')), 'spec', 'containers') as JsonObject[];
    expect(containers[1]).toEqual({ name: 'other', image: 'a', env: [{ name: 'A', value: 'b' }] });
    expect(names(containers)).toEqual(['app', 'other', 'third', 'istio-proxy']);
  });
});

describe('a pod is left as it is', () => {
  test('with host networking, in either style', async () => {
    const object = { kind: 'Pod', metadata: { name: 'node' }, spec: { ...POD, hostNetwork: true } };
    for (const style of ['1.0', 'today'] as const) {
      const { text, messages } = await injected(stringify(object), style);
      expect(parse(text.replace(/---\n$/, ''))).toEqual(object);
      expect(messages).toEqual(['Skipping injection because Pod "node" has host networking enabled']);
    }
  });

  test('that refuses it by label or annotation, in the style of today: the label first', async () => {
    const key = 'sidecar.istio.io/inject';
    const pod = (labels: JsonObject, annotations: JsonObject): string =>
      stringify({ kind: 'Pod', metadata: { name: 'shop', labels, annotations }, spec: POD });
    const isInjected = async (text: string, style: Style): Promise<boolean> =>
      (await injected(text, style)).text.includes('istio-proxy');
    expect(await isInjected(pod({}, { [key]: 'false' }), '1.0')).toBe(true);
    expect(await isInjected(pod({}, { [key]: 'false' }), 'today')).toBe(false);
    expect(await isInjected(pod({ [key]: 'false' }, { [key]: 'true' }), 'today')).toBe(false);
    expect(await isInjected(pod({ [key]: 'true' }, { [key]: 'false' }), 'today')).toBe(true);
  });
});

describe('a document that cannot be injected is named by its position, and those before it are written', () => {
  const GOOD = 'kind: Service\n---\n';
  test.each<[what: string, text: string, line: number, column: number, code: string, message: string]>([
    ['YAML', 'kind: Pod\n a: b\n', 3, 7, 'INJECT_YAML', 'this is not valid YAML'],
    ['a key twice', 'kind: Pod\nkind: Pod\n', 4, 1, 'INJECT_YAML', 'Map keys must be unique'],
    ['a tab', 'kind: Pod\nspec:\n\tx: 1\n', 5, 1, 'INJECT_YAML', 'Tabs are not allowed'],
    [
      'a list that is none',
      'kind: Pod\nspec: { containers: app }\n',
      3,
      1,
      'INJECT_OBJECT',
      'spec.containers is not a list',
    ],
    [
      'a map that is none',
      'kind: Job\nspec: { template: { spec: [] } }\n',
      3,
      1,
      'INJECT_OBJECT',
      'spec.template.spec is not a map',
    ],
    [
      'annotations that are none',
      'kind: Pod\nmetadata: { annotations: [] }\n',
      3,
      1,
      'INJECT_OBJECT',
      'metadata.annotations is not a map',
    ],
    [
      'a text that is none',
      'kind: Pod\nmetadata: { labels: { a: {} } }\n',
      3,
      1,
      'INJECT_OBJECT',
      'metadata.labels.a is not a text',
    ],
    [
      'an annotation',
      'kind: Pod\nmetadata:\n  annotations:\n    sidecar.istio.io/interceptionMode: FAST\n',
      6,
      40,
      'INJECT_ANNOTATION',
      'Invalid value for annotation sidecar.istio.io/interceptionMode: FAST. Error: interceptionMode invalid: FAST',
    ],
    [
      'an annotation in a list',
      'kind: List\nitems:\n- kind: Service\n- kind: Pod\n  metadata: { annotations: { sidecar.istio.io/interceptionMode: FAST } }\n',
      7,
      65,
      'INJECT_ANNOTATION',
      'FAST',
    ],
    ['an object in a list', 'kind: List\nitems:\n- kind: Pod\n  spec: 1\n', 5, 3, 'INJECT_OBJECT', 'spec is not a map'],
  ])('%s', async (_, text, line, column, code, message) => {
    const { text: out, fault } = await injected(GOOD + text);
    expect(out).toBe(GOOD);
    expect(fault).toMatchObject({ severity: 'error', position: { file: 'shop.yaml', line, column }, code });
    expect(fault?.message).toContain(message);
    expect(fault?.excerpt).toBeDefined();
  });

  test.each([
    [
      'aliases of aliases',
      `a: &a [x]\n${'bcdefghijk'
        .split('')
        .map((name, at) => `${name}: &${name} [${`*${'abcdefghij'[at]},`.repeat(10)}]`)
        .join('\n')}\nkind: Pod\n`,
    ],
    ['an alias in itself', 'kind: Pod\nspec: &a { containers: [*a] }\n'],
    ['brackets', `kind: Pod\nspec: ${'['.repeat(100_000)}`],
    ['maps in maps', `kind: Pod\nspec: ${'{a: '.repeat(1000)}1${'}'.repeat(1000)}\n`],
    [
      'indentation',
      `kind: Pod\n${Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')} 1\n`,
    ],
    ['keys that are maps', `kind: Pod\nspec:\n  ${'? '.repeat(400)}x\n`],
  ])('YAML without bound: %s', async (_, text) => {
    const start = performance.now();
    const { fault, text: out } = await injected(GOOD + text);
    expect(out).toBe(GOOD);
    expect(fault).toMatchObject({ code: 'INJECT_YAML' });
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test('a template is read before any document', async () => {
    const broken = { ...CONFIGS['1.0'], template: '[[ if' };
    await expect(injected(GOOD, '1.0', broken)).rejects.toThrow(expect.objectContaining({ code: 'INJECT_TEMPLATE' }));
  });

  test('a template that fails for one pod has the position of the pod', async () => {
    const config = { ...CONFIGS['1.0'], template: '[[ range .Spec.Containers ]]'.repeat(30) + '[[ end ]]'.repeat(30) };
    const { fault } = await injected(
      `${GOOD}kind: Pod\nspec:\n  containers:\n${'  - { name: a }\n'.repeat(100)}`,
      '1.0',
      config,
    );
    expect(fault).toMatchObject({ code: 'INJECT_TEMPLATE', position: { line: 3 } });
  });
});

// ---------------------------------------------------------- properties

const name = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,12}$/)
  .filter((text) => !text.startsWith('istio-') && text !== 'enable-core-dump');
const anyText = fc.oneof(
  fc.string(),
  fc.constantFrom(
    'yes',
    '0644',
    '1e3',
    '~',
    'a: b',
    '- x',
    '---',
    'a\n---\nb',
    '\t',
    '[[ .X ]]',
    '__proto__',
    '\u2028',
  ),
);
const container = fc.record(
  {
    name,
    image: anyText,
    args: fc.array(anyText, { maxLength: 4 }),
    ports: fc.array(fc.record({ containerPort: fc.integer({ min: 1, max: 65535 }) }), { maxLength: 3 }),
    env: fc.array(fc.record({ name, value: anyText }), { maxLength: 3 }),
    extra: fc.jsonValue(),
  },
  { requiredKeys: ['name'] },
);
const pod = fc.record(
  {
    metadata: fc.record(
      {
        labels: fc.dictionary(name, anyText, { maxKeys: 4 }),
        annotations: fc.dictionary(name, anyText, { maxKeys: 4 }),
      },
      { requiredKeys: [] },
    ),
    spec: fc.record(
      {
        containers: fc.array(container, { maxLength: 3 }),
        initContainers: fc.array(container, { maxLength: 3 }),
        volumes: fc.array(fc.record({ name }), { maxLength: 3 }),
        serviceAccountName: name,
        nodeSelector: fc.dictionary(name, anyText),
      },
      { requiredKeys: ['containers'] },
    ),
  },
  { requiredKeys: ['spec'] },
);
const object = fc.oneof(
  pod.map((template) => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' }, spec: { template } })),
  pod.map((own) => ({ apiVersion: 'v1', kind: 'Pod', ...own })),
  pod.map((template) => ({ kind: 'CronJob', spec: { jobTemplate: { metadata: {}, spec: { template } } } })),
  fc.record({ kind: fc.constant('ConfigMap'), data: fc.dictionary(name, anyText) }),
);
const style = fc.constantFrom<Style>('1.0', 'today');
const RUNS = { numRuns: Number(process.env['RUNS'] ?? 40) };

describe('whatever the manifests', () => {
  test('injecting twice is injecting once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(object, { minLength: 1, maxLength: 3 }), style, async (objects, of) => {
        const once = await injected(objects.map((one) => stringify(one, { version: '1.1' })).join('---\n'), of);
        expect(once.fault).toBeUndefined();
        expect((await injected(once.text, of)).text).toBe(once.text);
      }),
      RUNS,
    );
  });

  test('a pod keeps all that it had, in its order', async () => {
    await fc.assert(
      fc.asyncProperty(pod, style, async (own, of) => {
        const { text } = await injected(stringify({ kind: 'Pod', ...own }, { version: '1.1' }), of);
        const made = readYaml(text.replace(/---\n$/, '')).value as JsonObject;
        expect(parse(text.replace(/---\n$/, ''))).toEqual(made); // version 1.2 reads it alike
        const spec = at(made, 'spec') as Record<string, JsonObject[]>;
        for (const list of ['containers', 'initContainers', 'volumes'] as const)
          expect((spec[list] ?? []).filter(({ name: one }) => !/^(?:istio|istiod)-/.test(one as string))).toEqual(
            own.spec[list] ?? [],
          );
        expect(spec['nodeSelector']).toEqual(own.spec.nodeSelector);
        expect(at(made, 'metadata', 'labels')).toEqual(own.metadata?.labels);
        const { 'sidecar.istio.io/status': status, ...annotations } = at(made, 'metadata', 'annotations') as Record<
          string,
          string
        >;
        expect(annotations).toEqual(own.metadata?.annotations ?? {});
        expect(status).toContain('istio-proxy');
      }),
      RUNS,
    );
  });

  test('documents of other kinds pass byte for byte', async () => {
    const line = fc.stringMatching(/^[ -~]{0,20}$/).filter((text) => !/^---(?:\s|$)/.test(text));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 10 }), async (lines) => {
        const text = `kind: Other\n${lines.map((one) => `# ${one}\n`).join('')}data: |2\n${lines.map((one) => `  ${one}\n`).join('')}`;
        expect((await injected(text)).text).toBe(`${text}---\n`);
      }),
      RUNS,
    );
  });
});
