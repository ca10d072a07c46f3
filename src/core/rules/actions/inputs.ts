/**
 * Inputs of a handler: expressions, checked once against the shape of the adapter.
 * **In**: the `input` of an action, the adapter's shape. **Out**: functions that evaluate the inputs of one call.
 */
import type { Attributes } from '../../../attributes/attributes.ts';
import type { Bag } from '../../../attributes/bag.ts';
import { typeText } from '../../../attributes/types.ts';
import type { Shape, ShapeType } from '../../../adapters/contract.ts';
import { type Compiled, FAILED } from '../../../expression/index.ts';
import { isTaken, toShape, wantedBy } from './convert.ts';
import { expressionOf } from '../expressions.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { meant, nearest } from '../../../text/nearest.ts';
import type { Fields } from '../../../yaml/fields.ts';
import { type MapNode, type Node, nodeText, type Place } from '../../../yaml/nodes.ts';
import type { FieldsMaker, InputMaker } from '../rule.ts';

interface Part {
  readonly name: string;
  readonly shape: ShapeType;
  readonly optional: boolean;
  readonly compiled: Compiled;
  readonly place: Place;
}
export interface Inputs {
  readonly parts: readonly Part[];
  readonly compiled: readonly Compiled[];
  readonly shape: Shape;
}

interface InputsOptions {
  /** Attributes that the rule's match proves to be present. */
  readonly given?: ReadonlySet<string>;
  /** Expressions of the adapter for inputs that `node` lacks. */
  readonly defaults?: Readonly<Record<string, string>>;
}

/** `shape` with names like `labels.method` is written nested in YAML, and reaches the adapter under the dotted name. */
export function inputsOf(
  fields: Fields,
  shape: Shape | 'any',
  attributes: Attributes,
  findings: Findings,
  { given, defaults = {} }: InputsOptions = {},
): Inputs {
  const parts: Part[] = [];
  const { place: at } = fields;
  const node = fields.node('input');
  const known = Object.keys(shape === 'any' ? {} : shape);
  const written = node === undefined ? [] : leavesOf(node, findings, shape === 'any' ? undefined : known);
  // Each may be one that is missing.
  let isUnreadable =
    written === undefined || (node === undefined && (fields.mayMisspell('input') || findings.misplaced.has('input')));
  const mayMean = new Set<string>();
  const named = new Set(written?.map(({ name }) => name));
  const leaves = [...(written ?? []), ...defaultLeaves(defaults, named, at)];
  for (const { name, value, place } of leaves) {
    const declared = shape === 'any' ? 'any' : shape[name];
    if (declared === undefined) {
      const near = reportUnknown(name, value, place, known, findings);
      if (near === undefined) isUnreadable = true;
      else mayMean.add(near);
      continue;
    }
    const optional = declared.endsWith('?');
    const type = (optional ? declared.slice(0, -1) : declared) as ShapeType;
    const compiled = expressionOf(value, `input ${name}`, attributes, findings, given === undefined ? {} : { given });
    if (compiled === undefined) continue;
    if (!isTaken(type, compiled.type))
      findings.error(
        'RULES_INPUT_TYPE',
        value.place,
        `input ${name} takes ${wantedBy(type)}; found ${typeText(compiled.type)}`,
      );
    parts.push({ name, shape: type, optional, compiled, place: value.place });
  }
  const names = new Set(leaves.map(({ name }) => name));
  const missing = Object.entries(shape === 'any' ? {} : shape).filter(
    ([name, type]) =>
      !type.endsWith('?') &&
      !names.has(name) &&
      !beginnings(name).some((one) => mayMean.has(one) || findings.misplaced.has(one)),
  );
  if (missing.length > 0 && !isUnreadable)
    findings.error(
      'RULES_MISSING_INPUT',
      at,
      `the adapter needs the ${missing.length === 1 ? 'input' : 'inputs'} ` +
        `${missing.map(([name, type]) => `${name} (${type})`).join(', ')}; ` +
        `write input: { ${missing.map(([name]) => `${name}: EXPRESSION`).join(', ')} }`,
    );
  return {
    parts,
    compiled: parts.map(({ compiled }) => compiled),
    shape: shape === 'any' ? Object.fromEntries(parts.map(({ name }) => [name, 'any' as const])) : shape,
  };
}

