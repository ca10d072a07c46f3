/**
 * **In**: the text of a CEL expression, the attributes that it may read, the expected type.
 * **Out**: a compiled expression over a bag. **Fails**: with every problem at once, each at an offset into the text.
 *
 * This file is the folder's door: other folders import nothing else of it. Text goes through the folders in this order:
 * parse, check, passes, then closures or generate.
 */
export { compile, traceable } from './compile.ts';
export type { Compilation, Compiled, CompiledText, CompileOptions, TextOptions, Traceable } from './compiled.ts';
export { textInParams, textInString } from './near-misses.ts';
export { compileText } from './text.ts';
export { FAILED } from './closures/evaluate.ts';
export type { Problem } from './parse/problem.ts';
export type { Atom, Guard, Place } from './passes/atoms.ts';
export type { Read } from './passes/reads.ts';
export type { TracedPart } from './passes/trace.ts';
export { Optional, TypeName, type Val } from './values/dynamic.ts';
export { textOf } from './values/scalar-text.ts';
