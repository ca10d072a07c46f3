/**
 * `handlers:` of a policy.
 * **In**: the map of handlers, the loaded adapters. **Out**: handlers with their config parsed; none is opened.
 * **Fails**: with a finding at the value that the adapter's schema rejects.
 */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import type { Registry } from '../../../adapters/registry.ts';
import { type Fields, checkName, fieldsOf, kebab } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { messageOf } from '../../../text/message-of.ts';
import { meant, nearest } from '../../../text/nearest.ts';
import { declaredAt, type MapNode, type Node, nodeAt, type Place } from '../../../yaml/nodes.ts';
import type { DeclaredHandlers } from '../actions/handler-uses.ts';
import { secretsOfConfig } from '../../../adapters/config-secrets.ts';
import { type SecretText, SecretTexts } from '../../../text/secret-texts.ts';
import { hideLikelySecrets } from '../../../yaml/likely-secrets.ts';
import { ConfigValues, type ValueSources } from './config-values.ts';
import { parsedBy, withoutSecrets } from '../../../yaml/schema-findings.ts';
import type { HandlerSpec } from '../policy.ts';
import type { DialledHandlers } from './dialled-handlers.ts';
import { runOf } from './run-key.ts';
import { KEYS, RANGES } from '../keys.ts';
import type { TimeSlice } from '../../../time/time-slice.ts';
import { type SpoolSettings, spoolOf } from './spool-key.ts';

/** The adapters that handlers name, before the handlers are read. */
export const adaptersNamedIn = (sections: readonly Node[]): readonly string[] =>
  sections.flatMap((section) =>
    section.kind === 'map'
      ? [...section.entries.values()].flatMap(({ value: handler }) => {
          const name = handler.kind === 'map' ? handler.entries.get('adapter')?.value : undefined;
          return name?.kind === 'scalar' && typeof name.value === 'string' ? [name.value] : [];
        })
      : [],
  );

const DEFAULT_CACHE_BYTES = 8 * 1024 * 1024;

export interface HandlerSources extends ValueSources {
  readonly adapters: Registry;
  /** A plugin of the policy could not be loaded, and an unknown adapter may be one of its; the plugin's error is reported. */
  readonly someAreMissing: boolean;
  readonly dialled: DialledHandlers;
  /** Those that a declaration of the same name replaces. */
  readonly undeclared?: ReadonlyMap<string, HandlerSpec> | undefined;
  readonly spool: SpoolSettings;
}

export class HandlersSection implements DeclaredHandlers {
  readonly handlers = new Map<string, HandlerSpec>();
  readonly names = new Map<string, Place | undefined>();
  readonly used = new Set<string>();
  readonly written: SecretText[] = [];
  /** A section could not be read: no name of a handler is unknown. */
  isIncomplete = false;
  /** Handlers whose `local` has an error. */
  readonly brokenLocals: Set<string> = new Set();
  /** Metrics on the common page, by name, with their handlers. */
  readonly #metrics = new Map<string, string>();
  readonly #locals: { readonly of: string; readonly name: string; readonly place: Place }[] = [];
  #adapters: Registry;
  readonly #someAreMissing: boolean;
  readonly #dialled: DialledHandlers;
  readonly #spool: SpoolSettings;
  readonly #values: ConfigValues;
  readonly #findings: Findings;

  constructor(
    { adapters, someAreMissing, dialled, undeclared = new Map(), spool, ...sources }: HandlerSources,
    findings: Findings,
  ) {
    this.#adapters = adapters;
    this.#someAreMissing = someAreMissing;
    this.#dialled = dialled;
    this.#spool = spool;
    this.#values = new ConfigValues(sources, findings);
    this.#findings = findings;
    for (const [name, spec] of undeclared) {
      this.handlers.set(name, spec);
      this.names.set(name, undefined);
    }
  }

  /** For the sections that are read from now on. */
  useAdapters(adapters: Registry): void {
    this.#adapters = adapters;
  }

  /** Files that configs name. */
  get files(): readonly string[] {
    return this.#values.files;
  }

