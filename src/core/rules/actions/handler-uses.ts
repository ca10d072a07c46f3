/**
 * The handler that a rule uses.
 * **In**: `handler` and `params` of an action. **Out**: the handler, its params parsed, the shapes of its input and output.
 * **Fails**: with findings, and `undefined`.
 */
import type { Adapter, Capability, InputDefaults, Shape } from '../../../adapters/contract.ts';
import { secretsOfConfig } from '../../../adapters/config-secrets.ts';
import { shapeProblems } from '../../../adapters/shape-problems.ts';
import type { Attributes } from '../../../attributes/attributes.ts';
import { kindOf } from '../../../text/kind-of.ts';
import { messageOf } from '../../../text/message-of.ts';
import { meant } from '../../../text/nearest.ts';
import { type SecretText, SecretTexts } from '../../../text/secret-texts.ts';
import { textInParams } from '../../../expression/index.ts';
import { placeOf } from '../expressions.ts';
import type { Fields } from '../../../yaml/fields.ts';
import type { HandlerSpec } from '../policy.ts';
import { hideLikelySecrets } from '../../../yaml/likely-secrets.ts';
import { parsedBy } from '../../../yaml/schema-findings.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { type Node, type Place, plain } from '../../../yaml/nodes.ts';

type Served = Adapter['serves'];

/** The handlers of a policy. */
export interface DeclaredHandlers {
  readonly handlers: ReadonlyMap<string, HandlerSpec>;
  /** All names, including handlers with errors, so that rules that use them are not reported as well. */
  readonly names: ReadonlyMap<string, Place | undefined>;
  /** A section could not be read: no name of a handler is unknown. */
  readonly isIncomplete: boolean;
  /** Names that rules use. */
  readonly used: Set<string>;
  /** Secrets that stand in the policy itself. */
  readonly written: SecretText[];
}

export interface HandlerUse<C extends Capability> {
  readonly handler: string;
  readonly params: unknown;
  readonly serves: NonNullable<Served[C]>;
  readonly spec: HandlerSpec;
}

export class HandlerUses {
  readonly #handlers: DeclaredHandlers;
  readonly #findings: Findings;
  readonly #attributes: Attributes | undefined;

  /** `attributes`: absent while they are being declared; texts of params are not looked at then. */
  constructor(handlers: DeclaredHandlers, findings: Findings, attributes?: Attributes) {
    this.#handlers = handlers;
    this.#findings = findings;
    this.#attributes = attributes;
  }

  read<C extends Capability>(fields: Fields, capability: C): HandlerUse<C> | undefined {
    const named = this.named(fields, capability);
    const params = named === undefined ? undefined : this.params(fields, named.spec, named.serves.params);
    return named === undefined || params === undefined ? undefined : { ...named, params: params.value };
  }

