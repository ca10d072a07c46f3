/**
 * **In**: a tree and the attributes. **Out**: for every node its type and a closure that makes its value from a bag.
 * **Fails**: with all problems at once; a node with a problem is `dyn`, so that one mistake is told once.
 *
 * Inside a plan `undefined` is "failed" (an absent attribute, an overflow ...): no exception is thrown on the way.
 */
import type { Attributes } from '../attributes/attributes.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DYN,
  INT,
  NULL,
  STRING,
  TYPE,
  type Type,
  UINT,
  listOf,
  mapOf,
  optionalOf,
  sameType,
  typeText,
} from '../attributes/types.ts';
import type { Node } from './parse/ast.ts';
import { READ_PER_STEP, spendSteps } from './budget.ts';
import type { CompileOptions, Problem, Read } from './compiled.ts';
import { NONE, Optional, type Val, keyOf, typeNameOf } from './values/dynamic.ts';
import { binaryOperator, negate } from './operators.ts';
import { overloadsOf, hasFunction, functionNames } from './functions/index.ts';
import { nearestOf } from './check/nearest.ts';
import { anyOf, elementAt, entryOf, hasField, isZero, sizeOf } from './access.ts';
import { direct, dispatched, mayBe } from './calls.ts';
import { type Chain, attributeOf, chainOf, guardsOf } from './guards.ts';
import { keyFor, loweredKey } from './keys.ts';
import { planBind, planMacro, planOptMap } from './plan-macros.ts';
import { extremeOf } from './variadic.ts';
import { type Emitter, emitBinary, emitUnary } from './generate.ts';
import { optionalMethod } from './optionals.ts';
import type { Trace } from './trace.ts';
import {
  type Emit,
  FREE,
  type Plan,
  type Run,
  WRONG,
  boxed,
  constantOf,
  fitsFreely,
  heldAs,
  isPartlyDyn,
  joinTypes,
} from './planned.ts';

/** `exposed`: reads of the whole outside of reveal() and has(), less those that went on to a constant key. */
interface MutableRead {
  name: string;
  slot: number;
  guarded: boolean;
  offset: number;
  exposed: number;
  keys: Map<string, { guarded: boolean; exposed: boolean }>;
}

const LITERAL_TYPES = {
  bool: BOOL,
  int: INT,
  uint: UINT,
  double: DOUBLE,
  string: STRING,
  bytes: BYTES,
  null: NULL,
} as const;
const TYPE_NAMES: ReadonlySet<string> = new Set([
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'list',
  'map',
  'type',
  'null_type',
  'optional_type',
]);
const WELL_KNOWN_TYPES: ReadonlyMap<string, Val> = new Map([
  ['google.protobuf.Timestamp', typeNameOf('timestamp')],
  ['google.protobuf.Duration', typeNameOf('duration')],
]);

export class Planner {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly #reads = new Map<number, MutableRead>();
  readonly #attributes: Attributes;
  readonly #prefixes: ReadonlySet<string>;
  /** Variables of macros: type and place. Expressions are synchronous and never enter themselves, so one array serves all evaluations. */
  readonly #locals: { readonly name: string; readonly type: Type; readonly place: number }[] = [];
  readonly #values: (Val | undefined)[] = [];
  readonly #guards: ReadonlySet<string>[] = [];

  readonly #trace: Trace | undefined;

  readonly #unchecked: boolean;
  /** `a.b.`, `a.`, and nothing, for the container `a.b`. */
  readonly #containers: readonly string[];
  /** How many of &&, ||, ?: and macros the node stands in: a failure there may be absorbed. */
  #absorbing = 0;
  /** How many macros' bodies the node stands in. */
  #loops = 0;
  /** How many of reveal() and has() the node stands in: what is read there goes out by intent, or not at all. */
  #revealing = 0;
  /** Whether something in it is counted against a budget (budget.ts). */
  isMetered = false;

  constructor(
    attributes: Attributes,
    {
      given = new Set(),
      unchecked = false,
      container = '',
    }: Pick<CompileOptions, 'given' | 'unchecked' | 'container'> = {},
    trace?: Trace,
  ) {
    this.#attributes = attributes;
    this.#unchecked = unchecked;
    const parts = container === '' ? [] : container.split('.');
    this.#containers = [...parts.map((_, at) => `${parts.slice(0, parts.length - at).join('.')}.`), ''];
    this.#trace = trace;
    this.#guards.push(given);
    this.#prefixes = prefixesOf(attributes);
  }

