/**
 * Text with `${expression}` in it.
 * **In**: text and attributes. **Out**: a {@link CompiledText}. **Fails**: with the problems, at offsets into the text.
 */
import type { Attributes } from '../attributes/attributes.ts';
import type { Bag } from '../attributes/bag.ts';
import { SCALARS, type Type } from '../attributes/types.ts';
import { hasControl, withoutControls } from '../text/controls.ts';
import { shortened } from '../text/shortened.ts';
import { compile } from './compile.ts';
import type { Compilation, Compiled, CompiledText, TextOptions } from './compiled.ts';
import { FAILED } from './closures/evaluate.ts';
import { nearMiss, NOT_REPLACED } from './near-misses.ts';
import type { Problem } from './parse/problem.ts';
import { textOf } from './values/scalar-text.ts';

/** Text in which `${expression}` is replaced by its value; `$${` is a literal `${`. */
export function compileText(
  source: string,
  attributes: Attributes,
  { oneLine = false, maxCharacters = Infinity, given }: TextOptions = {},
): Compilation<CompiledText> {
  const parts: (string | Compiled)[] = [];
  const options = given === undefined ? SCALAR : { ...SCALAR, given };
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  let literal = '';
  const literals: [start: number, end: number][] = [];
  let literalFrom = 0;
  for (let at = 0; at < source.length;) {
    if (source.startsWith('$${', at)) {
      literals.push([literalFrom, at]);
      literal += '${';
      at += 3;
      literalFrom = at;
      continue;
    }
    if (!source.startsWith('${', at)) {
      const char = source[at] ?? '';
      if (oneLine && char !== '\t' && /\p{Cc}/u.test(char) && !problems.some(({ code }) => code === CONTROL_CHARACTER))
        problems.push(controlCharacter(source, at));
      literal += char;
      at += 1;
      continue;
    }
    const from = at + 2;
    const end = closingBraceOf(source, from);
    if (end === undefined) return { compiled: undefined, problems: [unclosed(at)] };
    const expression = source.slice(from, end);
    const { compiled, problems: found } = compile(expression, attributes, options);
    // The quotes of JSON hide the end of this one, and the } is that of the next.
    if (compiled === undefined && expression.includes('${')) return { compiled: undefined, problems: [unclosed(at)] };
    literals.push([literalFrom, at]);
    literalFrom = end + 1;
    if (source[at - 1] === '\\') warnings.push(backslash(at - 1));
    problems.push(...found.map((problem) => shifted(problem, from)));
    if (compiled !== undefined) {
      warnings.push(...compiled.warnings.map((warning) => shifted(warning, from)));
      if (literal !== '') parts.push(literal);
      literal = '';
      parts.push(compiled);
    }
    at = end + 1;
  }
  if (literal !== '') parts.push(literal);
  const { length } = parts.filter((part) => typeof part === 'string').join('');
  if (length > maxCharacters) problems.push(tooLong(length, maxCharacters));
  if (problems.length > 0) return { compiled: undefined, problems };
  literals.push([literalFrom, source.length]);
  const miss = nearMiss(source, literals, attributes);
  if (miss !== undefined) warnings.push(miss);
  return { compiled: textOfParts(source, parts, warnings, maxCharacters), problems: [] };
}

const SCALAR = {
  accept: ({ kind }: Type): boolean => SCALARS.has(kind),
  wanted: 'text, a number, a bool, a time or an address',
} as const;

const shifted = (problem: Problem, by: number): Problem => ({
  ...problem,
  start: problem.start + by,
  end: problem.end + by,
});

const unclosed = (at: number): Problem => ({
  code: 'EXPRESSION_SYNTAX',
  message: 'the ${ that begins here has no closing }; write $${ for the two characters themselves',
  start: at,
  end: at + 2,
});

const backslash = (at: number): Problem => ({
  code: NOT_REPLACED,
  message:
    'a backslash is sent as it stands, and the ${ after it is replaced; write $${ for the two characters themselves',
  start: at,
  end: at + 3,
});