  async read(section: MapNode, slice: TimeSlice): Promise<void> {
    for (const { key, keyPlace, value } of section.entries.values()) {
      const first = this.names.get(key);
      if (first !== undefined) {
        const why = `the handler ${key} is ${declaredAt(first)}; rename or remove one`;
        this.#findings.error('RULES_DUPLICATE', keyPlace, why);
        continue;
      }
      this.names.set(key, keyPlace);
      this.handlers.delete(key);
      if (!checkName(key, keyPlace, 'a handler', this.#findings)) this.#findings.misplaced.add(kebab(key));
      const fields = fieldsOf(value, 'a handler', this.#findings)?.only(KEYS.handler);
      if (fields !== undefined) await this.#handler(key, fields, value, slice);
      if (slice.isOver) await slice.next();
    }
  }

  /** After all rules. */
  end(): void {
    for (const { of, name, place } of this.#locals) this.#checkLocal(of, name, place);
    // A rule with an error may use the handler, by a name that could not be read.
    if (this.#findings.hasErrors) return;
    for (const [name, place] of this.names)
      if (place !== undefined && !this.used.has(name))
        this.#findings.warn('RULES_UNUSED', place, `no rule uses the handler ${name}; remove it, or use it in a rule`);
  }

  /** A config may have thousands of values: each step takes them all. */
  async #handler(name: string, fields: Fields, node: Node, slice: TimeSlice): Promise<void> {
    fields.required('adapter', 'the name of an adapter, such as quota-memory');
    const adapterName = fields.text('adapter');
    const breaker = fields.map('breaker', 'breaker')?.only(KEYS.breaker);
    const local = this.#local(name, fields);
    if (local === undefined && (fields.has('local') || fields.mayMisspell('local'))) this.brokenLocals.add(name);
    const batch = fields.map('batch', 'batch')?.only(KEYS.batch);
    const cache = fields.map('cache', 'cache')?.only(KEYS.cache);
    const batchSpec = {
      max: batch?.wholeNumber('max', RANGES.batchMax),
      maxAgeMs: batch?.durationMs('maxAge', ['ms', 's', 'm'], RANGES.batchAge),
      maxBytes: batch?.bytes('maxBytes', RANGES.batchBytes),
    };
    if (adapterName === undefined) return;
    const isDialled = this.#dialled.has(node);
    const adapter = isDialled ? this.#dialled.get(node) : this.#adapters.get(adapterName);
    if (adapter === undefined) {
      if (isDialled) return; // reported already
      const broken = this.#adapters.whyBroken(adapterName);
      if (broken !== undefined)
        this.#findings.error(
          'RULES_BROKEN_ADAPTER',
          fields.node('adapter')?.place ?? fields.place,
          `the plugin of ${adapterName} cannot be loaded: ${broken}; fix the plugin, or use another adapter`,
        );
      else if (!this.#someAreMissing) {
        const near = nearest(adapterName, this.#adapters.names());
        const hint = near === undefined ? 'if a plugin has it, name the plugin in plugins:' : `did you mean ${near}?`;
        this.#findings.error(
          'RULES_UNKNOWN_ADAPTER',
          fields.node('adapter')?.place ?? fields.place,
          `no adapter is named ${adapterName}; ${hint}`,
        );
      }
      return;
    }
    if (!fields.has('config') && fields.mayMisspell('config')) return;
    const configNode: Node = fields.node('config') ?? { kind: 'map', place: fields.place, entries: new Map() };
    hideLikelySecrets(adapter.config, configNode);
    const before = this.#findings.hasErrors;
    if (slice.isOver) await slice.next();
    const written = this.#values.resolvedFor(adapter, configNode);
    const marked = secretsOfConfig(adapter.config, written.value);
    const referred = new Set(written.secrets.map(({ text }) => text));
    this.written.push(...marked.filter(({ text }) => !referred.has(text)));
    const secrets = new SecretTexts([...marked, ...written.secrets]);
    if (slice.isOver) await slice.next();
    const config = parsedBy(
      adapter.config,
      written.value,
      configNode,
      'RULES_CONFIG',
      `config of ${adapterName}`,
      this.#findings,
      { reported: this.#values.unresolved, shown: (text) => secrets.text(text) },
    );
    if (config === undefined || (!before && this.#findings.hasErrors && written.failed)) return;
    if (slice.isOver) await slice.next();
    const folder = dirname(fields.place.source.file);
    const origin = this.#adapters.origin(adapterName);
    const run = runOf(fields, origin, this.#findings);
    const spool = spoolOf(name, fields, adapter, this.#spool, this.#findings);
    const spec: HandlerSpec = {
      name,
      adapter: adapterName,
      implementation: adapter,
      origin,
      run,
      config: config.value,
      signature: createHash('sha256')
        .update(JSON.stringify([adapterName, folder, run, written.value, spool]))
        .digest('hex'),
      shown: withoutSecrets(written.shown, adapter.config),
      secrets,
      folder,
      position: fields.place.source.positionAt(fields.place.start),
      deadlineMs: fields.durationMs('deadline', ['ms', 's'], RANGES.deadline),
      concurrency: fields.wholeNumber('concurrency', RANGES.concurrency) ?? 256,
      queue: fields.wholeNumber('queue', RANGES.queue) ?? 16_384,
      cacheBytes: cache?.bytes('maxBytes', RANGES.cacheBytes) ?? DEFAULT_CACHE_BYTES,
      breaker: {
        failures: breaker?.wholeNumber('failures', RANGES.failures) ?? 10,
        openForMs: breaker?.durationMs('openFor', ['ms', 's', 'm'], RANGES.breakerTime) ?? 1000,
        windowMs: breaker?.durationMs('window', ['ms', 's', 'm'], RANGES.breakerTime) ?? 250,
      },
      local,
      spool,
      batch: Object.fromEntries(
        Object.entries({
          ...adapter.serves.report?.batch,
          ...Object.fromEntries(Object.entries(batchSpec).filter(([, value]) => value !== undefined)),
        }).filter(([, value]) => value !== undefined),
      ),
    };
    this.handlers.set(name, spec);
    this.#checkMetrics(spec, configNode);
  }

  #checkMetrics({ name, adapter, implementation, config, secrets }: HandlerSpec, node: Node): void {
    try {
      for (const metric of implementation.metrics?.(config as never) ?? []) {
        const other = this.#metrics.get(metric.name);
        if (other === undefined) {
          this.#metrics.set(metric.name, name);
          continue;
        }
        const { node: at, entry } = nodeAt(node, metric.path);
        this.#findings.error(
          'RULES_DUPLICATE',
          entry?.keyPlace ?? at.place,
          `the metric ${metric.name} of ${name} is already a metric of the handler ${other}; rename it, or let the rules of both use one handler`,
        );
      }
    } catch (error) {
      this.#findings.error(
        'RULES_CONFIG',
        node.place,
        `config of ${adapter}: the adapter failed to list its metrics: ${secrets.text(messageOf(error))}; report it to the author of the plugin`,
      );
    }
  }

  #local(name: string, fields: Fields): HandlerSpec['local'] {
    const local = fields.map('local', 'local')?.only(KEYS.local);
    if (local === undefined) return undefined;
    local.required('handler', 'the handler that counts while this one is unavailable, such as one of quota-memory');
    local.required('replicas', 'the number of servers that share a limit; each admits its part');
    const handler = local.text('handler');
    const replicas = local.wholeNumber('replicas', RANGES.replicas);
    if (handler === undefined || replicas === undefined) return undefined;
    this.used.add(handler);
    this.#locals.push({ of: name, name: handler, place: local.node('handler')?.place ?? local.place });
    return { handler, replicas };
  }

  #checkLocal(of: string, name: string, place: Place): void {
    if (!this.names.has(name) && this.#findings.misplaced.has(name)) return;
    if (!this.names.has(name))
      return this.#findings.once(
        `handler ${name}`,
        'RULES_UNKNOWN_HANDLER',
        place,
        `no handler is named ${name}${meant(name, this.names.keys())}`,
      );
    const handler = this.handlers.get(name);
    if (name === of)
      this.#findings.error('RULES_VALUE', place, `${name} cannot be its own fallback; name another handler`);
    else if (handler !== undefined && handler.implementation.serves.quota === undefined)
      this.#findings.once(
        `quota of ${name}`,
        'RULES_CAPABILITY',
        place,
        `${name} is a ${handler.adapter}, which serves ${Object.keys(handler.implementation.serves).join(', ')}, not quota`,
      );
  }
}
