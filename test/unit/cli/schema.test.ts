/** The JSON Schema of policies and cases, validated by ajv, and compared with what loading takes. */
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Registry } from '../../../src/adapters/registry.ts';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { parseCase } from '../../../src/cli/cases/schema.ts';
import { publishedSchema, schemaText } from '../../../src/cli/actions/schema.ts';
import { PACKAGE_FOLDER } from '../../../src/cli/package.ts';
import { documentSchema } from '../../../src/cli/schema/policy-schema.ts';
import { Fields } from '../../../src/yaml/fields.ts';
import { KEYS } from '../../../src/core/rules/keys.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Finding } from '../../../src/yaml/findings.ts';
import { run } from '../../e2e/command.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Path = readonly (string | number)[];

let builtIn: Registry;
let published: Readonly<Record<string, unknown>>;
let validate: ValidateFunction;
/** Of the same adapters, if no others can be named. */
let complete: ValidateFunction;

const validatorOf = (schema: object): ValidateFunction => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true });
  return ajv.addKeyword('secret').compile(schema);
};

beforeAll(async () => {
  builtIn = await loadBuiltIns();
  published = publishedSchema(builtIn);
  validate = validatorOf(published);
  const adapters = builtIn.names().flatMap((name) => builtIn.get(name) ?? []);
  complete = validatorOf(documentSchema(adapters, { isComplete: true }));
});
afterEach(() => {
  vi.restoreAllMocks();
});

const text = (file: string): string => readFileSync(join(PACKAGE_FOLDER, file), 'utf8');
const documentsOf = (yaml: string): Json[] => parseAllDocuments(yaml).map((one) => one.toJS() as Json);
const isCases = (document: Json): boolean => typeof document === 'object' && document !== null && 'cases' in document;

const FILES = globSync(['examples/*/{policy,cases}.yaml', 'test/cases/**/*.yaml'], { cwd: PACKAGE_FOLDER });

/** Uses every key; its numbers are at the bounds. */
const EVERY_KEY = `
settings:
  { decisions: { sample: 1.5, mask: [origin.ip, 'request.headers["x-user"]'] }, trustedHops: 0, trustedCertificateHops: 100, trustDomainAliases: { old.org: new.org }, path: BASE, pathParameters: strip, rules: 8,
    spool: { folder: spool, maxBytes: 1048576, maxAge: 1d, segmentBytes: 16MiB, sync: 50ms },
    istio:
      { namespace: shop, labels: { app: web }, service: web.shop.svc.cluster.local, rootNamespace: root, trustDomain: a.org,
        providers: { opa: { handler: offices, params: { blocks: true }, input: { value: origin.ip } } } } }
plugins: []
attributes:
  my.ours: { is: 'request.method == "GET"', secret: true, description: Ours. }
  my.tier: { type: string, from: { contextExtension: tier }, description: Its tier. }
  my.groups: { type: list(string), from: [{ metadata: { namespace: jwt, path: [groups, 0] } }, { filterState: a }, { customTag: b }, { header: c }] }
handlers:
  limits:
    { adapter: quota-memory, config: {}, deadline: 50ms, concurrency: 1, queue: 0, breaker: { failures: 1, openFor: 1s, window: 1m },
      cache: { maxBytes: 0 } }
  redis: { adapter: quota-redis, config: { url: { $env: REDIS } }, local: { handler: limits, replicas: 1 } }
  lines:
    { adapter: log-file, config: { path: lines.log }, batch: { max: 1, maxAge: 1s, maxBytes: 1 },
      spool: { kind: disk, whenFull: drop-oldest, maxBytes: 1GiB, maxAge: 12h } }
  memory: { adapter: log-stdout, config: {}, spool: { kind: memory } }
  offices: { adapter: check-list, config: { values: [ann] }, run: { worker: { memory: 32MiB } } }
  remote: { adapter: check-list, config: { values: [ann] }, run: { dial: "unix:/run/a.sock", tls: { ca: a, cert: b, key: c, serverName: d } } }
  table: { adapter: enrich-table, config: { file: plans.csv, key: tenant, columns: { plan: string } } }
rules:
  - name: fill
    enrich: { handler: table, input: { key: request.host }, as: my.plan }
  - name: closed
    description: Closed.
    match: request.path == "/a" && has(my.tier)
    calls: [http]
    deny: { status: 300, headers: { x-a: 1, set-cookie: [a, b] }, body: no, unlessAllowed: staff }
    onError: allow
    mode: { percent: 10, by: origin.ip }
  - name: staff
    allow: { group: staff, handler: offices, params: { blocks: false }, input: { value: request.host } }
    onAllow:
      request: { set: { a: 1 }, append: { b: [c, d] }, remove: [e] }
      response: { set: { a: b } }
      query: { set: { a: b }, remove: [c] }
      metadata: { a: b }
    onError: { handler: error }
  - name: asks
    check: { handler: offices, params: { blocks: true }, input: { value: request.host } }
    onDeny: { status: 599, headers: { a: b }, body: no }
    onError: { input: deny, handler: deny }
  - name: units
    quota:
      { handler: redis, key: [request.host, 1], limit: 100, per: 1m, cost: 2, algorithm: gcra, burst: 5, counter: units, once: request.id,
        override: false, partial: false, policy: units }
    onError: { handler: local }
    mode: shadow
  - name: month
    quota: { handler: limits, key: [], limit: '10', per: month, zone: Europe/Amsterdam }
  - name: written
    report: { handler: lines, input: { path: request.path, more: { code: response.code } } }
    sample: { percent: 0, by: request.id }
  - name: printed
    report: { handler: memory, input: { path: request.path } }
`;