/** Returns the input that is meant, if one is near. */
function reportUnknown(
  name: string,
  value: Node,
  place: Place,
  known: readonly string[],
  findings: Findings,
): string | undefined {
  const within = known.filter(under(name));
  if (within.length > 0) {
    const wanted = `a map of names to expressions: ${within.join(', ')}`;
    findings.error('RULES_UNKNOWN_INPUT', place, `the input ${name} is ${nodeText(value)}; expected ${wanted}`);
    return name;
  }
  const near = nearest(name, new Set(known.flatMap(beginnings)));
  const hint = near === undefined ? meant(name, known) : `; did you mean ${near}?`;
  findings.error('RULES_UNKNOWN_INPUT', place, `the adapter has no input ${name}${hint}`);
  return near;
}

/** Of the adapter, at the place of the action, since no text of the policy has them. */
const defaultLeaves = (
  defaults: Readonly<Record<string, string>>,
  written: ReadonlySet<string>,
  place: Place,
): Leaf[] =>
  Object.entries(defaults)
    .filter(([name]) => !written.has(name))
    .map(([name, text]) => ({
      name,
      value: { kind: 'scalar', place, value: text, written: text, style: 'plain' },
      place,
    }));

interface Leaf {
  readonly name: string;
  readonly value: Node;
  readonly place: Place;
}

/** A rule is read in one turn of the event loop. */
const MAX_INPUTS = 1000;

/** `a`, `a.b` of `a.b`. */
const beginnings = (name: string): string[] => name.split('.').map((_, at, parts) => parts.slice(0, at + 1).join('.'));

/** `undefined`: they cannot be read. A map under an unknown name counts as one leaf, so that it gives one finding. */
function leavesOf(node: Node, findings: Findings, known: readonly string[] | undefined): Leaf[] | undefined {
  if (node.kind !== 'map') {
    findings.error(
      'RULES_VALUE',
      node.place,
      'input must be a map of names to expressions, such as { value: origin.ip }',
    );
    return undefined;
  }
  const walk = (map: MapNode, prefix: string): Leaf[] =>
    [...map.entries.values()].flatMap(({ key, keyPlace, value }) => {
      const name = `${prefix}${key}`;
      return value.kind === 'map' && known?.includes(name) !== true && known?.some(under(name)) !== false
        ? walk(value, `${name}.`)
        : [{ name, value, place: keyPlace }];
    });
  const leaves = walk(node, '');
  if (leaves.length <= MAX_INPUTS) return leaves;
  findings.error('RULES_VALUE', node.place, `input has ${leaves.length} expressions; at most ${MAX_INPUTS} are taken`);
  return undefined;
}
const under =
  (name: string) =>
  (one: string): boolean =>
    one.startsWith(`${name}.`);

export function inputMaker({ parts }: Inputs): InputMaker {
  // A plugin sees no field of an optional input that is absent.
  const empty = parts.some(({ optional }) => optional) ? {} : emptyOf(parts);
  return (bag) => {
    const values: Record<string, unknown> = { ...empty };
    for (const part of parts) {
      const value = valueOf(part, bag);
      if (value !== undefined) values[part.name] = value;
      else if (!part.optional) return { ok: false, why: whyNot(part, bag) };
    }
    return { ok: true, values };
  };
}

export function fieldsMaker({ parts }: Inputs): FieldsMaker {
  const empty = emptyOf(parts);
  return (bag) => {
    const values: Record<string, unknown> = { ...empty };
    let failed: string[] | undefined;
    for (const part of parts) {
      const value = valueOf(part, bag);
      values[part.name] = value ?? null;
      if (value === undefined) (failed ??= []).push(part.name);
    }
    return { values, failed: failed ?? NONE };
  };
}

const NONE: readonly string[] = [];

/** To be copied for each call, which takes less time than adding one field after the other. */
const emptyOf = (parts: readonly Part[]): Readonly<Record<string, null>> =>
  Object.fromEntries(parts.map(({ name }) => [name, null]));

function valueOf({ compiled, shape }: Part, bag: Bag): unknown {
  const value = compiled.evaluate(bag);
  return value === FAILED ? undefined : toShape(shape, value);
}

const whyNot = ({ name, compiled, shape }: Part, bag: Bag): string =>
  `input ${name}: ${compiled.why(bag) || `its value is not ${wantedBy(shape)}, or above 2^53`}`;
