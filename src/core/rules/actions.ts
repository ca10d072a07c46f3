/**
 * The action of a rule.
 * **In**: the fields of a rule, the handlers. **Out**: the action, what it reads, what its handler puts out.
 * **Fails**: with findings; the action is then `undefined`.
 */
import { CALENDAR, type Calendar, calendarOf, isZone } from '../../counting/calendar.ts';
import type { Attributes } from '../../attributes/attributes.ts';
import type { Algorithm, Capability, Shape } from '../../adapters/contract.ts';
import type { Compiled } from '../../expression/index.ts';
import type { ChangesReader } from './changes.ts';
import { expressionOf } from './expressions.ts';
import { Fields, fieldsOf, listOfNodes } from './fields.ts';
import type { Findings } from './yaml/findings.ts';
import { type HandlersSection, type LoadedHandler, parsedBy } from './handlers-section.ts';
import { type Inputs, fieldsMaker, inputMaker, inputsOf } from './inputs.ts';
import { meant } from '../../text/nearest.ts';
import { type Node, type Place, nodeText, plain } from './yaml/nodes.ts';
import type { Action, Ask, EnrichOutput } from './rule.ts';
import { digested, masked, type Secrecy } from './secrecy.ts';
import { fromShape } from './convert.ts';
import { messageOf } from '../../text/message-of.ts';

export interface ReadAction {
  readonly action: Action;
  readonly compiled: readonly Compiled[];
  /** What the handler of a check puts out beside its answer. */
  readonly output: Shape;
}

export const ACTION_KINDS = ['deny', 'allow', 'check', 'quota', 'report', 'enrich'] as const;
export type ActionKind = (typeof ACTION_KINDS)[number];

export class ActionReader {
  readonly #attributes: Attributes;
  readonly #handlers: HandlersSection;
  readonly #changes: ChangesReader;
  readonly #findings: Findings;
  readonly #secrecy: Secrecy;
  /** What the rule's match has shown to be there. */
  #given: ReadonlySet<string> = new Set();

  constructor(
    attributes: Attributes,
    handlers: HandlersSection,
    changes: ChangesReader,
    findings: Findings,
    secrecy: Secrecy,
  ) {
    this.#attributes = attributes;
    this.#handlers = handlers;
    this.#changes = changes;
    this.#findings = findings;
    this.#secrecy = secrecy;
  }

