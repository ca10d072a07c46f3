/**
 * `handlers:` of a policy.
 * **In**: the map of handlers, the adapters there are. **Out**: handlers with their config parsed, nothing open.
 * **Fails**: with a finding at the very value that the adapter's schema refuses.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import type { Adapter } from '../../adapters/contract.ts';
import { type Fields, checkName, fieldsOf } from './fields.ts';
import type { Findings } from './yaml/findings.ts';
import { meant } from '../../text/nearest.ts';
import { type MapNode, type Node, type Place, nodeAt } from './yaml/nodes.ts';
import { systemReason } from './policy-files.ts';
import type { HandlerSpec } from './policy.ts';

export interface Adapters {
  get(name: string): Adapter | undefined;
  names(): Iterable<string>;
  whyBroken?(name: string): string | undefined;
}
export type Environment = Readonly<Record<string, string | undefined>>;

const KEYS = ['adapter', 'config', 'deadline', 'concurrency', 'queue', 'breaker', 'batch', 'local', 'run'];

interface Resolved {
  readonly value: unknown;
  readonly shown: unknown;
  readonly failed: boolean;
}

export interface HandlerSources {
  readonly adapters: Adapters;
  readonly env: Environment;
  readonly readText?: ((file: string) => string) | undefined;
  readonly unsetEnv?: 'error' | 'warning' | undefined;
}

/** Of these the first that the adapter's schema takes stands for a variable that is not set. */
const STAND_INS = ['unset', '127.0.0.1:1', 'http://127.0.0.1:1', 'redis://127.0.0.1:1', '1'];

export interface LoadedHandler {
  readonly spec: HandlerSpec;
  readonly adapter: Adapter;
}

export class HandlersSection {
  readonly handlers = new Map<string, LoadedHandler>();
  /** Also those that have errors: a rule that names one is not told that it does not exist. */
  readonly names = new Map<string, Place>();
  /** Those that a rule has named. */
  readonly used = new Set<string>();
  readonly files: string[] = [];
  readonly #locals: { readonly of: string; readonly name: string; readonly place: Place }[] = [];
  /** What stands after `$env` or `$file` and could not be had: told once, not by the schema again. */
  readonly #unresolved = new Set<Node>();
  /** Variables that something stands in for: told once. */
  readonly #standsIn = new Set<Node>();
  readonly #adapters: Adapters;
  readonly #environment: Environment;
  readonly #readText: (file: string) => string;
  readonly #mayLackEnv: boolean;
  /** In place of a variable that is not set, where that is no error. */
  #standIn: string | undefined;
  readonly #findings: Findings;

  constructor({ adapters, env, readText, unsetEnv }: HandlerSources, findings: Findings) {
    this.#adapters = adapters;
    this.#environment = env;
    this.#readText = readText ?? ((file) => readFileSync(file, 'utf8'));
    this.#mayLackEnv = unsetEnv === 'warning';
    this.#findings = findings;
  }