const load = async (document: Json): Promise<readonly Finding[]> =>
  (
    await loadPolicyText(new Map([[join(PACKAGE_FOLDER, 'examples/policy.yaml'), JSON.stringify(document)]]), {
      adapters: builtIn,
      env: { REDIS: 'redis://127.0.0.1:1' },
    })
  ).findings.filter(({ severity }) => severity === 'error');

/** Wrong keys and values, apart from the expressions, names and files that only loading can check. */
const OF_SHAPE =
  /^RULES_(UNKNOWN_KEY|MISSING_KEY|VALUE|ACTIONS|NO_EFFECT|MISPLACED|ON_ERROR|QUOTE_IT|NAME|ATTRIBUTE_NAME|PARAMS)$/;
const ONLY_LOADING = [
  /is not a type; expected/,
  /is not a time zone/,
  /expected 32MiB to /,
  /expected unix:PATH with/,
  /cannot be its own fallback/,
  /expected the name of a trust domain/,
  /which is an alias itself/,
  /a number of bytes from .*/,
  /must not$/,
  /expected a duration from /,
  /this adapter takes no params/,
  /^input .* must be an expression; found a map/,
];
const isOfShape = ({ code, message }: Finding): boolean =>
  OF_SHAPE.test(code) && !ONLY_LOADING.some((one) => one.test(message));

function* pathsOf(value: Json, path: Path = []): Generator<Path> {
  yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value))
    yield* pathsOf(inner as Json, [...path, Array.isArray(value) ? Number(key) : key]);
}
const at = (value: Json, path: Path): Json =>
  path.reduce<Json>((inner, key) => (inner as Readonly<Record<string, Json>>)[key] ?? null, value);
/** A copy with another value at a path; without it if `put` is undefined. */
function changed(value: Json, path: Path, put: Json | undefined): Json {
  const copy = structuredClone(value);
  const last = path.at(-1);
  if (last === undefined) return put ?? null;
  const holder = at(copy, path.slice(0, -1)) as Record<string, Json>;
  if (put !== undefined) holder[last] = put;
  else if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
  return copy;
}

interface Part {
  readonly policy: Json;
  readonly part: Path;
}

/** Small policies that load, each with one part of the whole one. */
function* partsOf(whole: Json): Generator<Part> {
  const { settings, attributes, handlers, rules } = whole as Readonly<Record<string, Readonly<Record<string, Json>>>>;
  const rule = [{ name: 'any', deny: {} }];
  const spool = { spool: { folder: 'spool' } };
  yield { policy: { settings: { ...settings, rules: 1 }, plugins: [], rules: rule }, part: ['settings'] };
  yield { policy: { plugins: [], rules: rule }, part: ['plugins'] };
  for (const [name, one] of Object.entries(attributes ?? {}))
    yield { policy: { attributes: { [name]: one }, rules: rule }, part: ['attributes', name] };
  const { remote: _remote, ...local } = handlers ?? {};
  for (const [name, one] of Object.entries(handlers ?? {}))
    yield {
      policy: { settings: spool, handlers: { limits: local['limits'] ?? null, [name]: one }, rules: rule },
      part: ['handlers', name],
    };
  for (const one of Object.values(rules ?? {}))
    yield {
      policy: {
        settings: spool,
        attributes: { 'my.tier': attributes?.['my.tier'] ?? null },
        handlers: Object.fromEntries(
          Object.entries(local).filter(([name]) => JSON.stringify(one).includes(`"${name}"`)),
        ),
        rules: [one],
      },
      part: ['rules', 0],
    };
}

