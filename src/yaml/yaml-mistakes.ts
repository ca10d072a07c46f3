/**
 * The mistakes behind YAML's errors: the library names the token that its grammar does not expect, often on a later line.
 * **In**: an error and its text. **Out**: the place of the likely mistake, and a message that says what to do.
 * **Fails**: never; of an error that is not known here it repeats the library's words.
 */
import { Lexer, type ErrorCode } from 'yaml';
import { LOOKALIKE_BLANKS, codePoint } from '../text/lookalikes.ts';

interface YamlProblem {
  readonly code: ErrorCode;
  readonly pos: readonly [start: number, end: number];
  readonly message: string;
}

export interface YamlMistake {
  readonly start: number;
  readonly end: number;
  readonly message: string;
  /** Errors after it are its consequences. */
  readonly isLast: boolean;
}

interface Line {
  readonly start: number;
  readonly text: string;
  /** The offset of its first character that is not blank. */
  readonly content: number;
}

const QUOTE = "put the whole value in single quotes (a ' in it is written '')";

export function yamlMistake(problem: YamlProblem, text: string): YamlMistake {
  const [start, end] = problem.pos;
  const line = lineAt(text, start);
  const [at, to, what, isLast = false] = characterMistake(line, text) ??
    grammarMistake(problem, line, text) ?? [start, end, librarysWords(problem)];
  return { start: at, end: to, message: `this is not valid YAML: ${what}`, isLast };
}

type Found = readonly [start: number, end: number, what: string, isLast?: boolean];

const librarysWords = ({ message }: YamlProblem): string =>
  `${message.replace(/\.$/, '')}; if it is text or an expression, ${QUOTE}`;

const CONFLICT = /^(?:<{7}|={7}|>{7})(?: |\r?$)/;
/** Where a blank has a meaning: in an indentation, and after a hyphen or a colon. */
const BLANK_THAT_COUNTS = new RegExp(`(?:^[ \\t-]*|:)([${LOOKALIKE_BLANKS}])`, 'u');

/** Characters that are no YAML; the library's error may stand on the next line. */
function characterMistake(line: Line, text: string): Found | undefined {
  const { start } = line;
  // Without a newline all is one line.
  if (line.text.includes('\r') && line.start === 0 && !text.includes('\n'))
    return [
      text.indexOf('\r'),
      text.indexOf('\r') + 1,
      'its lines end with CR alone; save the file with LF or CRLF',
      true,
    ];
  for (const one of [line, lineAt(text, Math.max(0, start - 1))]) {
    const all = one.start + one.text.length;
    if (CONFLICT.test(one.text))
      return [
        one.start,
        all,
        'this line marks a merge conflict; resolve it, and remove the lines <<<, === and >>>',
        true,
      ];
    const blank = BLANK_THAT_COUNTS.exec(one.text)?.[1];
    if (blank === undefined) continue;
    const at = one.start + one.text.indexOf(blank);
    return [at, at + 1, `${codePoint(blank)} looks like a space and is none; write an ordinary space`];
  }
  const [bullet] = /^[–—•]/.exec(text.slice(line.content, line.content + 1)) ?? [];
  if (bullet === undefined) return undefined;
  return [line.content, line.content + 1, `an item of a list begins with a hyphen, -, and not with ${bullet}`];
}