  reads(): Read[] {
    return [...this.#reads.values()].map(({ name, slot, guarded, offset, exposed, keys }) => ({
      name,
      slot,
      guarded,
      offset,
      exposed: exposed > 0,
      keys: [...keys].map(([key, read]) => ({ key, ...read })),
    }));
  }

  problem(code: string, message: string, at: { readonly start: number; readonly end: number }): Plan {
    if (this.#unchecked) return WRONG;
    this.problems.push({ code, message, start: at.start, end: Math.max(at.end, at.start + 1) });
    return WRONG;
  }

  plan(node: Node): Plan {
    const plan = this.#plan(node);
    return this.#trace === undefined || plan === WRONG ? plan : this.#trace.planned(node, plan);
  }

  #plan(node: Node): Plan {
    switch (node.kind) {
      case 'literal': {
        const { value } = node;
        return { type: LITERAL_TYPES[node.type], run: () => value, constant: value };
      }
      case 'name':
      case 'select':
        return this.#reference(node);
      case 'index':
        return this.#index(node);
      case 'has':
        return this.#has(node.of);
      case 'and':
        return this.#logic(node.left, node.right, true);
      case 'or':
        return this.#logic(node.left, node.right, false);
      case 'if':
        return this.#conditional(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'macro':
        return planMacro(node, this);
      case 'optMap':
        return planOptMap(node, this);
      case 'bind':
        return planBind(node, this);
      case 'call':
        return this.#call(node);
    }
  }

  // ------------------------------------------------------------ attributes, fields, keys

  #reference(node: Node & { kind: 'name' | 'select' }): Plan {
    const chain = chainOf(node);
    if (chain !== undefined && (chain.absolute || this.#local(chain.names[0] ?? '') === undefined)) {
      const found = this.#attribute(chain, node);
      if (found !== undefined) return found;
    }
    const typeName = WELL_KNOWN_TYPES.get(chain?.names.join('.') ?? '');
    if (typeName !== undefined) return { type: TYPE, run: () => typeName, constant: typeName };
    if (chain !== undefined && chain.names.length > 1 && this.#local(chain.names[0] ?? '') === undefined)
      return this.#unknown(chain.names.join('.'), node);
    if (node.kind === 'select') return this.#field(this.plan(node.of), node.field, node.optional, node);
    const local = this.#local(node.name);
    if (local !== undefined) {
      const { place, type } = local;
      const values = this.#values;
      return { type, run: () => values[place] };
    }
    if (TYPE_NAMES.has(node.name)) {
      const value = typeNameOf(node.name as Type['kind']);
      return { type: TYPE, run: () => value, constant: value };
    }
    return this.#unknown(node.name, node);
  }

  #local(name: string): { readonly type: Type; readonly place: number } | undefined {
    return this.#locals.findLast((local) => local.name === name);
  }

  /** The longest declared name along `a.b.c`, then fields of its value. Nothing where no part of it is declared. */
  #attribute(chain: Chain, node: Node): Plan | undefined {
    for (let length = chain.names.length; length > 0; length -= 1) {
      const [name, slot] = this.#slotOf(chain, length);
      if (slot === undefined) continue;
      const isOptional = chain.optional.slice(0, length).some(Boolean);
      const { type, always, source } = this.#attributes.at(slot);
      const isGuarded = isOptional || this.#isGuarded(name);
      const read = this.#read(name, slot, node.start, isGuarded);
      if (this.#revealing === 0) read.exposed += 1;
      if (!isGuarded && !always && source.kind !== 'is')
        this.#mayBeAbsent(name, `has(${name}) && ..., or ${optionalForm(name)}.orValue(...)`, node);
      let plan: Plan = isOptional
        ? {
            type: optionalOf(type),
            emitOr: (out, instead) => {
              const x = out.temporary();
              return `((${x} = bag.get(${slot})) === undefined ? ${instead} : ${x})`;
            },
            run: (bag) => {
              const value = bag.get(slot);
              return value === undefined ? NONE : new Optional(value);
            },
          }
        : { type, emit: () => `bag.get(${slot})`, run: (bag) => bag.get(slot) };
      for (let index = length; index < chain.names.length; index += 1) {
        plan = this.#field(
          plan,
          chain.names[index] ?? '',
          chain.optional[index] === true,
          node,
          chain.names.slice(0, index).join('.'),
        );
      }
      return plan;
    }
    const whole = chain.names.join('.');
    if (chain.names.length === 1 && !this.#prefixes.has(whole)) return undefined;
    if (this.#prefixes.has(whole))
      return this.problem(
        'EXPRESSION_NOT_AN_ATTRIBUTE',
        `${whole} is not an attribute, only the beginning of some: ${this.#under(whole)}`,
        node,
      );
    return this.#prefixes.has(chain.names[0] ?? '') ? this.#unknown(whole, node) : undefined;
  }

  /** The name and slot of the first so many names, under the container that is nearest. */
  #slotOf(chain: Chain, length: number): readonly [name: string, slot: number | undefined] {
    const written = chain.names.slice(0, length).join('.');
    const containers = this.#containers;
    for (const container of chain.absolute ? [''] : containers) {
      const slot = this.#attributes.slotOf(container + written);
      if (slot !== undefined) return [container + written, slot];
    }
    return [written, undefined];
  }

  #under(prefix: string): string {
    const names = [...this.#attributes.names()].filter((name) => name.startsWith(`${prefix}.`));
    return names.length > 4 ? `${names.slice(0, 4).join(', ')} ...` : names.join(', ');
  }

  #unknown(name: string, node: Node): Plan {
    const near = nearestOf(name, this.#attributes.names());
    const hint =
      near.length > 0
        ? `did you mean ${near.join(' or ')}?`
        : name.includes('.')
          ? 'docs/attributes.md lists what there is'
          : `a constant is written '"${name}"'`;
    const constant = near.length > 0 && !name.includes('.') ? `; a constant is written '"${name}"'` : '';
    return this.problem('EXPRESSION_UNKNOWN_ATTRIBUTE', `unknown attribute ${name}; ${hint}${constant}`, node);
  }

  #read(name: string, slot: number, offset: number, guarded: boolean): MutableRead {
    const known = this.#reads.get(slot);
    if (known === undefined) {
      const read = {
        name,
        slot,
        guarded,
        offset,
        exposed: 0,
        keys: new Map<string, { guarded: boolean; exposed: boolean }>(),
      };
      this.#reads.set(slot, read);
      return read;
    }
    if (known.guarded && !guarded) Object.assign(known, { guarded: false, offset });
    return known;
  }

  #isGuarded(path: string): boolean {
    return this.#guards.some((guards) => guards.has(path));
  }

  #field(of: Plan, field: string, optional: boolean, node: Node, below?: string): Plan {
    if (of === WRONG) return WRONG;
    const key = keyFor(below, field);
    return this.#lookup(
      of,
      { type: STRING, run: () => key, constant: key },
      optional,
      node,
      below ?? attributeOf(node.kind === 'select' ? node.of : node),
    );
  }

  #index(node: Node & { kind: 'index' }): Plan {
    const of = this.plan(node.of);
    let key = this.plan(node.key);
    if (of === WRONG || key === WRONG) return WRONG;
    const below = attributeOf(node.of);
    key = loweredKey(below, key);
    return this.#lookup(of, key, node.optional, node, below);
  }

  /** `of[key]`, `of[?key]`, `of.key`: an absent key fails, or is none. Through an optional the answer is optional. */
  #lookup(of: Plan, key: Plan, optional: boolean, node: Node, below: string | undefined): Plan {
    const container = of.type.kind === 'optional' ? of.type.of : of.type;
    const isOptional = optional || of.type.kind === 'optional';
    if (container.kind !== 'map' && container.kind !== 'list' && container.kind !== 'dyn') {
      return this.problem(
        'EXPRESSION_NO_FIELD',
        `${typeText(of.type)} has no field or key; only maps and lists have`,
        node,
      );
    }
    this.#noteKey(below, key, isOptional, node);
    const isDynIndex = container.kind === 'list' && key.type.kind === 'dyn'; // a whole double or uint is an index, too
    const wanted = isDynIndex ? DYN : container.kind === 'list' ? INT : container.kind === 'map' ? container.key : DYN;
    const at = this.fit(
      key,
      wanted,
      node.kind === 'index' ? node.key : node,
      container.kind === 'list' ? 'a list is read by int' : `the keys are ${typeText(wanted)}`,
    );
    const [readContainer, readKey] = [of.run, at.run];
    const result: Type = container.kind === 'list' || container.kind === 'map' ? container.of : DYN;
    const read = isDynIndex
      ? anyOf
      : container.kind === 'list'
        ? elementAt
        : container.kind === 'map'
          ? entryOf
          : anyOf;
    if (!isOptional) {
      const emit =
        container.kind === 'map' && key.type.kind === 'string'
          ? emitBinary(of, at, (x, y) => `${x}.get(${y})`)
          : undefined;
      return {
        type: result,
        emit,
        run: (bag) => {
          const [value, index] = [readContainer(bag), readKey(bag)];
          return value === undefined || index === undefined ? undefined : read(value, index);
        },
      };
    }
    const type = result.kind === 'optional' ? result : optionalOf(result);
    const emitOr =
      of.type.kind === 'map' && key.type.kind === 'string' && result.kind !== 'optional'
        ? emitEntryOr(of, at)
        : undefined;
    return {
      type,
      emitOr,
      run: (bag) => {
        let value = readContainer(bag);
        if (value instanceof Optional) value = value.value === undefined ? NONE : value.value;
        if (value === NONE) return NONE;
        const index = readKey(bag);
        if (value === undefined || index === undefined || !(Array.isArray(value) || value instanceof Map))
          return undefined;
        const found = read(value, index);
        return found === undefined ? NONE : found instanceof Optional ? found : new Optional(found);
      },
    };
  }

  /** Notes which key of an attribute is read, and warns where it may be absent. */
  #noteKey(below: string | undefined, key: Plan, isOptional: boolean, node: Node): void {
    if (below === undefined || typeof key.constant !== 'string') return;
    const slot = this.#attributes.slotOf(below);
    if (slot === undefined) return;
    const guarded = isOptional || this.#isGuarded(`${below}[${key.constant}]`);
    const read = this.#read(below, slot, node.start, true);
    const known = read.keys.get(key.constant) ?? { guarded: true, exposed: false };
    const isExposed = this.#revealing === 0;
    if (isExposed) read.exposed -= 1;
    read.keys.set(key.constant, { guarded: known.guarded && guarded, exposed: known.exposed || isExposed });
    if (guarded) return;
    this.#mayBeAbsent(
      `${below}[${JSON.stringify(key.constant)}]`,
      `${below}[?${JSON.stringify(key.constant)}].orValue(...)`,
      node,
    );
  }

  #mayBeAbsent(what: string, guard: string, { start, end }: Node): void {
    const message = `${what} may be absent, and the expression then fails; write ${guard} where that is not meant`;
    if (this.warnings.some((warning) => warning.message === message)) return; // once for each text
    this.warnings.push({ code: 'EXPRESSION_MAY_BE_ABSENT', start, end, message });
  }

  #has(of: Node): Plan {
    this.#revealing += 1;
    const plan = this.#presence(of);
    this.#revealing -= 1;
    return plan;
  }

  #presence(of: Node): Plan {
    const chain = of.kind === 'select' ? chainOf(of) : undefined;
    if (chain !== undefined && this.#local(chain.names[0] ?? '') === undefined) {
      for (let length = chain.names.length; length > 0; length -= 1) {
        const name = chain.names.slice(0, length).join('.');
        const slot = this.#attributes.slotOf(name);
        if (slot === undefined) continue;
        this.#read(name, slot, of.start, true);
        if (length === chain.names.length)
          return {
            type: BOOL,
            emit: () => `bag.get(${slot}) !== undefined`,
            run: (bag) => bag.get(slot) !== undefined,
          };
        this.#guards.push(new Set([name, `${name}[${keyFor(name, chain.names[length] ?? '')}]`]));
        const container = this.plan(of.kind === 'select' ? of.of : of);
        this.#guards.pop();
        return hasField(container, keyFor(name, chain.names.at(-1) ?? ''), (bag) => bag.get(slot) === undefined);
      }
      const wrong = this.#attribute(chain, of);
      if (wrong !== undefined) return wrong;
    }
    if (of.kind === 'index') {
      const found = this.plan({ ...of, optional: true });
      const { run } = found;
      return found === WRONG
        ? WRONG
        : {
            type: BOOL,
            run: (bag) => {
              const value = run(bag);
              return value === undefined ? undefined : value instanceof Optional && value.value !== undefined;
            },
          };
    }
    if (of.kind !== 'select') return this.problem('EXPRESSION_SYNTAX', 'has() takes one attribute or field', of);
    const container = this.plan(of.of);
    if (container === WRONG) return WRONG;
    if (!['map', 'dyn', 'optional'].includes(container.type.kind))
      return this.problem('EXPRESSION_NO_FIELD', `${typeText(container.type)} has no fields`, of);
    return hasField(container, of.field, undefined);
  }

  // ------------------------------------------------------------ logic

  #where<T>(guards: Set<string>, plan: () => T): T {
    this.#guards.push(guards);
    try {
      return this.absorbed(plan);
    } finally {
      this.#guards.pop();
    }
  }

  absorbed<T>(plan: () => T): T {
    this.#absorbing += 1;
    try {
      return plan();
    } finally {
      this.#absorbing -= 1;
    }
  }

  /** CEL's commutative logic: one side that decides absorbs a failure of the other. */
  #logic(leftNode: Node, rightNode: Node, isAnd: boolean): Plan {
    const why = isAnd ? '&& takes bool' : '|| takes bool, and a default for what is absent is a.?b.orValue("default")';
    const left = this.fit(
      this.absorbed(() => this.plan(leftNode)),
      BOOL,
      leftNode,
      why,
    );
    const right = this.#where(guardsOf(leftNode, isAnd), () => this.fit(this.plan(rightNode), BOOL, rightNode, why));
    return constantOf([left, right], {
      type: BOOL,
      run: logicRun(left.run, right.run, isAnd),
      emit: emitLogic(left, right, isAnd),
    });
  }

  #conditional(node: Node & { kind: 'if' }): Plan {
    const test = this.fit(this.plan(node.test), BOOL, node.test, 'the condition of ?: is bool');
    const then = this.#where(guardsOf(node.test, true), () => this.plan(node.yes));
    const otherwise = this.#where(guardsOf(node.test, false), () => this.plan(node.no));
    const { type, plans } = this.#joined([then, otherwise]);
    return constantOf([test, then, otherwise], {
      type,
      run: conditionalRun(test.run, plans[0]?.run ?? WRONG.run, plans[1]?.run ?? WRONG.run),
      emit: emitUnary(
        test,
        (x, out) => `${x} === true ? ${out.value(plans[0] ?? WRONG)} : ${out.value(plans[1] ?? WRONG)}`,
      ),
    });
  }

  /** One type for several: theirs where they agree, else `dyn`. */
  #joined(plans: readonly Plan[]): { type: Type; plans: readonly Plan[] } {
    const type = typeOfAll(plans.map((plan) => plan.type));
    return { type, plans: plans.map((plan) => heldAs(plan, type)) };
  }

  /** The same, where some give an optional value of which the inner one is taken. */
  #joinedItems(plans: readonly Plan[], optional: readonly boolean[]): { type: Type; runs: readonly Plan['run'][] } {
    const type = typeOfAll(
      plans.map((plan, index) =>
        optional[index] !== true ? plan.type : plan.type.kind === 'optional' ? plan.type.of : DYN,
      ),
    );
    return {
      type,
      runs: plans.map(
        (plan, index) =>
          (plan === WRONG
            ? plan
            : heldAs(plan, optional[index] === true && plan.type.kind === 'optional' ? optionalOf(type) : type)
          ).run,
      ),
    };
  }

  // ------------------------------------------------------------ lists, maps, macros

  #list(node: Node & { kind: 'list' }): Plan {
    const items = node.items.map((item) => {
      const plan = this.plan(item.node);
      if (!item.optional) return plan;
      return plan.type.kind === 'optional' || plan.type.kind === 'dyn'
        ? plan
        : this.problem('EXPRESSION_TYPE', `[?x] takes an optional value, this is ${typeText(plan.type)}`, item.node);
    });
    const { type, runs } = this.#joinedItems(
      items,
      node.items.map((item) => item.optional),
    );
    const optional = node.items.map((item) => item.optional);
    return constantOf(items, {
      type: listOf(type),
      run: (bag) => {
        const list: Val[] = [];
        for (let index = 0; index < runs.length; index += 1) {
          const value = runs[index]?.(bag);
          if (value === undefined) return undefined;
          if (optional[index] !== true) list.push(value);
          else if (value instanceof Optional && value.value !== undefined) list.push(value.value);
        }
        return list as Val;
      },
    });
  }

  #map(node: Node & { kind: 'map' }): Plan {
    const keys = this.#joined(node.entries.map(({ key }) => this.plan(key)));
    const given = node.entries.map(({ value, optional }) => {
      const plan = this.plan(value);
      if (!optional || plan.type.kind === 'optional' || plan.type.kind === 'dyn') return plan;
      return this.problem(
        'EXPRESSION_TYPE',
        `{?key: x} takes an optional value, this is ${typeText(plan.type)}`,
        value,
      );
    });
    const values = this.#joinedItems(
      given,
      node.entries.map(({ optional }) => optional),
    );
    const wrongKey = node.entries.find(
      (_, index) => !['string', 'int', 'uint', 'bool', 'dyn'].includes(keys.plans[index]?.type.kind ?? 'dyn'),
    );
    if (wrongKey !== undefined)
      return this.problem('EXPRESSION_TYPE', 'a key of a map is a string, an int, a uint or a bool', wrongKey.key);
    const entries = node.entries.map(({ optional }, index) => ({
      optional,
      key: keys.plans[index]?.run ?? WRONG.run,
      value: values.runs[index] ?? WRONG.run,
    }));
    const type = mapOf(keys.type, values.type);
    return constantOf([...keys.plans, ...given], {
      type,
      run: (bag) => {
        const map = new Map<Val, Val>();
        for (const entry of entries) {
          const [key, value] = [entry.key(bag), entry.value(bag)];
          if (key === undefined || value === undefined) return undefined;
          if (typeof key === 'number' && !Number.isInteger(key)) return undefined;
          const canonical = keyOf(key);
          if (map.has(canonical)) return undefined;
          if (!entry.optional) map.set(canonical, value);
          else if (value instanceof Optional && value.value !== undefined) map.set(canonical, value.value);
        }
        return map as Val;
      },
    });
  }

  /** A variable of a macro, known while `plan` runs. `set` gives it its value before the body is run. */
  withVariable<T>(name: string, type: Type, plan: (set: (value: Val | undefined) => void) => T): T {
    const place = this.#values.length;
    this.#values.push(undefined);
    this.#locals.push({ name, type, place });
    try {
      return this.absorbed(() => plan(setterOf(this.#values, place)));
    } finally {
      this.#locals.pop();
    }
  }

  /** The body of a macro, planned by `plan`. */
  looped(plan: () => Plan): Plan {
    this.isMetered = true;
    this.#loops += 1;
    try {
      return plan();
    } finally {
      this.#loops -= 1;
    }
  }

  /** An argument of a call; in a macro's body what the call reads is counted, since it is read for each element. */
  #weighed(plan: Plan, name: string): Plan {
    if (this.#loops === 0 || plan === WRONG || plan.constant !== undefined || !WEIGHED.has(plan.type.kind)) return plan;
    return { type: plan.type, run: weighedRun(plan.run, name) };
  }

  // ------------------------------------------------------------ calls

  #call(node: Node & { kind: 'call' }): Plan {
    const { name, target, args } = node;
    if (target?.kind === 'name' && target.name === 'optional' && this.#local('optional') === undefined)
      return this.#makeOptional(node);
    if (target?.kind === 'name' && target.name === 'math' && (name === 'greatest' || name === 'least'))
      return extremeOf(
        name,
        args.map((arg) => this.plan(arg)),
        this,
        node,
      );
    if (target === undefined && name === 'reveal') return this.#reveal(node);
    // cidr(...).ip() is a method, ip.isCanonical(...) is a function with a dotted name.
    if (target?.kind === 'name' && hasFunction(`${target.name}.${name}`) && this.#local(target.name) === undefined) {
      return this.#overloaded(
        `${target.name}.${name}`,
        false,
        args.map((arg) => this.plan(arg)),
        args,
        node,
      );
    }
    const nodes = target === undefined ? args : [target, ...args];
    const plans = nodes.map((arg) => this.#weighed(this.plan(arg), name));
    if (plans.includes(WRONG)) return WRONG;
    if (name === '+') this.isMetered ||= plans.some(({ type: { kind } }) => BUILT_BY_ADDING.has(kind));
    const [first, second] = plans;
    if (target === undefined && args.length === 2 && first !== undefined && second !== undefined) {
      const operator = binaryOperator(
        name,
        name === 'in' && nodes[1] !== undefined ? loweredKey(attributeOf(nodes[1]), first) : first,
        second,
      );
      if (operator !== undefined)
        return 'problem' in operator
          ? this.problem('EXPRESSION_NO_OVERLOAD', operator.problem, node)
          : this.#checked(constantOf(plans, operator.plan), plans, node);
    }
    if (name === '!' && first !== undefined) {
      const inner = this.fit(first, BOOL, nodes[0] ?? node, '! takes bool');
      const { run } = inner;
      return constantOf([inner], {
        type: BOOL,
        emit: emitUnary(inner, (x) => `${x} !== true`),
        run: (bag) => {
          const value = run(bag);
          return value === undefined ? undefined : value !== true;
        },
      });
    }
    if (name === 'neg' && first !== undefined) {
      const negated = negate(first);
      return negated === undefined
        ? this.problem('EXPRESSION_NO_OVERLOAD', `- does not go with ${typeText(first.type)}`, node)
        : this.#checked(constantOf([first], negated), plans, node);
    }
    if (target !== undefined && first?.type.kind === 'optional') {
      const made = optionalMethod(name, first, second, this, node);
      if (made !== undefined) return made;
    }
    if (first !== undefined && name === 'size' && plans.length === 1 && ['list', 'map'].includes(first.type.kind))
      return constantOf(plans, { type: INT, run: (bag) => sizeOf(first.run(bag)) });
    if (first !== undefined && target === undefined && name === 'dyn' && plans.length === 1) return boxed(first);
    return this.#overloaded(name, target !== undefined, plans, nodes, node);
  }

  /** Its argument. The word says that a secret is meant to go out (`Read.exposed`). */
  #reveal({ args, ...node }: Node & { kind: 'call' }): Plan {
    const [arg, ...more] = args;
    if (arg === undefined || more.length > 0)
      return this.problem('EXPRESSION_NO_OVERLOAD', 'reveal() takes one value, such as reveal(request.api_key)', node);
    this.#revealing += 1;
    const plan = this.plan(arg);
    this.#revealing -= 1;
    return plan;
  }

  /** A constant operation that fails fails on every request: it is told at load. Where something may absorb it, it is a warning. */
  #checked(plan: Plan, operands: readonly Plan[], node: Node): Plan {
    if (operands.every(({ constant }) => constant !== undefined) && plan.constant === undefined) {
      const message = 'this constant cannot be worked out: a number is beyond its range, or divided by 0';
      if (this.#absorbing === 0) return this.problem('EXPRESSION_OVERFLOW', message, node);
      this.warnings.push({ code: 'EXPRESSION_OVERFLOW', message, start: node.start, end: node.end });
    }
    return plan;
  }

  #overloaded(
    name: string,
    isMethod: boolean,
    plans: readonly Plan[],
    nodes: readonly Node[],
    node: Node & { kind: 'call' },
  ): Plan {
    if (plans.includes(WRONG)) return WRONG;
    const named = overloadsOf(name, isMethod);
    if (named.length === 0) return this.#unknownFunction(name, isMethod, node);
    const fitting = named.filter(
      ({ params }) =>
        params.length === plans.length && params.every((param, index) => mayBe(plans[index]?.type ?? DYN, param)),
    );
    if (fitting.length === 0) {
      const given = plans.map(({ type }) => typeText(type));
      const shown = isMethod ? `${given[0]}.${name}(${given.slice(1).join(', ')})` : `${name}(${given.join(', ')})`;
      const known = named.map(({ params }) =>
        isMethod
          ? `${typeText(params[0] ?? DYN)}.${name}(${params.slice(1).map(typeText).join(', ')})`
          : `${name}(${params.map(typeText).join(', ')})`,
      );
      return this.problem(
        'EXPRESSION_NO_OVERLOAD',
        `there is no ${shown}; there is ${[...new Set(known)].slice(0, 4).join(', ')}`,
        node,
      );
    }
    const constants = plans.map(({ constant }) => constant);
    for (const overload of fitting) {
      const wrong =
        fitting.length === 1 || constants.every((value) => value !== undefined)
          ? overload.checkConstant?.(constants)
          : undefined;
      if (wrong !== undefined)
        return this.problem(
          'EXPRESSION_CONSTANT',
          wrong,
          nodes[constants.findLastIndex((value) => value !== undefined)] ?? node,
        );
    }
    const [only] = fitting;
    if (only === undefined) return WRONG;
    this.isMetered ||= fitting.some(({ builds }) => builds === true);
    const planned = fitting.length === 1 ? direct(only, plans) : dispatched(fitting, plans);
    const folded = constantOf(plans, planned);
    if (constants.every((value) => value !== undefined) && folded.constant === undefined)
      return this.problem('EXPRESSION_CONSTANT', 'this constant cannot be worked out', node);
    return folded;
  }

  #unknownFunction(name: string, isMethod: boolean, node: Node): Plan {
    if (name === 'match' && !isMethod)
      return this.problem(
        'EXPRESSION_UNKNOWN_FUNCTION',
        'unknown function match(); where Istio writes match(x, "a*") or match(x, "*a"), write x.startsWith("a") or x.endsWith("a")',
        node,
      );
    const near = nearestOf(name, functionNames());
    const other =
      overloadsOf(name, !isMethod).length > 0
        ? `; it is called ${isMethod ? `${name}(x)` : `x.${name}()`}`
        : near.length > 0
          ? `; did you mean ${near.join(' or ')}?`
          : '';
    return this.problem('EXPRESSION_UNKNOWN_FUNCTION', `unknown function ${name}()${other}`, node);
  }

  #makeOptional(node: Node & { kind: 'call' }): Plan {
    const [arg] = node.args;
    if (node.name === 'none' && arg === undefined) return { type: optionalOf(FREE), run: () => NONE, constant: NONE };
    const plan = arg === undefined ? undefined : this.plan(arg);
    if (plan === undefined || (node.name !== 'of' && node.name !== 'ofNonZeroValue'))
      return this.problem(
        'EXPRESSION_UNKNOWN_FUNCTION',
        `there is no optional.${node.name}() of so many; there is optional.of(x), optional.ofNonZeroValue(x), optional.none()`,
        node,
      );
    const { run } = plan;
    const isZeroToo = node.name === 'ofNonZeroValue';
    return constantOf([plan], {
      type: optionalOf(plan.type),
      run: (bag) => {
        const value = run(bag);
        return value === undefined ? undefined : isZeroToo && isZero(value) ? NONE : new Optional(value);
      },
    });
  }

  /** Makes a plan of the wanted type, at run time where the type is `dyn`; else a problem. */
  fit(plan: Plan, wanted: Type, node: { readonly start: number; readonly end: number }, why: string): Plan {
    if (plan === WRONG || wanted.kind === 'dyn') return wanted.kind === 'dyn' ? boxed(plan) : plan;
    if (sameType(plan.type, wanted)) return plan;
    if (fitsFreely(plan.type, wanted)) return { ...plan, type: wanted };
    if (isPartlyDyn(plan.type) || (isPartlyDyn(wanted) && joinTypes(plan.type, wanted) !== undefined))
      return heldAs(plan, wanted);
    return this.problem('EXPRESSION_TYPE', `${why}; this is ${typeText(plan.type)}`, node);
  }
}