  read(
    kind: ActionKind,
    node: Node,
    ruleName: string,
    enrichOutputs: ReadonlyMap<string, readonly EnrichOutput[]>,
    given: ReadonlySet<string> = new Set(),
  ): ReadAction | undefined {
    this.#given = given;
    switch (kind) {
      case 'deny':
        return this.#deny(node);
      case 'allow':
        return this.#allow(node);
      case 'check': {
        const fields = fieldsOf(node, 'check', this.#findings)?.only(['handler', 'params', 'input']);
        const asked = fields === undefined ? undefined : this.#ask(fields);
        return asked === undefined
          ? undefined
          : { action: { kind, ask: asked.ask }, compiled: asked.compiled, output: asked.output };
      }
      case 'quota':
        return this.#quota(node, ruleName);
      case 'report':
        return this.#report(node);
      case 'enrich':
        return this.#enrich(node, enrichOutputs.get(ruleName) ?? []);
    }
  }

  #deny(node: Node): ReadAction | undefined {
    const fields = fieldsOf(node, 'deny', this.#findings)?.only(['status', 'headers', 'body', 'unlessAllowed']);
    if (fields === undefined) return undefined;
    const answer = this.#changes.denyAnswer(fields);
    const group = fields.node('unlessAllowed');
    const unlessAllowed = group === undefined ? undefined : this.#group(group, 'unlessAllowed');
    return {
      action: { kind: 'deny', answer: { ...answer, status: answer.status ?? 403 }, unlessAllowed },
      compiled: [],
      output: {},
    };
  }

  #group(node: Node, what: string): string | undefined {
    if (node.kind === 'scalar' && node.value === true) return '';
    if (node.kind === 'scalar' && typeof node.value === 'string' && node.value !== '') return node.value;
    this.#findings.error(
      'RULES_VALUE',
      node.place,
      `${what} is true or the name of a group; here is ${nodeText(node)}`,
    );
    return undefined;
  }

  #allow(node: Node): ReadAction | undefined {
    if (node.kind !== 'map') {
      const group = this.#group(node, 'allow');
      return group === undefined
        ? undefined
        : { action: { kind: 'allow', group, ask: undefined }, compiled: [], output: {} };
    }
    const fields = new Fields(node, 'allow', this.#findings).only(['group', 'handler', 'params', 'input']);
    const groupNode = fields.node('group');
    const group = groupNode === undefined ? '' : this.#group(groupNode, 'group');
    const asked = fields.has('handler') ? this.#ask(fields) : undefined;
    if (group === undefined || (fields.has('handler') && asked === undefined)) return undefined;
    return {
      action: { kind: 'allow', group, ask: asked?.ask },
      compiled: asked?.compiled ?? [],
      output: asked?.output ?? {},
    };
  }

  #ask(fields: Fields): { ask: Ask; compiled: readonly Compiled[]; output: Shape } | undefined {
    const handler = this.handler(fields, 'check');
    const serves = handler?.adapter.serves.check;
    if (handler === undefined || serves === undefined) return undefined;
    const params = this.params(fields, serves.params);
    const shape = params === undefined ? undefined : this.shape(serves.input, handler, params.value, fields.place);
    if (params === undefined || shape === undefined) return undefined;
    const inputs = this.#inputs(fields, shape);
    return {
      ask: { handler: handler.spec.name, params: params.value, input: inputMaker(inputs) },
      compiled: inputs.compiled,
      output: serves.output ?? {},
    };
  }

  #inputs(fields: Fields, shape: Shape | 'any'): Inputs {
    return inputsOf(fields.node('input'), fields.place, shape, this.#attributes, this.#findings, this.#given);
  }

  #quota(node: Node, ruleName: string): ReadAction | undefined {
    const fields = fieldsOf(node, 'quota', this.#findings)?.only([
      'handler',
      'key',
      'limit',
      'per',
      'cost',
      'algorithm',
      'burst',
      'counter',
      'once',
      'override',
      'params',
      'partial',
      'policy',
      'zone',
    ]);
    if (fields === undefined) return undefined;
    const handler = this.handler(fields, 'quota');
    const serves = handler?.adapter.serves.quota;
    fields.required('per', 'the period, such as 1m');
    const { perMs, calendar, zone } = this.#period(fields);
    const limitNode = fields.required('limit', 'how much may pass in a period, such as 100');
    const keyNode = fields.required(
      'key',
      'a list of expressions, each value of which has a count of its own; [] is one for all',
    );
    const algorithm = this.#algorithm(fields);
    if (serves !== undefined && algorithm !== undefined && !serves.algorithms.includes(algorithm)) {
      this.#findings.error(
        'RULES_CAPABILITY',
        fields.node('algorithm')?.place ?? fields.place,
        `${handler?.spec.name} is a ${handler?.spec.adapter}, which counts by ${serves.algorithms.join(', ')}, not ${algorithm}`,
      );
    }
    const number = (what: string, given: Node | undefined): Compiled | undefined =>
      given === undefined
        ? undefined
        : expressionOf(given, what, this.#attributes, this.#findings, {
            given: this.#given,
            isQuota: true,
            accept: ({ kind }) => ['int', 'uint', 'double', 'dyn'].includes(kind),
            wanted: 'a number',
          });
    const limit = number('limit', limitNode);
    const cost = number('cost', fields.node('cost'));
    const burst = number('burst', fields.node('burst'));
    if (burst !== undefined && algorithm !== 'gcra')
      this.#findings.error(
        'RULES_MISPLACED',
        fields.entry('burst')?.keyPlace ?? fields.place,
        'burst goes with algorithm: gcra',
      );
    if (calendar !== undefined && algorithm !== 'fixed')
      this.#findings.error(
        'RULES_MISPLACED',
        fields.node('per')?.place ?? fields.place,
        'a period of a calendar goes with algorithm: fixed',
      );
    const key = (keyNode === undefined ? [] : (listOfNodes(keyNode, 'key', this.#findings)?.items ?? []))
      .flatMap(
        (item) =>
          expressionOf(item, 'key', this.#attributes, this.#findings, { given: this.#given, isQuota: true }) ?? [],
      )
      .map((part) => this.#counted(part));
    const onceNode = fields.node('once');
    const once =
      onceNode === undefined
        ? undefined
        : expressionOf(onceNode, 'once', this.#attributes, this.#findings, {
            given: this.#given,
            isQuota: true,
            accept: ({ kind }) => ['string', 'int', 'uint', 'dyn'].includes(kind),
            wanted: 'a text or a number',
          });
    const counter = fields.text('counter') ?? ruleName;
    const partial = fields.flag('partial') ?? false;
    if (partial && onceNode !== undefined)
      this.#findings.error(
        'RULES_MISPLACED',
        fields.entry('partial')?.keyPlace ?? fields.place,
        'partial does not go with once: what comes again is granted what it was granted before, which is not kept',
      );
    const policy = fields.text('policy');
    if (policy !== undefined && !POLICY_NAME.test(policy))
      this.#findings.error(
        'RULES_VALUE',
        fields.node('policy')?.place ?? fields.place,
        'policy is what clients know the limit by: printable ASCII',
      );
    const override = fields.flag('override') ?? true;
    const params = serves === undefined ? undefined : this.params(fields, serves.params);
    if (
      handler === undefined ||
      perMs === undefined ||
      limit === undefined ||
      algorithm === undefined ||
      params === undefined
    )
      return undefined;
    const compiled = [
      ...key,
      limit,
      ...(cost === undefined ? [] : [cost]),
      ...(burst === undefined ? [] : [burst]),
      ...(once === undefined ? [] : [once]),
    ];
    return {
      action: {
        kind: 'quota',
        handler: handler.spec.name,
        params: params.value,
        counter,
        algorithm,
        perMs,
        calendar,
        zone,
        key,
        limit,
        cost,
        burst,
        once: once === undefined ? undefined : this.#counted(once),
        partial,
        policy,
        override,
        descriptorKeys: [],
      },
      compiled,
      output: QUOTA_OUTPUT,
    };
  }

  /** `per: 15m`, or `per: month` with the time zone of its calendar. */
  #period(fields: Fields): {
    readonly perMs: number | undefined;
    readonly calendar: Calendar | undefined;
    readonly zone: string;
  } {
    const per = fields.node('per');
    const period = per?.kind === 'scalar' ? CALENDAR.find((word) => word === per.value) : undefined;
    const zone = fields.text('zone');
    const zonePlace = fields.node('zone')?.place ?? fields.place;
    if (period === undefined) {
      if (zone !== undefined)
        this.#findings.error('RULES_MISPLACED', zonePlace, `zone goes with per: ${CALENDAR.join(', ')}`);
      return { perMs: fields.durationMs('per', ['s', 'm', 'h', 'd', 'ms']), calendar: undefined, zone: '' };
    }
    const name = zone ?? 'UTC';
    if (!isZone(name)) {
      this.#findings.error(
        'RULES_VALUE',
        zonePlace,
        `zone is ${name}, which is no time zone; one such as Europe/Amsterdam is expected`,
      );
      return { perMs: undefined, calendar: undefined, zone: name };
    }
    const calendar = calendarOf(period, name);
    return { perMs: calendar.lengthS * 1000, calendar, zone: `${period} ${name}` };
  }

  #algorithm(fields: Fields): Algorithm | undefined {
    const word = fields.word('algorithm', ['fixed', 'gcra', 'sliding', 'log', 'concurrency']);
    if (word === 'concurrency' && !fields.has('once'))
      this.#findings.error(
        'RULES_MISSING_KEY',
        fields.node('algorithm')?.place ?? fields.place,
        'algorithm: concurrency needs once: what a request is known by when its lease ends, such as its x-request-id',
      );
    return word ?? (fields.has('algorithm') ? undefined : 'fixed');
  }

  #report(node: Node): ReadAction | undefined {
    const fields = fieldsOf(node, 'report', this.#findings)?.only(['handler', 'params', 'input']);
    const handler = fields === undefined ? undefined : this.handler(fields, 'report');
    const serves = handler?.adapter.serves.report;
    if (fields === undefined || handler === undefined || serves === undefined) return undefined;
    const params = this.params(fields, serves.params);
    const shape =
      params === undefined
        ? undefined
        : this.shape(serves.input, handler, params.value, fields.node('params')?.place ?? fields.place);
    if (params === undefined || shape === undefined) return undefined;
    const inputs = this.#written(this.#inputs(fields, shape));
    return {
      action: {
        kind: 'report',
        handler: handler.spec.name,
        params: params.value,
        input: fieldsMaker(inputs),
        shape: inputs.shape,
      },
      compiled: inputs.compiled,
      output: {},
    };
  }

  /** What a counter's name is made of reaches the backend, and whoever looks at it. */
  #counted(compiled: Compiled): Compiled {
    return this.#secrecy.exposedBy(compiled.reads).length === 0 ? compiled : digested(compiled);
  }

  #written(inputs: Inputs): Inputs {
    const parts = inputs.parts.map((part) => {
      const secrets = this.#secrecy.exposedBy(part.compiled.reads);
      if (secrets.length === 0) return part;
      this.#findings.warn(
        'RULES_SECRET_HIDDEN',
        part.place,
        `${part.name} reads ${secrets.join(', ')}; secrets are written as (secret). Read what the report needs alone, or write reveal(...) where a secret is meant to be written in the clear`,
      );
      return { ...part, compiled: masked(part.compiled) };
    });
    return { ...inputs, parts };
  }

  #enrich(node: Node, outputs: readonly EnrichOutput[]): ReadAction | undefined {
    const fields = fieldsOf(node, 'enrich', this.#findings)?.only(['handler', 'params', 'input', 'as']);
    const handler = fields === undefined ? undefined : this.handler(fields, 'enrich');
    const serves = handler?.adapter.serves.enrich;
    if (fields === undefined || handler === undefined || serves === undefined) return undefined;
    const params = this.params(fields, serves.params);
    const shape = params === undefined ? undefined : this.shape(serves.input, handler, params.value, fields.place);
    if (params === undefined || shape === undefined) return undefined;
    const inputs = this.#inputs(fields, shape);
    return {
      action: { kind: 'enrich', handler: handler.spec.name, params: params.value, input: inputMaker(inputs), outputs },
      compiled: inputs.compiled,
      output: {},
    };
  }

  handler(fields: Fields, capability: Capability): LoadedHandler | undefined {
    fields.required('handler', 'the name of a handler');
    const name = fields.text('handler');
    const place = fields.node('handler')?.place ?? fields.place;
    if (name === undefined) return undefined;
    if (!this.#handlers.names.has(name)) {
      this.#findings.error(
        'RULES_UNKNOWN_HANDLER',
        place,
        `no handler is named ${name}${meant(name, this.#handlers.names.keys())}`,
      );
      return undefined;
    }
    this.#handlers.used.add(name);
    const handler = this.#handlers.handlers.get(name);
    if (handler === undefined || handler.adapter.serves[capability] !== undefined) return handler;
    this.#findings.error(
      'RULES_CAPABILITY',
      place,
      `${name} is a ${handler.spec.adapter}, which serves ${Object.keys(handler.adapter.serves).join(', ')}, not ${capability}`,
    );
    return undefined;
  }

  params(fields: Fields, schema: Parameters<typeof parsedBy>[0] | undefined): { readonly value: unknown } | undefined {
    const node = fields.node('params');
    if (schema === undefined) {
      if (node !== undefined) this.#findings.error('RULES_PARAMS', node.place, 'this adapter takes no params');
      return { value: undefined };
    }
    return parsedBy(
      schema,
      node === undefined ? {} : plain(node),
      node ?? { kind: 'map', place: fields.place, entries: new Map() },
      'RULES_PARAMS',
      'params',
      this.#findings,
    );
  }

  shape(
    spec: unknown,
    { spec: { config, adapter } }: LoadedHandler,
    params: unknown,
    place: Place,
  ): Shape | 'any' | undefined {
    if (typeof spec !== 'function') return spec as Shape | 'any';
    try {
      return (spec as (config: unknown, params: unknown) => Shape)(config, params);
    } catch (error) {
      this.#findings.error('RULES_ADAPTER_SHAPE', place, `${adapter}: ${messageOf(error)}`);
      return undefined;
    }
  }
}

/** A string of RFC 9651. */
const POLICY_NAME = /^[\x20-\x7e]+$/;

/** Of a quota, as `out.*`; whole numbers, rounded down. */
const QUOTA_OUTPUT: Shape = { granted: 'int', limit: 'int', remaining: 'int', reset: 'duration' };

export const outputConvert = (shape: Shape[string]): EnrichOutput['convert'] => {
  const type = shape.replace(/\?$/, '') as Parameters<typeof fromShape>[0];
  return (value) => (value === undefined || value === null ? undefined : fromShape(type, value));
};