const tooLong = (length: number, most: number): Problem => ({
  code: 'EXPRESSION_TEXT_TOO_LONG',
  message: `this text has ${length} characters, more than the ${most} that are sent; shorten it`,
  start: 0,
  end: 1,
});

const CONTROL_CHARACTER = 'EXPRESSION_CONTROL_CHARACTER';

function controlCharacter(source: string, at: number): Problem {
  const isEnd = /^[\r\n]+$/.test(source.slice(at));
  const what = isEnd
    ? 'this text ends with a line break; begin the block with |- or >- (| and > keep the final break), or remove it'
    : `this text contains ${/[\r\n]/.test(source[at] ?? '') ? 'a line break' : 'a control character'}; remove it`;
  return {
    code: CONTROL_CHARACTER,
    message: `a header or a parameter is one line, but ${what}`,
    start: at,
    end: at + 1,
  };
}

/** The offset of the } that closes a ${; braces in quotes and of maps are skipped. */
function closingBraceOf(source: string, from: number): number | undefined {
  let depth = 0;
  let quote: string | undefined;
  for (let at = from; at < source.length; at += 1) {
    const char = source[at] ?? '';
    if (quote !== undefined) {
      if (char === '\\') at += 1;
      else if (char === quote) quote = undefined;
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '{') depth += 1;
    else if (char === '}' && depth === 0) return at;
    else if (char === '}') depth -= 1;
  }
  return undefined;
}

function textOfParts(
  source: string,
  parts: readonly (string | Compiled)[],
  warnings: readonly Problem[],
  maxCharacters: number,
): CompiledText {
  if (parts.every((part) => typeof part === 'string')) return constantText(source, parts.join(''), warnings);
  const hasControls = parts.some((part) => typeof part === 'string' && hasControl(part));
  const expressions = parts.filter((part) => typeof part !== 'string');
  const literals = literalsAround(parts);
  const literalCharacters = literals.join('').length;
  return {
    source,
    warnings,
    constant: undefined,
    literals,
    reads: expressions.flatMap(({ reads }) => reads),
    values: (bag, into, from) => {
      let characters = literalCharacters;
      for (let at = 0; at < expressions.length; at++) {
        const text = valueText(expressions[at] as Compiled, bag);
        if (text === undefined) return -1;
        into[from + at] = text;
        characters += text.length;
      }
      return characters <= maxCharacters ? characters : -1;
    },
    render: (bag) => {
      let text = '';
      let failed: string | undefined;
      let isCut = false;
      for (let at = 0; at < parts.length; at++) {
        const part = parts[at] as string | Compiled;
        if (typeof part === 'string') text += part;
        else {
          const whole = valueText(part, bag);
          // Cut before it is searched for controls; a client may choose its length.
          const shown = whole === undefined ? undefined : shortened(whole, maxCharacters);
          if (shown === undefined) failed ??= `\${${part.source}}: ${part.why(bag) || 'its value has no text form'}`;
          else text += hasControls ? withoutControls(shown) : shown;
          if (shown !== whole) isCut = true;
        }
        if (text.length > maxCharacters) isCut = true;
        if (isCut) break;
      }
      if (isCut) text = shortened(text, maxCharacters);
      // One search of the whole text where only a value can hold one.
      return { text: hasControls ? text : withoutControls(text), failed, isCut };
    },
  };
}

/** `undefined` if it fails, or its value has no text form. */
function valueText(expression: Compiled, bag: Bag): string | undefined {
  const value = expression.evaluate(bag);
  return typeof value === 'string' ? value : value === FAILED ? undefined : textOf(value);
}

function constantText(source: string, constant: string, warnings: readonly Problem[]): CompiledText {
  const rendered = { text: constant, failed: undefined, isCut: false };
  return {
    source,
    warnings,
    constant,
    literals: [constant],
    reads: [],
    values: () => constant.length,
    render: () => rendered,
  };
}

/** The text before, between and after the expressions. */
function literalsAround(parts: readonly (string | Compiled)[]): readonly string[] {
  const literals = [''];
  for (const part of parts) {
    if (typeof part === 'string') literals[literals.length - 1] += part;
    else literals.push('');
  }
  return literals;
}
