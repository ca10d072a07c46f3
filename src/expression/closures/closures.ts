/**
 * The closure back end. **In**: a typed tree. **Out**: a function of a bag. **Fails**: never; the function gives `undefined` if
 * the evaluation fails, and throws only {@link OverBudget}.
 */
import type { Type } from '../../attributes/types.ts';
import type { Overload } from '../functions/overload.ts';
import { constantOf, type Typed, type TypedMacro, type TypedOf } from '../check/typed.ts';
import type { Val } from '../values/dynamic.ts';
import { bindRun, itemsOf, macroRun, optMapRun, pairsOf } from './macros.ts';
import { isMeteredType, meteredRun } from './metering.ts';
import {
  type Lookup,
  type Run,
  attributeRun,
  binaryRun,
  callRun,
  conditionalRun,
  constantRun,
  dispatchRun,
  elementAt,
  elementOrEntry,
  entryOf,
  failingRun,
  hasAttributeRun,
  hasFieldRun,
  hasValueRun,
  identicalRun,
  identicalToRun,
  inSetRun,
  listRun,
  logicRun,
  lookupRun,
  mapRun,
  notRun,
  optionalAttributeRun,
  optionalLookupRun,
  orElseRun,
  unaryRun,
  variableRun,
} from './runs.ts';

/** Wraps the closure of a node, for traces. */
export type Decorate = (typed: Typed, run: Run) => Run;

export const closureOf = (typed: Typed, decorate?: Decorate): Run => new Builder(decorate).run(typed);

class Builder {
  readonly #decorate: Decorate | undefined;
  /** Values of variables by index. Evaluations are synchronous and not reentrant, so they share one array. */
  readonly #values: (Val | undefined)[] = [];
  /** The number of macro bodies around the node. */
  #loops = 0;

  constructor(decorate: Decorate | undefined) {
    this.#decorate = decorate;
  }

  run(typed: Typed): Run {
    const run = this.#run(typed);
    return this.#decorate === undefined ? run : this.#decorate(typed, run);
  }