  read(section: MapNode): void {
    for (const { key, keyPlace, value } of section.entries.values()) {
      if (this.names.has(key)) {
        this.#findings.error(
          'RULES_DUPLICATE',
          keyPlace,
          `a handler named ${key} is declared already; rename or remove one`,
        );
        continue;
      }
      this.names.set(key, keyPlace);
      checkName(key, keyPlace, 'a handler', this.#findings);
      const fields = fieldsOf(value, 'a handler', this.#findings)?.only(KEYS);
      if (fields !== undefined) this.#handler(key, fields);
    }
  }

  /** After all rules. */
  end(): void {
    for (const { of, name, place } of this.#locals) this.#checkLocal(of, name, place);
    for (const [name, place] of this.names)
      if (!this.used.has(name))
        this.#findings.warn('RULES_UNUSED', place, `no rule uses the handler ${name}; remove it, or name it in a rule`);
  }

  #handler(name: string, fields: Fields): void {
    fields.required('adapter', 'the name of an adapter, such as quota-memory');
    const adapterName = fields.text('adapter');
    const run = fields.word('run', ['inline', 'worker']);
    if (run === 'worker')
      this.#findings.error(
        'RULES_LATER',
        fields.node('run')?.place ?? fields.place,
        'run: worker comes with a later release; leave it out',
      );
    const breaker = fields.map('breaker', 'breaker')?.only(['failures', 'openFor', 'window']);
    const local = this.#local(name, fields);
    const batch = fields.map('batch', 'batch')?.only(['max', 'maxAge', 'maxBytes']);
    const batchSpec = {
      max: batch?.wholeNumber('max', 1),
      maxAgeMs: batch?.durationMs('maxAge', ['ms', 's', 'm']),
      maxBytes: batch?.wholeNumber('maxBytes', 1),
    };
    if (adapterName === undefined) return;
    const adapter = this.#adapters.get(adapterName);
    if (adapter === undefined) {
      const broken = this.#adapters.whyBroken?.(adapterName);
      if (broken !== undefined)
        this.#findings.error(
          'RULES_BROKEN_ADAPTER',
          fields.node('adapter')?.place ?? fields.place,
          `the plugin of ${adapterName} cannot be loaded: ${broken}; mend the plugin, or name another adapter`,
        );
      else
        this.#findings.error(
          'RULES_UNKNOWN_ADAPTER',
          fields.node('adapter')?.place ?? fields.place,
          `no adapter is named ${adapterName}${meant(adapterName, this.#adapters.names())}`,
        );
      return;
    }
    const configNode: Node = fields.node('config') ?? { kind: 'map', place: fields.place, entries: new Map() };
    const before = this.#findings.hasErrors;
    const written = this.#resolveFor(adapter, configNode);
    const config = parsedBy(
      adapter.config,
      written.value,
      configNode,
      'RULES_CONFIG',
      `config of ${adapterName}`,
      this.#findings,
      this.#unresolved,
    );
    if (config === undefined || (!before && this.#findings.hasErrors && written.failed)) return;
    const folder = dirname(fields.place.source.file);
    const spec: HandlerSpec = {
      name,
      adapter: adapterName,
      config: config.value,
      signature: createHash('sha256')
        .update(JSON.stringify([adapterName, folder, written.value]))
        .digest('hex'),
      shown: withoutSecrets(written.shown, adapter.config),
      folder,
      position: fields.place.source.positionAt(fields.place.start),
      deadlineMs: fields.durationMs('deadline', ['ms', 's']),
      concurrency: fields.wholeNumber('concurrency', 1) ?? 256,
      queue: fields.wholeNumber('queue', 0) ?? 16_384,
      breaker: {
        failures: breaker?.wholeNumber('failures', 1) ?? 10,
        openForMs: breaker?.durationMs('openFor', ['ms', 's', 'm']) ?? 1000,
        windowMs: breaker?.durationMs('window', ['ms', 's', 'm']) ?? 250,
      },
      local,
      batch: Object.fromEntries(
        Object.entries({
          ...adapter.serves.report?.batch,
          ...Object.fromEntries(Object.entries(batchSpec).filter(([, value]) => value !== undefined)),
        }).filter(([, value]) => value !== undefined),
      ),
    };
    this.handlers.set(name, { spec, adapter });
  }

  #local(name: string, fields: Fields): HandlerSpec['local'] {
    const local = fields.map('local', 'local')?.only(['handler', 'replicas']);
    if (local === undefined) return undefined;
    local.required(
      'handler',
      'the name of a handler that counts while this one cannot be asked, such as one of quota-memory',
    );
    local.required('replicas', 'how many servers share a limit: each has its part of it');
    const handler = local.text('handler');
    const replicas = local.wholeNumber('replicas', 1);
    if (handler === undefined || replicas === undefined) return undefined;
    this.used.add(handler);
    this.#locals.push({ of: name, name: handler, place: local.node('handler')?.place ?? local.place });
    return { handler, replicas };
  }

  #checkLocal(of: string, name: string, place: Place): void {
    if (!this.names.has(name))
      return this.#findings.error(
        'RULES_UNKNOWN_HANDLER',
        place,
        `no handler is named ${name}${meant(name, this.names.keys())}`,
      );
    const handler = this.handlers.get(name);
    if (name === of)
      this.#findings.error('RULES_VALUE', place, `${name} cannot count in its own place; name another handler`);
    else if (handler !== undefined && handler.adapter.serves.quota === undefined)
      this.#findings.error(
        'RULES_CAPABILITY',
        place,
        `${name} is a ${handler.spec.adapter}, which serves ${Object.keys(handler.adapter.serves).join(', ')}, not quota`,
      );
  }

  /** `{ $env: NAME }` and `{ $file: PATH }` anywhere in a config; `shown` keeps them as they are written. */
  #resolve(node: Node): Resolved {
    if (node.kind === 'scalar') return { value: node.value, shown: node.value, failed: false };
    if (node.kind === 'list') {
      const items = node.items.map((item) => this.#resolve(item));
      return {
        value: items.map(({ value }) => value),
        shown: items.map(({ shown }) => shown),
        failed: items.some(({ failed }) => failed),
      };
    }
    const [only, ...more] = node.entries.values();
    if (
      only !== undefined &&
      more.length === 0 &&
      (only.key === '$env' || only.key === '$file') &&
      only.value.kind === 'scalar'
    ) {
      const name = String(only.value.value);
      const value = only.key === '$env' ? this.#fromEnvironment(name, only.value) : this.#fromFile(name, only.value);
      return { value, shown: { [only.key]: name }, failed: value === undefined };
    }
    const entries = [...node.entries.values()].map(({ key, value }) => ({ key, ...this.#resolve(value) }));
    return {
      value: Object.fromEntries(entries.map(({ key, value }) => [key, value])),
      shown: Object.fromEntries(entries.map(({ key, shown }) => [key, shown])),
      failed: entries.some(({ failed }) => failed),
    };
  }

  #resolveFor(adapter: Adapter, node: Node): Resolved {
    for (const standIn of this.#mayLackEnv ? STAND_INS : []) {
      this.#standIn = standIn;
      const written = this.#resolve(node);
      if (adapter.config.safeParse(written.value).success) return written;
    }
    this.#standIn = undefined;
    return this.#resolve(node);
  }

  #fromEnvironment(name: string, node: Node): string | undefined {
    const value = this.#environment[name];
    if (value !== undefined) return value;
    if (this.#standIn !== undefined) {
      if (!this.#standsIn.has(node))
        this.#findings.warn(
          'RULES_ENV',
          node.place,
          `the environment variable ${name} is not set here; what depends on its value is not checked`,
        );
      this.#standsIn.add(node);
      return this.#standIn;
    }
    if (!this.#unresolved.has(node) && !this.#standsIn.has(node))
      this.#findings.error(
        'RULES_ENV',
        node.place,
        `the environment variable ${name} is not set; set it where Sluice is started`,
      );
    this.#unresolved.add(node);
    return undefined;
  }

  #fromFile(path: string, node: Node): string | undefined {
    const file = resolve(dirname(node.place.source.file), path);
    this.files.push(file);
    try {
      return this.#readText(file).trimEnd();
    } catch (error) {
      if (!this.#unresolved.has(node))
        this.#findings.error('RULES_CONFIG_FILE', node.place, `${file} cannot be read: ${systemReason(error)}`);
      this.#unresolved.add(node);
      return undefined;
    }
  }
}