/** Other values for a scalar, and for a map or list; `undefined` removes it. */
const SCALARS: readonly (Json | undefined)[] = [undefined, null, '', 'word', '1.5h', true, -1, 0, 0.5, 600, [], {}];
const COLLECTIONS: readonly (Json | undefined)[] = [undefined, null, 'word', 1, [], [null], {}];

test('docs/policy.schema.json is the schema of the built-in adapters (npm run generate writes it)', () => {
  expect(text('docs/policy.schema.json')).toBe(schemaText(published));
});

describe('keys', () => {
  /** The keys of each closed map of the schema, apart from those of plugins. */
  function* closedMaps(part: unknown, path = ''): Generator<readonly string[]> {
    if (typeof part !== 'object' || part === null) return;
    const { properties, additionalProperties } = part as { properties?: object; additionalProperties?: unknown };
    if (properties !== undefined && additionalProperties === false) yield Object.keys(properties);
    for (const [key, inner] of Object.entries(part))
      if (!/^\/\$defs\/(config-|\w+-params-|case$|want-|request$|reference$)/.test(`${path}/${key}`))
        yield* closedMaps(inner, `${path}/${key}`);
  }

  test('each table of keys is a map of the schema, and each map of the schema is a table', () => {
    const texts = (keys: Iterable<readonly string[]>): Set<string> =>
      new Set([...keys].map((one) => one.toSorted().join()));
    const inSchema = texts(closedMaps(published));
    const tables = texts(Object.values(KEYS));
    const partsOfOnError = new Set(['handler', 'input', 'handler,input']);
    // A spool in memory has one key of the map that describes both.
    expect([...tables].filter((keys) => !inSchema.has(keys) && keys !== 'kind' && keys !== 'dial,tls')).toEqual([]);
    expect([...inSchema].filter((keys) => !tables.has(keys) && !partsOfOnError.has(keys))).toEqual([]);
  });

  test('the readers check keys by the tables alone, and the policy of these tests has every key', async () => {
    const only = vi.spyOn(Fields.prototype, 'only');
    const [document = null] = documentsOf(EVERY_KEY);
    expect(await load(document)).toEqual([]);
    const checked = new Set(only.mock.calls.map(([known]) => known));
    const tables = new Set<readonly string[]>(Object.values(KEYS));
    expect(
      [...checked].filter(
        (known) => !tables.has(known) && known.join() !== 'input,handler' && known.join() !== 'handler',
      ),
    ).toEqual([]);
    // Documents and the parts of onError are checked otherwise.
    const apart: readonly (readonly string[])[] = [KEYS.policy, KEYS.cases, KEYS.onError];
    expect([...tables].filter((known) => !checked.has(known) && !apart.includes(known))).toEqual([]);

    const used = new Set([...pathsOf(document)].map((path) => path.at(-1)));
    const unused = Object.values(KEYS).flatMap((keys) => keys.filter((key: string) => !used.has(key)));
    expect(unused.filter((key) => !(KEYS.cases as readonly string[]).includes(key))).toEqual([]);
  });
});

