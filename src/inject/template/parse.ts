/**
 * Templates in a subset of Go's text/template.
 * **In**: a text with actions between delimiters. **Out**: its nodes. **Fails**: with an InjectError that names the line.
 */
import { InjectError } from '../errors.ts';
import { FUNCTION_NAMES } from './functions.ts';
import { type Token, tokensOf } from './tokens.ts';

export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  /** `.A.B` of the current value, `$.A` of the whole, `$x.A` of a variable, or `(…).A`. */
  | {
      readonly kind: 'path';
      readonly of: 'dot' | 'variable' | Pipeline;
      readonly variable?: string;
      readonly fields: readonly string[];
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

/** Each command after the first takes the result of the one before as its last argument. */
export interface Pipeline {
  readonly commands: readonly Expression[];
  readonly line: number;
}

export interface Branch {
  readonly kind: 'if' | 'with' | 'range';
  readonly pipeline: Pipeline;
  /** Of range: `$index, $item :=`, or one of them; of if and with: the value. */
  readonly variables: readonly string[];
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipeline: Pipeline }
  | { readonly kind: 'assign'; readonly variable: string; readonly isNew: boolean; readonly pipeline: Pipeline }
  | { readonly kind: 'break' | 'continue' }
  | Branch;

export interface Template {
  readonly nodes: readonly Node[];
}

const DELIMITERS = [
  ['[[', ']]'],
  ['{{', '}}'],
] as const;
const MAX_LENGTH = 1 << 20;
/** Of blocks in blocks, and of parentheses. */
const MAX_DEPTH = 50;

/** The delimiter that occurs first is the template's. */
export function parseTemplate(text: string): Template {
  if (text.length > MAX_LENGTH) throw wrong(1, `it has ${text.length} characters; at most ${MAX_LENGTH} are read`);
  const [, delimiters] = DELIMITERS.map((pair) => [text.indexOf(pair[0]), pair] as const)
    .filter(([at]) => at >= 0)
    .toSorted(([a], [b]) => a - b)[0] ?? [0, DELIMITERS[0]];
  const reader = new BlockReader(piecesOf(text, delimiters));
  const { nodes, end } = reader.block(0);
  if (end !== undefined) throw wrong(end.line, `${end.word} closes nothing`);
  return { nodes };
}

const wrong = (line: number, message: string): InjectError =>
  new InjectError('INJECT_TEMPLATE', `line ${line} of the template: ${message}`);

interface Piece {
  readonly text: string;
  readonly isAction: boolean;
  readonly line: number;
}

function* piecesOf(text: string, [open, close]: readonly [string, string]): Generator<Piece> {
  let at = 0;
  let line = 1;
  let trimsNext = false;
  const lineAfter = (part: string): number => (line += part.split('\n').length - 1);
  for (;;) {
    const start = text.indexOf(open, at);
    const before = text.slice(at, start < 0 ? undefined : start);
    const trimsBefore = start >= 0 && /^-[ \t\r\n]/.test(text.slice(start + open.length, start + open.length + 2));
    let shown = trimsNext ? before.trimStart() : before;
    if (trimsBefore) shown = shown.trimEnd();
    if (shown !== '') yield { text: shown, isAction: false, line };
    lineAfter(before);
    if (start < 0) return;
    const from = start + open.length + (trimsBefore ? 1 : 0);
    const end = endOfAction(text, from, close);
    if (end < 0) throw wrong(line, `an action has no ${close}`);
    let inner = text.slice(from, end);
    trimsNext = /[ \t\r\n]-$/.test(inner);
    if (trimsNext) inner = inner.slice(0, -1);
    if (!isComment(inner.trim())) yield { text: inner, isAction: true, line };
    lineAfter(text.slice(start, end));
    at = end + close.length;
  }
}

const isComment = (action: string): boolean => action.startsWith('/*') && action.endsWith('*/');

/** Of the closing delimiter, which may stand in a text or in a comment without closing; in time linear in the length. */
function endOfAction(text: string, from: number, close: string): number {
  const [comment] = /^\s*\/\*/.exec(text.slice(from, from + 100)) ?? [];
  const start = comment === undefined ? from : text.indexOf('*/', from + comment.length);
  if (start < 0) return -1;
  const parts = /"(?:[^"\\\n]|\\.)*"?|`[^`]*`?|\]\]|\}\}/g;
  parts.lastIndex = start;
  for (let match = parts.exec(text); match !== null; match = parts.exec(text))
    if (match[0] === close) return match.index;
  return -1;
}