  #run(typed: Typed): Run {
    switch (typed.kind) {
      case 'constant':
        return constantRun(typed.value);
      case 'attribute':
        return typed.isOptional ? optionalAttributeRun(typed.slot) : attributeRun(typed.slot);
      case 'variable':
        return variableRun(this.#values, typed.index);
      case 'lookup': {
        const [of, key, lookup] = [this.run(typed.of), this.run(typed.key), lookupOf(typed)];
        return typed.isOptional ? optionalLookupRun(of, key, lookup) : lookupRun(of, key, lookup);
      }
      case 'hasAttribute':
        return hasAttributeRun(typed.slot);
      case 'hasField':
        return hasFieldRun(this.run(typed.of), typed.field, typed.slot);
      case 'hasValue':
        return hasValueRun(this.run(typed.of));
      case 'not':
        return notRun(this.run(typed.of));
      case 'and':
      case 'or':
        return logicRun(this.run(typed.left), this.run(typed.right), typed.kind === 'or');
      case 'if':
        return conditionalRun(this.run(typed.test), this.run(typed.yes), this.run(typed.no));
      case 'identical':
        return this.#identical(typed);
      case 'inSet':
        return inSetRun(this.#argument(typed.item, 'in'), typed.values);
      case 'call':
        return this.#call(typed);
      case 'dispatch': {
        const { overloads, args, type } = typed;
        const name = overloads[0]?.name ?? '';
        return dispatchRun(
          overloads,
          args.map((arg) => this.#argument(arg, name)),
          type,
        );
      }
      case 'convert':
        return unaryRun(this.run(typed.of), typed.convert);
      case 'passthrough':
        return this.run(typed.of);
      case 'orElse':
        return orElseRun(this.run(typed.of), this.run(typed.instead), typed.isOptional);
      case 'list':
        return listRun(typed.items.map(({ value, isOptional }) => ({ value: this.run(value), isOptional })));
      case 'map':
        return mapRun(
          typed.entries.map(({ key, value, isOptional }) => ({
            key: this.run(key),
            value: this.run(value),
            isOptional,
          })),
        );
      case 'macro':
        return this.#macro(typed);
      case 'optMap':
        return optMapRun(this.run(typed.over), this.#setter(typed.variable), this.run(typed.body), typed.isFlat);
      case 'bind':
        return bindRun(this.run(typed.value), this.#setter(typed.variable), this.run(typed.body));
      case 'invalid':
        return failingRun;
    }
  }

  /** An argument of a call. In a macro's body, what the call reads is metered, since it is read for each element. */
  #argument(typed: Typed, name: string): Run {
    const run = this.run(typed);
    return this.#loops > 0 && typed.kind !== 'constant' && isMeteredType(typed.type) ? meteredRun(run, name) : run;
  }

  #identical({ left, right, isNegated }: TypedOf<'identical'>): Run {
    const name = isNegated ? '!=' : '==';
    if (right.kind === 'constant') return identicalToRun(this.#argument(left, name), right.value, !isNegated);
    if (left.kind === 'constant') return identicalToRun(this.#argument(right, name), left.value, !isNegated);
    return identicalRun(this.#argument(left, name), this.#argument(right, name), !isNegated);
  }

  #call({ overload, args }: TypedOf<'call'>): Run {
    const { name, run: call } = overload;
    const [first, second] = args;
    const special = specialised(overload, args);
    if (special !== undefined && first !== undefined) return unaryRun(this.#argument(first, name), special);
    if (first !== undefined && args.length === 1)
      return unaryRun(this.#argument(first, name), call as unknown as (x: Val) => Val | undefined);
    if (first !== undefined && second !== undefined && args.length === 2)
      return binaryRun(
        this.#argument(first, name),
        this.#argument(second, name),
        call as unknown as (x: Val, y: Val) => Val | undefined,
      );
    return callRun(
      args.map((arg) => this.#argument(arg, name)),
      call as unknown as (...args: readonly Val[]) => Val | undefined,
    );
  }

  #macro({ macro, over, variables, filter, body }: TypedMacro): Run {
    const [first, second] = variables;
    const items = this.run(over);
    this.#loops += 1;
    const [keeps, made] = [filter === undefined ? undefined : this.run(filter), this.run(body)];
    this.#loops -= 1;
    const isDyn = over.type.kind === 'dyn';
    const set = this.#setter(first);
    return second === undefined
      ? macroRun(macro, itemsOf(items, isDyn), made, keeps, set, itself)
      : macroRun(macro, pairsOf(items, isDyn), made, keeps, pairSetter(set, this.#setter(second)), firstOf);
  }

  #setter(variable: number): Setter {
    return setterOf(this.#values, variable);
  }
}

type Setter = (value: Val | undefined) => void;
const setterOf =
  (values: (Val | undefined)[], index: number): Setter =>
  (value) => {
    values[index] = value;
  };
const pairSetter =
  (setKey: Setter, setElement: Setter) =>
  ([key, element]: readonly [Val, Val]): void => {
    setKey(key);
    setElement(element);
  };
const itself = (item: Val): Val => item;
const firstOf = ([one]: readonly [Val, Val]): Val => one;

function lookupOf({ of, key }: TypedOf<'lookup'>): Lookup {
  const container: Type = of.type.kind === 'optional' ? of.type.of : of.type;
  if (container.kind === 'map') return entryOf;
  return container.kind === 'list' && key.type.kind !== 'dyn' ? elementAt : elementOrEntry;
}

/** The function that the overload makes for constant arguments, such as a compiled pattern. */
export function specialised(
  { specialise }: Overload,
  args: readonly Typed[],
): ((first: Val) => Val | undefined) | undefined {
  if (specialise === undefined || args.length < 2) return undefined;
  const rest: Val[] = [];
  for (const arg of args.slice(1)) {
    const value = constantOf(arg);
    if (value === undefined) return undefined;
    rest.push(value);
  }
  return specialise(rest) as ((first: Val) => Val | undefined) | undefined;
}