/** What a schema makes of a value; each of its issues is a finding at its path. */
export function parsedBy(
  schema: z.ZodType,
  value: unknown,
  node: Node,
  code: 'RULES_CONFIG' | 'RULES_PARAMS',
  what: string,
  findings: Findings,
  told: ReadonlySet<Node> = new Set(),
): { readonly value: unknown } | undefined {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { value: parsed.data };
  for (const issue of parsed.error.issues) {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
    for (const path of keys.length > 0 ? keys.map((key) => [...issue.path, key]) : [issue.path]) {
      const { node: at, entry, whole } = nodeAt(node, path);
      if (at.kind === 'map' && [...at.entries.values()].some((one) => told.has(one.value))) continue;
      const place = keys.length > 0 ? (entry?.keyPlace ?? at.place) : at.place;
      const name = path.length === 0 ? what : `${what}, ${path.map(String).join('.')}`;
      findings.error(
        code,
        place,
        `${name}: ${keys.length > 0 ? `there is no such key${meant(String(path.at(-1)), keysAt(schema, issue.path))}` : said(issue, whole)}`,
      );
    }
  }
  return undefined;
}

/** Which keys a schema has at a path, where it is made of objects and lists alone. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let at: unknown = schema;
  for (const step of path) {
    const { shape, element, innerType } = partsOf(at);
    at = shape?.[String(step)] ?? element ?? innerType;
    if (at === undefined) return [];
  }
  const { shape, innerType } = partsOf(at);
  return Object.keys(shape ?? (innerType === undefined ? {} : partsOf(innerType).shape) ?? {});
}

/** In the words of YAML; schemas have those of JavaScript. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['record', 'a map'],
  ['object', 'a map'],
  ['array', 'a list'],
]);

/** Schemas say `Invalid input: expected string, received undefined` where a key is missing. */
function said({ code, message }: z.core.$ZodIssue, isThere: boolean): string {
  const text =
    code === 'invalid_type' || code === 'invalid_value'
      ? message
          .replace(/^Invalid (input|option): /, '')
          .replaceAll(/(?<=(?:expected|received) )(?:record|object|array)\b/g, (word) => WORDS.get(word) ?? word)
      : message;
  return isThere ? text : `it is missing; ${text.replace(/, received undefined$/, '')}`;
}

/** For people: what the schema marks secret reads `(secret)`. */
function withoutSecrets(shown: unknown, schema: unknown): unknown {
  const { shape, meta, innerType, element } = partsOf(schema);
  if (meta?.['secret'] === true) return typeof shown === 'object' ? shown : '(secret)';
  if (innerType !== undefined) return withoutSecrets(shown, innerType);
  if (Array.isArray(shown))
    return element === undefined ? shown : shown.map((item: unknown) => withoutSecrets(item, element));
  if (shape === undefined || typeof shown !== 'object' || shown === null) return shown;
  return Object.fromEntries(
    Object.entries(shown).map(([key, value]) => [key, key in shape ? withoutSecrets(value, shape[key]) : value]),
  );
}

interface SchemaParts {
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly meta?: Readonly<Record<string, unknown>> | undefined;
  readonly innerType?: unknown;
  readonly element?: unknown;
}
function partsOf(schema: unknown): SchemaParts {
  const { _zod: zod, meta } = schema as {
    _zod?: { def: SchemaParts };
    meta?: () => Readonly<Record<string, unknown>> | undefined;
  };
  return { ...zod?.def, meta: typeof meta === 'function' ? meta.call(schema) : undefined };
}
