/** Names, fields, keys and `has()`. */
import type { Attributes } from '../../attributes/attributes.ts';
import { HEADER_MAPS } from '../../attributes/secrets.ts';
import { BOOL, DYN, INT, STRING, TYPE, type Type, optionalOf, typeText } from '../../attributes/types.ts';
import { type Chain, type Node, type NodeOf, chainOf } from '../parse/ast.ts';
import { type Val, isNumber, keyOf, typeNameOf } from '../values/dynamic.ts';
import { foreignAttribute } from './foreign-names.ts';
import { nearestOf } from './nearest.ts';
import type { Scope } from './scope.ts';
import { type Typed, constantOf, isInvalid } from './typed.ts';

const TYPE_NAMES: ReadonlyMap<string, Val> = new Map([
  ...(['bool', 'int', 'uint', 'double', 'string', 'bytes', 'list', 'map', 'type'] as const).map(
    (kind) => [kind, typeNameOf(kind)] as const,
  ),
  ['null_type', typeNameOf('null')],
  ['optional_type', typeNameOf('optional')],
  ['net.IP', typeNameOf('ip')],
  ['net.CIDR', typeNameOf('cidr')],
  ['google.protobuf.Timestamp', typeNameOf('timestamp')],
  ['google.protobuf.Duration', typeNameOf('duration')],
] as const);

/** The longest declared name along `a.b.c`, then fields of its value; a variable hides attributes of its name. */
export function checkName(node: NodeOf<'name' | 'select'>, scope: Scope): Typed {
  const chain = chainOf(node);
  if (chain === undefined) {
    const { of, field, optional } = node as NodeOf<'select'>;
    return lookup(scope.check(of), stringKey(field, node), optional, node, scope);
  }
  const [first = ''] = chain.names;
  const variable = chain.absolute ? undefined : scope.variable(first);
  if (variable === undefined) {
    const attribute = checkAttribute(chain, node, scope);
    if (attribute !== undefined) return attribute;
    const typeName = TYPE_NAMES.get(chain.names.join('.'));
    if (typeName !== undefined) return { kind: 'constant', node, type: TYPE, value: typeName };
    return unknown(chain.names.join('.'), node, scope);
  }
  if (node.kind === 'select')
    return lookup(scope.check(node.of), stringKey(node.field, node), node.optional, node, scope);
  return { kind: 'variable', node, type: variable.type, index: variable.index };
}

/** `undefined` if no part of the name is declared. */
function checkAttribute(chain: Chain, node: Node, scope: Scope): Typed | undefined {
  const { names, optional, absolute } = chain;
  for (let length = names.length; length > 0; length -= 1) {
    const slot = scope.slotOf(beginning(names, length), absolute);
    if (slot === undefined) continue;
    const { type } = scope.attributes.at(slot);
    const isOptional = optional.slice(0, length).includes(true);
    let typed: Typed = { kind: 'attribute', node, type: isOptional ? optionalOf(type) : type, slot, isOptional };
    for (let at = length; at < names.length; at += 1)
      typed = lookup(typed, stringKey(names[at] ?? '', node), optional[at] === true, node, scope);
    return typed;
  }
  const prefixes = prefixesOf(scope.attributes);
  const whole = names.join('.');
  if (prefixes.has(whole))
    return scope.problem(
      'EXPRESSION_NOT_AN_ATTRIBUTE',
      `${whole} is not an attribute, but a prefix of ${namesUnder(whole, scope.attributes)}`,
      node,
    );
  return names.length > 1 && prefixes.has(names[0] ?? '') ? unknown(whole, node, scope) : undefined;
}

/** Most often all names; their array is then not copied. */
const beginning = (names: readonly string[], length: number): string =>
  (length === names.length ? names : names.slice(0, length)).join('.');

const stringKey = (value: string, node: Node): Typed => ({ kind: 'constant', node, type: STRING, value });

function namesUnder(prefix: string, attributes: Attributes): string {
  const names = [...attributes.names()].filter((name) => name.startsWith(`${prefix}.`));
  return names.length > 4 ? `${names.slice(0, 4).join(', ')} ...` : names.join(', ');
}

/** Booleans of YAML 1.1. */
const YAML_1_1: ReadonlyMap<string, string> = new Map([
  ['yes', 'true'],
  ['on', 'true'],
  ['no', 'false'],
  ['off', 'false'],
]);

function unknown(name: string, node: Node, scope: Scope): Typed {
  const constant = name.includes('.') ? '' : `; a constant is written '"${name}"'`;
  const foreign = foreignAttribute(name, (other) => isDeclared(other, scope.attributes));
  if (foreign !== undefined)
    return scope.problem('EXPRESSION_UNKNOWN_ATTRIBUTE', `unknown attribute ${name}; ${foreign}${constant}`, node);
  const meaning = YAML_1_1.get(name.toLowerCase());
  if (meaning !== undefined)
    return scope.problem(
      'EXPRESSION_UNKNOWN_ATTRIBUTE',
      `${name} is no boolean here; write ${meaning}, or '"${name}"' for the text`,
      node,
    );
  const near = nearestOf(name, scope.attributes.names());
  const hint =
    near.length > 0
      ? `; did you mean ${near.join(' or ')}?`
      : name.startsWith('my.')
        ? '; declare it under attributes:'
        : name.includes('.')
          ? '; docs/attributes.md lists all attributes'
          : '';
  return scope.problem('EXPRESSION_UNKNOWN_ATTRIBUTE', `unknown attribute ${name}${hint}${constant}`, node);
}

/** Some attribute's name begins with this one and a dot. */
export const isPrefix = (name: string, attributes: Attributes): boolean => prefixesOf(attributes).has(name);

