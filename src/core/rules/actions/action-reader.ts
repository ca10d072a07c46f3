/**
 * The action of a rule.
 * **In**: the fields of a rule, the handlers. **Out**: the action, its expressions, the outputs of its handler.
 * **Fails**: with findings; the action is then `undefined`.
 */
import { secretMembers } from '../../../adapters/config-secrets.ts';
import type { Shape } from '../../../adapters/contract.ts';
import type { ActionKind } from '../../actions.ts';
import { Fields, fieldsOf } from '../../../yaml/fields.ts';
import { type Inputs, fieldsMaker, inputMaker, inputsOf } from './inputs.ts';
import { quotaOf } from './quota-reader.ts';
import type { ActionContext, ReadAction } from './read-action.ts';
import type { CheckAction, EnrichOutput } from '../rule.ts';
import { masked } from './secrecy.ts';
import { FOREIGN_KEYS, KEYS } from '../keys.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';

/** Shared: what is made for an output is found by it. */
const NO_OUTPUT: Shape = {};

export class ActionReader {
  readonly #context: ActionContext;
  /** Attributes that the rule's match proves to be present. */
  #given: ReadonlySet<string> = new Set();

  constructor(context: ActionContext) {
    this.#context = context;
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
        const fields = fieldsOf(node, 'check', this.#context.findings)?.only(KEYS.check);
        return fields === undefined ? undefined : this.#check(fields);
      }
      case 'quota':
        return quotaOf(node, ruleName, given, this.#context);
      case 'report':
        return this.#report(node);
      case 'enrich':
        return this.#enrich(node, enrichOutputs.get(ruleName) ?? []);
    }
  }

  #deny(node: Node): ReadAction | undefined {
    const { findings, changes } = this.#context;
    const fields = fieldsOf(node, 'deny', findings)?.only(KEYS.deny, FOREIGN_KEYS.answer);
    if (fields === undefined) return undefined;
    const answer = changes.denyAnswer(fields, this.#given);
    const group = fields.node('unlessAllowed');
    const unlessAllowed = group === undefined ? undefined : this.#group(group, 'unlessAllowed');
    return {
      action: { kind: 'deny', unlessAllowed },
      answer: { ...answer, status: answer.status ?? 403 },
      compiled: [],
      output: {},
    };
  }

  #group(node: Node, what: string): string | undefined {
    if (node.kind === 'scalar' && node.value === true) return '';
    if (node.kind === 'scalar' && typeof node.value === 'string' && node.value !== '') return node.value;
    this.#context.findings.error(
      'RULES_VALUE',
      node.place,
      `${what} must be true or the name of a group; found ${nodeText(node)}`,
    );
    return undefined;
  }

  #allow(node: Node): ReadAction | undefined {
    const asksNothing = { handler: undefined, params: undefined, input: undefined, inputs: [], output: NO_OUTPUT };
    if (node.kind !== 'map') {
      const group = this.#group(node, 'allow');
      return group === undefined
        ? undefined
        : { action: { kind: 'allow', group, ...asksNothing }, compiled: [], output: {} };
    }
    const fields = new Fields(node, 'allow', this.#context.findings).only(KEYS.allow);
    const groupNode = fields.node('group');
    const group = groupNode === undefined ? '' : this.#group(groupNode, 'group');
    const asks = fields.has('handler') ? this.#check(fields) : undefined;
    if (group === undefined || (fields.has('handler') && asks === undefined)) return undefined;
    return {
      action: { ...(asks?.action ?? asksNothing), kind: 'allow', group },
      compiled: asks?.compiled ?? [],
      output: asks?.output ?? {},
    };
  }

  #check(fields: Fields): (ReadAction & { readonly action: CheckAction }) | undefined {
    const use = this.#context.handlers.read(fields, 'check');
    const shape =
      use === undefined ? undefined : this.#context.handlers.shape('input', use.serves.input, use, fields.place);
    if (use === undefined || shape === undefined) return undefined;
    const inputs = this.#inputs(fields, shape, this.#context.handlers.defaults(use.serves, use, fields.place));
    const { output = NO_OUTPUT } = use.serves;
    return {
      action: {
        kind: 'check',
        handler: use.handler,
        params: use.params,
        input: inputMaker(inputs),
        inputs: inputs.compiled,
        output,
      },
      compiled: inputs.compiled,
      output,
    };
  }

  #inputs(fields: Fields, shape: Shape | 'any', defaults: Readonly<Record<string, string>> = {}): Inputs {
    const { attributes, findings } = this.#context;
    return inputsOf(fields, shape, attributes, findings, { given: this.#given, defaults });
  }

  #report(node: Node): ReadAction | undefined {
    const fields = fieldsOf(node, 'report', this.#context.findings)?.only(KEYS.report);
    const use = fields === undefined ? undefined : this.#context.handlers.read(fields, 'report');
    if (fields === undefined || use === undefined) return undefined;
    const shape = this.#context.handlers.shape(
      'input',
      use.serves.input,
      use,
      fields.node('params')?.place ?? fields.place,
    );
    if (shape === undefined) return undefined;
    const { inputs, reveals } = this.#masked(this.#inputs(fields, shape));
    const { handler, params } = use;
    return {
      action: {
        kind: 'report',
        handler,
        params,
        input: fieldsMaker(inputs),
        inputs: inputs.compiled,
        shape: inputs.shape,
        reveals,
        secretParams: secretMembers(use.serves.params, params),
      },
      compiled: inputs.compiled,
      output: {},
    };
  }

  /** Secrets are written as `(secret)`. */
  #masked(inputs: Inputs): { readonly inputs: Inputs; readonly reveals: readonly string[] } {
    const { secrecy, findings } = this.#context;
    const reveals: string[] = [];
    const parts = inputs.parts.map((part) => {
      const secrets = secrecy.exposedBy(part.compiled.reads);
      if (secrets.length === 0) {
        if (secrecy.isRevealedBy(part.compiled)) reveals.push(part.name);
        return part;
      }
      findings.warn(
        'RULES_SECRET_HIDDEN',
        part.place,
        `${part.name} reads ${secrets.join(', ')}, which the report shows as (secret). ` +
          'Read only what the report needs, or write reveal(...) to report the secret in the clear',
      );
      return { ...part, compiled: masked(part.compiled) };
    });
    return { inputs: { ...inputs, parts }, reveals };
  }

  #enrich(node: Node, outputs: readonly EnrichOutput[]): ReadAction | undefined {
    const fields = fieldsOf(node, 'enrich', this.#context.findings)?.only(KEYS.enrich);
    const as = fields?.required('as', 'the name of its outputs, such as my.tenant');
    if (as !== undefined && as.kind !== 'scalar')
      this.#context.findings.error(
        'RULES_VALUE',
        as.place,
        `as must be a name such as my.tenant; found ${nodeText(as)}`,
      );
    const use = fields === undefined ? undefined : this.#context.handlers.read(fields, 'enrich');
    if (fields === undefined || use === undefined) return undefined;
    const shape = this.#context.handlers.shape('input', use.serves.input, use, fields.place);
    if (shape === undefined) return undefined;
    const inputs = this.#inputs(fields, shape, this.#context.handlers.defaults(use.serves, use, fields.place));
    const { handler, params } = use;
    return {
      action: { kind: 'enrich', handler, params, input: inputMaker(inputs), inputs: inputs.compiled, outputs },
      compiled: inputs.compiled,
      output: {},
    };
  }
}
