/**
 * The answers that the record of a call has for the rules of a policy.
 * **In**: the call that is decided, then a rule that asks. **Out**: what its handler answered, as a handler answers it.
 * **Fails**: with `undefined` where the record has no answer for that rule and handler.
 */
import { allow, type CheckAnswer, deny, PERMISSION_DENIED, type Shape, Unavailable } from '../../adapters/contract.ts';
import { RequestBag } from '../../attributes/bag.ts';
import { parseDuration } from '../../attributes/time-text.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { EnrichAction, Rule } from '../../core/rules/rule.ts';
import type { RecordedRequest } from '../format.ts';
import { isObject, type JsonObject } from '../../text/json-object.ts';
import { RecordedWire } from '../recorded-wire.ts';

/** Outputs by the adapter's names; undefined: the handler knew nothing. */
export interface RecordedValues {
  readonly values: JsonObject | undefined;
}

export class RecordedAnswers {
  readonly #policy: Policy;
  readonly #rules: ReadonlyMap<string, Rule>;
  #wires: readonly RecordedWire[] = [];
  /** Of a limit call with several descriptors, by rule: the descriptors that ask, and how many have asked. */
  readonly #turns = new Map<string, { readonly asking: readonly RecordedWire[]; next: number }>();

  constructor(policy: Policy) {
    this.#policy = policy;
    this.#rules = new Map(policy.rules.map((rule) => [rule.name, rule]));
  }

  begin(wires: readonly RecordedWire[]): void {
    this.#wires = wires;
    if (this.#turns.size > 0) this.#turns.clear();
  }

  /** Throws where the recorded answer is a failure. */
  check(rule: string, handler: string, output: Shape | undefined): CheckAnswer | undefined {
    const answers = this.#requestOf(rule)?.answers;
    const recorded: unknown = answers !== undefined && Object.hasOwn(answers, rule) ? answers[rule] : undefined;
    if (!isObject(recorded) || recorded['handler'] !== handler) return undefined;
    const { says, code, reason } = recorded;
    const text = typeof reason === 'string' ? reason : 'no reason was recorded';
    if (says === 'failed') throw new Unavailable(`as recorded: ${text}`);
    const made = isObject(recorded['output']) ? { output: outputOf(recorded['output'], output) } : {};
    if (says === 'allow') return allow(made);
    return says === 'deny' ? deny(typeof code === 'number' ? code : PERMISSION_DENIED, text, made) : undefined;
  }

  lookup(rule: string): RecordedValues | undefined {
    const action = this.#rules.get(rule)?.action;
    const request = action?.kind === 'enrich' ? this.#requestOf(rule) : undefined;
    return action?.kind !== 'enrich' || request === undefined ? undefined : this.#valuesOf(action, request);
  }

  #valuesOf({ outputs }: EnrichAction, { filled }: RecordedRequest): RecordedValues | undefined {
    const { attributes } = this.#policy;
    const names = outputs.map(({ name, slot }) => ({ name, row: attributes.at(slot) }));
    if (!names.some(({ row }) => Object.hasOwn(filled, row.name))) return undefined;
    const known = names.flatMap(({ name, row }) => {
      const json = Object.hasOwn(filled, row.name) ? filled[row.name] : undefined;
      return json === undefined || json === null ? [] : [[name, plainOf(json, row.type.kind)] as const];
    });
    return { values: known.length === 0 ? undefined : Object.fromEntries(known) };
  }

  /**
   * Handlers do not see which descriptor of a limit call asks; a rule asks in the order of the descriptors to which it applies.
   */
  #requestOf(name: string): RecordedRequest | undefined {
    if (this.#wires.length <= 1) return this.#wires[0]?.request;
    let turn = this.#turns.get(name);
    if (turn === undefined) {
      const match = this.#rules.get(name)?.match;
      const asking = this.#wires.filter((wire) => match === undefined || match.evaluate(this.#bagOf(wire)) === true);
      this.#turns.set(name, (turn = { asking, next: 0 }));
    }
    return turn.asking[turn.next++]?.request;
  }

  #bagOf(wire: RecordedWire): RequestBag {
    const bag = new RequestBag(this.#policy.attributes, wire);
    for (const { action } of this.#policy.enrich) {
      if (action?.kind !== 'enrich') continue;
      const values = this.#valuesOf(action, wire.request)?.values;
      if (values !== undefined)
        for (const { name, slot, convert } of action.outputs) bag.fill(slot, convert(values[name]));
    }
    return bag;
  }
}

const outputOf = (output: JsonObject, shape: Shape | undefined): JsonObject =>
  Object.fromEntries(
    Object.entries(output).map(([name, json]) => {
      const type = shape !== undefined && Object.hasOwn(shape, name) ? shape[name]?.replace(/\?$/, '') : undefined;
      return [name, plainOf(json, type === 'duration' ? undefined : type)]; // a number of milliseconds already
    }),
  );

/** As an adapter gives a value of this type. */
function plainOf(json: unknown, type: string | undefined): unknown {
  if (typeof json !== 'string') return json;
  if (type === 'timestamp') return new Date(json);
  if (type === 'bytes') return Buffer.from(json, 'base64');
  return type === 'duration' ? parseDuration(json)?.toMs() : json;
}
