/** The options and the results of the compiler. */
import type { Bag } from '../attributes/bag.ts';
import type { Type } from '../attributes/types.ts';
import type { Value } from '../attributes/values.ts';
import type { Budget } from './budget.ts';
import type { FAILED } from './closures/evaluate.ts';
import type { Problem } from './parse/problem.ts';
import type { Guard } from './passes/atoms.ts';
import type { Read } from './passes/reads.ts';
import type { Failing, TracedPart } from './passes/trace.ts';

export interface Compiled {
  readonly source: string;
  readonly type: Type;
  readonly reads: readonly Read[];
  readonly warnings: readonly Problem[];
  /** The names that are present if it is true, for {@link CompileOptions.given} of expressions that are evaluated after it. */
  readonly proves: ReadonlySet<string>;
  /** For an index, see `passes/index-guards.ts`; empty unless {@link CompileOptions.withGuards} asks for it. */
  readonly guards: readonly Guard[];
  /** The value of an expression that reads nothing and cannot fail; else `undefined`. */
  readonly constant: Value | undefined;
  /** Never throws; fails if it exceeds its budget. Does not use `this`, so that it can be stored alone. */
  readonly evaluate: (bag: Bag) => Value | typeof FAILED;
  /** The reason why `evaluate` fails on this bag; it evaluates again. Empty if it does not fail. */
  why(bag: Bag): string;
}

/** An expression whose parts can be inspected, for explanations. Several times slower than a {@link Compiled}. */
export interface Traceable {
  readonly type: Type;
  readonly warnings: readonly Problem[];
  evaluate(bag: Bag): {
    readonly value: Value | typeof FAILED;
    readonly tree: TracedPart;
    readonly failing: Failing | undefined;
  };
}

/** Text with `${expression}` in it. */
export interface CompiledText {
  readonly source: string;
  readonly reads: readonly Read[];
  readonly warnings: readonly Problem[];
  /** The text, if there is no expression in it; else `undefined`. */
  readonly constant: string | undefined;
  /** Control characters of the values are removed. A part that fails is empty text and named in `failed`. */
  render(bag: Bag): RenderedText;
  /** The text before, between and after its expressions. */
  readonly literals: readonly string[];
  /**
   * Writes the values of its expressions as texts, controls included, into `into` from `from` on. Returns the number of characters of the
   * whole text; −1 if a part fails or it is longer than its bound, and {@link render} then has the text.
   */
  values(bag: Bag, into: string[], from: number): number;
}

export interface RenderedText {
  readonly text: string;
  readonly failed: string | undefined;
  /** It was longer than its bound. */
  readonly isCut: boolean;
}

export interface TextOptions {
  /** A control character in the text itself, a tab aside, is an error. */
  readonly oneLine?: boolean;
  /** A longer text is cut; one without expressions is an error. */
  readonly maxCharacters?: number | undefined;
  /** As {@link CompileOptions.given}. */
  readonly given?: ReadonlySet<string> | undefined;
}

export interface CompileOptions {
  /** A part with a problem fails when it is evaluated, and not before (cel-spec, `disable_check`); for comparisons with peers. */
  readonly unchecked?: boolean;
  /** Names are looked up under it first, then under each shorter one (cel-spec, "Name resolution"). */
  readonly container?: string;
  /** Names that are known to be present ({@link Compiled.proves}); reads of them count as guarded. */
  readonly given?: ReadonlySet<string>;
  /** `closures`: no code is generated; for comparisons. */
  readonly backEnd?: 'generated' | 'closures';
  /** The limits of an evaluation; `DEFAULT_BUDGET` if absent. */
  readonly budget?: Budget;
  readonly withGuards?: boolean;
  /** The expected type; `dyn` or absent: any. */
  readonly expect?: Type;
  /** The accepted types, where there are several; `expect` is then absent. */
  readonly accept?: (type: Type) => boolean;
  /** The types that `accept` wants, for the message: "a string, number or boolean". */
  readonly wanted?: string;
}

/** Either compiled (problems is then empty), or every problem of the text. */
export type Compilation<C> =
  | { readonly compiled: C; readonly problems: readonly [] }
  | { readonly compiled: undefined; readonly problems: readonly Problem[] };
