/**
 * The type checker. **In**: a syntax tree and the attributes that it may read. **Out**: the typed tree. **Fails**: with all
 * problems at once; a part with a problem is `invalid`, which suppresses follow-on problems.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DYN,
  INT,
  NULL,
  STRING,
  type Type,
  UINT,
  listOf,
  mapOf,
  optionalOf,
  typeText,
} from '../../attributes/types.ts';
import type { Node, NodeOf } from '../parse/ast.ts';
import type { Problem } from '../parse/problem.ts';
import { checkCall } from './calls.ts';
import { checkBind, checkMacro, checkOptMap } from './macros.ts';
import { checkHas, checkIndex, checkName } from './names.ts';
import { Scope } from './scope.ts';
import { convertTo, joinAll } from './types.ts';
import { type Typed, isInvalid } from './typed.ts';

export interface CheckOptions {
  readonly unchecked?: boolean | undefined;
  readonly container?: string | undefined;
  readonly expect?: Type | undefined;
  readonly accept?: ((type: Type) => boolean) | undefined;
  readonly wanted?: string | undefined;
}

export interface Checked {
  readonly tree: Typed;
  readonly problems: readonly Problem[];
}

export function check(node: Node, attributes: Attributes, options: CheckOptions): Checked {
  const checker = new Checker(attributes, {
    isUnchecked: options.unchecked === true,
    container: options.container ?? '',
  });
  const tree = checker.check(node);
  return {
    tree: checker.problems.length > 0 ? tree : ofWantedType(tree, checker, options),
    problems: checker.problems,
  };
}

function ofWantedType(tree: Typed, scope: Scope, { expect, accept, wanted }: CheckOptions): Typed {
  const { node, type } = tree;
  if (expect !== undefined && expect.kind !== 'dyn') return scope.fit(tree, expect, `expected ${typeText(expect)}`);
  if (type.kind === 'optional' && accept?.(type) !== true)
    return scope.problem(
      'EXPRESSION_TYPE',
      `this may be absent (${typeText(type)}); add a default with .orValue(...)`,
      node,
    );
  if (accept !== undefined && !accept(type))
    return scope.problem('EXPRESSION_TYPE', `expected ${wanted ?? 'another type'}; found ${typeText(type)}`, node);
  return tree;
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
const KEY_KINDS: ReadonlySet<Type['kind']> = new Set(['string', 'int', 'uint', 'bool', 'dyn']);

class Checker extends Scope {
  override check(node: Node): Typed {
    switch (node.kind) {
      case 'literal':
        return { kind: 'constant', node, type: LITERAL_TYPES[node.type], value: node.value };
      case 'name':
      case 'select':
        return checkName(node, this);
      case 'index':
        return checkIndex(node, this);
      case 'has':
        return checkHas(node, this);
      case 'and':
      case 'or':
        return this.#logic(node);
      case 'if':
        return this.#conditional(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'macro':
        return checkMacro(node, this);
      case 'optMap':
        return checkOptMap(node, this);
      case 'bind':
        return checkBind(node, this);
      case 'call':
        return checkCall(node, this);
    }
  }

  #logic(node: NodeOf<'and' | 'or'>): Typed {
    const why =
      node.kind === 'and'
        ? '&& takes bool'
        : '|| takes bool (a default for an absent value is written a.?b.orValue("default"))';
    const left = this.fit(this.check(node.left), BOOL, why, node.left);
    const right = this.fit(this.check(node.right), BOOL, why, node.right);
    return { kind: node.kind, node, type: BOOL, left, right };
  }

  #conditional(node: NodeOf<'if'>): Typed {
    const test = this.fit(this.check(node.test), BOOL, 'the condition of ?: must be bool', node.test);
    const [yes, no] = [this.check(node.yes), this.check(node.no)];
    const type = joinAll([yes.type, no.type]);
    return { kind: 'if', node, type, test, yes: convertTo(yes, type), no: convertTo(no, type) };
  }

  #list(node: NodeOf<'list'>): Typed {
    const items = node.items.map((item) => ({
      value: this.#item(item.node, item.optional, '[?x]'),
      isOptional: item.optional,
    }));
    const type = joinAll(items.map(itemType));
    return {
      kind: 'list',
      node,
      type: listOf(type),
      items: items.map((item) => ({ ...item, value: itemConvertedTo(item, type) })),
    };
  }

  #map(node: NodeOf<'map'>): Typed {
    const keys = node.entries.map(({ key }) => this.check(key));
    const entries = node.entries.map(({ value, optional }) => ({
      value: this.#item(value, optional, '{?key: x}'),
      isOptional: optional,
    }));
    const wrong = keys.find(({ type }) => !KEY_KINDS.has(type.kind));
    if (wrong !== undefined)
      return this.problem('EXPRESSION_TYPE', 'a key of a map must be a string, an int, a uint or a bool', wrong.node);
    const [key, of] = [joinAll(keys.map(({ type }) => type)), joinAll(entries.map(itemType))];
    return {
      kind: 'map',
      node,
      type: mapOf(key, of),
      entries: entries.map((entry, at) => ({
        ...entry,
        key: convertTo(keys[at] as Typed, key),
        value: itemConvertedTo(entry, of),
      })),
    };
  }

  #item(node: Node, isOptional: boolean, form: string): Typed {
    const value = this.check(node);
    if (!isOptional || value.type.kind === 'optional' || value.type.kind === 'dyn') return value;
    return this.problem('EXPRESSION_TYPE', `${form} takes an optional value; found ${typeText(value.type)}`, node);
  }
}

interface Item {
  readonly value: Typed;
  readonly isOptional: boolean;
}

const itemType = ({ value, isOptional }: Item): Type =>
  !isOptional ? value.type : value.type.kind === 'optional' ? value.type.of : DYN;
const itemConvertedTo = ({ value, isOptional }: Item, type: Type): Typed =>
  isInvalid(value) ? value : convertTo(value, isOptional && value.type.kind === 'optional' ? optionalOf(type) : type);