function grammarMistake({ code, pos, message }: YamlProblem, line: Line, text: string): Found | undefined {
  const [start, end] = pos;
  const rest = line.start + line.text.trimEnd().length;
  if (message.startsWith('Maximum call stack'))
    return [line.content, line.content + 1, 'its values are nested too deeply to be read; write them flatter', true];
  if (code === 'TAB_AS_INDENT') return [start, end, 'a tab stands in an indentation; indent with spaces'];
  const closing = /end with a ([}\]])$/.exec(message)?.[1];
  if (closing !== undefined) return unclosed(closing, start, text);
  const quote = /^Missing closing (["'])/.exec(message)?.[1];
  if (quote !== undefined) {
    let opening = text.lastIndexOf(quote, start - 1);
    while (quote === '"' && text[opening - 1] === '\\') opening = text.lastIndexOf(quote, opening - 1);
    return [opening, opening + 1, `the text that begins here has no closing ${quote}; write it`, true];
  }
  if (/^\s*(?:- )?[\w.-]+:[{["']/.test(line.text) && COLON_CODES.has(code)) {
    const colon = line.start + line.text.indexOf(':');
    return [colon, colon + 2, 'a key needs a space after its colon; write one'];
  }
  if (/^\s*-[\w"']/.test(line.text) && code !== 'UNEXPECTED_TOKEN')
    return [line.content, line.content + 2, 'an item of a list needs a space after its hyphen; write one'];
  if (/^(?:Nested mappings|Block collections)/.test(message))
    return colonMistake(start, text, code === 'BLOCK_IN_FLOW');
  if (message.startsWith('Implicit keys need') && !/^(?:- +)*$/.test(text.slice(line.content, start))) {
    const next = lineAt(text, text.indexOf('\n', start) + 1);
    return [next.content, next.start + next.text.trimEnd().length, NO_COMMA];
  }
  if (/^Implicit (?:map )?keys need/.test(message))
    return [line.content, rest, 'this line has no colon, so it is no key with a value; write KEY: VALUE'];
  if (
    /^(?:All |Sequence item without|A block sequence may not)/.test(message) ||
    (AT_END.test(message) && start === line.content)
  )
    return [
      line.content,
      rest,
      'the indentation of this line fits none above; give it that of the lines to which it belongs',
    ];
  if (AT_END.test(message)) return [start, end, `YAML reads this as text after the end of the value; ${QUOTE}`];
  return tokenMistake(code, message, start, end, text);
}

const NO_COMMA = 'inside of { } or [ ] a comma is missing before this line, or a } or ] above it; write it';
const COLON_CODES: ReadonlySet<ErrorCode> = new Set([
  'BLOCK_AS_IMPLICIT_KEY',
  'MULTILINE_IMPLICIT_KEY',
  'MISSING_CHAR',
]);
const AT_END = /^Unexpected .* at node end/;

function tokenMistake(code: ErrorCode, message: string, start: number, end: number, text: string): Found | undefined {
  const written = text.slice(start, end);
  switch (code) {
    case 'BAD_DQ_ESCAPE':
      return [
        start,
        start + 2,
        `${text.slice(start, start + 2)} is no escape of double quotes; write '...', where \\ is itself`,
      ];
    case 'BAD_SCALAR_START':
      return [start, end, `a value cannot begin with ${written}; ${QUOTE}`];
    case 'BAD_ALIAS':
      return [start, end, `YAML takes ${written} for an alias or an anchor; ${QUOTE}`];
    case 'UNEXPECTED_TOKEN':
      if (message.startsWith('Not a YAML token'))
        return [
          start,
          end,
          `after | or > a text begins on the next line; where they are part of an expression, ${QUOTE}`,
        ];
      if (message.startsWith('Unexpected block-seq-ind'))
        return [start, end, 'a list cannot begin on the line of its key; write its items on lines of their own'];
      if (message === 'Unexpected scalar token')
        return [start, end, `a comma is missing before this; write it, or ${QUOTE}`];
      if (message.startsWith('Unexpected , in')) return [start, end, 'nothing stands before this comma; remove it'];
      if (/^Unexpected flow-(?:map|seq)-end/.test(message))
        return [start, end, `${written} closes nothing; remove it, or ${QUOTE}`];
      return undefined;
    default:
      return undefined;
  }
}

/** A colon that makes a key of a value: on its own line, or on one that is indented too far. */
function colonMistake(start: number, text: string, inFlow: boolean): Found {
  const found = text.slice(start).search(/:(?=\s|$)/);
  const colon = start + Math.max(0, found);
  const { content } = lineAt(text, colon);
  if (found >= 0 && content > start && inFlow) return [content, colon, NO_COMMA];
  if (found >= 0 && content > start)
    return [
      content,
      colon,
      'this line is indented deeper than the key above, and read as more of its value; give it the same indentation',
    ];
  const comma = inFlow ? 'write a comma before that key, or ' : '';
  return [colon, colon + 1, `YAML takes a colon before a space for the end of a key; ${comma}${QUOTE}`];
}

const LEXED = 65_536;
/** Of the lexer: a document, an error in flow style and a scalar begin. They stand for no character. */
const MARKS: ReadonlySet<string> = new Set(['\u0002', '\u0018', '\u001f']);

/** The brace or bracket that is open at `end`; of a long text the lines before it. */
function unclosed(closing: string, end: number, text: string): Found {
  const from = end > LEXED ? text.indexOf('\n', end - LEXED) + 1 : 0;
  const open: number[] = [];
  let at = from;
  let isScalar = false;
  for (const lexeme of new Lexer().lex(text.slice(from, end))) {
    if (MARKS.has(lexeme)) {
      isScalar = lexeme === '\u001f';
      continue;
    }
    if (!isScalar && (lexeme === '{' || lexeme === '[')) open.push(at);
    else if (!isScalar && (lexeme === '}' || lexeme === ']')) open.pop();
    at += lexeme.length;
    isScalar = false;
  }
  const opening = open.at(-1);
  const what = (one: string): string =>
    `${one} is not closed; write ${closing}, and indent its lines deeper than its key`;
  if (opening === undefined || text[opening] !== OPENING[closing])
    return [end, end + 1, what(`a ${OPENING[closing]} above`), true];
  return [opening, opening + 1, what(`this ${OPENING[closing]}`), true];
}
const OPENING: Readonly<Record<string, string>> = { '}': '{', ']': '[' };

function lineAt(text: string, at: number): Line {
  const start = at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1;
  const newline = text.indexOf('\n', start);
  const line = text.slice(start, newline < 0 ? undefined : newline);
  return { start, text: line, content: start + (/^[ \t]*/.exec(line)?.[0].length ?? 0) };
}