describe('documents', () => {
  test('there are many', () => {
    expect(FILES.length).toBeGreaterThan(40);
  });

  test.each([...FILES, 'a policy with every key'])('%s validates', (file) => {
    for (const document of documentsOf(file.endsWith('.yaml') ? text(file) : EVERY_KEY)) {
      validate(document);
      expect(validate.errors).toBeNull();
    }
  });

  test('each example names the schema for editors', () => {
    for (const file of FILES.filter((one) => one.startsWith('examples/')))
      expect(text(file).split('\n')[0], file).toBe('# yaml-language-server: $schema=../../docs/policy.schema.json');
  });

  test('a policy with one changed value is refused by the schema and by loading, or by neither', async () => {
    const [document = null] = documentsOf(EVERY_KEY);
    let refused = 0;
    let taken = 0;
    const wrong: unknown[] = [];
    const compare = async (mutant: Json, what: unknown): Promise<void> => {
      const findings = await load(mutant);
      if (findings.some(({ code }) => code === 'RULES_UNKNOWN_HANDLER')) return; // what its action may have is then unknown
      const isValid = complete(mutant);
      if (findings.some(isOfShape)) {
        refused++;
        if (isValid) wrong.push({ what, accepted: findings.find(isOfShape)?.message });
      } else if (findings.length === 0) {
        taken++;
        if (!isValid)
          wrong.push({
            what,
            refused: complete.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`),
          });
      }
    };
    for (const { policy, part } of partsOf(document)) {
      for (const inner of pathsOf(at(policy, part))) {
        if (inner[0] === 'config') continue; // the plugin's
        if (inner[0] === 'istio' && inner[1] === 'providers') continue; // read if a CUSTOM policy names it
        const path = [...part, ...inner];
        const value = at(policy, path);
        for (const probe of typeof value === 'object' ? COLLECTIONS : SCALARS)
          await compare(changed(policy, path, probe), { path: path.join('.'), probe });
        if (typeof value === 'object' && value !== null && !Array.isArray(value))
          await compare(changed(policy, [...path, 'wrongKey'], 'word'), { path: path.join('.'), probe: 'another key' });
      }
    }
    expect(wrong).toEqual([]);
    expect({ refused: refused > 1000, taken: taken > 100 }).toEqual({ refused: true, taken: true });
  }, 60_000);

  test('a handler with a wrong key, or without a key that its config needs, is refused by the schema and by loading', async () => {
    for (const name of builtIn.names()) {
      const withConfig = (config: Json): Json => ({
        handlers: { one: { adapter: name, config } },
        rules: [{ name: 'none', deny: {} }],
      });
      expect(validate(withConfig({ wrongKey: 1 })), name).toBe(false);
      const findings = await load(withConfig({}));
      const isMissing = builtIn
        .get(name)
        ?.config.safeParse({})
        .error?.issues.some(({ code }) => code === 'invalid_type');
      if (isMissing === true) expect([validate(withConfig({})), findings.length > 0], name).toEqual([false, true]);
      else if (findings.length === 0) expect(validate(withConfig({})), name).toBe(true);
    }
  });

  test('a case with one changed value is refused by the schema and by sluice test, or by neither', () => {
    let refused = 0;
    const wrong: unknown[] = [];
    for (const file of FILES) {
      for (const document of documentsOf(text(file)).filter(isCases)) {
        const { cases } = document as { readonly cases: readonly Json[] };
        for (const one of cases) {
          const mutants = [...pathsOf(one)]
            .filter((path) => path.length > 0 && path.length < 4)
            .flatMap((path) => [
              ...SCALARS.slice(0, 6).map((probe) => changed(one, path, probe)),
              ...(typeof at(one, path) === 'object' && !Array.isArray(at(one, path))
                ? [changed(one, [...path, 'wrongKey'], 1)]
                : []),
            ]);
          for (const mutant of mutants) {
            const isCase = parseCase(mutant).case !== undefined;
            if (!isCase) refused++;
            if (isCase !== validate({ cases: [mutant] })) wrong.push({ file, mutant: JSON.stringify(mutant), isCase });
          }
        }
      }
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(refused).toBeGreaterThan(1000);
  });
});

describe('sluice schema', () => {
  test('without a policy it prints the published schema', async () => {
    expect(await run(['schema'])).toEqual({ code: 0, out: text('docs/policy.schema.json'), err: '' });
  });

  test('with a policy it knows the adapters of its plugins, and no others', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-schema-'));
    const policy = join(folder, 'policy.yaml');
    const plugin = join(PACKAGE_FOLDER, 'test/parts/sink/adapter.ts');
    await writeFile(policy, `plugins: ["${plugin}"]\nrules: [{ name: any, deny: {} }]\n`);
    const { code, out, err } = await run(['schema', policy]);
    await rm(folder, { recursive: true });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const own = validatorOf(JSON.parse(out) as object);
    const using = (adapter: string): Json => ({ handlers: { one: { adapter, config: {} } } });
    const faulty: Json = { handlers: { one: { adapter: 'log-faulty', config: { out: 'a', fault: 'b' } } } };
    expect([own(faulty), own(using('quota-memory')), own(using('nobody-has-it'))]).toEqual([true, true, false]);
    expect(validate(using('nobody-has-it'))).toBe(true);
  });

  test('the schema of a policy whose adapters take no params refuses params', () => {
    const memory = builtIn.get('quota-memory');
    const own = validatorOf(documentSchema(memory === undefined ? [] : [memory], { isComplete: true }));
    const quota = { handler: 'a', key: [], limit: 1, per: '1s' };
    expect(own({ rules: [{ name: 'a', quota }] })).toBe(true);
    expect(own({ rules: [{ name: 'a', quota: { ...quota, params: {} } }] })).toBe(false);
  });
});