/** `a`, `a.b` of `a.b.c`; worked out once for each vocabulary. */
const prefixes = new WeakMap<Attributes, ReadonlySet<string>>();
function prefixesOf(attributes: Attributes): ReadonlySet<string> {
  const known = prefixes.get(attributes);
  if (known !== undefined) return known;
  const found = new Set<string>();
  for (const name of attributes.names()) {
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) found.add(name.slice(0, dot));
  }
  prefixes.set(attributes, found);
  return found;
}

// Closures that are kept are made outside of the planner's methods: one that is made beside an arrow function that uses
// `this` would keep the planner and the tree for as long as the expression lives.

function logicRun(a: Run, b: Run, isAnd: boolean): Run {
  const deciding = !isAnd;
  return (bag) => {
    const first = a(bag);
    if (first === deciding) return deciding;
    const second = b(bag);
    if (second === deciding) return deciding;
    return first === undefined || second === undefined ? undefined : isAnd;
  };
}

/** `a.b.?c`. */
const optionalForm = (name: string): string => name.replace(/\.([^.]*)$/, '.?$1');

const BUILT_BY_ADDING: ReadonlySet<Type['kind']> = new Set(['string', 'bytes', 'list', 'dyn']);
const WEIGHED: ReadonlySet<Type['kind']> = new Set(['string', 'bytes', 'list', 'map', 'dyn']);