/** An attribute has this name, or {@link isPrefix}. */
const isDeclared = (name: string, attributes: Attributes): boolean =>
  attributes.slotOf(name) !== undefined || isPrefix(name, attributes);

/** `a`, `a.b` of `a.b.c`; computed once for each vocabulary. */
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

// ------------------------------------------------------------ fields and keys

/**
 * `request.headers.x-user`, which is a subtraction: the key of a map of texts with a hyphen, in the form in which it can be read.
 * `undefined`: not of this form.
 */
export function hyphenatedKey(node: Node, scope: Scope): string | undefined {
  if (node.kind !== 'call' || node.name !== '-' || node.target !== undefined) return undefined;
  const [left, right] = node.args;
  const rest = right === undefined ? undefined : firstNameOf(right);
  if (left === undefined || rest === undefined) return undefined;
  const before = hyphenatedKey(left, scope);
  if (before !== undefined) return before.replace(/"\]$/, `-${rest}"]`);
  const chain = chainOf(left);
  const of = chain?.names.slice(0, -1).join('.') ?? '';
  if (chain === undefined || scope.slotOf(chain.names.join('.'), chain.absolute) !== undefined) return undefined;
  const slot = scope.slotOf(of, chain.absolute);
  const type = slot === undefined ? undefined : scope.attributes.at(slot).type;
  if (type?.kind !== 'map' || type.key.kind !== 'string' || type.of.kind !== 'string') return undefined;
  return `${of}[${chain.optional.at(-1) === true ? '?' : ''}"${chain.names.at(-1)}-${rest}"]`;
}

/** Of `user.startsWith("a")` that is `user`. */
function firstNameOf(node: Node): string | undefined {
  if (node.kind === 'name') return node.name;
  const of = node.kind === 'select' ? node.of : node.kind === 'call' ? node.target : undefined;
  return of === undefined ? undefined : firstNameOf(of);
}

export function checkIndex(node: NodeOf<'index'>, scope: Scope): Typed {
  const of = scope.check(node.of);
  const key = scope.check(node.key);
  return lookup(of, key, node.optional, node, scope);
}

/** An absent key fails; an optional lookup has no value then. A lookup in an optional value is optional. */
function lookup(of: Typed, key: Typed, optional: boolean, node: Node, scope: Scope): Typed {
  if (isInvalid(of) || isInvalid(key)) return { kind: 'invalid', node, type: DYN };
  const container = of.type.kind === 'optional' ? of.type.of : of.type;
  const isOptional = optional || of.type.kind === 'optional';
  const at = node.kind === 'index' ? node.key : node;
  let result: Type = DYN;
  let fitted: Typed;
  switch (container.kind) {
    case 'list':
      // A whole double or uint in dyn is an index as well.
      fitted = scope.fit(key, key.type.kind === 'dyn' ? DYN : INT, 'the index of a list must be int', at);
      result = container.of;
      break;
    case 'map':
      fitted =
        key.type.kind === 'dyn' && (container.key.kind === 'int' || container.key.kind === 'uint')
          ? { kind: 'convert', node: key.node, type: container.key, of: key, convert: numericKey }
          : scope.fit(
              lowered(of, key, scope.attributes),
              container.key,
              `the keys of this map are ${typeText(container.key)}`,
              at,
            );
      result = container.of;
      break;
    case 'dyn':
      fitted = scope.fit(key, DYN, '', at);
      break;
    default:
      return scope.problem(
        'EXPRESSION_NO_FIELD',
        `${typeText(of.type)} has no fields or keys; only maps and lists have`,
        node,
      );
  }
  const type = isOptional && result.kind !== 'optional' ? optionalOf(result) : result;
  return { kind: 'lookup', node, type, of, key: fitted, isOptional };
}

/** Header names are lower case on every wire: a constant is lowered at load, a computed name in each evaluation. */
export function lowered(of: Typed, key: Typed, attributes: Attributes): Typed {
  if (of.kind !== 'attribute' || !HEADER_MAPS.has(attributes.at(of.slot).name)) return key;
  const constant = constantOf(key);
  if (typeof constant === 'string') {
    const lower = constant.toLowerCase();
    return lower === constant ? key : { kind: 'constant', node: key.node, type: STRING, value: lower };
  }
  return key.type.kind === 'string' || key.type.kind === 'dyn'
    ? { kind: 'convert', node: key.node, type: key.type, of: key, convert: lowerCase }
    : key;
}

/** Keys are equal across the types of numbers, as in `in`. */
const numericKey = (key: Val): Val | undefined => (isNumber(key) ? keyOf(key) : undefined);

const lowerCase = (name: Val): Val => (typeof name === 'string' ? name.toLowerCase() : name);

// ------------------------------------------------------------ has()

/** Checks the operand as a read, and turns it into a test of presence. */
export function checkHas(node: NodeOf<'has'>, scope: Scope): Typed {
  const { of } = node;
  if (of.kind === 'index') {
    const value = lookup(scope.check(of.of), scope.check(of.key), true, of, scope);
    return isInvalid(value) ? value : { kind: 'hasValue', node, type: BOOL, of: value };
  }
  const read = scope.check(of);
  if (isInvalid(read)) return read;
  if (read.kind === 'attribute') return { kind: 'hasAttribute', node, type: BOOL, slot: read.slot };
  if (read.kind !== 'lookup') return scope.problem('EXPRESSION_SYNTAX', 'has() takes one attribute or field', of);
  const field = constantOf(read.key) as string;
  const slot = chainOf(of) === undefined ? undefined : rootSlotOf(read);
  return { kind: 'hasField', node, type: BOOL, of: read.of, field, slot };
}

function rootSlotOf(typed: Typed): number | undefined {
  if (typed.kind === 'attribute') return typed.slot;
  return typed.kind === 'lookup' ? rootSlotOf(typed.of) : undefined;
}
