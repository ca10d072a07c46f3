/**
 * The back end of generated code: one function for each shape of expression.
 * **In**: a typed tree. **Out**: a function that evaluates it. **Fails**: never; closures evaluate a root that has no
 * code, and everything if code generation is disabled (`--disallow-code-generation-from-strings`).
 *
 * Thousands of rules have a few shapes, so each shape is compiled once and its machine code stays in the caches.
 */
import { closureOf } from '../closures/closures.ts';
import { type Evaluate, evaluatorOf, FAILED } from '../closures/evaluate.ts';
import type { Typed } from '../check/typed.ts';
import { CodeGenerator } from './code-generator.ts';

/** Its parameters are the pooled values: variables of the context are faster than elements of an array. */
type Factory = (...pool: readonly unknown[]) => Evaluate;

/** Shapes are cached for the life of the process; a policy has dozens. */
const MAX_SHAPES = 10_000;
const shapes = new Map<string, Factory>();

/** V8 takes long to compile a larger function, and never optimises it. */
const MAX_CODE = 20_000;

const mayGenerate = ((): boolean => {
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- trying is the only way to know whether it is forbidden
    return new Function('return true')() === true;
  } catch {
    return false;
  }
})();

export function generated(typed: Typed): Evaluate {
  const closures = (): Evaluate => evaluatorOf(closureOf(typed));
  if (!mayGenerate || typed.kind === 'constant') return closures();
  const coder = new CodeGenerator();
  const code = coder.code(typed);
  if (code === undefined || code.length > MAX_CODE) return closures();
  const shape = `${coder.pool.length} ${coder.temporaries} ${code}`;
  let factory = shapes.get(shape);
  if (factory === undefined) {
    if (shapes.size >= MAX_SHAPES) return closures();
    factory = factoryOf(code, coder);
    shapes.set(shape, factory);
  }
  return factory(...coder.pool);
}

function factoryOf(code: string, { pool, temporaries }: CodeGenerator): Factory {
  const names = pool.map((_, at) => `k${at}`).join(', ');
  const declared =
    temporaries === 0 ? '' : `let ${Array.from({ length: temporaries }, (_, at) => `t${at + 1}`).join(', ')}; `;
  const source = `return (${names}) => (bag, onFault) => { ${declared}try { const value = ${code}; return value === undefined ? FAILED : value; } catch (fault) { onFault?.(fault); return FAILED; } };`;
  // oxlint-disable-next-line typescript/no-implied-eval -- the one place; no text of a rule is in it
  return new Function('FAILED', source)(FAILED) as Factory;
}
