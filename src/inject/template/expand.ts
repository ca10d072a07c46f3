/**
 * Expands a template over data.
 * **In**: nodes and JSON. **Out**: text, as the pieces of the template and the values between them.
 * **Fails**: with an InjectError that names the line; also if the work passes its bound, whatever the template does.
 */
import { messageOf } from '../../text/message-of.ts';
import { InjectError } from '../errors.ts';
import { callFunction } from './functions.ts';
import type { Branch, Expression, Node, Pipeline, Template } from './parse.ts';
import { isObject } from '../../text/json-object.ts';
import { isTrue, jsonName, kindOf, printed, type Value } from './values.ts';

/** Of nodes visited, functions called, and characters made by either: some hundred times what a sidecar needs. */
const MAX_WORK = 2_000_000;

export interface Piece {
  readonly text: string;
  /** Written by an action; else text of the template. */
  readonly isValue: boolean;
}

export function expanded({ nodes }: Template, data: Value): readonly Piece[] {
  const expansion = new Expansion();
  expansion.run(nodes, data, new Scope(new Map([['$', data]]), undefined));
  return expansion.pieces;
}

class Scope {
  readonly #own: Map<string, Value>;
  readonly #outer: Scope | undefined;

  constructor(own: Map<string, Value>, outer: Scope | undefined) {
    this.#own = own;
    this.#outer = outer;
  }

  declare(name: string, value: Value): void {
    this.#own.set(name, value);
  }

  #holder(name: string): Map<string, Value> | undefined {
    if (this.#own.has(name)) return this.#own;
    return this.#outer === undefined ? undefined : this.#outer.#holder(name);
  }

  get(name: string): Value {
    const holder = this.#holder(name);
    if (holder === undefined) throw new Error(`${name} is not declared`);
    return holder.get(name);
  }

  set(name: string, value: Value): void {
    const holder = this.#holder(name);
    if (holder === undefined) throw new Error(`${name} is not declared; declare it by ${name} :=`);
    holder.set(name, value);
  }
}

type Flow = 'break' | 'continue' | undefined;

class Expansion {
  readonly pieces: Piece[] = [];
  #work = 0;
  /** Of the action that runs. */
  #line = 1;

  run(nodes: readonly Node[], dot: Value, scope: Scope): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot, scope);
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  #node(node: Node, dot: Value, scope: Scope): Flow {
    switch (node.kind) {
      case 'text':
        this.#spend(1 + node.text.length);
        this.pieces.push({ text: node.text, isValue: false });
        return undefined;
      case 'print': {
        const text = printed(this.#pipeline(node.pipeline, dot, scope));
        this.#spend(1 + text.length);
        this.pieces.push({ text, isValue: true });
        return undefined;
      }
      case 'assign': {
        const value = this.#pipeline(node.pipeline, dot, scope);
        if (node.isNew) scope.declare(node.variable, value);
        else this.#guarded(() => scope.set(node.variable, value));
        return undefined;
      }
      case 'break':
      case 'continue':
        return node.kind;
      case 'range':
        return this.#range(node, dot, scope);
      case 'if':
      case 'with': {
        const value = this.#pipeline(node.pipeline, dot, scope);
        const inner = new Scope(new Map(), scope);
        const [variable] = node.variables;
        if (variable !== undefined) inner.declare(variable, value);
        if (!isTrue(value)) return this.run(node.otherwise, dot, inner);
        return this.run(node.body, node.kind === 'with' ? value : dot, inner);
      }
    }
  }

  #range({ pipeline, variables, body, otherwise }: Branch, dot: Value, scope: Scope): Flow {
    const entries = entriesOf(this.#pipeline(pipeline, dot, scope));
    if (entries === undefined) throw this.#wrong('range needs a list or a map');
    if (entries.length === 0) return this.run(otherwise, dot, new Scope(new Map(), scope));
    for (const [key, item] of entries) {
      this.#spend(1);
      const inner = new Scope(new Map(), scope);
      const [first, second] = variables;
      if (first !== undefined) inner.declare(first, second === undefined ? item : key);
      if (second !== undefined) inner.declare(second, item);
      if (this.run(body, item, inner) === 'break') break;
    }
    return undefined;
  }

  #pipeline({ commands, line }: Pipeline, dot: Value, scope: Scope): Value {
    let value: Value;
    let isPiped = false;
    this.#line = line;
    for (const command of commands) {
      value = this.#guarded(() => this.#value(command, dot, scope, isPiped ? [value] : []));
      isPiped = true;
    }
    return value;
  }

  #value(expression: Expression, dot: Value, scope: Scope, piped: readonly Value[]): Value {
    this.#spend(1);
    switch (expression.kind) {
      case 'literal':
        return expression.value;
      case 'path': {
        const { of, variable = '$', fields } = expression;
        const start = of === 'dot' ? dot : of === 'variable' ? scope.get(variable) : this.#pipeline(of, dot, scope);
        return fields.reduce(fieldOf, start);
      }
      case 'call': {
        const value = callFunction(expression.name, [
          ...expression.args.map((arg) => this.#value(arg, dot, scope, [])),
          ...piped,
        ]);
        if (typeof value === 'string') this.#spend(value.length);
        return value;
      }
    }
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK) throw this.#wrong(`its expansion takes more than ${MAX_WORK} steps and characters`);
  }

  #guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw error instanceof InjectError ? error : this.#wrong(messageOf(error));
    }
  }

  #wrong(message: string): InjectError {
    return new InjectError('INJECT_TEMPLATE', `line ${this.#line} of the template: ${message}`);
  }
}

/** Maps in the order of their keys, as in Go. */
function entriesOf(value: Value): readonly (readonly [Value, Value])[] | undefined {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item as Value]);
  if (!isObject(value)) return undefined;
  return Object.keys(value)
    .toSorted()
    .map((key) => [key, value[key]]);
}

function fieldOf(value: Value, field: string): Value {
  if (value === undefined || value === null) return undefined;
  if (isObject(value)) {
    const name = Object.hasOwn(value, field) ? field : jsonName(field);
    return Object.hasOwn(value, name) ? value[name] : undefined;
  }
  if (field === 'String') return printed(value); // of an enum
  throw new Error(`${kindOf(value)} has no field ${field}`);
}
