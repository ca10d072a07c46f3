/** Functions of templates: those of Go's text/template and Istio's that injection needs, and two of our own (`quote`, `annotation`). */
import { goDurationNanos, goDurationText } from '../../time/duration.ts';
import { isObject } from '../../text/json-object.ts';
import { isTrue, kindOf, printed, type Value } from './values.ts';

/** Throws an Error with what is wrong. */
type TemplateFunction = (args: readonly Value[]) => Value;

interface Declared {
  readonly least: number;
  readonly most: number;
  readonly call: TemplateFunction;
}
const of = (least: number, most: number, call: TemplateFunction): Declared => ({ least, most, call });

const FUNCTIONS: Readonly<Record<string, Declared>> = {
  and: of(1, Infinity, (args) => args.find((value) => !isTrue(value)) ?? lastUnless(args, (value) => !isTrue(value))),
  or: of(1, Infinity, (args) => args.find(isTrue) ?? args.at(-1)),
  not: of(1, 1, ([value]) => !isTrue(value)),
  eq: of(2, Infinity, ([first, ...others]) => others.some((other) => compared(first, other) === 0)),
  ne: of(2, 2, ([a, b]) => compared(a, b) !== 0),
  lt: of(2, 2, ([a, b]) => compared(a, b) < 0),
  le: of(2, 2, ([a, b]) => compared(a, b) <= 0),
  gt: of(2, 2, ([a, b]) => compared(a, b) > 0),
  ge: of(2, 2, ([a, b]) => compared(a, b) >= 0),
  len: of(1, 1, ([value]) => lengthOf(value)),
  index: of(2, Infinity, ([value, ...keys]) => keys.reduce(at, value)),
  print: of(0, Infinity, (args) => args.map(printed).join('')),
  println: of(0, Infinity, (args) => `${args.map(printed).join(' ')}\n`),
  printf: of(1, Infinity, ([format, ...args]) => formatted(text('printf', format), args)),
  isset: of(2, 2, ([map, key]) => isObject(map) && Object.hasOwn(map, text('isset', key))),
  formatDuration: of(1, 1, ([value]) => durationText(value)),
  annotation: of(3, 3, ([meta, key, otherwise]) => at(at(meta, 'annotations'), text('annotation', key)) ?? otherwise),
  quote: of(1, 1, ([value]) => JSON.stringify(printed(value))),
  toJson: of(1, 1, ([value]) => JSON.stringify(value ?? null)),
};

export const FUNCTION_NAMES: ReadonlySet<string> = new Set(Object.keys(FUNCTIONS));

export function callFunction(name: string, args: readonly Value[]): Value {
  const { least, most, call } = FUNCTIONS[name] as Declared; // the parser knows the names
  if (args.length < least || args.length > most)
    throw new Error(`${name} has ${args.length} arguments; it takes ${least === most ? least : `${least} or more`}`);
  return call(args);
}

/** `find` cannot tell a found `undefined` from none. */
const lastUnless = (args: readonly Value[], stops: (value: Value) => boolean): Value =>
  args.some(stops) ? undefined : args.at(-1);

function text(name: string, value: Value): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') throw new Error(`${name} needs a text; this is ${kindOf(value)}`);
  return value;
}

const ZEROS: Readonly<Record<string, Value>> = { string: '', number: 0, boolean: false };

/** Negative, 0 or positive. What is absent is the zero of the other's type. */
function compared(a: Value, b: Value): number {
  const [left, right] = [a ?? ZEROS[typeof b] ?? '', b ?? ZEROS[typeof a] ?? ''];
  if (typeof left !== typeof right || typeof left === 'object')
    throw new Error(`${kindOf(left)} and ${kindOf(right)} cannot be compared`);
  if (left === right) return 0;
  return (left as string | number) < (right as string | number) ? -1 : 1;
}

function lengthOf(value: Value): number {
  if (value === undefined) return 0;
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (isObject(value)) return Object.keys(value).length;
  throw new Error(`${kindOf(value)} has no length`);
}

/** What is absent has nothing in it, as a nil map of Go. */
function at(value: Value, key: Value): Value {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) {
    if (typeof key !== 'number' || !Number.isInteger(key) || key < 0 || key >= value.length)
      throw new Error(`the list has ${value.length} items, and none at ${printed(key)}`);
    return value[key] as Value;
  }
  if (!isObject(value)) throw new Error(`${kindOf(value)} cannot be indexed`);
  const name = text('index', key);
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** What is no duration is a second, as in Istio. */
function durationText(value: Value): string {
  const nanos = typeof value === 'string' ? goDurationNanos(value) : undefined;
  return nanos === undefined ? '1s' : goDurationText(nanos);
}

const MAX_WIDTH = 100;

function formatted(format: string, args: readonly Value[]): string {
  let next = 0;
  const filled = format.replaceAll(
    /%([-+0 ]*)(\d*)(?:\.\d+)?([a-zA-Z%]|$)/g,
    (all, flags: string, width: string, verb: string) => {
      if (verb === '%') return '%';
      if (Number(width) > MAX_WIDTH) throw new Error(`printf pads to at most ${MAX_WIDTH} characters`);
      if (next >= args.length) throw new Error(`printf has no argument for ${all}`);
      const shown = verbText(verb, args[next++]);
      return flags.includes('-')
        ? shown.padEnd(Number(width))
        : shown.padStart(Number(width), flags.includes('0') ? '0' : ' ');
    },
  );
  if (next < args.length) throw new Error('printf has more arguments than verbs');
  return filled;
}

function verbText(verb: string, value: Value): string {
  if (verb === 's' || verb === 'v' || verb === 'd' || verb === 't') return printed(value);
  if (verb === 'q') return JSON.stringify(printed(value));
  throw new Error(`printf knows %s %v %d %t %q and %%, not %${verb}`);
}