function weighedRun(run: Run, name: string): Run {
  const perStep = name === 'matches' ? 1 : READ_PER_STEP; // an automaton takes several times as long for each character
  const readsMaps = name === '==' || name === '!=';
  const readsLists = name !== 'size';
  return (bag) => {
    const value = run(bag);
    const size =
      typeof value === 'string' || value instanceof Uint8Array
        ? value.length
        : Array.isArray(value)
          ? readsLists
            ? value.length
            : 0
          : value instanceof Map && readsMaps
            ? value.size
            : 0;
    if (size >= perStep) spendSteps(Math.trunc(size / perStep));
    return value;
  };
}

const setterOf =
  (values: (Val | undefined)[], place: number) =>
  (value: Val | undefined): void => {
    values[place] = value;
  };

/** `map[?key].orValue(instead)`, without an optional value in between. */
const emitEntryOr =
  (map: Plan, key: Plan) =>
  (out: Emitter, instead: string): string => {
    const z = out.temporary();
    return emitBinary(map, key, (x, y) => `(${z} = ${x}.get(${y})) === undefined ? ${instead} : ${z}`)(out);
  };

/** The side that decides absorbs a failure of the other. */
function emitLogic(left: Plan, right: Plan, isAnd: boolean): Emit {
  const deciding = String(!isAnd);
  return (out) => {
    const [x, y] = [out.temporary(), out.temporary()];
    return `((${x} = ${out.value(left)}) === ${deciding} || (${y} = ${out.value(right)}) === ${deciding} ? ${deciding} : ${x} === undefined || ${y} === undefined ? undefined : ${String(isAnd)})`;
  };
}

function conditionalRun(test: Run, yes: Run, no: Run): Run {
  return (bag) => {
    const value = test(bag);
    return value === undefined ? undefined : value === true ? yes(bag) : no(bag);
  };
}

const typeOfAll = (types: readonly Type[]): Type =>
  types.reduce((joined, type) => joinTypes(joined, type) ?? DYN, FREE);
