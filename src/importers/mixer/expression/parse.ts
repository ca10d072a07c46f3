/**
 * Mixer's expression language: the subset of Go's expressions that `mixer/pkg/lang/ast/expr.go` accepts.
 * **In**: text. **Out**: a tree. **Fails**: with a {@link MixerSyntaxError}.
 */
import { parseDuration } from '../../../attributes/time-text.ts';
import { canonicalInt } from '../../../attributes/values.ts';
import { MixerSyntaxError, positionOf, type Token, tokensOf, unescaped } from './tokens.ts';
import type { Tree } from './tree.ts';

const MAX_DEPTH = 250;
/** Go's precedences and Mixer's names. The checker rejects the operators that Mixer does not have, by these names. */
const BINARY: ReadonlyMap<string, readonly [precedence: number, name: string]> = new Map([
  ['||', [1, 'LOR']],
  ['&&', [2, 'LAND']],
  ['==', [3, 'EQ']],
  ['!=', [3, 'NEQ']],
  ['<', [3, 'LT']],
  ['<=', [3, 'LEQ']],
  ['>', [3, 'GT']],
  ['>=', [3, 'GEQ']],
  ['+', [4, 'ADD']],
  ['-', [4, 'SUB']],
  ['|', [4, 'OR']],
  ['^', [4, 'XOR']],
  ['*', [5, 'MUL']],
  ['/', [5, 'QUO']],
  ['%', [5, 'REM']],
  ['&', [5, 'AND']],
  ['<<', [5, 'SHL']],
  ['>>', [5, 'SHR']],
  ['&^', [5, 'AND_NOT']],
]);
const UNARY: ReadonlyMap<string, string> = new Map([
  ['!', 'NOT'],
  ['-', 'SUB'],
  ['+', 'ADD'],
  ['^', 'XOR'],
  ['*', 'MUL'],
  ['&', 'AND'],
]);

export function parseIstio(text: string): Tree {
  if (text.trim() === '')
    throw new MixerSyntaxError(`unable to parse expression '${text}': 1:1: expected operand, found 'EOF'`, 0, 1);
  return new Parser(text, tokensOf(text)).whole();
}