interface BlockEnd {
  readonly word: 'end' | 'else';
  readonly line: number;
  /** After else: `if …` or `with …`. */
  readonly rest: readonly Token[];
}

const REFUSED = new Set(['template', 'define', 'block']);

class BlockReader {
  readonly #pieces: Iterator<Piece>;
  #loops = 0;

  constructor(pieces: Iterator<Piece>) {
    this.#pieces = pieces;
  }

  /** Up to its end or else, or the end of the text. */
  block(depth: number): { nodes: Node[]; end?: BlockEnd } {
    const nodes: Node[] = [];
    for (let next = this.#pieces.next(); next.done !== true; next = this.#pieces.next()) {
      const { text, isAction, line } = next.value;
      if (!isAction) {
        nodes.push({ kind: 'text', text });
        continue;
      }
      const tokens = tokensOf(text, (message) => wrong(line, message));
      const [first] = tokens;
      if (first === undefined) throw wrong(line, 'an action is empty');
      const word = first.kind === 'name' ? first.text : '';
      if (word === 'end' || word === 'else') return { nodes, end: { word, line, rest: tokens.slice(1) } };
      nodes.push(this.#action(word, tokens, line, depth));
    }
    return { nodes };
  }

  #action(word: string, tokens: readonly Token[], line: number, depth: number): Node {
    if (word === 'if' || word === 'with' || word === 'range')
      return this.#branch(word, tokens.slice(1), line, depth + 1);
    if (word === 'break' || word === 'continue') {
      if (this.#loops === 0) throw wrong(line, `${word} stands outside of range`);
      return { kind: word };
    }
    if (REFUSED.has(word)) throw wrong(line, `${word} is not supported: a template has no others inside`);
    const { variables, isNew, pipeline } = new PipelineReader(tokens, line).declared();
    const [variable, second] = variables;
    if (second !== undefined) throw wrong(line, 'only range declares two variables');
    return variable === undefined ? { kind: 'print', pipeline } : { kind: 'assign', variable, isNew, pipeline };
  }

  #branch(kind: 'if' | 'with' | 'range', tokens: readonly Token[], line: number, depth: number): Node {
    if (depth > MAX_DEPTH) throw wrong(line, `blocks are nested deeper than ${MAX_DEPTH}`);
    const { variables, pipeline } = new PipelineReader(tokens, line).declared();
    if (variables.length > 1 && kind !== 'range') throw wrong(line, 'only range declares two variables');
    if (kind === 'range') this.#loops++;
    const { nodes: body, end } = this.block(depth);
    if (kind === 'range') this.#loops--;
    if (end === undefined) throw wrong(line, `${kind} has no end`);
    if (end.word === 'end') return { kind, pipeline, variables, body, otherwise: [] };
    const [next, ...rest] = end.rest;
    if (next !== undefined) {
      if (next.kind !== 'name' || (next.text !== 'if' && next.text !== 'with') || kind === 'range')
        throw wrong(end.line, `unexpected ${next.text} after else`);
      return { kind, pipeline, variables, body, otherwise: [this.#branch(next.text, rest, end.line, depth + 1)] };
    }
    const { nodes: otherwise, end: last } = this.block(depth);
    if (last?.word !== 'end') throw wrong(last?.line ?? line, `${kind} has no end after its else`);
    return { kind, pipeline, variables, body, otherwise };
  }
}

class PipelineReader {
  readonly #tokens: readonly Token[];
  readonly #line: number;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], line: number) {
    this.#tokens = tokens;
    this.#line = line;
  }

  /** `$x := …`, `$i, $x := …`, `$x = …`, or a pipeline alone. */
  declared(): { variables: string[]; isNew: boolean; pipeline: Pipeline } {
    const variables: string[] = [];
    const assign = this.#tokens.findIndex(({ kind }) => kind === 'assign');
    if (assign >= 0) {
      for (const [at, { kind, text }] of this.#tokens.slice(0, assign).entries()) {
        if (kind !== (at % 2 === 0 ? 'variable' : 'comma')) throw this.#wrong(`unexpected ${text} before :=`);
        if (kind === 'variable') variables.push(text);
      }
      if (variables.length === 0 || variables.length > 2 || assign % 2 === 0)
        throw this.#wrong('a variable is missing before :=');
      this.#at = assign + 1;
    }
    const pipeline = this.#pipeline();
    const left = this.#tokens[this.#at];
    if (left !== undefined) throw this.#wrong(`unexpected ${left.text}`);
    return { variables, isNew: this.#tokens[assign]?.text === ':=', pipeline };
  }

  #pipeline(): Pipeline {
    const commands: Expression[] = [];
    do commands.push(this.#command(commands.length > 0));
    while (this.#take('pipe'));
    return { commands, line: this.#line };
  }

  #command(isPiped: boolean): Expression {
    const token = this.#tokens[this.#at];
    if (token?.kind === 'name') {
      if (!FUNCTION_NAMES.has(token.text)) throw this.#wrong(`there is no function ${token.text}`);
      this.#at++;
      const args: Expression[] = [];
      for (
        let next = this.#tokens[this.#at];
        next !== undefined && next.kind !== 'pipe' && next.kind !== 'close';
        next = this.#tokens[this.#at]
      )
        args.push(this.#operand());
      return { kind: 'call', name: token.text, args };
    }
    const operand = this.#operand();
    if (isPiped) throw this.#wrong('a value follows |; only a function takes it');
    const next = this.#tokens[this.#at];
    if (next !== undefined && next.kind !== 'pipe' && next.kind !== 'close')
      throw this.#wrong(`unexpected ${next.text} after a value`);
    return operand;
  }

  #operand(): Expression {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw this.#wrong('a value is missing');
    switch (token.kind) {
      case 'literal':
        return { kind: 'literal', value: token.value };
      case 'dot':
        return { kind: 'path', of: 'dot', fields: [] };
      case 'field':
        this.#at--;
        return { kind: 'path', of: 'dot', fields: this.#fields(true) };
      case 'variable':
        return { kind: 'path', of: 'variable', variable: token.text, fields: this.#fields(false) };
      case 'name':
        if (!FUNCTION_NAMES.has(token.text)) throw this.#wrong(`there is no function ${token.text}`);
        return { kind: 'call', name: token.text, args: [] };
      case 'open': {
        if (++this.#depth > MAX_DEPTH) throw this.#wrong(`parentheses are nested deeper than ${MAX_DEPTH}`);
        const inner = this.#pipeline();
        if (!this.#take('close')) throw this.#wrong('a ) is missing');
        this.#depth--;
        return { kind: 'path', of: inner, fields: this.#fields(false) };
      }
      default:
        throw this.#wrong(`unexpected ${token.text}`);
    }
  }

  /** Fields that follow without a space; `isFirst`: the operand is itself a field. */
  #fields(isFirst: boolean): string[] {
    const fields: string[] = [];
    let token = this.#tokens[this.#at];
    while (token?.kind === 'field' && (token.isJoined || (isFirst && fields.length === 0))) {
      fields.push(token.text);
      token = this.#tokens[++this.#at];
    }
    return fields;
  }

  #take(kind: Token['kind']): boolean {
    if (this.#tokens[this.#at]?.kind !== kind) return false;
    this.#at++;
    return true;
  }

  #wrong(message: string): InjectError {
    return wrong(this.#line, message);
  }
}
