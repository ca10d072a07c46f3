/**
 * **In**: the text of a CEL expression, the attributes it may read, the type it must have.
 * **Out**: a compiled expression over a bag. **Fails**: with every problem at once, each at an offset into the text.
 *
 * This file is the folder's door: other folders import nothing else of it.
 */
export { compile, compileText, traceable } from './compile.ts';
export type {
  Compilation,
  Compiled,
  CompiledText,
  CompileOptions,
  Problem,
  Read,
  TextOptions,
  Traceable,
} from './compiled.ts';
export { textOf } from './values/scalar-text.ts';
export type { Failing, TracedPart } from './trace.ts';
export { Optional, TypeName, type Val } from './values/dynamic.ts';
export type { Atom, Guard, Place } from './necessary.ts';
export { FAILED } from './compiled.ts';