/** `selector`: the last `.field` of `a.b.c`, which is part of the name unless a `(` follows. */
type Primary = { readonly tree: Tree; readonly selector?: { readonly of: Primary; readonly field: string } };

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(text: string, tokens: readonly Token[]) {
    this.#text = text;
    this.#tokens = tokens;
  }

  whole(): Tree {
    const tree = this.#binary(1);
    const rest = this.#peek();
    if (rest.kind !== 'end') throw this.#unexpected(rest, "expected 'EOF'");
    return tree;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: 'EOF', start: this.#text.length, end: this.#text.length };
  }

  #next(): Token {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }

  #take(sign: string): boolean {
    const { kind, text } = this.#peek();
    if (kind !== 'sign' || text !== sign) return false;
    this.#at += 1;
    return true;
  }

  #expect(sign: string): Token {
    const token = this.#peek();
    if (!this.#take(sign)) throw this.#unexpected(token, `expected '${sign}'`);
    return token;
  }

  #unexpected({ text, kind, start, end }: Token, expected: string): MixerSyntaxError {
    return new MixerSyntaxError(
      `unable to parse expression '${this.#text}': ${positionOf(this.#text, start)}: ${expected}, found ${kind === 'end' || kind === 'sign' ? `'${text}'` : text}`,
      start,
      Math.max(end, start + 1),
    );
  }

  #deeper<T>(parse: () => T): T {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH)
      throw new MixerSyntaxError(`nested deeper than ${MAX_DEPTH}`, this.#peek().start, this.#peek().end);
    const parsed = parse();
    this.#depth -= 1;
    return parsed;
  }

  #binary(least: number): Tree {
    return this.#deeper(() => {
      let left = this.#unary();
      for (;;) {
        const { kind, text } = this.#peek();
        const [precedence, name] = (kind === 'sign' ? BINARY.get(text) : undefined) ?? [0, ''];
        if (precedence < least) return left;
        this.#at += 1;
        const right = this.#binary(precedence + 1);
        left = { kind: 'function', name, target: undefined, args: [left, right], start: left.start, end: right.end };
      }
    });
  }

  #unary(): Tree {
    const { kind, text, start } = this.#peek();
    const name = kind === 'sign' ? UNARY.get(text) : undefined;
    if (name === undefined) return this.#primary().tree;
    this.#at += 1;
    const operand = this.#deeper(() => this.#unary());
    return { kind: 'function', name, target: undefined, args: [operand], start, end: operand.end };
  }

  #primary(): Primary {
    let primary = this.#operand();
    for (;;) {
      const { start } = primary.tree;
      if (this.#take('.')) {
        const field = this.#next();
        if (field.kind !== 'name') throw this.#unexpected(field, 'expected selector or type assertion');
        primary = {
          tree: { kind: 'variable', name: field.text, start, end: field.end },
          selector: { of: primary, field: field.text },
        };
        if (this.#peek().text !== '(' || this.#peek().kind !== 'sign') primary = this.#selected(primary);
      } else if (this.#take('[')) {
        const of = primary.tree;
        const index = this.#binary(1);
        const end = this.#expect(']').end;
        primary = { tree: { kind: 'function', name: 'INDEX', target: undefined, args: [of, index], start, end } };
      } else if (this.#take('(')) {
        const args = this.#arguments();
        const end = this.#tokens[this.#at - 1]?.end ?? start;
        primary = { tree: this.#call(primary, args, end) };
      } else {
        return primary;
      }
    }
  }

  /** `a.b` is one name; no value has fields. */
  #selected({ tree, selector }: Primary): Primary {
    const below = selector?.of.tree;
    if (below?.kind !== 'variable')
      throw new MixerSyntaxError(
        `unexpected expression: ${this.#text.slice(tree.start, tree.end)}`,
        tree.start,
        tree.end,
      );
    return {
      tree: { kind: 'variable', name: `${below.name}.${selector?.field ?? ''}`, start: tree.start, end: tree.end },
    };
  }

  #call({ tree, selector }: Primary, args: readonly Tree[], end: number): Tree {
    const { start } = tree;
    if (selector !== undefined)
      return { kind: 'function', name: selector.field, target: selector.of.tree, args, start, end };
    if (tree.kind !== 'variable' || tree.name.includes('.'))
      throw new MixerSyntaxError(`unexpected expression: ${this.#text.slice(start, end)}`, start, end);
    return { kind: 'function', name: tree.name, target: undefined, args, start, end };
  }

  #arguments(): Tree[] {
    const args: Tree[] = [];
    while (!this.#take(')')) {
      args.push(this.#binary(1));
      if (this.#take(',')) continue;
      this.#expect(')');
      break;
    }
    return args;
  }

  #operand(): Primary {
    const token = this.#next();
    const { kind, text, start, end } = token;
    switch (kind) {
      case 'name': {
        const lower = text.toLowerCase();
        if (lower === 'true' || lower === 'false')
          return { tree: { kind: 'constant', type: 'BOOL', value: lower === 'true', text: lower, start, end } };
        return { tree: { kind: 'variable', name: text, start, end } };
      }
      case 'int':
        return { tree: this.#int(token) };
      case 'float':
        return { tree: { kind: 'constant', type: 'DOUBLE', value: Number(text), text, start, end } };
      case 'string':
      case 'char':
        return { tree: this.#string(token) };
      case 'sign':
        if (text === '(') {
          const inner = this.#binary(1);
          const close = this.#expect(')');
          return { tree: { ...inner, start, end: close.end } };
        }
        throw this.#unexpected(token, 'expected operand');
      case 'newline':
      case 'end':
        throw this.#unexpected(token, 'expected operand');
    }
  }

  #int({ text, start, end }: Token): Tree {
    if (/^0[xX]/.test(text))
      throw new MixerSyntaxError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`, start, end);
    const value = BigInt(text.replace(/^0+(?=\d)/, ''));
    if (value > 0x7fff_ffff_ffff_ffffn)
      throw new MixerSyntaxError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`, start, end);
    return { kind: 'constant', type: 'INT64', value: canonicalInt(value), text, start, end };
  }

  /** Text that Go parses as a duration is a duration, `"0"` included. */
  #string({ text, kind, start, end }: Token): Tree {
    const inner = text.slice(1, -1);
    const value = text.startsWith('`') ? inner.replaceAll('\r', '') : unescaped(inner);
    if (value === undefined || (kind === 'char' && Array.from(value).length !== 1))
      throw new MixerSyntaxError(`strconv.Unquote: ${text}: invalid syntax`, start, end);
    const span = parseDuration(value);
    const isSpan = span !== undefined && Math.abs(span.seconds) < 9_223_372_036;
    return { kind: 'constant', type: isSpan ? 'DURATION' : 'STRING', value: isSpan ? span : value, text, start, end };
  }
}
