import type { Bag } from '../attributes/bag.ts';
import type { Type } from '../attributes/types.ts';
import type { Value } from '../attributes/values.ts';
import type { Budget } from './budget.ts';
import type { Val } from './values/dynamic.ts';
import type { Guard } from './necessary.ts';
import type { Failing, TracedPart } from './trace.ts';

/** What an evaluation that failed comes to. Never a value, never "no": the caller says what a failure means. */
export const FAILED: unique symbol = Symbol('failed');

/** One attribute that an expression reads. */
export interface Read {
  readonly slot: number;
  readonly name: string;
  /** True where every read of it stands under `has()`, `?.`, `[?]`, or what `has(x) &&` or `has(x) ?` covers. */
  readonly guarded: boolean;
  /** The constant keys under which a map attribute is read (`request.headers["x"]`), guarded or not. */
  readonly keys: readonly {
    readonly key: string;
    readonly guarded: boolean;
    /** Some read of it stands outside of `reveal()`. */ readonly exposed: boolean;
  }[];
  /** Some read of the whole value, of a map other than by a constant key, stands outside of `reveal()` and `has()`. */
  readonly exposed: boolean;
  /** Where the first unguarded read stands (offset in characters), else the first read. */
  readonly offset: number;
}

/** Something wrong, or worth saying, about the text of an expression. */
export interface Problem {
  /** `EXPRESSION_WHAT`, in docs/errors.md. */
  readonly code: string;
  /** What is wrong, what was expected, what to do. One sentence, no position. */
  readonly message: string;
  /** Where it begins and ends, in UTF-16 units of the text. */
  readonly start: number;
  readonly end: number;
}

/** Never throws: what a function or the bag throws fails the evaluation, and is given to `onFault`. */
export type Evaluate = (bag: Bag, onFault?: (fault: unknown) => void) => Val | typeof FAILED;

export interface Compiled {
  readonly source: string;
  readonly type: Type;
  readonly reads: readonly Read[];
  readonly warnings: readonly Problem[];
  /** What is known to be there where it is true, for {@link CompileOptions.given} of expressions that are asked after it. */
  readonly proves: ReadonlySet<string>;
  /** For an index, see `necessary.ts`; empty unless it was asked for. */
  readonly guards: readonly Guard[];
  /** The value where the expression reads nothing and cannot fail; else `undefined`. */
  readonly constant: Value | undefined;
  /** Never throws. Fails beyond its budget (budget.ts). A function of its own, which may be held without the rest. */
  readonly evaluate: (bag: Bag) => Value | typeof FAILED;
  /** Why `evaluate` fails on this bag, in words, worked out again. Empty text where it does not fail. */
  why(bag: Bag): string;
}

/** An expression that can be looked into: for explanations, several times slower than a compiled one. */
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
  /** The text where nothing in it is an expression; else `undefined`. */
  readonly constant: string | undefined;
  /** Control characters are taken out of what is put in; a part that fails is empty text and named in `failed`. */
  render(bag: Bag): { readonly text: string; readonly failed: string | undefined };
}

export interface TextOptions {
  /** Whether a control character in the text itself is an error. Tabs are none. */
  readonly oneLine?: boolean;
}

export interface CompileOptions {
  /** What the checker finds fails when it is evaluated, and not before (cel-spec, `disable_check`); for comparisons with peers. */
  readonly unchecked?: boolean;
  /** Names are looked up under it first, then under each shorter one (cel-spec, "Name resolution"). */
  readonly container?: string;
  /** What has been shown to be there before: reads of it count as guarded. */
  readonly given?: ReadonlySet<string>;
  /** `closures`: no code is generated; for comparisons, and where it is forbidden anyway. */
  readonly backEnd?: 'generated' | 'closures';
  /** What an evaluation may cost; {@link DEFAULT_BUDGET} where absent. */
  readonly budget?: Budget;
  /** Whether `guards` are wanted. */
  readonly withGuards?: boolean;
  /** The type it must have; `dyn` or absent: any. */
  readonly expect?: Type;
  /** Which types will do, where several do (`expect` is then not given). */
  readonly accept?: (type: Type) => boolean;
  /** What `accept` wants, for the message: "a string, number or boolean". */
  readonly wanted?: string;
}

/** Either compiled (problems is then empty), or every problem of the text. */
export type Compilation<C> =
  | { readonly compiled: C; readonly problems: readonly [] }
  | { readonly compiled: undefined; readonly problems: readonly Problem[] };
