/**
 * JavaScript for a plan, shared by all plans of one shape.
 * **In**: a plan. **Out**: a function that makes its value. **Fails**: never; where code may not be made from text
 * (`--disallow-code-generation-from-strings`), and for parts that have no code of their own, the plan's closures are called.
 *
 * What is generated holds operators, slots and places in a pool, never a text of a rule: constants and functions are in the
 * pool. Thousands of rules have a few shapes, so the machine code of each is compiled once and stays in the cache.
 */
import { type Evaluate, FAILED } from './compiled.ts';
import type { Emit, Plan, Run } from './planned.ts';

/** Takes the pool's values one by one: they stand in the function's own context, nearer than in an array. */
type Factory = (...pool: readonly unknown[]) => Evaluate;

/** By their code. It is kept as long as the process lives; a policy has dozens. */
const MOST_SHAPES = 10_000;
const shapes = new Map<string, Factory>();

/** Beyond it, one function is compiled for long and optimised never. */
const MOST_CODE = 20_000;

const mayGenerate = ((): boolean => {
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- whether it is forbidden is known by trying
    return new Function('return true')() === true;
  } catch {
    return false;
  }
})();

export class Emitter {
  readonly pool: unknown[] = [];
  #temporaries = 0;

  /** A value that the code reads from its pool. */
  pooled(value: unknown): string {
    return `k${this.pool.push(value) - 1}`;
  }

  temporary(): string {
    this.#temporaries += 1;
    return `t${this.#temporaries}`;
  }

  /** How many: they are t1, t2 ... */
  get temporaries(): number {
    return this.#temporaries;
  }

  /** Code that makes the plan's value, `undefined` where it fails. */
  value({ constant, emit, run }: Plan): string {
    if (constant !== undefined) return this.pooled(constant);
    return emit === undefined ? `${this.pooled(run)}(bag)` : emit(this);
  }
}

/** Code over one operand: nothing is asked of it where that failed. */
export const emitUnary =
  (a: Plan, body: (x: string, out: Emitter) => string): Emit =>
  (out) => {
    if (a.constant !== undefined) return `(${body(out.value(a), out)})`;
    const x = out.temporary();
    return `((${x} = ${out.value(a)}) === undefined ? undefined : ${body(x, out)})`;
  };

export const emitBinary =
  (a: Plan, b: Plan, body: (x: string, y: string, out: Emitter) => string): Emit =>
  (out) => {
    if (b.constant !== undefined) return emitUnary(a, (x) => body(x, out.value(b), out))(out);
    if (a.constant !== undefined) return emitUnary(b, (y) => body(out.value(a), y, out))(out);
    const [x, y] = [out.temporary(), out.temporary()];
    return `((${x} = ${out.value(a)}) === undefined || (${y} = ${out.value(b)}) === undefined ? undefined : ${body(x, y, out)})`;
  };

/** Of the plan, with `FAILED` where it fails: its own closure where there is no code for it. */
export function generated(plan: Plan): Evaluate {
  if (!mayGenerate || plan.emit === undefined || plan.constant !== undefined) return evaluateBy(plan.run);
  const out = new Emitter();
  const code = out.value(plan);
  if (code.length > MOST_CODE) return evaluateBy(plan.run);
  const shape = `${out.pool.length} ${out.temporaries} ${code}`;
  let factory = shapes.get(shape);
  if (factory === undefined) {
    if (shapes.size >= MOST_SHAPES) return evaluateBy(plan.run);
    factory = factoryOf(code, out);
    shapes.set(shape, factory);
  }
  return factory(...out.pool);
}

function factoryOf(code: string, { pool, temporaries }: Emitter): Factory {
  const names = pool.map((_, at) => `k${at}`).join(', ');
  const declared =
    temporaries === 0 ? '' : `let ${Array.from({ length: temporaries }, (_, at) => `t${at + 1}`).join(', ')}; `;
  const source = `return (${names}) => (bag, onFault) => { ${declared}try { const value = ${code}; return value === undefined ? FAILED : value; } catch (fault) { onFault?.(fault); return FAILED; } };`;
  // oxlint-disable-next-line typescript/no-implied-eval -- the one place; no text of a rule is in it
  return new Function('FAILED', source)(FAILED) as Factory;
}

export function evaluateBy(run: Run): Evaluate {
  return (bag, onFault) => {
    try {
      const value = run(bag);
      return value === undefined ? FAILED : value;
    } catch (fault) {
      onFault?.(fault);
      return FAILED;
    }
  };
}
