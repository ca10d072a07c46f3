/**
 * Generates a JavaScript expression for a typed tree; its value is `undefined` if the evaluation fails. The code consists of
 * operators, slots and names of pooled values. Constants and functions are in the pool, so that no text of a rule is in the code.
 */
import { closureOf, specialised } from '../closures/closures.ts';
import { constantOf, type Typed, type TypedOf } from '../check/typed.ts';

export class CodeGenerator {
  readonly pool: unknown[] = [];
  #temporaries = 0;

  /** The number of temporary variables; they are named t1, t2 ... */
  get temporaries(): number {
    return this.#temporaries;
  }

  /** A node that has no code becomes a call of its closure. */
  value(typed: Typed): string {
    if (typed.kind === 'constant') return this.#pooled(typed.value);
    return this.code(typed) ?? `${this.#pooled(closureOf(typed))}(bag)`;
  }

  /** `undefined` for a node that has no code. */
  code(typed: Typed): string | undefined {
    switch (typed.kind) {
      case 'attribute':
        return typed.isOptional ? undefined : `bag.get(${typed.slot})`;
      case 'lookup':
        return typed.isOptional || !isMapByText(typed)
          ? undefined
          : this.#binary(typed.of, typed.key, (x, y) => `${x}.get(${y})`);
      case 'hasAttribute':
        return `bag.get(${typed.slot}) !== undefined`;
      case 'not':
        return this.#unary(typed.of, (x) => `${x} !== true`);
      case 'and':
      case 'or':
        return this.#logic(typed);
      case 'if':
        return this.#unary(typed.test, (x) => `${x} === true ? ${this.value(typed.yes)} : ${this.value(typed.no)}`);
      case 'identical': {
        const sign = typed.isNegated ? '!==' : '===';
        return this.#binary(typed.left, typed.right, (x, y) => `${x} ${sign} ${y}`);
      }
      case 'inSet':
        return this.#unary(typed.item, (x) => `${this.#pooled(typed.values)}.has(${x})`);
      case 'call':
        return this.#call(typed);
      case 'convert':
        return this.#unary(typed.of, (x) => `${this.#pooled(typed.convert)}(${x})`);
      case 'passthrough':
        return this.code(typed.of);
      case 'orElse':
        return typed.isOptional ? undefined : this.#orElse(typed.of, typed.instead);
      default:
        return undefined;
    }
  }

  #call({ overload, args }: TypedOf<'call'>): string | undefined {
    const [first, second] = args;
    if (first === undefined) return undefined;
    const special = specialised(overload, args);
    if (special !== undefined) return this.#unary(first, (x) => `${this.#pooled(special)}(${x})`);
    const { run, code, constantCode } = overload;
    if (args.length === 1) return this.#unary(first, (x) => code?.(x) ?? `${this.#pooled(run)}(${x})`);
    if (second === undefined || args.length > 2) return undefined;
    const inline = second.kind === 'constant' ? (constantCode ?? code) : code;
    return this.#binary(first, second, (x, y) => inline?.(x, y) ?? `${this.#pooled(run)}(${x}, ${y})`);
  }

  /** The side that decides absorbs a failure of the other. */
  #logic({ kind, left, right }: TypedOf<'and' | 'or'>): string {
    const [deciding, other] = kind === 'and' ? ['false', 'true'] : ['true', 'false'];
    const [x, y] = [this.#temporary(), this.#temporary()];
    return `((${x} = ${this.value(left)}) === ${deciding} || (${y} = ${this.value(right)}) === ${deciding} ? ${deciding} : ${x} === undefined || ${y} === undefined ? undefined : ${other})`;
  }

  /** `a.?b.orValue(x)` and `map[?key].orValue(x)` without an optional value in between. */
  #orElse(of: Typed, instead: Typed): string | undefined {
    if (of.kind === 'passthrough') return this.#orElse(of.of, instead);
    if (of.kind === 'attribute') {
      if (!of.isOptional) return undefined;
      const x = this.#temporary();
      return `((${x} = bag.get(${of.slot})) === undefined ? ${this.value(instead)} : ${x})`;
    }
    if (
      of.kind !== 'lookup' ||
      !of.isOptional ||
      !isMapByText(of) ||
      (of.of.type.kind === 'map' && of.of.type.of.kind === 'optional')
    )
      return undefined;
    const value = this.value(instead);
    const z = this.#temporary();
    return this.#binary(of.of, of.key, (x, y) => `(${z} = ${x}.get(${y})) === undefined ? ${value} : ${z}`);
  }

  /** The body is not evaluated if the operand failed. */
  #unary(a: Typed, body: (x: string) => string): string {
    if (a.kind === 'constant') return `(${body(this.value(a))})`;
    const x = this.#temporary();
    return `((${x} = ${this.value(a)}) === undefined ? undefined : ${body(x)})`;
  }

  #binary(a: Typed, b: Typed, body: (x: string, y: string) => string): string {
    if (constantOf(b) !== undefined) return this.#unary(a, (x) => body(x, this.value(b)));
    if (constantOf(a) !== undefined) return this.#unary(b, (y) => body(this.value(a), y));
    const [x, y] = [this.#temporary(), this.#temporary()];
    return `((${x} = ${this.value(a)}) === undefined || (${y} = ${this.value(b)}) === undefined ? undefined : ${body(x, y)})`;
  }

  #pooled(value: unknown): string {
    return `k${this.pool.push(value) - 1}`;
  }

  #temporary(): string {
    this.#temporaries += 1;
    return `t${this.#temporaries}`;
  }
}

const isMapByText = ({ of, key }: TypedOf<'lookup'>): boolean => of.type.kind === 'map' && key.type.kind === 'string';