  /** The handler alone; its params are read later. */
  named<C extends Capability>(fields: Fields, capability: C): Omit<HandlerUse<C>, 'params'> | undefined {
    fields.required('handler', 'the name of a handler');
    const name = fields.text('handler');
    const place = fields.node('handler')?.place ?? fields.place;
    if (name === undefined) return undefined;
    if (!this.#handlers.names.has(name)) {
      if (!this.#handlers.isIncomplete && !this.#findings.misplaced.has(name))
        this.#findings.once(
          this.#handlers.names.size === 0 ? 'no handlers' : `handler ${name}`,
          'RULES_UNKNOWN_HANDLER',
          place,
          `no handler is named ${name}${meant(name, this.#handlers.names.keys()) || '; declare it under handlers:'}`,
        );
      return undefined;
    }
    this.#handlers.used.add(name);
    const spec = this.#handlers.handlers.get(name);
    if (spec === undefined) return undefined; // its own error is reported
    const serves = spec.implementation.serves;
    const served = serves[capability];
    if (served !== undefined) return { handler: name, serves: served, spec };
    this.#findings.once(
      `${capability} of ${name}`,
      'RULES_CAPABILITY',
      place,
      `${name} is a ${spec.adapter}, which serves ${Object.keys(serves).join(', ')}, not ${capability}`,
    );
    return undefined;
  }

  params(
    fields: Fields,
    { secrets }: HandlerSpec,
    schema: Parameters<typeof parsedBy>[0] | undefined,
  ): { readonly value: unknown } | undefined {
    const node = fields.node('params');
    if (node === undefined && fields.mayMisspell('params')) return undefined;
    if (schema === undefined) {
      if (node !== undefined) this.#findings.error('RULES_PARAMS', node.place, 'this adapter takes no params');
      return { value: undefined };
    }
    const value = node === undefined ? {} : plain(node);
    if (node !== undefined) hideLikelySecrets(schema, node);
    const parsed = parsedBy(
      schema,
      value,
      node ?? { kind: 'map', place: fields.place, entries: new Map() },
      'RULES_PARAMS',
      'params',
      this.#findings,
      { shown: (text) => new SecretTexts(secretsOfConfig(schema, value)).text(text) },
    );
    if (node !== undefined && parsed !== undefined) this.#findUnreplaced(node);
    if (parsed === undefined) this.#handlers.written.push(...secretsOfConfig(schema, value));
    // The plugin knows the secrets of its config and of its rules, and may repeat either.
    else secrets.add([...secretsOfConfig(schema, value), ...secretsOfConfig(schema, parsed.value)]);
    return parsed;
  }

  #findUnreplaced(node: Node): void {
    if (this.#attributes === undefined) return;
    if (node.kind === 'list') for (const item of node.items) this.#findUnreplaced(item);
    else if (node.kind === 'map') for (const { value } of node.entries.values()) this.#findUnreplaced(value);
    else {
      const miss = typeof node.value === 'string' ? textInParams(node.value, this.#attributes) : undefined;
      if (miss !== undefined) this.#findings.add('warning', miss.code, placeOf(node, miss), miss.message);
    }
  }

  /** Expressions of inputs that a rule may leave out. */
  defaults(
    serves: { readonly defaults?: InputDefaults },
    use: Pick<HandlerUse<Capability>, 'spec' | 'params'>,
    place: Place,
  ): Readonly<Record<string, string>> {
    const { defaults } = serves;
    if (typeof defaults !== 'function') return defaults ?? {};
    const made = this.#made('defaults', defaults, use, place);
    if (made === undefined) return {};
    const problem = defaultsProblem(made.value);
    if (problem === undefined) return made.value as Readonly<Record<string, string>>;
    this.#wrong(use, `its defaults ${problem}`, place);
    return {};
  }

  /** A shape may be a function of config and params, which is the plugin's code: it may throw, or return anything. */
  shape(
    what: 'input' | 'output',
    shape: unknown,
    use: Pick<HandlerUse<Capability>, 'spec' | 'params'>,
    place: Place,
  ): Shape | 'any' | undefined {
    if (typeof shape !== 'function') return shape as Shape | 'any';
    const made = this.#made(what, shape, use, place);
    if (made === undefined) return undefined;
    const problems =
      kindOf(made.value) === 'a promise'
        ? [`its ${what} is a promise; expected names and types, or 'any', at once`]
        : typeof made.value === 'function'
          ? [`its ${what} is a function that returns a function; expected names and types, or 'any'`]
          : shapeProblems(`its ${what}`, made.value);
    for (const problem of problems) this.#wrong(use, problem, place);
    return problems.length === 0 ? (made.value as Shape | 'any') : undefined;
  }

  #made(
    what: string,
    make: unknown,
    use: Pick<HandlerUse<Capability>, 'spec' | 'params'>,
    place: Place,
  ): { readonly value: unknown } | undefined {
    try {
      return { value: (make as (config: unknown, params: unknown) => unknown)(use.spec.config, use.params) };
    } catch (error) {
      this.#findings.error(
        'RULES_ADAPTER_SHAPE',
        place,
        `${use.spec.adapter} makes no ${what} of this config and these params: ${use.spec.secrets.text(messageOf(error))}; ` +
          'correct them, or report it to the author of the plugin if they are right',
      );
      return undefined;
    }
  }

  #wrong({ spec }: Pick<HandlerUse<Capability>, 'spec'>, problem: string, place: Place): void {
    this.#findings.error(
      'RULES_ADAPTER_SHAPE',
      place,
      `${spec.adapter}, with this config and these params: ${spec.secrets.text(problem)}; report it to the author of the plugin`,
    );
  }
}

function defaultsProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || kindOf(value) === 'a promise')
    return `are ${kindOf(value)}; expected expressions by the names of inputs`;
  const wrong = Object.entries(value).find(([, text]) => typeof text !== 'string');
  return wrong === undefined ? undefined : `have ${kindOf(wrong[1])} as ${wrong[0]}; expected an expression, as text`;
}
